// Package portal is the server: it puts the pages on a listener with the
// settings that make fiber and fasthttp strict, and takes it down in order.
//
// It holds no rule about people, cases or proofs.
package portal

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/gofiber/fiber/v2"

	"postern/portal/web"
)

// Options are the parts of a Server. Web needs neither PublicURL nor Proxies:
// they come from Config.
type Options struct {
	Config Config
	Web    web.Options
	// Admin answers on Config.Admin; nil: nothing listens there.
	Admin http.Handler
	Log   *slog.Logger
}

// Server is the portal on its listeners.
type Server struct {
	config Config
	public *url.URL
	app    *fiber.App
	admin  *http.Server
	log    *slog.Logger
	tls    *tls.Config
	ln     *listener
	admins net.Listener // nil where there is no admin
	drain  time.Duration
	// proxies begin every connection with a PROXY header; nil: nobody does.
	proxies []netip.Prefix
}

// drainTime is how long requests may take to finish after Run was told to stop.
const drainTime = 10 * time.Second

// New checks the configuration as a whole and builds the server. It refuses a
// public_url of https that nobody could be serving (security case 29).
func New(o Options) (*Server, error) {
	if faults := o.Config.Validate(); len(faults) > 0 {
		return nil, fmt.Errorf("portal: %w", errors.Join(faults...))
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	public, err := parsePublicURL(o.Config.PublicURL)
	if err != nil {
		return nil, fmt.Errorf("portal: public_url: %w", err)
	}
	o.Web.PublicURL = public
	proxies, err := o.Config.proxies()
	if err != nil {
		return nil, fmt.Errorf("portal: %w", err)
	}
	headers := o.Config // whose headers say who the client is
	if o.Config.ProxyProtocol {
		headers.TrustedProxies = nil
	} else {
		o.Web.Proxies, proxies = proxies, nil
	}
	site, err := web.New(o.Web)
	if err != nil {
		return nil, err
	}
	s := &Server{config: o.Config, public: public, log: o.Log, app: newApp(headers, site), proxies: proxies, drain: drainTime}
	if o.Config.TLS.On() {
		cert, err := loadCertificate(o.Config.TLS, o.Web.Now, o.Log)
		if err != nil {
			return nil, err
		}
		s.tls = &tls.Config{GetCertificate: cert.get, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
		if ca := o.Config.TLS.ClientCA; ca != "" {
			if s.tls, err = devices(s.tls, ca, o.Web.Now, o.Log); err != nil {
				return nil, err
			}
		}
	}
	if o.Config.Admin != "" && o.Admin != nil {
		s.admin = &http.Server{Handler: o.Admin, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10}
	}
	return s, nil
}

// newApp has the settings that fiber's defaults get wrong: each differs from
// the default because the default was seen to be an attack.
func newApp(c Config, site *web.Site) *fiber.App {
	app := fiber.New(fiber.Config{
		Immutable: true, StrictRouting: true, CaseSensitive: true, UnescapePath: false, Prefork: false,
		BodyLimit: 64 << 10, StreamRequestBody: false, DisablePreParseMultipartForm: true,
		ReadBufferSize: 16 << 10, Concurrency: maxConns,
		ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 60 * time.Second,
		EnableTrustedProxyCheck: true, TrustedProxies: c.TrustedProxies,
		ProxyHeader: "X-Real-IP", EnableIPValidation: true,
		EnableSplittingOnParsers: false, ServerHeader: "", DisableStartupMessage: true,
		RequestMethods: []string{fiber.MethodGet, fiber.MethodHead, fiber.MethodPost},
		ErrorHandler:   site.Fault,
	})
	site.Register(app)
	app.Server().Handler = site.Wrap(app.Handler())
	return app
}

// URL is what people type.
func (s *Server) URL() string { return s.public.Scheme + "://" + s.public.Host }

// Listen opens the portal's listener and the admin's, so that whoever calls Run
// knows before that the addresses are free. Run calls it when nobody did.
func (s *Server) Listen() (net.Addr, error) {
	if s.ln != nil {
		return s.ln.Addr(), nil
	}
	ln, err := net.Listen("tcp", s.config.Listen)
	if err != nil {
		return nil, fmt.Errorf("portal: %w", err)
	}
	if s.admin != nil {
		if s.admins, err = net.Listen("tcp", s.config.Admin); err != nil {
			return nil, errors.Join(fmt.Errorf("portal: admin: %w", err), ln.Close())
		}
	}
	perPeer := maxConnsPerPeer
	if len(s.config.TrustedProxies) > 0 {
		perPeer = maxConns // they all come from the proxy, which does its own counting
	}
	s.ln = newListener(ln, perPeer, s.log)
	return s.ln.Addr(), nil
}

// Run serves until ctx ends and for Config.Drain more, then takes no new requests and
// lets those under way finish for up to 10 seconds. It returns nil after an orderly end.
func (s *Server) Run(ctx context.Context) error {
	if _, err := s.Listen(); err != nil {
		return err
	}
	ended := make(chan error, 2)
	go func() { ended <- s.serve() }()
	if s.admin != nil {
		go func() { ended <- s.admin.Serve(s.admins) }()
	}
	select {
	case err := <-ended:
		return errors.Join(fmt.Errorf("portal: stopped serving: %w", err), s.stop())
	case <-ctx.Done():
	}
	if s.config.Drain > 0 {
		s.log.Info("ending; still serving while proxies take notice", "seconds", s.config.Drain.Seconds())
		late := time.NewTimer(s.config.Drain)
		defer late.Stop()
		select {
		case err := <-ended:
			return errors.Join(fmt.Errorf("portal: stopped serving: %w", err), s.stop())
		case <-late.C:
		}
	}
	return s.stop()
}

func (s *Server) serve() error {
	var ln net.Listener = s.ln
	if s.proxies != nil {
		ln = proxied(ln, s.proxies) // its header comes before TLS
	}
	if s.tls != nil {
		ln = tls.NewListener(ln, s.tls)
	}
	return s.app.Listener(ln)
}

func (s *Server) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), s.drain)
	defer cancel()
	err := s.app.ShutdownWithContext(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		s.log.Warn("requests were still under way after the time to finish", "seconds", s.drain.Seconds())
		err = nil
	}
	// Neither server closes what it was not yet serving when ctx ended.
	err = errors.Join(err, s.ln.Close())
	s.ln.closeAll()
	if s.admin != nil {
		err = errors.Join(err, s.admin.Close())
		if late := s.admins.Close(); !errors.Is(late, net.ErrClosed) {
			err = errors.Join(err, late)
		}
	}
	return err
}
