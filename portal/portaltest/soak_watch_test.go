package portaltest

import (
	"bufio"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

// answers is what people were answered, and how fast.
type answers struct {
	mu     sync.Mutex
	by     map[int][]time.Duration // by status; 0: no answer
	faults []string                // what breaks a rule by itself
	broken []time.Time             // when the proxy gave a 502, or nothing
}

// ceiling is how long nobody ever waits for an answer.
const ceiling = 30 * time.Second

func (a *answers) add(status int, took time.Duration, err error, resp *fasthttp.Response, proxied bool) {
	why := ""
	switch retry, bad := strconv.Atoi(string(resp.Header.Peek("Retry-After"))); {
	case took > ceiling:
		why = fmt.Sprintf("an answer took %s: %d, %v", took, status, err)
	case status == 503 && (bad != nil || retry < 1):
		why = fmt.Sprintf("a 503 without Retry-After: %.200q", resp.Body())
	case status >= 500 && status != 502 && status != 503 && status != 504:
		why = fmt.Sprintf("a %d: %.200q", status, resp.Body())
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.by == nil {
		a.by = map[int][]time.Duration{}
	}
	a.by[status] = append(a.by[status], took)
	if proxied && (status == 0 || status == 502 || status == 504) {
		a.broken = append(a.broken, time.Now())
	}
	if why != "" {
		a.faults = append(a.faults, why)
	}
}

// of returns how many answers with that status there were, and their p99; -1: of all.
func (a *answers) of(status int) (int, time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := slices.Clone(a.by[status])
	if status < 0 {
		for _, l := range a.by {
			list = append(list, l...)
		}
	}
	s := sample{latencies: list}
	return len(list), s.quantile(.99)
}

// meter watches what one process takes.
type meter struct {
	url string
	mu  sync.Mutex
	pid int
	log []reading // of the process that is there now
}

// reading is one look at a process.
type reading struct {
	resident                 int64
	live                     float64 // bytes of the heap at which it is cleaned again: twice what lives
	goroutines, files, tasks int
}

// reborn: another process is looked at from now on.
func (m *meter) reborn(pid int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pid, m.log = pid, nil
}

var scraper = &http.Client{Timeout: 2 * time.Second}

// read takes a reading; a process that does not answer gives none.
func (m *meter) read() {
	m.mu.Lock()
	pid := m.pid
	m.mu.Unlock()
	resp, err := scraper.Get(m.url)
	if err != nil {
		return
	}
	defer resp.Body.Close()
	used := usageOf(pid)
	now := reading{resident: used.Resident, tasks: used.Threads}
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		n, err := strconv.ParseFloat(value, 64)
		switch {
		case err != nil:
		case name == "go_goroutines":
			now.goroutines = int(n)
		case name == "process_open_fds":
			now.files = int(n)
		case name == "go_memstats_next_gc_bytes":
			now.live = n
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.pid == pid && now.goroutines > 0 && now.resident > 0 {
		m.log = append(m.log, now)
	}
}

// bound is how much more than in its first third something may take in the last.
type bound struct {
	share float64
	more  float64
}

func (b bound) holds(first, last float64) bool { return last <= first*b.share+b.more }

// The bounds of the long form: pools of connections fill up with what fails, and stay
// so; what is lost each time something fails goes past them. The short form looks at a
// race detector that is getting warm, and finds what grows fast alone.
var (
	flat  = map[string]bound{"MiB resident": {1.2, 8}, "MiB of heap": {1.15, 8}, "goroutines": {1.2, 40}, "open files": {1.2, 40}, "threads": {1.10, 8}}
	loose = map[string]bound{"MiB resident": {1.5, 64}, "MiB of heap": {1.5, 32}, "goroutines": {1.5, 50}, "open files": {1.5, 50}, "threads": {1.5, 16}}
)

// thirds compares the middle of the last third of the readings with that of the first.
func thirds(log []reading, bounds map[string]bound) (grown []string, said string) {
	n := len(log) / 3
	if n < 3 {
		return nil, "too few readings"
	}
	var all []string
	for _, q := range []struct {
		name string
		of   func(reading) float64
	}{
		{"MiB resident", func(r reading) float64 { return float64(r.resident) / (1 << 20) }},
		{"MiB of heap", func(r reading) float64 { return r.live / (1 << 20) }},
		{"goroutines", func(r reading) float64 { return float64(r.goroutines) }},
		{"open files", func(r reading) float64 { return float64(r.files) }},
		{"threads", func(r reading) float64 { return float64(r.tasks) }},
	} {
		mid := func(part []reading) float64 {
			list := make([]float64, len(part))
			for i, r := range part {
				list[i] = q.of(r)
			}
			return middle(list)
		}
		first, last := mid(log[:n]), mid(log[len(log)-n:])
		one := fmt.Sprintf("%s %.0f → %.0f", q.name, first, last)
		all = append(all, one)
		if !bounds[q.name].holds(first, last) {
			grown = append(grown, one)
		}
	}
	return grown, strings.Join(all, ", ")
}
