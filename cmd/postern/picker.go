package main

import (
	"cmp"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"postern/portal/web/view"
)

// maxLabel is how many characters a phone shows of a label in a picker.
const maxLabel = 40

func (d Directory) label() string { return cmp.Or(d.Label, d.Name) }

// places are what people can pick; nil where the file asks for no picker.
func (c *Config) places() (list []view.Place) {
	if !c.Picker {
		return nil
	}
	for _, d := range c.Directories {
		list = append(list, view.Place{Name: d.Name, Label: d.label()})
	}
	return list
}

// validateLabel refuses what people could not tell apart.
func (c *Config) validateLabel(r *reader, i int) {
	at, label := fmt.Sprintf("directories[%d]", i), c.Directories[i].Label
	if utf8.RuneCountInString(label) > maxLabel || label != strings.TrimSpace(label) || strings.ContainsFunc(label, func(c rune) bool { return !unicode.IsPrint(c) }) {
		r.add(at, fmt.Errorf("label: must be at most %d characters that can be seen", maxLabel))
	}
	for j, other := range c.Directories[:i] {
		if c.Picker && strings.EqualFold(other.label(), c.Directories[i].label()) {
			r.add(at, fmt.Errorf("label: people cannot tell it from that of directories[%d]", j))
		}
	}
}
