package embedded

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/jimlambrt/gldap"

	"postern/directory"
)

// Config is what Start needs.
type Config struct {
	Dir    string   // where the people are kept; made when missing
	Listen string   // a loopback address; default 127.0.0.1:0, a free port
	People []Person // who is made when Dir holds nobody yet; default SamplePeople
	// Nested says which groups are members of which others, by name; like
	// People it counts only when the folder is new.
	Nested map[string][]string
	MinAge time.Duration // minimum age of a password; default none, so that one can play
	Now    func() time.Time
	Rand   io.Reader
}

// Server is a running directory.
type Server struct {
	cfg      Config
	policy   policy
	addr     string
	password string // of the service account; new with every start, kept nowhere
	caFile   string
	gldap    *gldap.Server
	ran      chan error
	// keeper is a connection to ourselves, open as long as we are: gldap counts
	// connections in a WaitGroup and would otherwise add the first while waiting.
	keeper   net.Conn
	closing  sync.Once
	closeErr error

	mu    sync.Mutex // guards everything below; one operation at a time
	data  *data
	index *index              // of data; nil: to be made at the next search
	bound map[int]identity    // by connection
	conns map[string]net.Conn // open, by remote address
}

// Start opens or makes the directory in cfg.Dir and serves it until Close or
// the end of ctx. It fails when Listen is not a loopback address.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.Reader
	}
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1:0"
	}
	if cfg.People == nil {
		people, err := SamplePeople(cfg.Rand)
		if err != nil {
			return nil, err
		}
		cfg.People = people
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("embedded: %w", err)
	}
	d, err := open(cfg)
	if err != nil {
		return nil, err
	}
	var secret [16]byte
	if _, err := io.ReadFull(cfg.Rand, secret[:]); err != nil {
		return nil, fmt.Errorf("embedded: random: %w", err)
	}
	s := &Server{
		cfg: cfg, policy: domainPolicy(cfg.MinAge), password: fmt.Sprintf("%x", secret), caFile: filepath.Join(cfg.Dir, "ldap-ca.pem"),
		data: d, bound: map[int]identity{}, conns: map[string]net.Conn{},
	}
	if err := s.listen(ctx); err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { _ = s.Close() })
	return s, nil
}

// URL is ldaps://host:port.
func (s *Server) URL() string { return "ldaps://" + s.addr }

// CAFile is the PEM file of the authority that signed this start's certificate.
func (s *Server) CAFile() string { return s.caFile }

// BaseDN is the domain.
func (s *Server) BaseDN() string { return baseDN }

// PeopleDN is the organisational unit that holds every sample person and
// nobody else: the base_dn to configure, with the service account outside it.
func (s *Server) PeopleDN() string { return peopleDN }

// NetBIOS is the short name of the domain, as in EXAMPLE\user1.
func (s *Server) NetBIOS() string { return netbios }

// ServiceDN is the account the portal binds as.
func (s *Server) ServiceDN() string { return svcDN }

// ServicePassword is new with every start.
func (s *Server) ServicePassword() directory.Secret { return directory.NewSecret(s.password) }

// People are the accounts as they are now.
func (s *Server) People() []Person {
	s.mu.Lock()
	defer s.mu.Unlock()
	people := make([]Person, 0, len(s.data.Accounts))
	for _, a := range s.data.Accounts {
		people = append(people, a.person(s.policy, s.cfg.Now()))
	}
	return people
}

// Add makes one more person while the server runs.
func (s *Server) Add(p Person) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.index = nil
	if err := s.data.add(p, s.cfg.Rand, s.cfg.Now()); err != nil {
		return err
	}
	for _, dn := range s.data.fixed() {
		if s.data.GUIDs[dn] == "" {
			if err := s.data.identify(dn, s.cfg.Rand); err != nil {
				return err
			}
		}
	}
	return s.data.save(s.cfg.Dir)
}

// Remove deletes a person while the server runs, and whoever names it as manager has
// none from then on, as in AD.
func (s *Server) Remove(login string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := slices.IndexFunc(s.data.Accounts, func(a *account) bool { return foldEqual(a.Login, login) })
	if at < 0 {
		return fmt.Errorf("embedded: nobody called %q", login)
	}
	s.index = nil
	s.data.Accounts = slices.Delete(slices.Clone(s.data.Accounts), at, at+1)
	for _, a := range s.data.Accounts {
		if foldEqual(a.Manager, login) {
			a.Manager = ""
		}
	}
	return s.data.save(s.cfg.Dir)
}

// Set changes the state of one account from outside, as an administrator would:
// it shows change the person as it is now and takes over Disabled, MustChange,
// PasswordExpired and NeverExpires.
func (s *Server) Set(login string, change func(*Person)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.cfg.Now()
	for _, a := range s.data.Accounts {
		if !foldEqual(a.Login, login) {
			continue
		}
		was := a.person(s.policy, now)
		p := was
		change(&p)
		after := *a
		after.Disabled, after.NeverExpires = p.Disabled, p.NeverExpires
		switch {
		case p.MustChange:
			after.PasswordSet = time.Time{}
		case p.PasswordExpired:
			after.PasswordSet = now.Add(-s.policy.maxAge - 24*time.Hour)
		case was.MustChange || was.PasswordExpired:
			after.PasswordSet = now
		}
		return s.replace(a, &after)
	}
	return fmt.Errorf("embedded: nobody called %q", login)
}

// Close ends every connection and stops. More than once is fine.
func (s *Server) Close() error {
	s.closing.Do(func() {
		stopped := make(chan error, 1)
		go func() { stopped <- s.gldap.Stop() }()
		<-s.ran // from here on nobody new is let in
		s.mu.Lock()
		for _, c := range s.conns {
			c.Close()
		}
		s.mu.Unlock()
		s.keeper.Close()
		s.closeErr = <-stopped
	})
	return s.closeErr
}

func (s *Server) listen(ctx context.Context) error {
	host, _, err := net.SplitHostPort(s.cfg.Listen)
	if err != nil {
		return fmt.Errorf("embedded: listen: %w", err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("embedded: %s is not a loopback address: the sample directory is for this machine alone", host)
	}
	authority, config, err := s.certificate(host)
	if err != nil {
		return err
	}
	if err := writeFile(s.caFile, authority.pem); err != nil {
		return err
	}
	pool := x509.NewCertPool()
	pool.AddCert(authority.cert)
	// gldap opens the port itself and does not say which it got, so a free one
	// is chosen first. Whoever is faster in between lacks our certificate.
	for range 5 {
		if err = s.run(ctx, config, pool); err == nil || ctx.Err() != nil {
			return err
		}
	}
	return err
}

func (s *Server) run(ctx context.Context, config *tls.Config, pool *x509.CertPool) error {
	l, err := net.Listen("tcp", s.cfg.Listen)
	if err != nil {
		return fmt.Errorf("embedded: %w", err)
	}
	s.addr = l.Addr().String()
	l.Close()
	// The logger would print requests: passwords are in them.
	s.gldap, err = gldap.NewServer(gldap.WithLogger(hclog.NewNullLogger()), gldap.WithOnClose(s.closed),
		gldap.WithReadTimeout(handshakeTimeout))
	if err != nil {
		return fmt.Errorf("embedded: %w", err)
	}
	mux, err := s.routes()
	if err != nil {
		return err
	}
	if err := s.gldap.Router(mux); err != nil {
		return fmt.Errorf("embedded: %w", err)
	}
	s.ran = make(chan error, 1)
	go func() { s.ran <- s.gldap.Run(s.addr, gldap.WithTLSConfig(config)) }()
	if err := s.awaitReady(ctx, pool); err != nil {
		_ = s.gldap.Stop()
		return err
	}
	return nil
}

func (s *Server) awaitReady(ctx context.Context, pool *x509.CertPool) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	dialer := tls.Dialer{Config: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}
	for {
		conn, err := dialer.DialContext(ctx, "tcp", s.addr)
		if err == nil {
			s.keeper = conn
			return nil
		}
		select {
		case ran := <-s.ran:
			return errors.Join(errors.New("embedded: the LDAP server ended"), ran)
		case <-ctx.Done():
			return fmt.Errorf("embedded: %w: %w", ctx.Err(), err)
		case <-tick.C:
		}
	}
}

// handshakeTimeout is how long a client may take to say hello. gldap sets one
// deadline for the whole life of a connection; track lifts it once TLS begins.
const handshakeTimeout = 5 * time.Second

// track remembers the connection, because gldap's Stop waits for clients to leave
// and gives no way to send them.
func (s *Server) track(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns[hello.Conn.RemoteAddr().String()] = hello.Conn
	return nil, hello.Conn.SetReadDeadline(time.Time{})
}

func (s *Server) closed(connection int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.bound, connection)
}

func (s *Server) routes() (*gldap.Mux, error) {
	mux, err := gldap.NewMux()
	if err != nil {
		return nil, fmt.Errorf("embedded: %w", err)
	}
	return mux, errors.Join(
		mux.Bind(s.guarded(s.bind)), mux.Search(s.guarded(s.search)), mux.Modify(s.guarded(s.modify)),
		mux.Add(s.guarded(s.refuse)), mux.Delete(s.guarded(s.refuse)),
		mux.ExtendedOperation(s.guarded(s.whoAmI), gldap.ExtendedOperationWhoAmI),
		mux.DefaultRoute(s.guarded(s.refuse)))
}

// guarded keeps a panic in one request from ending the whole program: gldap runs
// each in a goroutine of its own and recovers only in the connection's.
func (s *Server) guarded(h gldap.HandlerFunc) gldap.HandlerFunc {
	return func(w *gldap.ResponseWriter, r *gldap.Request) {
		defer func() {
			if recover() != nil {
				_ = w.Write(r.NewResponse(gldap.WithResponseCode(gldap.ResultOther)))
			}
		}()
		h(w, r)
	}
}

func (s *Server) refuse(w *gldap.ResponseWriter, r *gldap.Request) {
	code := gldap.ApplicationExtendedResponse
	if _, err := r.GetAddMessage(); err == nil {
		code = gldap.ApplicationAddResponse
	} else if _, err := r.GetDeleteMessage(); err == nil {
		code = gldap.ApplicationDelResponse
	}
	_ = w.Write(r.NewResponse(gldap.WithApplicationCode(code), gldap.WithResponseCode(gldap.ResultInsufficientAccessRights),
		gldap.WithDiagnosticMessage("00002098: SecErr: DSID-031514A0, problem 4003 (INSUFF_ACCESS_RIGHTS), data 0")))
}

// whoAmI answers RFC 4532 without the name: gldap's responses carry no value.
func (s *Server) whoAmI(w *gldap.ResponseWriter, r *gldap.Request) {
	_ = w.Write(r.NewExtendedResponse(gldap.WithResponseCode(gldap.ResultSuccess)))
}

// hostsOf are the names in the certificate.
func hostsOf(host string) []string {
	hosts := []string{"localhost", "127.0.0.1", "::1"}
	if !strings.EqualFold(host, "localhost") {
		hosts = append(hosts, host)
	}
	return hosts
}
