package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"postern/directory"
)

// printText is a line for each finding; why and how to mend it stand below.
func printText(w io.Writer, found []directory.Finding, colour bool) {
	mark := map[directory.Severity]string{directory.OK: "✓", directory.Warning: "!", directory.Failure: "✗"}
	if colour {
		mark = map[directory.Severity]string{directory.OK: "\x1b[32m✓\x1b[0m", directory.Warning: "\x1b[33m!\x1b[0m", directory.Failure: "\x1b[31m✗\x1b[0m"}
	}
	count := map[directory.Severity]int{}
	for _, f := range found {
		count[f.Severity]++
		fmt.Fprintf(w, "%s %-7s %s: %s\n", mark[f.Severity], f.Severity, oneLine(f.Check), oneLine(f.What))
		if f.Why != "" {
			fmt.Fprintf(w, "    why:  %s\n", oneLine(f.Why))
		}
		if f.Mend != "" {
			fmt.Fprintf(w, "    mend: %s\n", strings.ReplaceAll(strings.TrimSpace(printable(f.Mend)), "\n", "\n          "))
		}
	}
	fmt.Fprintf(w, "\n%d ok, %d warning, %d failure\n", count[directory.OK], count[directory.Warning], count[directory.Failure])
}

// oneLine keeps what a server said from pretending to be lines of ours.
func oneLine(s string) string {
	return strings.Join(strings.Fields(printable(s)), " ")
}

// printable drops control characters: a server's text must not drive the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && (r < ' ' || r >= 0x7f && r < 0xa0) {
			return -1
		}
		return r
	}, s)
}

// cleaned are findings as text for a page: what a server says is no line of ours.
func cleaned(found []directory.Finding) []directory.Finding {
	for i, f := range found {
		found[i].Check, found[i].What, found[i].Why = oneLine(f.Check), oneLine(f.What), oneLine(f.Why)
		found[i].Mend = strings.TrimSpace(printable(f.Mend))
	}
	return found
}

func printJSON(w io.Writer, found []directory.Finding) error {
	type finding struct {
		Severity string `json:"severity"`
		Check    string `json:"check"`
		What     string `json:"what"`
		Why      string `json:"why,omitempty"`
		Mend     string `json:"mend,omitempty"`
	}
	out := struct {
		Worst    string    `json:"worst"`
		Findings []finding `json:"findings"`
	}{Worst: worstOf(found).String(), Findings: []finding{}}
	for _, f := range found {
		out.Findings = append(out.Findings, finding{f.Severity.String(), f.Check, f.What, f.Why, f.Mend})
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(out)
}
