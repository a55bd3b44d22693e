package portaltest

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"postern/directory/directorytest"
	"postern/portal/audit"
	"postern/portal/limit/limittest"
	"postern/portal/store"
	"postern/portal/store/storetest"
)

// cluster is several nodes on one PostgreSQL and one Redis behind a real proxy, which
// runs what the README shows.
type cluster struct {
	*mill
	t     testing.TB
	files []string // of the nodes
	ports []int
	nodes []*Portal
	proxy *exec.Cmd
	front int // the proxy's port
	said  bytes.Buffer
	dir   string
}

// newCluster starts it. change is asked once everything is written down and nothing has
// started yet.
func newCluster(t testing.TB, proxy string, nodes, people int, change ...func(*cluster)) *cluster {
	t.Helper()
	path := proxyPath(t, proxy)
	bin, err := program()
	if err != nil {
		t.Fatal(err)
	}
	place, counters := storetest.Postgres(t), limittest.Redis(t)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	tw, err := bigSlapd(ctx, t.TempDir())
	directorytest.Require(t, err)
	t.Cleanup(tw.stop)
	c := &cluster{mill: &mill{town: tw, bin: bin}, t: t, dir: t.TempDir()}
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	c.people, err = tw.populate(ctx, people)
	check(err)
	sink, err := NewMailSink()
	check(err)
	c.front, err = FreePort()
	check(err)
	url := fmt.Sprintf("http://localhost:%d", c.front)
	more := "trusted_proxies: [127.0.0.1]\ndrain: 3s\n" + strings.Replace(boundless(), "limits:\n", "limits:\n  redis: file:redis\n", 1)
	for i := range nodes {
		port, err := FreePort()
		check(err)
		config := strings.Replace(configOf(url, port, sink, tw.house, more), "  path: postern.db", "  postgres: file:database", 1)
		file := filepath.Join(c.dir, fmt.Sprintf("node%d.yaml", i+1))
		if i == 0 {
			check(os.WriteFile(filepath.Join(c.dir, "database"), []byte(place.Config.Postgres), 0o600))
			check(os.WriteFile(filepath.Join(c.dir, "redis"), []byte(counters.URL()), 0o600))
			check(prepare(ctx, bin, c.dir, tw.house, config))
		}
		check(os.WriteFile(file, []byte(config), 0o600))
		c.files, c.ports = append(c.files, file), append(c.ports, port)
	}
	// The owner migrates, and the nodes work as a role that may only add to the record.
	if _, err := place.Raw(t).Exec(`DO $$ BEGIN CREATE ROLE portal LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$`); err != nil {
		t.Fatal(err)
	}
	check(Command(ctx, bin, "migrate", "--config", c.files[0], "--grant", "portal"))
	portal := strings.Replace(place.Config.Postgres, "postgres://postgres@", "postgres://portal@", 1)
	check(os.WriteFile(filepath.Join(c.dir, "database"), []byte(portal), 0o600))
	for _, f := range change {
		f(c)
	}
	t.Cleanup(func() {
		var all sync.WaitGroup
		for i, n := range c.nodes {
			all.Go(func() {
				if err := n.Stop(); err != nil {
					t.Errorf("node %d did not end well: %v", i+1, err)
				}
				if t.Failed() {
					t.Logf("node %d said:\n%s", i+1, n.Log())
				}
			})
		}
		all.Wait()
	})
	for i := range nodes {
		c.nodes = append(c.nodes, c.start(i))
	}
	c.reg, err = registrarOf(ctx, c.dir, store.Config{Postgres: place.Config.Postgres})
	check(err)
	t.Cleanup(func() { c.reg.db.Close() })
	check(c.reg.paper(ctx, c.people))
	check(c.reg.app(ctx, c.people))
	c.mail, c.client = newPost(sink), NewClient(url)
	c.p = &Portal{URL: url, Dir: c.dir, Mail: sink}
	c.run(proxy, path)
	return c
}

func (c *cluster) start(i int) *Portal {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	n, err := Run(ctx, c.bin, c.dir, fmt.Sprintf("http://127.0.0.1:%d", c.ports[i]), "serve", "--config", c.files[i])
	if err != nil {
		c.t.Fatal(err)
	}
	return n
}

var (
	haproxyServer = regexp.MustCompile(`(?m)^ +server .*\n`)
	nginxServer   = regexp.MustCompile(`(?m)^ +server [0-9][^{]*;\n`)
	nginxListen   = regexp.MustCompile(`(?m)^ +listen .*\n( +ssl_.*\n)*`)
	haproxyBind   = regexp.MustCompile(`(?m)^ +bind .*\n`)
)

// run starts the proxy with the README's configuration, its addresses filled in.
func (c *cluster) run(proxy, path string) {
	c.t.Helper()
	config, file := readmeBlock(c.t, proxy), filepath.Join(c.dir, proxy+".conf")
	var servers strings.Builder
	var args []string
	switch proxy {
	case "haproxy":
		for i, port := range c.ports {
			fmt.Fprintf(&servers, "    server node%d 127.0.0.1:%d\n", i+1, port)
		}
		config = once(c.t, haproxyBind, config, fmt.Sprintf("    bind 127.0.0.1:%d\n    bind [::1]:%[1]d\n", c.front))
		config = once(c.t, haproxyServer, config, servers.String())
		args = []string{"-db", "-f", file}
	case "nginx":
		for _, port := range c.ports {
			fmt.Fprintf(&servers, "    server 127.0.0.1:%d;\n", port)
		}
		config = once(c.t, nginxListen, config, fmt.Sprintf("    listen 127.0.0.1:%d;\n    listen [::1]:%[1]d;\n", c.front))
		config = "daemon off;\npid " + c.dir + "/nginx.pid;\nerror_log stderr;\nevents {}\nhttp {\naccess_log off;\n" + once(c.t, nginxServer, config, servers.String()) + "}\n"
		args = []string{"-p", c.dir, "-c", file}
	}
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		c.t.Fatal(err)
	}
	c.proxy = exec.Command(path, args...)
	c.proxy.Stdout, c.proxy.Stderr = &c.said, &c.said
	if err := c.proxy.Start(); err != nil {
		c.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.proxy.Wait() }()
	c.t.Cleanup(func() {
		_ = c.proxy.Process.Signal(syscall.SIGTERM)
		<-ended
		if c.t.Failed() {
			c.t.Logf("%s said:\n%s", proxy, c.said.String())
		}
	})
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) { // the proxy's own clock
		if resp, err := http.Get(c.p.URL + "/"); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		if time.Now().After(end) {
			c.t.Fatalf("%s does not serve:\n%s", proxy, c.said.String())
		}
	}
}

// once puts the first place's text where the pattern is, and takes the others out.
func once(t testing.TB, pattern *regexp.Regexp, config, text string) string {
	t.Helper()
	if !pattern.MatchString(config) {
		t.Fatalf("the README's sample has no %s", pattern)
	}
	first := true
	return pattern.ReplaceAllStringFunc(config, func(string) string {
		if !first {
			return ""
		}
		first = false
		return text
	})
}

// told counts the outcomes on record.
func (c *cluster) told() (map[string]int, map[string]int) {
	c.t.Helper()
	kinds, addresses := map[string]int{}, map[string]int{}
	if err := c.reg.db.Export(c.t.Context(), audit.Query{}, func(e audit.Event) error {
		if e.Outcome == audit.OK {
			kinds[e.Kind]++
		}
		if e.Kind == "case.started" {
			addresses[e.Address]++
		}
		return nil
	}); err != nil {
		c.t.Fatal(err)
	}
	return kinds, addresses
}

// Round about over three nodes, and no two requests of anybody need be at one: every
// case ends as at a single one, is on record once, and the record is one sealed log.
func TestAnyRequestMayLandOnAnyNode(t *testing.T) {
	for _, proxy := range []string{"haproxy", "nginx"} {
		t.Run(proxy, func(t *testing.T) {
			const people = 24
			c := newCluster(t, proxy, 3, people)
			kinds := []flow{changes, byApp, byMail}
			next := passwords(people)
			if _, err := drive(people, 8, func(_, i int) error {
				r := newRider(c.client, c.p.URL, &c.asked)
				defer r.close()
				return kinds[i%3].ours(c.mill, r, c.people[i], next[i])
			}); err != nil {
				t.Fatal(err)
			}
			if _, err := drive(people/3, 4, func(_, i int) error { // who has their app's code still
				r := newRider(c.client, c.p.URL, &c.asked)
				defer r.close()
				return r.signIn(c.people[3*i])
			}); err != nil {
				t.Error(err)
			}
			c.choosesAddress()
			told, addresses := c.told()
			if told["password.changed"] != people/3 || told["password.reset"] != people-people/3 {
				t.Errorf("on record: %v", told)
			}
			// The client's address, and not what it says of itself or the proxy's.
			for a := range addresses {
				if a != "127.0.0.1" && a != "::1" {
					t.Errorf("somebody came from %q", a)
				}
			}
			for i, n := range c.nodes {
				if strings.Contains(n.Log(), `"level":"ERROR"`) {
					t.Errorf("node %d has errors", i+1)
				}
			}
			key, dir := c.command("audit", "key"), filepath.Join(c.dir, "export")
			c.command("audit", "export", "--out", dir)
			if out, err := exec.Command(c.bin, "audit", "verify", dir, "--key", key).CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}

func (c *cluster) command(args ...string) string {
	c.t.Helper()
	out, err := exec.Command(c.bin, append(args, "--config", c.files[0])...).CombinedOutput()
	if err != nil {
		c.t.Fatalf("%v: %v: %s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// choosesAddress is security case 11: who writes an address into a request is limited
// and recorded under their own, through either proxy.
func (c *cluster) choosesAddress() {
	c.t.Helper()
	v := NewVisitor(c.client, c.p.URL)
	v.Header = map[string]string{"X-Real-IP": "203.0.113.9", "X-Forwarded-For": "203.0.113.9", "Forwarded": "for=203.0.113.9"}
	if err := v.Get("/recover/reset"); err != nil {
		c.t.Fatal(err)
	}
	if err := v.Post("/recover/start", "purpose", "reset", "login", c.people[0].login); err != nil || v.Page.Status >= 400 {
		c.t.Errorf("%d, %v", v.Page.Status, err)
	}
}

// One node after another is told to end and started again while people are in the
// middle of their cases: not one request fails.
func TestARollingRestartFailsNoCase(t *testing.T) {
	const people, workers = 40, 4
	c := newCluster(t, "haproxy", 2, people)
	var over atomic.Bool
	var done atomic.Int64
	failed := make(chan error, workers)
	for w := range workers {
		go func() {
			failed <- func() error {
				for round := 0; !over.Load(); round++ {
					p := c.people[w*people/workers+round%(people/workers)]
					r := newRider(c.client, c.p.URL, &c.asked)
					err := changes.ours(c.mill, r, p, passwords(1)[0])
					r.close()
					if err != nil {
						return err
					}
					done.Add(1)
				}
				return nil
			}()
		}()
	}
	for i, n := range c.nodes {
		before := done.Load()
		if err := n.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		c.drains(i)
		if err := <-n.ended; err != nil {
			t.Errorf("node %d: %v\n%s", i+1, err, n.Log())
		}
		if done.Load() == before {
			t.Error("nobody was served while a node ended")
		}
		c.nodes[i] = c.start(i)
		time.Sleep(2500 * time.Millisecond) // HAProxy's own clock: until it is taken back
	}
	over.Store(true)
	for range workers {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
	told, _ := c.told()
	if int64(told["password.changed"]) != done.Load() {
		t.Errorf("%d changes done, %d on record", done.Load(), told["password.changed"])
	}
	t.Logf("%d changes over two restarts", done.Load())
}

// drains sees that a node that was told to end says so to the proxy, and still serves.
func (c *cluster) drains(i int) {
	c.t.Helper()
	ask := func(path string) int {
		req, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d%s", c.ports[i], path), nil)
		if err != nil {
			c.t.Fatal(err)
		}
		req.Host = strings.TrimPrefix(c.p.URL, "http://")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			c.t.Errorf("node %d does not drain: %v", i+1, err)
			return 0
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	for end := time.Now().Add(2 * time.Second); ask("/readyz") == http.StatusOK; time.Sleep(10 * time.Millisecond) { // the signal's way
		if time.Now().After(end) {
			c.t.Errorf("node %d says that it is ready", i+1)
			return
		}
	}
	if ready, page := ask("/readyz"), ask("/recover/reset"); ready != http.StatusServiceUnavailable || page != http.StatusOK {
		c.t.Errorf("node %d, draining: %d for the proxy, %d for people", i+1, ready, page)
	}
}

// Where no node is left the proxy answers by itself, and says when to come back too.
func TestAProxyWithoutNodesSaysWhenToComeBack(t *testing.T) {
	c := newCluster(t, "haproxy", 1, 1)
	if err := c.nodes[0].cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-c.nodes[0].ended; err != nil {
		t.Error(err)
	}
	resp, err := http.Get(c.p.URL + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if wait, err := strconv.Atoi(resp.Header.Get("Retry-After")); resp.StatusCode != http.StatusServiceUnavailable || err != nil || wait < 1 {
		t.Errorf("%d, to come back after %q", resp.StatusCode, resp.Header.Get("Retry-After"))
	}
	c.nodes[0] = c.start(0)
}
