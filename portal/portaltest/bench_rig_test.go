package portaltest

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"postern/directory/directorytest"
)

// adminAt opens the portal's admin listener, to take profiles from under load.
var adminAt = flag.String("admin", "", "address of the admin listener of the portal under load, like 127.0.0.1:9090")

// mill is one portal before one directory, with everything to load both.
type mill struct {
	*town
	p      *Portal
	bin    string
	people []*member
	reg    *registrar
	mail   *post
	server int                  // the directory's process
	nodes  func() time.Duration // the CPU of all nodes, where there are several
	client *fasthttp.HostClient
	asked  atomic.Int64
	sent   int // messages the flows so far must have sent
	riders []*rider
	hands  []*hand
}

// most is how many go at once at the most.
const most = 32

var towns = map[string]func(context.Context, string) (*town, error){"slapd": bigSlapd, "samba": bigSamba}

// newMill starts everything. bin is the program; people get an app and paper.
func newMill(t testing.TB, bin, kind string, people int, more string) *mill {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: needs a directory")
	}
	if *adminAt != "" {
		more += "admin: " + *adminAt + "\n"
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	place := t.TempDir()
	tw, err := towns[kind](ctx, place)
	directorytest.Require(t, err)
	t.Cleanup(tw.stop)
	m := &mill{town: tw, bin: bin}
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	m.people, err = tw.populate(ctx, people)
	check(err)
	m.p, err = Serve(ctx, bin, t.TempDir(), tw.house, boundless()+more)
	check(err)
	t.Cleanup(func() {
		if err := m.p.Stop(); err != nil {
			t.Errorf("postern did not end well: %v", err)
		}
		if t.Failed() {
			t.Logf("postern said:\n%s", m.p.Log())
		}
	})
	m.reg, err = newRegistrar(ctx, m.p.Dir)
	check(err)
	t.Cleanup(func() { m.reg.db.Close() })
	check(m.reg.paper(ctx, m.people))
	check(m.reg.app(ctx, m.people))
	m.mail = newPost(m.p.Mail)
	m.client = NewClient(m.p.URL)
	m.crew(t)
	return m
}

// crew are those who load it, and the bare directory.
func (m *mill) crew(t testing.TB) {
	t.Helper()
	if pid, err := os.ReadFile(m.pidFile); err == nil {
		m.server, _ = strconv.Atoi(strings.TrimSpace(string(pid)))
	}
	for range most {
		h, err := m.hand()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(h.close)
		m.hands = append(m.hands, h)
		m.riders = append(m.riders, newRider(m.client, m.p.URL, &m.asked))
	}
}

// rider of a worker, as somebody whom the portal has never seen.
func (m *mill) rider(worker int) *rider {
	r := m.riders[worker]
	r.cookie, r.csrf = "", ""
	return r
}

// stretch runs op under load and says what it cost whom. mails is how many
// messages one op sends in the end: their delivery belongs to its cost.
func (m *mill) stretch(t testing.TB, n, workers, mails int, op func(worker, i int) error) sample {
	t.Helper()
	asked, own, server, portal := m.asked.Load(), ownCPU(), cpuOf(m.server), m.portalCPU()
	s, err := drive(n, workers, op)
	if err != nil {
		t.Fatal(err)
	}
	if mails > 0 {
		m.sent += n * mails
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := m.mail.settle(ctx, m.sent); err != nil {
			t.Fatal(err)
		}
	}
	s.asked, s.self, s.server, s.portal = m.asked.Load()-asked, ownCPU()-own, cpuOf(m.server)-server, m.portalCPU()-portal
	return s
}

// portalCPU is what the portal has taken.
func (m *mill) portalCPU() time.Duration {
	if m.nodes != nil {
		return m.nodes()
	}
	return m.p.Usage().CPU
}

// cpuOf a process, its threads that ended too.
func cpuOf(pid int) time.Duration {
	if pid == 0 {
		return 0
	}
	return usageOf(pid).CPU
}

// contest runs the bare operation and the portal's, turn about, so that what
// else the machine does strikes both, and returns the sums and the middle ratio.
func (m *mill) contest(t testing.TB, rounds int, bare, ours func() sample) (b, o sample, ratio float64) {
	t.Helper()
	var ratios []float64
	for round := range rounds {
		var one, two sample
		if round%2 == 0 {
			one, two = bare(), ours()
		} else {
			two, one = ours(), bare()
		}
		b.add(one)
		o.add(two)
		ratios = append(ratios, two.rate()/one.rate())
	}
	return b, o, middle(ratios)
}

// table is what the README quotes, in Markdown.
type table struct {
	title string
	key   int // so many cells name a row
	head  []string
	rows  [][]string
}

// add puts a row in, in place of one of the same name: a
// benchmark that is over too soon runs again.
func (tb *table) add(cells ...any) {
	row := make([]string, len(cells))
	for i, c := range cells {
		row[i] = fmt.Sprint(c)
	}
	for i, r := range tb.rows {
		if slices.Equal(r[:tb.key], row[:tb.key]) {
			tb.rows[i] = row
			return
		}
	}
	tb.rows = append(tb.rows, row)
}

func (tb *table) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s\n\n| %s |\n|%s\n", tb.title, strings.Join(tb.head, " | "), strings.Repeat("---|", len(tb.head)))
	for _, r := range tb.rows {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(r, " | "))
	}
	return b.String()
}

func ms(d time.Duration) string { return strconv.FormatFloat(float64(d)/1e6, 'f', 1, 64) }

// each is a cost per operation in milliseconds.
func each(d time.Duration, n int) string {
	if n == 0 {
		return "–"
	}
	return strconv.FormatFloat(float64(d)/1e6/float64(n), 'f', 2, 64)
}
