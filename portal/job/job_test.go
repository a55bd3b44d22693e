package job

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern/directory"
	"postern/portal/flow"
	"postern/portal/notify"
	"postern/portal/store"
	"postern/portal/store/storetest"
)

const alice directory.ID = "corp:00000000-0000-0000-0000-00000000000a"

// people is a directory whose answer can be changed.
type people struct {
	mu  sync.Mutex
	u   directory.User
	err error
}

func (p *people) Read(context.Context, directory.User) (directory.User, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.u, p.err
}

const thrown = "Canary-7531"

// renderer writes the code into the text; it counts decoys too.
type renderer struct{ n atomic.Int32 }

func (r *renderer) Render(m notify.Message) (notify.Rendered, error) {
	r.n.Add(1)
	switch m.Template {
	case "broken":
		return notify.Rendered{}, errors.New("no such template")
	case "panic":
		panic(thrown)
	}
	return notify.Rendered{Subject: m.Template, Text: m.Args["code"]}, nil
}

// wire is a transport that answers for each address as it is told.
type wire struct {
	answer func(to string) error
	mu     sync.Mutex
	sent   []string // "to text"
	ids    []string
}

func (w *wire) Send(_ context.Context, id, to string, r notify.Rendered) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ids = append(w.ids, id)
	if w.answer != nil {
		if err := w.answer(to); err != nil {
			return err
		}
	}
	w.sent = append(w.sent, to+" "+r.Text)
	return nil
}

// rig is a runner on a real store, and a clock that tests move.
type rig struct {
	*Runner
	db     *store.DB
	people *people
	text   *renderer
	mail   *wire
	log    *strings.Builder
	at     atomic.Int64
	began  int64
	panics atomic.Int32
	told   chan Delivery
}

func newRig(t testing.TB, p storetest.Place) *rig {
	t.Helper()
	r := &rig{people: &people{u: directory.User{ID: alice, Mail: []string{"now@example.org", "second@example.org"}, Phone: []string{"+491"}}},
		text: &renderer{}, mail: &wire{}, log: &strings.Builder{}, told: make(chan Delivery, 100)}
	r.began = time.Now().UnixMicro()
	r.at.Store(r.began)
	now := func() time.Time { return time.UnixMicro(r.at.Load()) }
	p.Config.Now = now
	r.db = p.Open(t)
	var err error
	r.Runner, err = New(Config{Outbox: r.db, Database: r.db, People: r.people, Renderer: r.text,
		Transports: map[notify.Channel]notify.Transport{notify.Mail: r.mail, notify.SMS: r.mail},
		Reconcile:  func(context.Context) error { return nil },
		Safe:       r.safe,
		Log:        slog.New(slog.NewTextHandler(&locked{w: r.log}, nil)), Now: now, Deliveries: func(d Delivery) { r.told <- d }})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// safe counts what it caught.
func (r *rig) safe(_ string, fn func()) (whole bool) {
	defer func() {
		if recover() != nil {
			r.panics.Add(1)
		}
	}()
	fn()
	return true
}

type locked struct {
	mu sync.Mutex
	w  *strings.Builder
}

func (l *locked) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

func (r *rig) forward(by time.Duration) { r.at.Add(by.Microseconds()) }

func (r *rig) post(t testing.TB, list ...notify.Message) {
	t.Helper()
	c := &flow.Case{ID: fmt.Sprint(time.Now().UnixNano()), Key: alice, Created: r.Now(), Expires: r.Now().Add(time.Minute)}
	if err := r.db.Create(t.Context(), c, flow.Effects{Messages: list}); err != nil {
		t.Fatal(err)
	}
}

// pass claims what is due and delivers it, one after the other.
func (r *rig) pass(t testing.TB) (outcomes []Outcome) {
	t.Helper()
	claimed, err := r.db.Claim(t.Context(), 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range claimed {
		r.deliver(t.Context(), o)
		outcomes = append(outcomes, (<-r.told).Outcome)
	}
	return outcomes
}

func (r *rig) reasons(t testing.TB) (list []string) {
	t.Helper()
	events, err := r.db.Recent(t.Context(), alice, 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		list = append(list, e.Kind+" "+e.Reason)
	}
	return list
}

func TestDelivery(t *testing.T) {
	who := directory.User{ID: alice, Name: "Alice", Mail: []string{"old@example.org"}}
	code := notify.Message{Channel: notify.Mail, Template: "code", Who: who, Args: map[string]string{"code": "c4n4ry"}}
	with := func(f func(*notify.Message)) notify.Message { m := code; f(&m); return m }
	for name, test := range map[string]struct {
		message  notify.Message
		set      func(*rig)
		outcomes []Outcome // of passes two hours apart
		sent     []string
		reasons  []string
	}{
		"a code goes to the address the directory has now (case 49)": {message: code, outcomes: []Outcome{Sent}, sent: []string{"now@example.org c4n4ry"}, reasons: []string{"message.sent "}},
		"an SMS goes to the first number":                            {message: with(func(m *notify.Message) { m.Channel = notify.SMS }), outcomes: []Outcome{Sent}, sent: []string{"+491 c4n4ry"}, reasons: []string{"message.sent "}},
		"a notice goes to every address": {message: with(func(m *notify.Message) { m.To = []string{"a@x", "b@x"} }), outcomes: []Outcome{Sent},
			sent: []string{"a@x c4n4ry", "b@x c4n4ry"}, reasons: []string{"message.sent "}},
		"a decoy's goes nowhere and leaves no trace":     {message: with(func(m *notify.Message) { m.Who = directory.User{} }), outcomes: []Outcome{Dropped}},
		"a decoy's that cannot be rendered leaves none":  {message: with(func(m *notify.Message) { m.Who, m.Template = directory.User{}, "broken" }), outcomes: []Outcome{Dropped}},
		"too late is not sent":                           {message: code, set: func(r *rig) { r.forward(2 * time.Hour) }, outcomes: []Outcome{Failed}, reasons: []string{"message.failed too_late"}},
		"a directory that is away is asked again":        {message: notAfter(code, 0), set: func(r *rig) { r.people.err = directory.ErrUnavailable }, outcomes: []Outcome{Retry, Retry}},
		"an account that is gone gets nothing":           {message: code, set: func(r *rig) { r.people.err = directory.ErrNotFound }, outcomes: []Outcome{Failed}, reasons: []string{"message.failed account_gone"}},
		"no address is a failure somebody hears of":      {message: code, set: func(r *rig) { r.people.u.Mail = nil }, outcomes: []Outcome{Failed}, reasons: []string{"message.failed no_address"}},
		"no transport too":                               {message: with(func(m *notify.Message) { m.Channel = "pigeon" }), outcomes: []Outcome{Failed}, reasons: []string{"message.failed no_transport"}},
		"what cannot be rendered is given up":            {message: with(func(m *notify.Message) { m.Template = "broken" }), outcomes: []Outcome{Failed}, reasons: []string{"message.failed not_rendered"}},
		"a panic is one failed attempt":                  {message: notAfter(with(func(m *notify.Message) { m.Template = "panic" }), 0), outcomes: []Outcome{Retry, Retry}},
		"a refusal for good is not tried again":          {message: code, set: answers(notify.Permanent{Err: errors.New("550")}), outcomes: []Outcome{Failed}, reasons: []string{"message.failed refused"}},
		"a code is not tried beyond its life":            {message: notAfter(code, 3*time.Second), set: answers(errors.New("451")), outcomes: []Outcome{Failed}, reasons: []string{"message.failed not_delivered"}},
		"a relay that is away is tried again":            {message: notAfter(code, 0), set: answers(errors.New("421")), outcomes: []Outcome{Retry, Retry, Retry}},
		"an address refused does not stop the others":    {message: notAfter(with(func(m *notify.Message) { m.To = []string{"bad@x", "b@x"} }), 0), set: only("bad@x", notify.Permanent{Err: errors.New("550")}), outcomes: []Outcome{Sent}, sent: []string{"b@x c4n4ry"}, reasons: []string{"message.sent ", "message.failed refused"}},
		"an address served is not served again on retry": {message: notAfter(with(func(m *notify.Message) { m.To = []string{"a@x", "bad@x"} }), 0), set: only("bad@x", errors.New("421")), outcomes: []Outcome{Retry, Retry}, sent: []string{"a@x c4n4ry"}, reasons: []string{"message.sent "}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, storetest.SQLite(t))
			if test.message.NotAfter.IsZero() {
				test.message.NotAfter = r.Now().Add(time.Hour)
			} else if test.message.NotAfter.Unix() > 0 {
				test.message.NotAfter = r.Now().Add(time.Duration(test.message.NotAfter.UnixNano()))
			} else {
				test.message.NotAfter = time.Time{}
			}
			r.post(t, test.message)
			if test.set != nil {
				test.set(r)
			}
			for i, want := range test.outcomes {
				if got := r.pass(t); !slices.Equal(got, []Outcome{want}) {
					t.Fatalf("pass %d: %v, want %v", i, got, want)
				}
				r.forward(2 * time.Hour)
			}
			if last := test.outcomes[len(test.outcomes)-1]; last != Retry {
				if again := r.pass(t); len(again) != 0 {
					t.Errorf("it is still there: %v", again)
				}
			}
			if !slices.Equal(r.mail.sent, test.sent) {
				t.Errorf("sent %q, want %q", r.mail.sent, test.sent)
			}
			if got := r.reasons(t); !slices.Equal(got, test.reasons) {
				t.Errorf("record %q, want %q", got, test.reasons)
			}
			if r.text.n.Load() == 0 && !slices.Contains(test.reasons, "message.failed too_late") {
				t.Error("nothing was rendered: a decoy's must be as much work")
			}
			if strings.Contains(r.log.String(), "c4n4ry") {
				t.Errorf("the log holds the code: %s", r.log)
			}
		})
	}
}

// notAfter carries how long a message is good for in the table: 0 for ever.
func notAfter(m notify.Message, life time.Duration) notify.Message {
	m.NotAfter = time.Unix(-1, 0)
	if life > 0 {
		m.NotAfter = time.Unix(0, 0).Add(life)
	}
	return m
}

func answers(err error) func(*rig) {
	return func(r *rig) { r.mail.answer = func(string) error { return err } }
}

func only(to string, err error) func(*rig) {
	return func(r *rig) {
		r.mail.answer = func(a string) error {
			if a == to {
				return err
			}
			return nil
		}
	}
}

func TestRetriesEnd(t *testing.T) {
	r := newRig(t, storetest.SQLite(t))
	answers(errors.New("421"))(r)
	r.post(t, notify.Message{Channel: notify.Mail, Template: "password_changed", Who: directory.User{ID: alice}})
	tries := 0
	for {
		got := r.pass(t)
		tries++
		if slices.Equal(got, []Outcome{Failed}) {
			break
		}
		if tries > maxTries {
			t.Fatal("it never ends")
		}
		r.forward(lastRetry)
	}
	if tries != maxTries || !slices.Equal(r.reasons(t), []string{"message.failed not_delivered"}) {
		t.Errorf("%d tries, %v", tries, r.reasons(t))
	}
	if first, last := r.mail.ids[0], r.mail.ids[len(r.mail.ids)-1]; first != last {
		t.Errorf("the id changed from %s to %s: the relay cannot tell that it is the same", first, last)
	}
}

// That nobody can be told is itself told of, after five minutes and not for a moment's hitch.
func TestANoticeThatIsOverdueIsAnAlarm(t *testing.T) {
	r := newRig(t, storetest.SQLite(t))
	var alarms []string
	r.Alarm = func(name string) { alarms = append(alarms, name) }
	answers(errors.New("421"))(r)
	r.post(t, notify.Message{Channel: notify.Mail, Template: "password_changed", Who: directory.User{ID: alice}})
	for r.pass(t); ; r.pass(t) {
		if early := r.Now().Sub(time.UnixMicro(r.began)) < overdue; early != (len(alarms) == 0) {
			t.Fatalf("after %s: %q", r.Now().Sub(time.UnixMicro(r.began)), alarms)
		}
		if len(alarms) > 1 {
			break
		}
		r.forward(2 * time.Minute)
	}
	if alarms[0] != "message" {
		t.Errorf("%q", alarms)
	}
}

func TestBackoff(t *testing.T) {
	for tries, want := range map[int]time.Duration{0: 5 * time.Second, 1: 5 * time.Second, 2: 10 * time.Second, 5: 80 * time.Second, 12: time.Hour, 1 << 40: time.Hour} {
		if got := backoff(tries); got != want {
			t.Errorf("after %d: %v, want %v", tries, got, want)
		}
	}
}

// What panics is told of once, by whoever caught it, and what it threw (a
// message's text, perhaps) is in no log of ours (security case 113).
func TestPanicIsToldOf(t *testing.T) {
	r := newRig(t, storetest.SQLite(t))
	r.post(t, notify.Message{Channel: notify.Mail, Template: "panic", Who: directory.User{ID: alice}})
	if got := r.pass(t); !slices.Equal(got, []Outcome{Retry}) || r.panics.Load() != 1 {
		t.Errorf("%v, %d panics", got, r.panics.Load())
	}
	if strings.Contains(r.log.String(), thrown) {
		t.Error(r.log)
	}
}
