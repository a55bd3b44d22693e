package portaltest

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"postern/verify/yubikey/yubikeytest"
)

// rig is one node with a line to everything it needs.
type rig struct {
	*cluster
	lines map[string]*wire
	node  *fasthttp.HostClient
	key   *yubikeytest.Key
	meter *meter
	texts atomic.Int64 // bytes of the record that the sink has
}

// newRig starts it.
func newRig(t *testing.T, people int) *rig {
	t.Helper()
	x := &rig{lines: map[string]*wire{}, key: yubikeytest.New(9001)}
	secret := []byte("a secret of twenty b")
	cloud := httptest.NewServer(yubikeytest.NewServer("87", secret, time.Now, x.key))
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"status":"queued"}`) }))
	t.Cleanup(cloud.Close)
	t.Cleanup(gateway.Close)
	sink, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sink.Close() })
	go func() {
		for {
			c, err := sink.Accept()
			if err != nil {
				return
			}
			go func() {
				n, _ := io.Copy(io.Discard, c)
				x.texts.Add(n)
				c.Close()
			}()
		}
	}()
	for name, to := range map[string]string{"SMS": gateway.Listener.Addr().String(), "YubiCloud": cloud.Listener.Addr().String(), "audit sink": sink.Addr().String()} {
		x.lines[name] = newWire(t, "tcp", to)
	}
	lines, urls := wires{}, []string{}
	x.cluster = newCluster(t, "haproxy", 1, people, func(c *cluster) {
		bin, err := Build(c.dir, false)
		if err != nil {
			t.Fatal(err)
		}
		c.bin = bin
		wired(c, lines, &urls)
		config, err := os.ReadFile(c.files[0])
		if err != nil {
			t.Fatal(err)
		}
		text := strings.Replace(string(config), "      dial_timeout: 5s\n      request_timeout: 5s\n", "", 1) // as it is shipped
		text = strings.Replace(text, "    reset:\n", "    reset:\n      allowed: [passkey, totp, yubikey, email, sms, recovery_code]\n", 1) + `sms:
  provider: gateway
  region: DE
  gateway:
    url: http://` + x.lines["SMS"].addr() + `/send
    body: '{"to":{{json .To}},"text":{{json .Text}}}'
    success: {status: [200], json: status, equals: [queued]}
factors:
  yubikey: {servers: ["http://` + x.lines["YubiCloud"].addr() + `/verify"], client_id: 87, secret: file:yubico.key}
ship:
  to:
    - name: siem
      syslog: {address: "` + x.lines["audit sink"].addr() + `", tls: false}
`
		for name, content := range map[string]string{c.files[0]: text, filepath.Join(c.dir, "yubico.key"): base64.StdEncoding.EncodeToString(secret)} {
			if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	})
	for name, list := range lines {
		x.lines[name] = list[0]
	}
	x.node = NewClient(fmt.Sprintf("http://127.0.0.1:%d", x.ports[0]))
	x.node.RetryIfErr = func(*fasthttp.Request, int, error) (bool, bool) { return false, false }
	x.meter = &meter{url: urls[0], pid: x.nodes[0].PID()}
	return x
}

// afresh gives these people a new app and new paper, so that no code of theirs was used.
func (x *rig) afresh(ctx context.Context, people ...*member) {
	x.t.Helper()
	if err := x.reg.app(ctx, people); err != nil {
		x.t.Fatal(err)
	}
	for _, m := range people {
		if len(m.codes) < 2 {
			if err := x.reg.paper(ctx, []*member{m}); err != nil {
				x.t.Fatal(err)
			}
		}
	}
}

// enrolsKey binds the security key to somebody by the pages.
func (x *rig) enrolsKey(m *member) {
	x.t.Helper()
	r := x.rider()
	defer r.close()
	err := r.signIn(m)
	for _, do := range []func() error{
		func() error { return r.get("/me/factors") },
		func() error { _ = r.post("/me/factors/yubikey/offer"); return r.at("offer") }, // no redirect leads there
		func() error { return r.post("/me/factors/yubikey/enrol", "answer", x.key.Press(), "name", "Blue key") },
		func() error { return r.at("factors") },
	} {
		if err == nil {
			err = do()
		}
	}
	if err != nil {
		x.t.Fatal(err)
	}
}
