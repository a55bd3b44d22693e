package portaltest

import (
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"postern/portal/audit"
)

// judges holds the answers and the endings against the rules.
func (s *soak) judges(well time.Duration) {
	for _, why := range s.answers.faults {
		s.never("%s", why)
	}
	for _, at := range s.answers.broken {
		if !slices.ContainsFunc(s.killed, func(k time.Time) bool { return at.After(k) && at.Before(k.Add(5*time.Second)) }) {
			s.never("%.1f s: no answer, and no node was killed", at.Sub(s.began).Seconds())
		}
	}
	calm := 0
	for _, c := range s.cases {
		if !c.right || c.came < well {
			continue
		}
		calm++
		if c.told != done {
			s.never("%.1f s, when all was well: %s ended as %s: %s", c.came.Seconds(), c.errand, c.told, c.why)
		}
	}
	if calm < 10 {
		s.never("only %d cases came when all was well", calm)
	}
	bounds := flat
	if s.brief() {
		bounds = loose
	}
	for i, m := range s.meters {
		grown, said := thirds(m.log, bounds)
		s.t.Logf("node %d, first third to last: %s (%d readings)", i+1, said, len(m.log))
		for _, g := range grown {
			s.never("node %d grows: %s", i+1, g)
		}
	}
	for _, n := range s.nodes {
		s.said = append(s.said, n.Log())
	}
	for _, log := range s.said {
		s.mute += strings.Count(log, "directory write without an answer")
		for _, bad := range []string{`"msg":"panic"`, "DATA RACE", "goroutine 1 ["} {
			if strings.Contains(log, bad) {
				s.never("a node said %s", bad)
			}
		}
	}
	if s.twice.Load() == 0 || s.struck.Load() == 0 || s.mute == 0 && !s.brief() {
		s.never("nothing was tried: %d codes were given twice, %d writes and outcomes were struck, %d writes had no answer", s.twice.Load(), s.struck.Load(), s.mute)
	}
}

// open waits until no intent is without an outcome.
func (s *soak) open() {
	for end := time.Now().Add(settleTime); ; time.Sleep(100 * time.Millisecond) { // a job's own clock
		list, err := s.reg.db.Unsettled(s.t.Context(), time.Now().Add(time.Hour))
		if err != nil {
			s.t.Fatal(err)
		}
		if len(list) == 0 {
			return
		}
		if time.Now().After(end) {
			s.never("%d cases are still open: %v", len(list), list)
			return
		}
	}
}

// recorded holds the record against what people were told.
func (s *soak) recorded() {
	people, wrong, err := register(func(see func(audit.Event) error) error {
		return s.reg.db.Export(s.t.Context(), audit.Query{}, see)
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.wrong = append(s.wrong, wrong...)
	told, have := account{}, account{}
	for _, c := range s.cases {
		switch {
		case c.told == done && c.unlocks:
			told.unlocked++
		case c.told == done:
			told.done++
		}
	}
	for _, p := range people {
		have.done += p.done
		have.unlocked += p.unlocked
	}
	if told != have {
		s.never("%d new passwords and %d unlocks were told, %d and %d are on record", told.done, told.unlocked, have.done, have.unlocked)
	}
	// Nothing came late either.
	if _, err := drive(len(s.people), 4, func(_, i int) error {
		if in, err := s.binds(s.people[i].dn, s.people[i].password); err != nil || !in {
			return fmt.Errorf("%s cannot sign in at the end: %w", s.people[i].login, err)
		}
		return nil
	}); err != nil {
		s.never("%v", err)
	}
}

// verifies exports the record and checks it, as an auditor does.
func (s *soak) verifies() {
	key, dir := s.command("audit", "key"), filepath.Join(s.dir, "export")
	s.command("audit", "export", "--out", dir)
	if out, err := exec.Command(s.bin, "audit", "verify", dir, "--key", key).CombinedOutput(); err != nil {
		s.never("%v: %s", err, out)
	}
}

// summary is one line of what it was.
func (s *soak) summary() string {
	by := map[string]map[told]int{"": {}} // by errand; "": all
	for _, c := range s.cases {
		if by[c.errand] == nil {
			by[c.errand] = map[told]int{}
		}
		by[c.errand][c.told]++
		by[""][c.told]++
	}
	list := func(of map[told]int) string {
		var list []string
		for _, k := range slices.Sorted(maps.Keys(of)) {
			list = append(list, fmt.Sprintf("%s %d", k, of[k]))
		}
		return strings.Join(list, ", ")
	}
	for _, e := range errands {
		s.t.Logf("%s: %s", e.name, list(by[e.name]))
	}
	all, p99 := s.answers.of(-1)
	no, no99 := s.answers.of(503)
	broken, _ := s.answers.of(502)
	none, _ := s.answers.of(0)
	grew := "–"
	if log := s.meters[0].log; len(log) > 0 {
		grew = fmt.Sprintf("%d → %d", log[0].resident>>20, log[len(log)-1].resident>>20)
	}
	tb := &table{title: "**Soak**", key: 1, head: []string{"took", "cases", "cases/s", "outcomes", "one code twice", "struck", "writes without an answer", "longest checking", "answers", "p99 ms", "503", "503 p99 ms", "502 or none", "mishaps", "resident MiB, node 1", "late codes", "missed"}}
	tb.add(s.took, len(s.cases), fmt.Sprintf("%.1f", float64(len(s.cases))/s.took.Seconds()), list(by[""]), s.twice.Load(), s.struck.Load(), s.mute, s.checking.Round(time.Second),
		all, ms(p99), no, ms(no99), broken+none, s.counted(), grew, s.late.Load(), s.missed)
	return tb.String()
}
