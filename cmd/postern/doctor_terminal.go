package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/mattn/go-isatty"
)

// looks is how somebody at a terminal is told things. In a pipe it is neither.
type looks struct {
	colour bool
	live   bool // a line that is written over
}

// looks of this output. NO_COLOR is https://no-color.org's; a dumb terminal can
// write no line over.
func (c *cli) looks(plain bool) looks {
	if !terminal(c.out) || !terminal(c.err) {
		return looks{}
	}
	if term, _ := c.env("TERM"); term == "dumb" {
		return looks{}
	}
	never, _ := c.env("NO_COLOR")
	return looks{colour: !plain && never == "", live: true}
}

func terminal(w io.Writer) bool {
	f, is := w.(interface{ Fd() uintptr })
	return is && isatty.IsTerminal(f.Fd())
}

// progress is one line that says what is waited for, and is gone at the end.
type progress struct{ out io.Writer }

// show writes the line over; with no names it takes it away.
func (p *progress) show(names []string) {
	const erase = "\r\x1b[K"
	if len(names) == 0 {
		fmt.Fprint(p.out, erase)
		return
	}
	fmt.Fprint(p.out, erase, "looking at ", shortList(names, 60), " …")
}

// shortList names the first of them, as far as width runes go, and how many more
// there are: a line that wraps could not be written over.
func shortList(names []string, width int) string {
	text := ""
	for i, name := range names {
		next := oneLine(name)
		if text != "" {
			next = text + ", " + next
		}
		if utf8.RuneCountInString(next) > width && text != "" {
			return fmt.Sprintf("%s and %d more", text, len(names)-i)
		}
		text = strings.ToValidUTF8(next, "")
	}
	if utf8.RuneCountInString(text) > width {
		text = string([]rune(text)[:width])
	}
	return text
}
