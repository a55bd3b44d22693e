package view

import (
	"strings"

	"postern/directory"
)

// Rule is one line of the list above the new password.
type Rule struct {
	Code  string   // too_short, too_long, characters, complexity, own, common, history, too_young, quality
	Limit int      // the number in it
	Words []string // own: what must not be in the password
	Later bool     // only the server can tell, after saving
}

// RulesOf lists the rules in force, as a person should read them. own are the
// login, mail name and parts of the name that must not be in a password; min
// and max are the portal's own limits in characters (0: none) and leaks says
// that known passwords are refused. History is claimed only where it will be
// enforced: always in a true change, in a reset only where the server says so.
func RulesOf(r directory.Rules, min, max int, own []string, leaks, trueChange bool) []Rule {
	var list []Rule
	if r.MinLength > min {
		min = r.MinLength
	}
	if r.MaxLength > 0 && (max == 0 || r.MaxLength < max) {
		max = r.MaxLength
	}
	if min > 0 {
		list = append(list, Rule{Code: "too_short", Limit: min})
	}
	if max > 0 && max < 128 {
		list = append(list, Rule{Code: "too_long", Limit: max})
	}
	if r.Complexity {
		list = append(list, Rule{Code: "complexity", Limit: 3})
	}
	if r.PlainOnly {
		list = append(list, Rule{Code: "characters"})
	}
	var words []string
	for _, w := range own {
		// Shorter parts are in too many good passwords; AD ignores them too [MS-SAMR 3.1.1.7.2].
		if w = strings.TrimSpace(w); len([]rune(w)) >= 3 {
			words = append(words, w)
		}
	}
	if len(words) > 0 {
		list = append(list, Rule{Code: "own", Words: words})
	}
	if leaks {
		list = append(list, Rule{Code: "common", Later: true})
	}
	if r.History > 0 && (trueChange || r.HistoryOnReset) {
		list = append(list, Rule{Code: "history", Limit: r.History, Later: true})
	}
	if r.QualityCheck {
		list = append(list, Rule{Code: "quality", Later: true})
	}
	return list
}
