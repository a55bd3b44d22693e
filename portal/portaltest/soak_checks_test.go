package portaltest

import (
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"postern/portal/audit"
	"postern/verify/totp"
)

// A soak that finds nothing would be none: each of its checks finds what it is for, and
// nothing in what is well.
func TestASoakFindsWhatMayNeverBe(t *testing.T) {
	for _, c := range []struct {
		name      string
		e         ending
		old, next bool
		found     bool
	}{
		{"done", ending{told: done, next: "n"}, false, true, false},
		{"done, and it was not", ending{told: done, next: "n"}, true, false, true},
		{"done, and both are good", ending{told: done, next: "n"}, true, true, true},
		{"done, and neither is good", ending{told: done, next: "n"}, false, false, true},
		{"refused", ending{told: refused, next: "n"}, true, false, false},
		{"refused, and it was done", ending{told: refused, next: "n"}, false, true, true},
		{"refused, and neither is good", ending{told: refused}, false, false, true},
		{"503, and it was done", ending{told: unavailable, next: "n"}, false, true, true},
		{"no answer, and it was done", ending{told: lost, next: "n"}, false, true, true},
		{"walked away, and it was done", ending{told: left}, false, false, true},
		{"unknown, and done", ending{told: unknown, next: "n"}, false, true, false},
		{"unknown, and not", ending{told: unknown, next: "n"}, true, false, false},
		{"unknown, and neither is good", ending{told: unknown, next: "n"}, false, false, true},
		{"unlocked", ending{told: done, unlocks: true}, true, false, false},
		{"unlocked, and it is not", ending{told: done, unlocks: true}, false, false, true},
		{"not unlocked, and it is", ending{told: refused, unlocks: true}, true, false, true},
		{"nothing that may be", ending{told: odd, why: "x"}, true, false, true},
	} {
		if why := lie(c.e, c.old, c.next); (why != "") != c.found {
			t.Errorf("%s: %q", c.name, why)
		}
	}
	s := &soak{}
	for posted, found := range map[[2]int]bool{{303, 422}: false, {422, 303}: false, {303, 303}: true, {422, 422}: true, {303, 0}: false, {0, 422}: false, {503, 503}: false} {
		if why := s.onceAtMost(posted[0], posted[1]); (why != "") != found {
			t.Errorf("%v: %q", posted, why)
		}
	}
	if s.twice.Load() != 2 {
		t.Errorf("%d codes were given twice", s.twice.Load())
	}
}

func TestASoakReadsTheRecord(t *testing.T) {
	code := func(id string) audit.Event {
		return audit.Event{Kind: "proof.ok", Factor: "recovery_code", Subject: "p", Case: "c", Outcome: audit.OK, Detail: map[string]string{"credential": id}}
	}
	of := func(kind, id string, o audit.Outcome) audit.Event {
		return audit.Event{Kind: kind, Subject: "p", Case: id, Outcome: o, Purpose: "reset"}
	}
	intent, reset := of("password.intent", "c", audit.Intent), of("password.reset", "c", audit.OK)
	for name, c := range map[string]struct {
		list  []audit.Event
		found string
	}{
		"a good case":                  {[]audit.Event{code("a"), intent, reset}, ""},
		"one that took two saves":      {[]audit.Event{code("a"), intent, of("password.refused", "c", audit.Refused), intent, reset}, ""},
		"a code that was good twice":   {[]audit.Event{code("a"), code("a"), intent, reset}, "good 2 times"},
		"an intent without an outcome": {[]audit.Event{code("a"), intent}, "1 intents, 0 outcomes"},
		"an outcome without an intent": {[]audit.Event{code("a"), reset}, "without an intent"},
		"two outcomes":                 {[]audit.Event{code("a"), intent, reset, reset}, "2 outcomes"},
		"two good ones":                {[]audit.Event{code("a"), intent, reset, intent, reset}, "2 of them good"},
		"nothing":                      {nil, "not one recovery code"},
	} {
		_, wrong, err := register(func(see func(audit.Event) error) error {
			for _, e := range c.list {
				if err := see(e); err != nil {
					return err
				}
			}
			return nil
		})
		said := strings.Join(wrong, "; ")
		if err != nil || (c.found == "") != (said == "") || !strings.Contains(said, c.found) {
			t.Errorf("%s: %q, %v", name, said, err)
		}
	}
}

func TestASoakSeesWhatGrows(t *testing.T) {
	log := func(grows func(*reading, int)) []reading {
		list := make([]reading, 30)
		for i := range list {
			list[i] = reading{resident: 60 << 20, live: 20 << 20, goroutines: 100, files: 80, tasks: 10}
			if i%7 == 0 { // a peak is none
				list[i].resident, list[i].goroutines = 200<<20, 500
			}
			grows(&list[i], i)
		}
		return list
	}
	for want, grows := range map[string]func(*reading, int){
		"":             func(*reading, int) {},
		"MiB resident": func(r *reading, i int) { r.resident += int64(i) << 21 },
		"MiB of heap":  func(r *reading, i int) { r.live += float64(i << 20) },
		"goroutines":   func(r *reading, i int) { r.goroutines += 5 * i },
		"open files":   func(r *reading, i int) { r.files += 5 * i },
		"threads":      func(r *reading, i int) { r.tasks += i },
	} {
		grown, said := thirds(log(grows), flat)
		if got := strings.Join(grown, "; "); (want == "") != (got == "") || !strings.HasPrefix(got, want) {
			t.Errorf("%q: %q (%s)", want, got, said)
		}
	}
}

func TestASoakHoldsEveryAnswerToTheRules(t *testing.T) {
	for _, c := range []struct {
		status int
		took   time.Duration
		retry  string
		found  bool
	}{
		{200, time.Second, "", false}, {200, ceiling + 1, "", true}, {0, ceiling + 1, "", true}, {503, time.Second, "30", false},
		{503, time.Second, "", true}, {503, time.Second, "soon", true}, {503, time.Second, "0", true}, {500, time.Second, "", true}, {502, time.Second, "", false},
	} {
		var a answers
		var resp fasthttp.Response
		if c.retry != "" {
			resp.Header.Set("Retry-After", c.retry)
		}
		a.add(c.status, c.took, nil, &resp, true)
		if (len(a.faults) > 0) != c.found {
			t.Errorf("%+v: %q", c, a.faults)
		}
	}
}

func TestAWrongAnswerIsWrong(t *testing.T) {
	m := &member{secret: []byte("12345678901234567890"), codes: []string{"AAAA-BBBB-CCCC", "ABCD-EFGH-JKLM"}}
	for range 100 {
		now, err := totp.Code(m.secret, time.Now())
		if wrong := wrongAnswer(m, "totp"); err != nil || wrong == now || len(wrong) != 6 {
			t.Fatalf("%q beside %q, %v", wrong, now, err)
		}
	}
	for range 2 {
		if wrong := wrongAnswer(m, "recovery_code"); wrong == m.codes[0] || len(wrong) != len(m.codes[0]) {
			t.Errorf("%q beside %q", wrong, m.codes[0])
		}
		m.codes = m.codes[1:]
	}
}
