package portal

import (
	"log/slog"
	"testing"

	"github.com/valyala/fasthttp"
)

// BenchmarkPage is one page through HTTP, as a stranger gets it: the floor
// under everything else, and what a flood of visitors costs.
func BenchmarkPage(b *testing.B) {
	quiet := func(o *Options) { o.Log = slog.New(slog.DiscardHandler); o.Web.Log = o.Log }
	h := open(b, looks(b), quiet)
	h.limits.lazy = true
	client := &fasthttp.HostClient{Addr: h.addr, MaxConns: 64}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
		req.SetRequestURI("http://" + h.host + "/recover/reset")
		req.Header.Set("X-Real-Ip", "203.0.113.7")
		for pb.Next() {
			if err := client.Do(req, resp); err != nil || resp.StatusCode() != 200 {
				b.Fatal(err, resp.StatusCode())
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "pages/s")
}
