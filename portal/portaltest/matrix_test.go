package portaltest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// The promise of what works while something is away: what somebody is answered who comes
// to this step then. "503" may be "ok" as well while a line is only flapping.
var matrix = []struct {
	what string // is away
	but  string // these steps are answered with a 503; all others are as ever
}{
	{"PostgreSQL", "start, start of a stranger, send a mail, send a text, app, recovery code, mailed code, security key, write, change, sign-in, own factors"},
	{"Redis", "send a mail, send a text"},
	// A proof is one without it. Who the account is, and whether it still may, is asked at the write.
	{"slapd", "start, start of a stranger, write, change, sign-in, own factors"},
	{"SMTP", ""},
	{"SMS", ""},
	{"YubiCloud", "security key"},
	{"audit sink", ""},
}

// faults are the ways something is away: each begins it, on a whole line, and what it
// returns ends it.
var faults = []struct {
	how   string
	begin func(*wire) (end func())
}{
	{"down", func(w *wire) func() { w.cut(true); return func() {} }},
	{"slow 10 s", func(w *wire) func() {
		w.answers(func([]byte) { time.Sleep(10 * time.Second) }) // the network's own clock
		return func() {}
	}},
	{"flapping", func(w *wire) func() {
		over, ended := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(ended)
			for r := rand.New(rand.NewPCG(1, 2)); ; {
				select {
				case <-over:
					return
				default:
					failures["flapping"]([]*wire{w}, 100*time.Millisecond, r)
				}
			}
		}()
		return func() { close(over); <-ended }
	}},
	{"wrong answers", func(w *wire) func() {
		w.answers(func(b []byte) {
			for i := range b {
				b[i] = byte(rand.Uint32())
			}
		})
		return func() {}
	}},
}

// Each thing the portal needs, away in each way, at each step that people come to: who is
// refused hears so within two seconds, in plain words, and when to come back; everything
// else goes on; nobody is told what is not so; and when it is back, all of it works.
func TestWhateverIsAwayIsANoAndNothingElse(t *testing.T) {
	t.Parallel()
	cells := len(matrix) * len(faults)
	x := newRig(t, len(steps)+2+cells)
	people := x.people[:len(steps)]
	spare, savers := x.people[len(steps)], x.people[len(steps)+2:]
	x.afresh(t.Context(), people...)
	keyed := people[slices.IndexFunc(steps, func(s step) bool { return s.name == "security key" })]
	x.enrolsKey(keyed)
	phone := ldap.NewModifyRequest(people[slices.IndexFunc(steps, func(s step) bool { return s.name == "send a text" })].dn, nil)
	phone.Replace("mobile", []string{"0151 23456789"})
	if err := x.house.LDAP.Modify(phone); err != nil {
		t.Fatal(err)
	}

	// ready brings somebody before each step.
	ready := func(saver *member) []*try {
		t.Helper()
		crowd := slices.Clone(people)
		crowd[slices.IndexFunc(steps, func(s step) bool { return s.name == "write" })] = saver
		x.afresh(t.Context(), crowd...)
		tries := make([]*try, len(steps))
		var all sync.WaitGroup
		for i, s := range steps {
			tries[i] = &try{step: s, m: crowd[i], r: x.rider()}
			all.Go(func() {
				if s.ready == nil {
					return
				}
				if err := s.ready(x, tries[i].r, crowd[i]); err != nil {
					t.Errorf("while all is whole, before %s: %v", s.name, err)
				}
			})
		}
		all.Wait()
		return tries
	}
	act := func(tries []*try) (slowest time.Duration) {
		var all sync.WaitGroup
		for _, one := range tries {
			all.Go(func() { x.comes(one) })
		}
		all.Wait()
		for _, one := range tries {
			slowest = max(slowest, one.took)
		}
		return slowest
	}

	// What a busy machine takes for the same while all is whole.
	busy := time.Duration(0)
	for range 2 {
		tries := ready(x.people[len(steps)+1])
		busy = max(busy, act(tries))
		for _, one := range tries {
			if one.was != "ok" {
				t.Fatalf("while all is whole, %s: %s", one.name, one.was)
			}
			one.r.close()
		}
	}
	x.meter.read()
	bar := 2*time.Second + 3*busy

	var open []*try // writes that are to be held against the directory
	var table strings.Builder
	fmt.Fprintf(&table, "| away | how | 503 | as ever | slowest 503 ms |\n|---|---|---|---|---|\n")
	for i, row := range matrix {
		for j, f := range faults {
			tries := ready(savers[i*len(faults)+j])
			before := x.texts.Load()
			end := f.begin(x.lines[row.what])
			act(tries)
			if f.how == "slow 10 s" && strings.HasPrefix(row.but, "start") {
				x.needNotWait(row.what, busy)
			}
			end()
			x.lines[row.what].cut(false)
			x.lines[row.what].mend()
			said, worst := map[string]int{}, time.Duration(0)
			for _, one := range tries {
				at := fmt.Sprintf("%s %s, %s", row.what, f.how, one.name)
				no := slices.Contains(strings.Split(row.but, ", "), one.name)
				switch {
				case one.was == "503" && no, one.was == "ok" && (!no || f.how == "flapping"), one.was == "applying" && no:
				default:
					t.Errorf("%s: %s", at, one.was)
				}
				if one.was == "503" {
					worst = max(worst, one.took)
				}
				if one.was == "503" && one.took > bar {
					t.Errorf("%s: a 503 after %s; while all is whole an answer takes up to %s", at, one.took, busy)
				}
				said[one.was]++
				if one.name == "write" {
					open = append(open, one)
				} else {
					one.r.close()
				}
			}
			fmt.Fprintf(&table, "| %s | %s | %d | %d | %d |\n", row.what, f.how, said["503"], said["ok"], worst.Milliseconds())
			x.back(row.what+" "+f.how, spare, keyed, before)
		}
	}
	t.Logf("an answer while all is whole takes up to %s\n%s", busy, table.String())
	x.told(open)
	x.flat()
}

// needNotWait: others have waited already for what is away now.
func (x *rig) needNotWait(what string, busy time.Duration) {
	x.t.Helper()
	for range 5 {
		r := x.rider()
		if err := r.get("/recover/reset"); err != nil {
			x.t.Error(err)
		}
		late := &try{step: steps[1], m: x.people[0], r: r}
		x.comes(late)
		r.close()
		if late.was != "503" || late.took > 500*time.Millisecond+3*busy {
			x.t.Errorf("%s, to who came late: %s after %s", what, late.was, late.took)
		}
	}
}

// back waits until somebody gets through again.
func (x *rig) back(after string, m, keyed *member, had int64) {
	x.t.Helper()
	from := time.Now()
	for {
		x.afresh(x.t.Context(), m)
		r := x.rider()
		x.mail.expect(m.mail)
		err := x.enters(r, m, "totp", "email")
		if err == nil {
			if err = x.brought(r, keyed, "yubikey"); err == nil {
				err = r.post("/recover/answer", "answer", x.key.Press())
			}
		}
		r.close()
		if err == nil && x.texts.Load() > had {
			return
		}
		if time.Since(from) > 40*time.Second {
			x.t.Fatalf("%s is over for %s, and still: %v; %d bytes at the sink", after, time.Since(from), err, x.texts.Load()-had)
		}
	}
}

// told holds what people were told of a write against the directory.
func (x *rig) told(writes []*try) {
	x.t.Helper()
	var all sync.WaitGroup
	for _, one := range writes {
		all.Go(func() {
			defer one.r.close()
			if one.was != "ok" { // they look again, and get on or hear how it ended
				for end := time.Now().Add(settleTime); ; time.Sleep(250 * time.Millisecond) { // a person's own pace
					err := one.r.get("/recover")
					s := between(one.r.resp.Body(), `data-step="`, `"`)
					if err == nil && one.r.resp.StatusCode() == 200 && s != "applying" {
						one.was = s
						break
					}
					if time.Now().After(end) {
						x.t.Errorf("%s never hears how it ended: %s", one.m.login, one.r.what())
						return
					}
				}
			} else {
				one.was = "done"
			}
			next, old := x.house.LDAP.Bind(one.m.dn, one.m.password) == nil, x.house.LDAP.Bind(one.m.dn, one.m.old) == nil
			switch {
			case one.was == "done" && next && !old, one.was != "done" && old && !next:
			case one.was == "refused" && between(one.r.resp.Body(), `data-error="`, `"`) == "outcome_unknown" && old != next:
			default:
				x.t.Errorf("%s was told %q; old password %v, new %v", one.m.login, one.was, old, next)
			}
		})
	}
	all.Wait()
}

// flat compares what the node takes with what it took at first.
func (x *rig) flat() {
	x.t.Helper()
	x.node.CloseIdleConnections()
	first := x.meter.log[0]
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(500 * time.Millisecond) { // lines that were given up end in their own time
		x.meter.read()
		last := x.meter.log[len(x.meter.log)-1]
		if last.goroutines <= first.goroutines+first.goroutines/5+10 && last.files <= first.files+first.files/5+10 && last.resident < 2*first.resident {
			x.t.Logf("goroutines %d, then %d; files %d, then %d; resident %d MiB, then %d", first.goroutines, last.goroutines, first.files, last.files, first.resident>>20, last.resident>>20)
			return
		}
		if time.Now().After(end) {
			x.t.Errorf("it grows: %+v, then %+v", first, last)
			return
		}
	}
}
