package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/policy"
	"postern/verify"
)

// report is the answer of policy explain: its fields are the JSON.
type report struct {
	Purpose policy.Purpose `json:"purpose"`
	Door    access.Door    `json:"door"`
	Group   string         `json:"group,omitempty"`
	Now     tally          `json:"now"`
	// Proposed and Changes are there with --with alone.
	Proposed *tally         `json:"proposed,omitempty"`
	Changes  map[change]int `json:"changes,omitempty"`
	// Raised: the threat level is, and the approval it adds is counted in.
	Raised bool `json:"raised"`
	// Everybody: the directories were listed; else People are those in the record.
	Everybody bool `json:"everybody"`
	// Gone are accounts in the record that the directory does not have any more.
	Gone   *int     `json:"gone,omitempty"`
	People []person `json:"people"`

	single bool
}

// tally counts people. Stranded are those the portal serves and has no open path for.
type tally struct {
	People   int            `json:"people"`
	Open     int            `json:"open"`
	Stranded int            `json:"stranded"`
	Unserved map[string]int `json:"unserved"` // by why
	// Weakest counts people by the weakest path open to them.
	Weakest map[policy.Strength]int `json:"weakest"`
}

type person struct {
	Login    string          `json:"login"`
	ID       directory.ID    `json:"id"`
	Enrolled []verify.Kind   `json:"enrolled"`
	Now      policy.Verdict  `json:"now"`
	Proposed *policy.Verdict `json:"proposed,omitempty"`
	Change   change          `json:"change,omitempty"`
}

// change is what a proposed policy does to one person.
type change string

const (
	loses    change = "loses" // had an open path, and would have none
	gains    change = "gains" // had none, and would have one
	weaker   change = "weaker"
	stronger change = "stronger"
	same     change = "same"
)

func changeOf(now, then policy.Verdict) change {
	switch {
	case now.Open && !then.Open:
		return loses
	case !now.Open && then.Open:
		return gains
	case then.Weakest.Weaker(now.Weakest):
		return weaker
	case now.Weakest.Weaker(then.Weakest):
		return stronger
	}
	return same
}

func newTally() tally {
	return tally{Unserved: map[string]int{}, Weakest: map[policy.Strength]int{}}
}

func (t *tally) add(v policy.Verdict) {
	t.People++
	switch {
	case v.Unserved != "":
		t.Unserved[v.Unserved]++
	case v.Stranded():
		t.Stranded++
	default:
		t.Open++
		t.Weakest[v.Weakest]++
	}
}

func (s *survey) report() *report {
	r := &report{Purpose: s.purpose, Door: s.door, Now: newTally(), People: []person{}}
	if len(s.asked) > 1 {
		t := newTally()
		r.Proposed, r.Changes = &t, map[change]int{}
	}
	return r
}

func (r *report) add(s *survey, one subject) {
	verdict := func(a asked) policy.Verdict {
		m := one.means
		m.Phone, m.Cooling = a.phone(one.user), a.Cooling(one.user, one.since, s.now())
		v := a.Explain(one.user, m)
		if v.Unserved == "" && one.frozen {
			return policy.Verdict{Unserved: "frozen", Explanation: policy.Explanation{Plan: v.Plan, Paths: []policy.Path{}}}
		}
		return v
	}
	p := person{Login: one.user.Login, ID: one.user.ID, Enrolled: append([]verify.Kind{}, one.means.Enrolled...), Now: verdict(s.asked[0])}
	r.Now.add(p.Now)
	if r.Proposed != nil {
		then := verdict(s.asked[1])
		p.Proposed, p.Change = &then, changeOf(p.Now, then)
		r.Proposed.add(then)
		r.Changes[p.Change]++
	}
	if !r.single && p.nobodys() {
		return
	}
	r.People = append(r.People, p)
}

// nobodys is an account that is counted and not listed: every service account of a
// directory has nothing enrolled and is not served.
func (p person) nobodys() bool {
	return len(p.Enrolled) == 0 && p.Now.Unserved != "" && (p.Proposed == nil || p.Proposed.Unserved != "")
}

// named is how many logins one line names; --json names all.
const named = 20

func (r *report) text(w io.Writer) {
	at := fmt.Sprintf("%s at the %s door", r.Purpose, r.Door)
	if r.Raised {
		at += ", while the threat level is raised (an approval besides)"
	}
	if r.single {
		p := r.People[0]
		fmt.Fprintf(w, "%s (%s): %s\n", oneLine(p.Login), oneLine(string(p.ID)), at)
		fmt.Fprintf(w, "enrolled: %s\n", orNothing(p.Enrolled))
		tellVerdict(w, "now", p.Now)
		if p.Proposed != nil {
			tellVerdict(w, "proposed", *p.Proposed)
			fmt.Fprintf(w, "\nthe change: %s\n", p.Change.words())
		}
		return
	}
	who, note := "everybody", "all in the directories, and whoever enrolled or began something here"
	if r.Group != "" {
		who = "everybody in group " + oneLine(r.Group)
	}
	if !r.Everybody {
		who = strings.Replace(who, "everybody", "those the portal knows", 1)
		note = "whoever enrolled or began something here; a directory cannot be listed, so people who never came are not counted"
	}
	fmt.Fprintf(w, "%s: %s\n(%s)\n", at, who, note)
	tellTally(w, "now", r.Now)
	if *r.Gone > 0 {
		fmt.Fprintf(w, "  %s in the record, gone from the directory: not counted\n", count(*r.Gone, "account"))
	}
	r.tellNames(w, "stranded", func(p person) bool { return p.Now.Stranded() })
	if r.Proposed == nil {
		return
	}
	tellTally(w, "proposed", *r.Proposed)
	r.tellNames(w, "stranded", func(p person) bool { return p.Proposed.Stranded() })
	fmt.Fprintln(w, "\nthe change")
	for _, c := range []change{loses, gains, weaker, stronger, same} {
		fmt.Fprintf(w, "  %6d %s\n", r.Changes[c], c.words())
		if c != same {
			r.tellNames(w, string(c), func(p person) bool { return p.Change == c })
		}
	}
}

func (c change) words() string {
	return map[change]string{
		loses:    "had a way in and would have none",
		gains:    "had no way in and would have one",
		weaker:   "the weakest way in would be weaker",
		stronger: "the weakest way in would be stronger",
		same:     "no difference",
	}[c]
}

func (r *report) tellNames(w io.Writer, what string, is func(person) bool) {
	var logins []string
	for _, p := range r.People {
		if is(p) {
			logins = append(logins, oneLine(p.Login))
		}
	}
	switch n := len(logins); {
	case n > named:
		fmt.Fprintf(w, "         %s: %s and %d more (--json names all)\n", what, strings.Join(logins[:named], ", "), n-named)
	case n > 0:
		fmt.Fprintf(w, "         %s: %s\n", what, strings.Join(logins, ", "))
	}
}

func tellTally(w io.Writer, title string, t tally) {
	fmt.Fprintf(w, "\n%s\n  %6d people\n  %6d have a way in\n", title, t.People, t.Open)
	for _, s := range []policy.Strength{policy.PhishingResistant, policy.TwoKinds, policy.OneKind} {
		if n := t.Weakest[s]; n > 0 {
			fmt.Fprintf(w, "         %d by %s at the weakest\n", n, strengthWords[s])
		}
	}
	fmt.Fprintf(w, "  %6d stranded\n", t.Stranded)
	for _, why := range slices.Sorted(maps.Keys(t.Unserved)) {
		fmt.Fprintf(w, "  %6d not served: %s\n", t.Unserved[why], strings.ReplaceAll(why, "_", " "))
	}
}

var strengthWords = map[policy.Strength]string{
	policy.PhishingResistant: "a phishing-resistant proof",
	policy.TwoKinds:          "two kinds of proof",
	policy.OneKind:           "one kind of proof",
}

var lackWords = map[policy.Lack]string{
	policy.NotEnrolled: "not enrolled",
	policy.NoMail:      "no mail address in the directory",
	policy.NoPhone:     "no number in the directory that codes go to",
	policy.NoManager:   "no manager in the directory",
	policy.Cooling:     "too new to be the only proof",
	policy.Ended:       "ended by wrong answers; must be set up anew",
}

func tellVerdict(w io.Writer, title string, v policy.Verdict) {
	fmt.Fprintf(w, "\n%s, by rule %s: ", title, oneLine(v.Plan))
	switch {
	case v.Unserved != "":
		fmt.Fprintf(w, "not served: %s\n", strings.ReplaceAll(v.Unserved, "_", " "))
		return
	case !v.Open:
		fmt.Fprintln(w, "stranded, no way is open")
	default:
		fmt.Fprintf(w, "open, by %s at the weakest\n", strengthWords[v.Weakest])
	}
	for _, p := range v.Paths {
		mark := "✓ open  "
		if len(p.Missing) > 0 {
			mark = "✗ closed"
		}
		fmt.Fprintf(w, "  %s %-30s %s\n", mark, join(p.Proofs, " + "), strengthWords[p.Strength])
		for _, m := range p.Missing {
			fmt.Fprintf(w, "             missing: %s (%s)\n", m.Kind, lackWords[m.Why])
		}
	}
}

func orNothing(kinds []verify.Kind) string {
	if len(kinds) == 0 {
		return "nothing"
	}
	return join(kinds, ", ")
}

func join(kinds []verify.Kind, with string) string {
	words := make([]string, len(kinds))
	for i, k := range kinds {
		words[i] = string(k)
	}
	return strings.Join(words, with)
}
