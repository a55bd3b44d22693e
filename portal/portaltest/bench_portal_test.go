package portaltest

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"

	"postern/directory/directorytest"
)

// size of the load on one directory: operations in one round at 1, 8 and 32 at
// once, and how many rounds.
type size struct {
	people         int
	changes, cases map[int]int
	rounds         int
}

// Samba takes some 20 ms for what slapd does in one.
var sizes = map[string]size{
	"slapd": {people: 480, changes: map[int]int{1: 120, 8: 480, 32: 480}, cases: map[int]int{1: 50, 8: 160, 32: 192}, rounds: 5},
	"samba": {people: 64, changes: map[int]int{1: 16, 8: 48, 32: 64}, cases: map[int]int{1: 16, 8: 32, 32: 64}, rounds: 3},
}

// BenchmarkPortal prints what the README quotes: the real program before a real
// directory over LDAPS, beside the bare operations on the same directory.
func BenchmarkPortal(b *testing.B) {
	bin, err := Build(b.TempDir(), false) // as it is shipped: without the race detector
	if err != nil {
		b.Fatal(err)
	}
	for _, kind := range []string{"slapd", "samba"} {
		b.Run(kind, func(b *testing.B) {
			sz := sizes[kind]
			m := newMill(b, bin, kind, sz.people, "")
			speed := &table{title: fmt.Sprintf("**%s over LDAPS**, %d cores shared by directory, portal and load", kind, runtime.NumCPU()),
				key:  2,
				head: []string{"flow", "at once", "portal/s", "directory alone/s", "ratio", "p50 ms", "p99 ms", "alone p99 ms", "portal CPU ms", "directory CPU ms", "load CPU ms", "requests"}}
			for _, f := range []flow{changes, byApp, byMail} {
				for _, at := range []int{1, 8, 32} {
					b.Run(fmt.Sprintf("%s/%d", f.name, at), func(b *testing.B) { m.race(b, speed, sz, f, at) })
				}
			}
			b.Run("signin/8", func(b *testing.B) { m.signIns(b, speed, sz) })
			if kind == "slapd" {
				b.Run("pages", func(b *testing.B) { m.pages(b, speed) })
			}
			fmt.Println(speed)
			if m.counters != nil {
				counts := &table{title: "**Counted at the server** (slapd cn=Monitor), one warm flow", key: 1, head: []string{"flow", "connections", "binds", "searches", "writes"}}
				b.Run("counts", func(b *testing.B) { m.counts(b, counts) })
				fmt.Println(counts)
			}
			if kind == "slapd" {
				one := &table{title: "**The program**", key: 1, head: []string{"what", "value"}}
				b.Run("program", func(b *testing.B) { m.program(b, one) })
				fmt.Println(one)
			}
		})
	}
}

// flow is one thing people do, and the directory operation it comes down to.
type flow struct {
	name  string
	mails int
	fresh bool // needs an app whose code of this half minute was not used
	size  func(size) map[int]int
	bare  func(*hand, *member, string) error
	ours  func(*mill, *rider, *member, string) error
}

var (
	changes = flow{"change", 1, false, func(s size) map[int]int { return s.changes }, (*hand).change,
		func(_ *mill, r *rider, p *member, next string) error { return r.change(p, next) }}
	byApp = flow{"reset by app and recovery code", 1, true, func(s size) map[int]int { return s.cases }, (*hand).set,
		func(m *mill, r *rider, p *member, next string) error {
			return r.reset(p, next, m.mail, "totp", "recovery_code")
		}}
	byMail = flow{"reset by mailed code and app", 2, true, func(s size) map[int]int { return s.cases }, (*hand).set,
		func(m *mill, r *rider, p *member, next string) error {
			return r.reset(p, next, m.mail, "email", "totp")
		}}
)

// race is a flow beside its bare operation at one concurrency.
func (m *mill) race(b *testing.B, speed *table, sz size, f flow, at int) {
	n := f.size(sz)[at]
	bare := func() sample {
		next := passwords(n)
		return m.stretch(b, n, at, 0, func(w, i int) error { return f.bare(m.hands[w], m.people[i], next[i]) })
	}
	ours := func() sample {
		next := passwords(n)
		if f.fresh {
			m.enrol(b, m.people[:n])
		}
		return m.stretch(b, n, at, f.mails, func(w, i int) error { return f.ours(m, m.rider(w), m.people[i], next[i]) })
	}
	bare() // warms connections, statements and caches
	ours()
	for b.Loop() {
		alone, with, ratio := m.contest(b, sz.rounds, bare, ours)
		b.ReportMetric(with.rate(), "portal/s")
		b.ReportMetric(alone.rate(), "directory/s")
		b.ReportMetric(ratio, "ratio")
		b.ReportMetric(float64(with.quantile(.99))/1e6, "p99-ms")
		b.ReportMetric(float64(with.portal)/1e6/float64(with.n), "portal-cpu-ms/op")
		b.ReportMetric(0, "ns/op")
		speed.add(f.name, at, int(with.rate()), int(alone.rate()), fmt.Sprintf("%.2f", ratio), ms(with.quantile(.5)), ms(with.quantile(.99)),
			ms(alone.quantile(.99)), each(with.portal, with.n), each(with.server, with.n), each(with.self, with.n), with.asked/int64(with.n))
	}
}

// enrol gives people what one case uses up.
func (m *mill) enrol(t testing.TB, people []*member) {
	t.Helper()
	var bare []*member
	for _, p := range people {
		if len(p.codes) == 0 {
			bare = append(bare, p)
		}
	}
	if err := m.reg.paper(context.Background(), bare); err != nil {
		t.Fatal(err)
	}
	roomy()
	if err := m.reg.app(context.Background(), people); err != nil {
		t.Fatal(err)
	}
}

func passwords(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = freshPassword()
	}
	return list
}

func (m *mill) signIns(b *testing.B, speed *table, sz size) {
	const at = 8
	n := sz.cases[at]
	for b.Loop() {
		var all sample
		for range sz.rounds {
			m.enrol(b, m.people[:n])
			all.add(m.stretch(b, n, at, 0, func(w, i int) error { return m.rider(w).signIn(m.people[i]) }))
		}
		b.ReportMetric(all.rate(), "portal/s")
		b.ReportMetric(0, "ns/op")
		speed.add("sign-in by password and app", at, int(all.rate()), "", "", ms(all.quantile(.5)), ms(all.quantile(.99)), "", each(all.portal, n*sz.rounds),
			each(all.server, n*sz.rounds), each(all.self, n*sz.rounds), all.asked/int64(all.n))
	}
}

// pages are what people look at, rendered anew every time.
func (m *mill) pages(b *testing.B, speed *table) {
	const at, n, rounds = 8, 8000, 3
	for _, p := range []struct{ name, path, step string }{
		{"page: first", "/", "start"}, {"page: start of a reset", "/recover/reset", "start"}, {"page: choice of proofs", "/recover", "choose"},
	} {
		b.Run(p.name, func(b *testing.B) {
			for b.Loop() {
				for w := range at {
					r := m.rider(w)
					err := r.get("/recover/reset")
					if err == nil && p.step == "choose" {
						err = r.post("/recover/start", "purpose", "reset", "login", m.people[w].login)
					}
					if err != nil {
						b.Fatal(err)
					}
				}
				var all sample
				for range rounds {
					all.add(m.stretch(b, n, at, 0, func(w, _ int) error {
						if err := m.riders[w].get(p.path); err != nil {
							return err
						}
						return m.riders[w].at(p.step)
					}))
				}
				b.ReportMetric(all.rate(), "pages/s")
				b.ReportMetric(0, "ns/op")
				speed.add(p.name, at, int(all.rate()), "", "", ms(all.quantile(.5)), ms(all.quantile(.99)), "", each(all.portal, all.n), each(all.server, all.n), each(all.self, all.n), 1)
			}
		})
	}
}

// counts what each flow asks of the server, seen from the server. The portal's
// pools are warm: what is counted is what each further person costs.
func (m *mill) counts(b *testing.B, counts *table) {
	for b.Loop() {
		for _, f := range []struct {
			flow
			want directorytest.Counters // what product.md promises; searches: -1 for none promised
		}{{changes, directorytest.Counters{Binds: 1, Searches: 1, Extended: 1}}, {byApp, directorytest.Counters{Searches: -1, Extended: 1}},
			{byMail, directorytest.Counters{Searches: -1, Extended: 1}}} {
			m.enrol(b, m.people[:1])
			one := m.counted(b, f.mails, func() error { return f.ours(m, m.rider(0), m.people[0], freshPassword()) })
			counts.add(f.name, one.Connections, one.Binds, one.Searches, one.Writes+one.Extended)
			if f.want.Searches < 0 {
				f.want.Searches = one.Searches
			}
			if one != f.want {
				b.Errorf("%s: %+v at the server, want %+v", f.name, one, f.want)
			}
		}
		m.enrol(b, m.people[:1])
		in := m.counted(b, 0, func() error { return m.rider(0).signIn(m.people[0]) })
		counts.add("sign-in by password and app", in.Connections, in.Binds, in.Searches, in.Writes+in.Extended)
		b.ReportMetric(0, "ns/op")
	}
}

func (m *mill) counted(t testing.TB, mails int, f func() error) directorytest.Counters {
	t.Helper()
	// The policy is read again every half minute, by whoever comes then.
	m.stretch(t, 1, 1, 1, func(int, int) error { return m.rider(1).change(m.people[1], freshPassword()) })
	before, err := m.counters()
	if err != nil {
		t.Fatal(err)
	}
	m.stretch(t, 1, 1, mails, func(int, int) error { return f() })
	after, err := m.counters()
	if err != nil {
		t.Fatal(err)
	}
	return after.Sub(before)
}

// program is what it weighs and how fast it is there.
func (m *mill) program(b *testing.B, one *table) {
	for b.Loop() {
		after := m.p.Usage().Resident
		info, err := os.Stat(m.bin)
		if err != nil {
			b.Fatal(err)
		}
		var took []time.Duration
		for range 9 {
			ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
			again, err := m.again(ctx)
			cancel()
			if err != nil {
				b.Fatal(err)
			}
			took = append(took, again.StartTook)
			idle := again.Usage().Resident
			if err := again.Stop(); err != nil {
				b.Fatal(err)
			}
			if len(took) == 9 {
				one.add("resident after start, MiB", fmt.Sprintf("%.1f", float64(idle)/(1<<20)))
			}
		}
		one.add("resident after all of the above, MiB", fmt.Sprintf("%.1f", float64(after)/(1<<20)))
		one.add("start to first answer, ms (middle of 9)", ms(middle(took)))
		one.add("first start of all, with an empty database, ms", ms(m.p.StartTook))
		one.add("binary, MiB", fmt.Sprintf("%.1f", float64(info.Size())/(1<<20)))
		b.ReportMetric(float64(middle(took))/1e6, "start-ms")
		b.ReportMetric(float64(after)/(1<<20), "resident-MiB")
		b.ReportMetric(0, "ns/op")
	}
}

// again starts one more portal on a copy of the configuration: the same keys
// and directory, a database that an earlier start has migrated.
func (m *mill) again(ctx context.Context) (*Portal, error) {
	return restart(ctx, m.bin, m.p)
}
