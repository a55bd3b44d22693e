package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/directory"
	"postern/portal/flow"
	"postern/portal/job"
	"postern/portal/limit"
	"postern/portal/notify"
	"postern/portal/policy"
	"postern/portal/web"
)

func ask(t *testing.T, m *Metrics, method, host, path string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, "http://x"+path, nil)
	r.Host = host
	w := httptest.NewRecorder()
	m.Admin(slog.New(slog.DiscardHandler)).ServeHTTP(w, r)
	return w
}

func scrape(t *testing.T, m *Metrics) string {
	t.Helper()
	w := ask(t, m, "GET", "127.0.0.1:9090", "/metrics")
	if w.Code != http.StatusOK {
		t.Fatal(w.Code, w.Body)
	}
	return w.Body.String()
}

func demand(t *testing.T, body string, lines ...string) {
	t.Helper()
	for _, want := range lines {
		if !strings.Contains(body, want+"\n") {
			t.Errorf("missing: %s", want)
		}
	}
}

// The other rooms' hooks, as the program joins them to the metrics.
func TestWhatTheRoomsTell(t *testing.T) {
	m := NewMetrics("1.2.3")
	site := web.Options{Observe: m.Request}
	cases := flow.Options{Observe: func(p policy.Purpose, outcome string, took time.Duration) { m.Case(string(p), outcome, took) }}
	limits := limit.Options{Hit: func(n limit.Name) { m.LimitHit(string(n)) }, Alarm: func(a limit.Alarm) { m.Alarm(string(a.Name)) }}
	jobs := job.Config{Deliveries: func(d job.Delivery) {
		m.Delivery(string(d.Channel), d.Template, string(d.Outcome), d.Waited, d.Took)
	}}

	site.Observe("GET", "/recover", 200, 3*time.Millisecond)
	site.Observe("POST", "/me/factors/:id/remove", 303, time.Second)
	site.Observe("BREW", "/recover", 999, time.Millisecond)
	cases.Observe(policy.Reset, string(flow.Applied), 90*time.Second)
	cases.Observe(policy.Reset, string(flow.Declined), time.Hour)
	limits.Hit(limit.Answer)
	limits.Alarm(limit.Alarm{Name: limit.Accounts, Address: "192.0.2.77"})
	jobs.Deliveries(job.Delivery{Channel: notify.Mail, Template: "code", Outcome: job.Sent, Waited: 2 * time.Second, Took: time.Second})
	jobs.Deliveries(job.Delivery{Channel: notify.SMS, Template: "code", Outcome: job.Failed, Waited: time.Hour, Took: time.Second})
	m.Panic("reconcile")

	body := scrape(t, m)
	demand(t, body,
		`postern_http_request_duration_seconds_count{method="GET",route="/recover",status="200"} 1`,
		`postern_http_request_duration_seconds_bucket{method="GET",route="/recover",status="200",le="0.005"} 1`,
		`postern_http_request_duration_seconds_count{method="POST",route="/me/factors/:id/remove",status="303"} 1`,
		`postern_http_request_duration_seconds_count{method="other",route="/recover",status="other"} 1`,
		`postern_cases_total{outcome="done",purpose="reset"} 1`,
		`postern_cases_total{outcome="refused",purpose="reset"} 1`,
		`postern_case_duration_seconds_count{purpose="reset"} 1`,
		`postern_case_duration_seconds_sum{purpose="reset"} 90`,
		`postern_limit_refusals_total{limit="answer"} 1`,
		`postern_alarms_total{alarm="accounts"} 1`,
		`postern_messages_total{channel="mail",outcome="sent",template="code"} 1`,
		`postern_messages_total{channel="sms",outcome="failed",template="code"} 1`,
		`postern_message_wait_seconds_sum{channel="mail"} 2`,
		`postern_message_delivery_seconds_sum{channel="sms",outcome="failed"} 1`,
		`postern_panics_total{where="reconcile"} 1`,
	)
	if strings.Contains(body, `wait_seconds_sum{channel="sms"}`) || strings.Contains(body, "192.0.2.77") || !strings.Contains(body, `version="1.2.3"`) || !strings.Contains(body, "go_goroutines") {
		t.Error(body)
	}
}

// Should something typed ever reach a label, it fills no memory, breaks no
// scrape and makes no panic (security cases 25 and 113).
func TestNothingSentFillsTheMetrics(t *testing.T) {
	m := NewMetrics("")
	var all sync.WaitGroup
	for g := range 4 {
		all.Go(func() {
			for i := range 500 {
				m.Request(fmt.Sprint("M", i), fmt.Sprintf("/%d/%d", g, i), i, 0)
				m.Case(fmt.Sprint(i), fmt.Sprint(i), 0)
				m.LimitHit(fmt.Sprint(i))
				m.Panic(fmt.Sprint(i))
			}
		})
	}
	all.Wait()
	odd := []string{"", "\xff\xfe", "x\n# HELP injected", "\x1b[31m", "é", strings.Repeat("a", 65)}
	for _, s := range odd {
		m.Request(s, s, 200, 0)
		m.Delivery(s, s, s, 0, 0)
		m.Alarm(s)
	}
	body := scrape(t, m)
	routes := map[string]bool{}
	for line := range strings.Lines(body) {
		if _, rest, ok := strings.Cut(line, `duration_seconds_count{method="other",route="`); ok {
			route, _, _ := strings.Cut(rest, `"`)
			routes[route] = true
		}
	}
	if len(routes) != maxValues+1 || !routes[otherName] {
		t.Errorf("%d routes", len(routes))
	}
	for _, name := range []string{"postern_limit_refusals_total{", "postern_panics_total{"} {
		if n := strings.Count(body, name); n != maxValues+1 {
			t.Errorf("%s: %d", name, n)
		}
	}
	for _, s := range odd[1:] {
		if strings.Contains(body, s) {
			t.Errorf("%q is a label", s)
		}
	}
	demand(t, body, `postern_alarms_total{alarm="other"} 6`)
}

func TestRegistriesAreTheirOwn(t *testing.T) {
	a, b := NewMetrics("a"), NewMetrics("b")
	a.Panic("x")
	if strings.Contains(scrape(t, b), `where="x"`) {
		t.Error("two Metrics share their numbers")
	}
}

// bare has no optional ability, able all of them; both answer err.
type bare struct{ err error }

func (d bare) Find(context.Context, string) (directory.User, error) {
	return directory.User{Login: "ada"}, d.err
}
func (d bare) Read(_ context.Context, u directory.User) (directory.User, error) { return u, d.err }
func (d bare) Rules(context.Context, directory.User) (directory.Rules, error) {
	return directory.Rules{MinLength: 10}, d.err
}
func (d bare) SetPassword(context.Context, directory.User, directory.Secret) error { return d.err }

type able struct{ bare }

func (d able) ChangePassword(context.Context, directory.User, directory.Secret, directory.Secret) error {
	return d.err
}
func (d able) RequireChange(context.Context, directory.User) error { return d.err }
func (d able) Watch(context.Context, directory.User) ([]directory.Sighting, error) {
	return []directory.Sighting{{Server: "dc1:636"}}, d.err
}
func (d able) Search(context.Context, directory.Query) (directory.Found, error) {
	return directory.Found{Hits: []directory.Hit{{Login: "hit"}}, More: true}, d.err
}
func (d able) Unlock(context.Context, directory.User) error                         { return d.err }
func (d able) Authenticate(context.Context, directory.User, directory.Secret) error { return d.err }
func (d able) RevokeSessions(context.Context, directory.User) error                 { return d.err }
func (d able) Resolve(context.Context, directory.User, string) (directory.User, error) {
	return directory.User{Login: "boss"}, d.err
}
func (d able) People(_ context.Context, each func(directory.ID) error) error {
	for _, id := range []directory.ID{"corp:1", "corp:2"} {
		if err := each(id); err != nil {
			return err
		}
	}
	return d.err
}
func (d able) Examine(context.Context) []directory.Finding {
	return []directory.Finding{{Check: "tls"}}
}

// stepping is a clock that moves a second at every look.
func stepping() func() time.Time {
	at := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	return func() time.Time { at = at.Add(time.Second); return at }
}

func TestDirectoryIsTimedAndUnchanged(t *testing.T) {
	ctx, pw := t.Context(), directory.NewSecret(canary)
	type everything interface {
		directory.Directory
		directory.Changer
		directory.Unlocker
		directory.Authenticator
		directory.Revoker
		directory.Resolver
		directory.Lister
		directory.Searcher
		directory.Expirer
		directory.Watcher
		directory.Examiner
	}
	for _, c := range []struct {
		err  error
		word string
	}{
		{nil, "ok"}, {directory.ErrNotFound, "not_found"}, {directory.ErrDenied, "denied"}, {fmt.Errorf("x: %w", directory.ErrUnavailable), "unavailable"},
		{errors.Join(directory.ErrUnavailable, directory.ErrUncertain), "uncertain"}, {&directory.Refusal{Rule: directory.RuleTooShort}, "refused"},
		{directory.ErrMustChange, "must_change"}, {directory.ErrPasswordExpired, "password_expired"}, {&directory.BindDenied{Reason: "locked"}, "wrong_password"},
		{errors.New("other: " + canary), "error"},
	} {
		m := NewMetrics("")
		d, ok := m.Directory("corp", able{bare{c.err}}, stepping()).(everything)
		if !ok {
			t.Fatal("an ability is gone")
		}
		u, err := d.Find(ctx, canary)
		if u.Login != "ada" || !errors.Is(err, c.err) {
			t.Errorf("%+v %v", u, err)
		}
		_, read := d.Read(ctx, u)
		r, rules := d.Rules(ctx, u)
		if r.MinLength != 10 {
			t.Errorf("%+v", r)
		}
		boss, resolve := d.Resolve(ctx, u, canary)
		if boss.Login != "boss" {
			t.Errorf("%+v", boss)
		}
		found, search := d.Search(ctx, directory.Query{Text: canary})
		if len(found.Hits) != 1 || !found.More {
			t.Errorf("%+v", found)
		}
		listed := 0
		people := d.People(ctx, func(directory.ID) error { listed++; return nil })
		if listed != 2 {
			t.Errorf("%d people", listed)
		}
		seen, watch := d.Watch(ctx, u)
		if len(seen) != 1 {
			t.Errorf("%+v", seen)
		}
		for op, err := range map[string]error{"watch": watch, "read": read, "resolve": resolve, "people": people, "search": search, "require_change": d.RequireChange(ctx, u), "rules": rules, "set_password": d.SetPassword(ctx, u, pw), "change_password": d.ChangePassword(ctx, u, pw, pw),
			"unlock": d.Unlock(ctx, u), "authenticate": d.Authenticate(ctx, u, pw), "revoke_sessions": d.RevokeSessions(ctx, u)} {
			if !errors.Is(err, c.err) {
				t.Errorf("%s: %v", op, err)
			}
		}
		if f := d.Examine(ctx); len(f) != 1 {
			t.Errorf("%+v", f)
		}
		body := scrape(t, m)
		for _, op := range []string{"find", "read", "rules", "set_password", "change_password", "unlock", "authenticate", "revoke_sessions", "resolve", "search", "require_change", "watch"} {
			demand(t, body, fmt.Sprintf(`postern_directory_operation_seconds_sum{directory="corp",operation="%s",outcome="%s"} 1`, op, c.word))
		}
		// Five looks at the clock lie between its beginning and its end: one second each, less one for each of two people.
		demand(t, body, fmt.Sprintf(`postern_directory_operation_seconds_sum{directory="corp",operation="people",outcome="%s"} 3`, c.word))
		if strings.Contains(body, canary) {
			t.Error("the canary is in the metrics")
		}
	}
}

// Somebody who has seen enough people is no fault of the directory's.
func TestWhatIsDoneWithPeopleIsNotCounted(t *testing.T) {
	m := NewMetrics("")
	d, ok := m.Directory("corp", able{}, stepping()).(directory.Lister)
	if !ok {
		t.Fatal("the ability is gone")
	}
	enough := errors.New("enough")
	if err := d.People(t.Context(), func(directory.ID) error { return enough }); err != enough {
		t.Error(err)
	}
	demand(t, scrape(t, m), `postern_directory_operation_seconds_sum{directory="corp",operation="people",outcome="ok"} 2`)
}

// A back end without an ability is told apart by the set as it was before.
func TestTimedDirectoryLacksWhatTheOtherLacks(t *testing.T) {
	m := NewMetrics("")
	set, err := directory.NewSet(directory.Named{Name: "corp", Directory: m.Directory("corp", bare{}, stepping())})
	if err != nil {
		t.Fatal(err)
	}
	ctx, u, pw := t.Context(), directory.User{ID: "corp:1", Directory: "corp"}, directory.NewSecret("x")
	for op, err := range map[string]error{"change": set.ChangePassword(ctx, u, pw, pw), "unlock": set.Unlock(ctx, u), "bind": set.Authenticate(ctx, u, pw), "revoke": set.RevokeSessions(ctx, u),
		"require_change": set.RequireChange(ctx, u), "people": set.People(ctx, func(directory.ID) error { return nil })} {
		if !errors.Is(err, directory.ErrUnsupported) {
			t.Errorf("%s: %v", op, err)
		}
	}
	if _, err := set.Search(ctx, directory.Query{Text: "ada"}); !errors.Is(err, directory.ErrUnsupported) {
		t.Error(err)
	}
	if _, err := set.Watch(ctx, u); !errors.Is(err, directory.ErrUnsupported) {
		t.Error(err)
	}
	if _, err := set.Resolve(ctx, u, "x"); !errors.Is(err, directory.ErrUnsupported) {
		t.Error(err)
	}
	if f := set.Examine(ctx); len(f) != 0 {
		t.Errorf("%+v", f)
	}
	if body := scrape(t, m); strings.Contains(body, "postern_directory_operation_seconds_sum{") {
		t.Error("what was never asked was counted")
	}
}

func BenchmarkRequest(b *testing.B) {
	m := NewMetrics("")
	b.ReportAllocs()
	for b.Loop() {
		m.Request("GET", "/recover", 200, time.Millisecond)
	}
}
