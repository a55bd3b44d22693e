package portaltest

import (
	"bytes"
	"context"
	"fmt"
	"html"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// rider does what a Visitor does with as little work as possible: it shares the
// machine with what it measures. It follows every redirect and reads every page.
type rider struct {
	client *fasthttp.HostClient
	base   string
	cookie string // __Host-postern
	csrf   string
	req    *fasthttp.Request
	resp   *fasthttp.Response
	// asked counts requests, over all riders that share it.
	asked *atomic.Int64
	// heard is told of every answer, and of none that came; nil: nobody listens.
	heard func(took time.Duration, err error)
	// patience is how often it does what the page says when the portal has no
	// time for it: waits and begins again.
	patience int
}

func newRider(client *fasthttp.HostClient, base string, asked *atomic.Int64) *rider {
	return &rider{client: client, base: base, req: fasthttp.AcquireRequest(), resp: fasthttp.AcquireResponse(), asked: asked}
}

// close gives its buffers back.
func (r *rider) close() {
	fasthttp.ReleaseRequest(r.req)
	fasthttp.ReleaseResponse(r.resp)
}

func (r *rider) get(path string) error {
	r.req.Reset()
	r.req.Header.SetMethod(fasthttp.MethodGet)
	return r.send(path)
}

// post sends a form of name, value, name, value… with the page's token and
// looks at the page it leads to.
func (r *rider) post(path string, fields ...string) error {
	r.req.Reset()
	r.req.Header.SetMethod(fasthttp.MethodPost)
	r.req.Header.SetContentType("application/x-www-form-urlencoded")
	r.req.Header.Set("Origin", r.base)
	r.req.Header.Set("Sec-Fetch-Site", "same-origin")
	var body strings.Builder
	body.WriteString("csrf=" + r.csrf) // URL-safe as it is
	for i := 0; i+1 < len(fields); i += 2 {
		body.WriteString("&" + fields[i] + "=" + url.QueryEscape(fields[i+1]))
	}
	r.req.SetBodyString(body.String())
	if err := r.send(path); err != nil {
		return err
	}
	if r.resp.StatusCode() != fasthttp.StatusSeeOther {
		return fmt.Errorf("POST %s: %s", path, r.what())
	}
	to := string(r.resp.Header.Peek("Location"))
	return r.get(strings.TrimPrefix(to, r.base))
}

// begin posts a start form. Nothing has begun before it is answered, so that who
// is told to come back in a while can send it once more.
func (r *rider) begin(path string, fields ...string) error {
	for {
		err := r.post(path, fields...)
		if err == nil || r.patience == 0 || r.resp.StatusCode() != fasthttp.StatusServiceUnavailable {
			return err
		}
		wait, bad := strconv.Atoi(string(r.resp.Header.Peek("Retry-After")))
		if bad != nil || wait < 1 {
			return fmt.Errorf("%w, and no word of when to come back", err)
		}
		r.patience--
		time.Sleep(time.Duration(wait) * time.Second) // a real portal's clock
	}
}

func (r *rider) send(path string) error {
	r.asked.Add(1)
	r.req.SetRequestURI(r.base + path)
	if r.cookie != "" {
		r.req.Header.SetCookie("__Host-postern", r.cookie)
	}
	from := time.Now()
	err := r.client.Do(r.req, r.resp)
	if r.heard != nil {
		r.heard(time.Since(from), err)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if c := between(r.resp.Header.PeekCookie("__Host-postern"), "=", ";"); c != "" {
		r.cookie = c
	}
	if t := between(r.resp.Body(), `name="csrf" value="`, `"`); t != "" {
		r.csrf = t
	}
	return nil
}

// at fails unless the page is that step.
func (r *rider) at(step string) error {
	if r.resp.StatusCode() == fasthttp.StatusOK && between(r.resp.Body(), `data-step="`, `"`) == step {
		return nil
	}
	return fmt.Errorf("not at %q: %s", step, r.what())
}

func (r *rider) what() string {
	body := r.resp.Body()
	return fmt.Sprintf("%d, step %q, error %q, title %q", r.resp.StatusCode(), between(body, `data-step="`, `"`),
		between(body, `data-error="`, `"`), html.UnescapeString(between(body, `<h1>`, `</h1>`)))
}

func between(b []byte, before, after string) string {
	i := bytes.Index(b, []byte(before))
	if i < 0 {
		return ""
	}
	b = b[i+len(before):]
	if i = bytes.Index(b, []byte(after)); i < 0 {
		return ""
	}
	return string(b[:i])
}

// sample is what one stretch of load showed.
type sample struct {
	n         int
	took      time.Duration
	latencies []time.Duration
	asked     int64         // HTTP requests
	self      time.Duration // CPU of this process
	portal    time.Duration
	server    time.Duration // the directory's CPU
}

func (s sample) rate() float64 { return float64(s.n) / s.took.Seconds() }

// add takes the sums of another stretch of the same.
func (s *sample) add(o sample) {
	s.n, s.took, s.asked = s.n+o.n, s.took+o.took, s.asked+o.asked
	s.self, s.portal, s.server = s.self+o.self, s.portal+o.portal, s.server+o.server
	s.latencies = append(s.latencies, o.latencies...)
}

// quantile of the latencies; they are sorted by it.
func (s sample) quantile(q float64) time.Duration {
	if len(s.latencies) == 0 {
		return 0
	}
	slices.Sort(s.latencies)
	return s.latencies[min(len(s.latencies)-1, int(q*float64(len(s.latencies))))]
}

// drive runs op(worker, i) for every i below n, workers at once, and stops at
// the first error.
func drive(n, workers int, op func(worker, i int) error) (sample, error) {
	var next atomic.Int64
	var failed atomic.Pointer[error]
	lists := make([][]time.Duration, workers)
	var all sync.WaitGroup
	began := time.Now()
	for w := range workers {
		all.Go(func() {
			for failed.Load() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				from := time.Now()
				if err := op(w, i); err != nil {
					failed.CompareAndSwap(nil, &err)
					return
				}
				lists[w] = append(lists[w], time.Since(from))
			}
		})
	}
	all.Wait()
	s := sample{n: n, took: time.Since(began), latencies: slices.Concat(lists...)}
	if err := failed.Load(); err != nil {
		return s, *err
	}
	return s, nil
}

// ownCPU is what this process has used so far.
func ownCPU() time.Duration { return usageOf(os.Getpid()).CPU }

// middle of a copy of list.
func middle[T float64 | time.Duration](list []T) T {
	if len(list) == 0 {
		return 0
	}
	list = slices.Sorted(slices.Values(list))
	return list[len(list)/2]
}

// restart starts one more portal with the configuration of p: its keys, its
// directory and its database, but a port of its own.
func restart(ctx context.Context, bin string, p *Portal) (*Portal, error) {
	text, err := os.ReadFile(filepath.Join(p.Dir, "postern.yaml"))
	if err != nil {
		return nil, err
	}
	port, err := FreePort()
	if err != nil {
		return nil, err
	}
	was, err := url.Parse(p.URL)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(p.Dir, "again.yaml")
	text = bytes.ReplaceAll(text, []byte(":"+was.Port()), fmt.Appendf(nil, ":%d", port))
	text = bytes.ReplaceAll(text, []byte("\nadmin: "), []byte("\n#admin: ")) // that port is taken
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return nil, err
	}
	return Run(ctx, bin, p.Dir, fmt.Sprintf("http://localhost:%d", port), "serve", "--config", file)
}
