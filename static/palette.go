package static

import (
	"fmt"
	"math"
	"strconv"
)

// Palette makes a style sheet out of one brand colour: the filled button, what
// is written on it, and links, in light and dark. Whatever the colour, text on
// it and links keep a contrast of 4.5, and the button 3 against its surface
// (WCAG 2.2, 1.4.3 and 1.4.11): where the colour itself does not, a lighter or
// darker one of the same hue is taken.
func Palette(colour string) ([]byte, error) {
	base, err := parseColour(colour)
	if err != nil {
		return nil, err
	}
	light := scheme(base, rgb{255, 255, 255}, rgb{0xdf, 0xf0, 0xea}, -1)
	dark := scheme(base, rgb{0x13, 0x1c, 0x19}, rgb{0x1a, 0x25, 0x21}, 1)
	return fmt.Appendf(nil, ":root{%s}\n@media (prefers-color-scheme:dark){:root:not([data-theme=\"light\"]){%s}}\n:root[data-theme=\"dark\"]{%s}\n",
		light, dark, dark), nil
}

func scheme(base, surface, soft rgb, step float64) string {
	link := base
	for contrast(link, surface) < 4.6 || contrast(link, soft) < 4.6 {
		link = link.shift(step * .02)
	}
	fill := base
	on := rgb{255, 255, 255}
	for contrast(fill, surface) < 3.2 {
		fill = fill.shift(step * .02)
	}
	ink := rgb{0x04, 0x12, 0x0e}
	if contrast(ink, fill) > contrast(on, fill) {
		on = ink
	}
	// A middle grey bears neither black nor white well: move off it, away from the text.
	for contrast(on, fill) < 5 {
		if on == ink {
			fill = fill.shift(.02)
		} else {
			fill = fill.shift(-.02)
		}
	}
	hover := fill.shift(-.08)
	if on == ink {
		hover = fill.shift(.08)
	}
	return fmt.Sprintf("--pine:%s;--pine-2:%s;--on-pine:%s;--on-pine-2:%s;--pine-soft:%s;--link:%s;--mark:%s", fill, hover, on, on, soft, link, fill)
}

type rgb [3]uint8

func (c rgb) String() string { return fmt.Sprintf("#%02x%02x%02x", c[0], c[1], c[2]) }

// shift moves towards white (d above 0) or black by a share of the whole way.
func (c rgb) shift(d float64) rgb {
	for i, v := range c {
		c[i] = uint8(math.Round(math.Min(255, math.Max(0, float64(v)+d*255))))
	}
	return c
}

// contrast is WCAG 2.2's ratio of relative luminances, 1 to 21.
func contrast(a, b rgb) float64 {
	x, y := a.luminance(), b.luminance()
	if x < y {
		x, y = y, x
	}
	return (x + .05) / (y + .05)
}

func (c rgb) luminance() float64 {
	var l float64
	for i, weight := range [3]float64{.2126, .7152, .0722} {
		v := float64(c[i]) / 255
		if v <= .04045 {
			v /= 12.92
		} else {
			v = math.Pow((v+.055)/1.055, 2.4)
		}
		l += weight * v
	}
	return l
}

func parseColour(s string) (rgb, error) {
	if len(s) == 4 && s[0] == '#' {
		s = string([]byte{'#', s[1], s[1], s[2], s[2], s[3], s[3]})
	}
	if len(s) != 7 || s[0] != '#' {
		return rgb{}, fmt.Errorf("static: %q is not a colour like #0b5c4c", s)
	}
	n, err := strconv.ParseUint(s[1:], 16, 32)
	if err != nil {
		return rgb{}, fmt.Errorf("static: %q is not a colour like #0b5c4c", s)
	}
	return rgb{uint8(n >> 16), uint8(n >> 8), uint8(n)}, nil
}
