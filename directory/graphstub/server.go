package graphstub

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"postern/directory/internal/loopback"
)

// Config is what Start needs. Only Dir must be given.
type Config struct {
	Dir    string // where the authority's certificate is written
	Listen string // a loopback address; default 127.0.0.1:0, a free port

	Tenant, Client string            // ids; default made up
	Secret         string            // of the application; default random
	Certificate    *x509.Certificate // the application's, where it signs in with one
	Consent        []string          // permissions the application was given; default Needed
	Roles          []string          // directory roles of the application; default User Administrator

	Domains []Domain // default example.com
	People  []Person
	Groups  []Group
	Units   []Unit
	Banned  []string // words no password may be

	NoPremium        bool // no licence for activated roles (PIM)
	PassesOff        bool // the policy for Temporary Access Passes is off
	PassMin, PassMax int  // minutes; default 60 and 480
	Delay            time.Duration
	Page             int // users a page holds at most; default 100
	TokenLife        time.Duration
	Requests         int // requests that are answered within Window; 0: any number
	Window           time.Duration
	Now              func() time.Time
	Rand             io.Reader
}

// Domain is a domain of the tenant.
type Domain struct {
	Name         string
	Federated    bool
	ValidityDays int // of passwords; 0: they never expire
}

// Needed are the permissions Postern asks for.
var Needed = []string{"User.Read.All", "Directory.Read.All", "RoleManagement.Read.Directory", "User-PasswordProfile.ReadWrite.All",
	"User.RevokeSessions.All", "UserAuthenticationMethod.ReadWrite.All", "AuditLog.Read.All", "Policy.Read.All"}

// Request is one that came.
type Request struct {
	Method, Path string
	Status       int
}

// Server is a running tenant.
type Server struct {
	cfg    Config
	addr   string
	caFile string
	http   *http.Server
	ended  chan struct{}

	mu        sync.Mutex
	people    []*account
	groups    map[string]Group
	units     map[string]Unit
	tokens    map[string]time.Time // until when
	requests  []Request
	intercept func(http.ResponseWriter, *http.Request, http.Handler)
	spent     []time.Time // of the throttle
}

// Start serves until Close or the end of ctx. It fails when Listen is not a
// loopback address.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	cfg.defaults()
	host, _, err := net.SplitHostPort(cfg.Listen)
	if ip, bad := netip.ParseAddr(host); err != nil || bad != nil || !ip.IsLoopback() {
		return nil, fmt.Errorf("graphstub: %s is not a loopback address", cfg.Listen)
	}
	if cfg.Secret == "" {
		var b [20]byte
		if _, err := io.ReadFull(cfg.Rand, b[:]); err != nil {
			return nil, err
		}
		cfg.Secret = hex.EncodeToString(b[:])
	}
	s := &Server{cfg: cfg, groups: map[string]Group{}, units: map[string]Unit{}, tokens: map[string]time.Time{}, ended: make(chan struct{})}
	for _, g := range cfg.Groups {
		s.groups[g.ID] = g
	}
	for _, u := range cfg.Units {
		s.units[u.Name] = u
	}
	for _, p := range cfg.People {
		if _, err := s.Add(p); err != nil {
			return nil, err
		}
	}
	pair, _, ca, err := loopback.Certificate(cfg.Rand, "Postern demo tenant", host, "localhost")
	if err != nil {
		return nil, err
	}
	s.caFile = filepath.Join(cfg.Dir, "graph-ca.pem")
	if err := errors.Join(os.MkdirAll(cfg.Dir, 0o700), os.WriteFile(s.caFile, ca, 0o600)); err != nil {
		return nil, err
	}
	l, err := tls.Listen("tcp", cfg.Listen, &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}})
	if err != nil {
		return nil, err
	}
	s.addr = l.Addr().String()
	s.http = &http.Server{Handler: s.guard(s.routes()), ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	go func() { _ = s.http.Serve(l); close(s.ended) }()
	context.AfterFunc(ctx, func() { _ = s.Close() })
	return s, nil
}

func (c *Config) defaults() {
	orText := func(s *string, v string) {
		if *s == "" {
			*s = v
		}
	}
	orText(&c.Listen, "127.0.0.1:0")
	orText(&c.Tenant, idOf("tenant", "postern demo"))
	orText(&c.Client, idOf("client", "postern demo"))
	if c.Consent == nil {
		c.Consent = Needed
	}
	if c.Roles == nil {
		c.Roles = []string{"User Administrator"}
	}
	if c.Domains == nil {
		c.Domains = []Domain{{Name: "example.com", ValidityDays: 90}}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	if c.Page == 0 {
		c.Page = 100
	}
	if c.PassMax == 0 {
		c.PassMin, c.PassMax = 60, 480
	}
	if c.TokenLife == 0 {
		c.TokenLife = time.Hour
	}
}

// Close ends the server; nothing is kept.
func (s *Server) Close() error {
	err := s.http.Close()
	<-s.ended
	return err
}

// URL is https://host:port: the authority people and applications sign in at.
func (s *Server) URL() string { return "https://" + s.addr + "/" }

// Graph is the address of Microsoft Graph, without the version.
func (s *Server) Graph() string { return "https://" + s.addr }

// CAFile is the PEM file of the authority that signed this start's certificate.
func (s *Server) CAFile() string { return s.caFile }

// Tenant, Client and Secret are what the application signs in with.
func (s *Server) Tenant() string { return s.cfg.Tenant }
func (s *Server) Client() string { return s.cfg.Client }
func (s *Server) Secret() string { return s.cfg.Secret }

// Intercept hands every request to f before it is answered; nil: none.
func (s *Server) Intercept(f func(w http.ResponseWriter, r *http.Request, next http.Handler)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.intercept = f
}

// Requests are those that came since the last call, of Graph alone.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.requests
	s.requests = nil
	return r
}

// Forget ends every token that was given out, as a change of conditions would.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.tokens)
}

// Consent replaces the permissions the application has.
func (s *Server) Consent(permissions ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cfg.Consent = permissions
}

// Add makes one more person, visible at once, and returns its id.
func (s *Server) Add(p Person) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.UPN == "" || domain(p.UPN) == "" {
		return "", fmt.Errorf("graphstub: %q is no userPrincipalName", p.UPN)
	}
	for _, a := range s.people {
		if strings.EqualFold(a.now.UPN, p.UPN) {
			return "", fmt.Errorf("graphstub: %s is there already", p.UPN)
		}
	}
	if p.ID == "" {
		p.ID = idOf("user", strings.ToLower(p.UPN))
	}
	if p.PasswordSet.IsZero() {
		p.PasswordSet = s.cfg.Now().Add(-24 * time.Hour).Truncate(time.Second)
	}
	s.people = append(s.people, &account{now: p.snapshot()})
	return p.ID, nil
}

// Set changes one person from outside, visible at once.
func (s *Server) Set(upn string, change func(*Person)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.person(upn)
	if a == nil {
		return fmt.Errorf("graphstub: nobody called %q", upn)
	}
	change(&a.now)
	a.visible = time.Time{}
	return nil
}

// Remove deletes a person.
func (s *Server) Remove(upn string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, a := range s.people {
		if strings.EqualFold(a.now.UPN, upn) {
			s.people = append(s.people[:i:i], s.people[i+1:]...)
			return nil
		}
	}
	return fmt.Errorf("graphstub: nobody called %q", upn)
}

// People are the accounts as they were last written.
func (s *Server) People() []Person {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Person
	for _, a := range s.people {
		out = append(out, a.now.snapshot())
	}
	return out
}

// person finds by id or UPN.
func (s *Server) person(ref string) *account {
	for _, a := range s.people {
		if a.now.ID == ref || strings.EqualFold(a.now.UPN, ref) {
			return a
		}
	}
	return nil
}

// idOf is an id that is the same with every start.
func idOf(kind, name string) string {
	h := sha256.Sum256([]byte(kind + "\x00" + name))
	h[6], h[8] = h[6]&0x0f|0x40, h[8]&0x3f|0x80
	x := hex.EncodeToString(h[:16])
	return strings.Join([]string{x[:8], x[8:12], x[12:16], x[16:20], x[20:]}, "-")
}

// Issue gives out a token as the platform of a managed identity would.
func (s *Server) Issue() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	token, err := s.issue()
	if err != nil {
		return ""
	}
	return token
}
