package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"strconv"
	"sync/atomic"
	"time"

	"postern/portal/store"
)

// mostNodes of a demo: it is one machine.
const mostNodes = 5

// cluster is what several nodes of a demo share, beside the directory: a PostgreSQL and,
// where there is one, a Redis, both started for it and gone with it.
type cluster struct {
	db    *store.Own
	redis string // address; "": each node counts for itself
	front string // host:port people use
	count int
	close []func() error
}

func (d *demo) startCluster(ctx context.Context, front string) error {
	db, err := store.StartOwn()
	if errors.Is(err, store.ErrNoPostgres) {
		return fmt.Errorf("--nodes: %w, or leave --nodes away", err)
	}
	if err != nil {
		return fmt.Errorf("--nodes: %w", err)
	}
	d.nodes = &cluster{db: db, front: front, close: []func() error{db.Close}}
	d.say("  a PostgreSQL of its own, which all nodes use")
	stop, addr, err := startRedis(ctx)
	if errors.Is(err, exec.ErrNotFound) {
		d.say("  no redis-server here (package redis-server): each node counts its limits for itself")
		return nil
	}
	if err != nil {
		return fmt.Errorf("--nodes: %w", err)
	}
	d.nodes.redis = addr
	d.nodes.close = append(d.nodes.close, stop)
	d.say("  a Redis of its own, in which they count their limits together")
	return nil
}

// tied runs a program until its standard input ends: also when we are killed.
const tied = `exec 3<&0; "$@" </dev/null 3<&- >/dev/null 2>&1 & p=$!; cat <&3 >/dev/null; kill $p; wait $p`

// startRedis starts a Redis on loopback that keeps nothing.
func startRedis(ctx context.Context) (stop func() error, addr string, err error) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, "", err
	}
	listen, err := loopbackAddress("127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	_, port, err := net.SplitHostPort(listen)
	if err != nil {
		return nil, "", err
	}
	cmd := exec.Command("sh", "-c", tied, "sh", path, "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
	life, err := cmd.StdinPipe()
	if err != nil {
		return nil, "", err
	}
	if err := cmd.Start(); err != nil {
		return nil, "", err
	}
	stop = func() error { return errors.Join(life.Close(), ignoreExit(cmd.Wait())) }
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for range 500 {
		c, err := net.DialTimeout("tcp", listen, time.Second)
		if err == nil {
			return stop, "redis://" + listen + "/0", c.Close()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, "", errors.Join(ctx.Err(), stop())
		}
	}
	return nil, "", errors.Join(errors.New("redis-server does not come up"), stop())
}

// ignoreExit: what was told to end may say so.
func ignoreExit(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil
	}
	return err
}

// share makes a configuration that of one of several nodes.
func (n *cluster) share(cfg *Config) {
	cfg.Store.Path, cfg.Store.Postgres, cfg.Store.AutoMigrate, cfg.Store.Connections = "", n.db.DSN("postgres"), true, 10
	cfg.Limits.Redis = n.redis
	cfg.Portal.TrustedProxies = []string{"127.0.0.1"}
}

// serveNodes runs the portal as several nodes behind a proxy that asks them in turn,
// until ctx ends. They are one process here and know nothing of each other.
func (d *demo) serveNodes(ctx context.Context, count int, log *slog.Logger, began time.Time) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var programs []*program
	var targets []*url.URL
	closeAll := func(err error) error {
		for _, p := range programs {
			err = errors.Join(err, p.Close())
		}
		return err
	}
	for range count {
		addr, err := loopbackAddress("127.0.0.1:0")
		if err != nil {
			return closeAll(err)
		}
		p, err := d.program(ctx, addr, log)
		if err != nil {
			return closeAll(err)
		}
		programs, targets = append(programs, p), append(targets, &url.URL{Scheme: "http", Host: addr})
		if _, err := p.server.Listen(); err != nil {
			return closeAll(err)
		}
	}
	front, err := net.Listen("tcp", d.nodes.front)
	if err != nil {
		return closeAll(err)
	}
	if err := d.tellScripts(ctx, programs[0]); err != nil {
		return closeAll(errors.Join(err, front.Close()))
	}
	proxy := &http.Server{Handler: inTurn(targets), ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn)}
	ended := make(chan error, count+1)
	for _, p := range programs {
		go func() { ended <- p.Run(ctx) }()
	}
	go func() {
		if err := proxy.Serve(front); !errors.Is(err, http.ErrServerClosed) {
			ended <- err
			return
		}
		ended <- nil
	}()
	d.nodes.count = count
	d.tellPeople(programs[0], d.now().Sub(began))
	var errs []error
	select {
	case <-ctx.Done():
	case err := <-ended: // one that fails takes the others along
		errs, count = append(errs, err), count-1
	}
	cancel()
	late, done := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer done()
	errs = append(errs, proxy.Shutdown(late))
	for range count + 1 {
		errs = append(errs, <-ended)
	}
	return errors.Join(errs...)
}

// inTurn is a proxy that asks one target after another. It says whose request it is, as
// a proxy must, and passes on nothing a request says of that itself.
func inTurn(targets []*url.URL) http.Handler {
	var turn atomic.Uint64
	transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64}
	var proxies []http.Handler
	for i, target := range targets {
		proxies = append(proxies, &httputil.ReverseProxy{
			Transport: transport,
			Rewrite: func(r *httputil.ProxyRequest) {
				r.SetURL(target)
				r.Out.Host = r.In.Host
				host, _, _ := net.SplitHostPort(r.In.RemoteAddr)
				r.Out.Header.Set("X-Real-IP", host)
			},
			ModifyResponse: func(r *http.Response) error {
				r.Header.Set("X-Demo-Node", strconv.Itoa(i+1))
				return nil
			},
		})
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		proxies[turn.Add(1)%uint64(len(proxies))].ServeHTTP(w, r)
	})
}
