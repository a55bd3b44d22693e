package view

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
)

var refreshes = regexp.MustCompile(`(?:http-equiv="refresh" content|data-poll)="([^"]*)"`)

// What a page of the desk asks for by itself says so: it must not keep a desk open that
// nobody sits at.
func TestDeskPagesThatRefreshSaySo(t *testing.T) {
	r, seen := renderer(t), 0
	for _, s := range deskSamples() {
		var b bytes.Buffer
		if err := r.Page(&b, "en", s.page); err != nil {
			t.Fatal(err)
		}
		for _, m := range refreshes.FindAllStringSubmatch(b.String(), -1) {
			if seen++; !strings.Contains(m[1], "poll=1") {
				t.Errorf("%s asks for %s", s.name, m[1])
			}
		}
	}
	if seen == 0 {
		t.Error("no page refreshes")
	}
}

// Every form of a desk that acts carries what lets it act once.
func TestDeskFormsThatActCarryTheirMark(t *testing.T) {
	r, seen := renderer(t), 0
	for _, s := range deskSamples() {
		var b bytes.Buffer
		if err := r.Page(&b, "en", s.page); err != nil {
			t.Fatal(err)
		}
		for _, form := range strings.Split(b.String(), "<form ")[1:] {
			form, _, _ = strings.Cut(form, "</form>")
			if !regexp.MustCompile(`action="/desk/[^"]*/(open|act|match)"`).MatchString(form) {
				continue
			}
			if seen++; strings.Count(form, `name="once"`) != 1 {
				t.Errorf("%s: %.200s", s.name, form)
			}
		}
	}
	if seen < 8 {
		t.Errorf("%d forms act", seen)
	}
}
