package portaltest

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// Security case 30, through the proxies of the README: what proxy and node could read in
// two ways must leave nothing on the line between them, where the next request is somebody
// else's. The hidden request is left open, so that it would swallow theirs.
func TestNobodyGetsTheAnswerToAHiddenRequest(t *testing.T) {
	t.Parallel()
	for _, proxy := range []string{"haproxy", "nginx"} {
		t.Run(proxy, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, proxy, 1, 1)
			host := fmt.Sprintf("localhost:%d", c.front)
			hidden := "GET /claim/HIDDENMARK HTTP/1.1\r\nHost: " + host + "\r\nX-Rest: "
			post := func(headers, body string) string {
				return "POST /recover/start HTTP/1.1\r\nHost: " + host + "\r\nContent-Type: application/x-www-form-urlencoded\r\n" + headers + "\r\n" + body
			}
			chunk := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(hidden), hidden)
			long := fmt.Sprintf("Content-Length: %d\r\n", len(hidden)+5)
			probes := map[string]string{
				"CL before TE":             post(long+"Transfer-Encoding: chunked\r\n", "0\r\n\r\n"+hidden),
				"TE before CL":             post("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", chunk),
				"TE twice":                 post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"+long, "0\r\n\r\n"+hidden),
				"TE spelled oddly":         post("Transfer-Encoding: xchunked\r\n"+long, "0\r\n\r\n"+hidden),
				"TE with a tab":            post("Transfer-Encoding:\tchunked\r\n"+long, "0\r\n\r\n"+hidden),
				"TE with a vertical tab":   post("Transfer-Encoding: \vchunked\r\n"+long, "0\r\n\r\n"+hidden),
				"TE with a space before":   post("Transfer-Encoding : chunked\r\n"+long, "0\r\n\r\n"+hidden),
				"TE folded":                post("Transfer-Encoding:\r\n chunked\r\n"+long, "0\r\n\r\n"+hidden),
				"TE behind a bare LF":      post("X-A: b\nTransfer-Encoding: chunked\r\n"+long, "0\r\n\r\n"+hidden),
				"TE behind a bare CR":      post("X-A: b\rTransfer-Encoding: chunked\r\n"+long, "0\r\n\r\n"+hidden),
				"CL twice":                 post("Content-Length: 0\r\n"+long, hidden+"12345"),
				"CL twice in one":          post(fmt.Sprintf("Content-Length: 0, %d\r\n", len(hidden)), hidden),
				"CL with plus":             post(fmt.Sprintf("Content-Length: +%d\r\n", len(hidden)), hidden),
				"CL in hexadecimal":        post("Content-Length: 0x10\r\n", hidden),
				"CL of zero, and a body":   post("Content-Length: 0\r\n", hidden),
				"a body on GET":            "GET / HTTP/1.1\r\nHost: " + host + "\r\n" + long + "\r\n" + hidden + "12345",
				"chunk extension with LF":  post("Transfer-Encoding: chunked\r\n", "0;a\nb\r\n\r\n"+hidden),
				"chunk ended by LF":        post("Transfer-Encoding: chunked\r\n", "0\n\n"+hidden),
				"chunk size too large":     post("Transfer-Encoding: chunked\r\n", "10000000000000000\r\n"+hidden),
				"chunk size with a sign":   post("Transfer-Encoding: chunked\r\n", "-0\r\n\r\n"+hidden),
				"trailer that is a length": post("Transfer-Encoding: chunked\r\n", "0\r\nContent-Length: 99\r\n\r\n"+hidden),
				"Expect, and no body":      post("Expect: 100-continue\r\n"+long, ""),
				"HTTP/1.0 with TE":         strings.Replace(post("Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n"+long, "0\r\n\r\n"+hidden), "HTTP/1.1", "HTTP/1.0", 1),
				"upgrade to h2c":           "GET / HTTP/1.1\r\nHost: " + host + "\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n" + hidden,
				"another host, absolutely": "GET http://evil.example/ HTTP/1.1\r\nHost: " + host + "\r\n\r\n",
			}
			for name, probe := range probes {
				if said := c.raw(probe); strings.Contains(said, "evil.example") || strings.HasPrefix(said, "HTTP/1.1 101") {
					t.Errorf("%s: %.300s", name, said)
				}
				c.others(name)
			}
		})
	}
}

// raw sends bytes through the proxy as they are, and returns what came back.
func (c *cluster) raw(request string) string {
	c.t.Helper()
	line, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", c.front))
	if err != nil {
		c.t.Fatal(err)
	}
	defer line.Close()
	if _, err := io.WriteString(line, request); err != nil {
		return ""
	}
	_ = line.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	all, _ := io.ReadAll(line)
	return string(all)
}

// others come after that, on lines of their own, and must each get what they asked for.
func (c *cluster) others(after string) {
	c.t.Helper()
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			over := &http.Transport{} // the later ones of a line are those that share the proxy's own
			defer over.CloseIdleConnections()
			for range 4 {
				resp, err := (&http.Client{Transport: over}).Get(c.p.URL + "/recover/reset")
				if err != nil {
					c.t.Errorf("after %s: %v", after, err)
					return
				}
				body, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || resp.StatusCode != 200 || !strings.Contains(string(body), `name="login"`) || strings.Contains(string(body), "HIDDENMARK") {
					c.t.Errorf("after %s somebody else got %d, %v: %.200s", after, resp.StatusCode, err, body)
				}
			}
		})
	}
	all.Wait()
}
