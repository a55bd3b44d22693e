package directorytest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// DC is a running, private Samba Active Directory domain controller.
type DC struct {
	Endpoint
	CatalogURL string // ldaps:// of the global catalogue
	Domain     string // postern.test
	NetBIOS    string // POSTERN
	BaseDN     string
	PeopleDN   string // the organisational unit the service account may act on
	AdminDN    string
	AdminPass  string
	// ServiceDN may, in PeopleDN, reset passwords and write lockoutTime and
	// pwdLastSet, and nothing else (see delegate).
	ServiceDN, ServicePassword string
	People                     []Person
	Policy                     Policy

	dir     string
	proc    *process
	claim   net.Listener
	ns      *namespace
	relays  []*relay
	cleanup sync.Once
	ownDir  bool
}

// Option changes how a directory is launched.
type Option func(*launch)

type launch struct {
	policy          Policy
	domain, netbios string // Active Directory only
}

// WithPolicy replaces DefaultPolicy.
func WithPolicy(p Policy) Option { return func(to *launch) { to.policy = p } }

// WithDomain makes another domain than postern.test: one of its own forest, with the
// same people in it.
func WithDomain(name, netbios string) Option {
	return func(to *launch) { to.domain, to.netbios = name, netbios }
}

func launchOf(opts []Option) launch {
	l := launch{policy: DefaultPolicy(), domain: "postern.test", netbios: "POSTERN"}
	for _, o := range opts {
		o(&l)
	}
	return l
}

// Samba starts a domain controller for one test and stops it with the test. It
// costs about a second once the provisioned folder is cached, eight before.
func Samba(t testing.TB, opts ...Option) *DC {
	t.Helper()
	needService(t)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	dc, err := StartSamba(ctx, "", opts...)
	Require(t, err)
	t.Cleanup(dc.Stop)
	return dc
}

// StartSamba is Samba for TestMain, benchmarks and programs: the caller calls
// Stop. dir is an empty or new folder for its files; "" makes a temporary one.
// Errors are ErrMissing where Samba cannot run.
func StartSamba(ctx context.Context, dir string, opts ...Option) (*DC, error) {
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("%w: a Samba domain controller needs root", ErrMissing)
	}
	l := launchOf(opts)
	cached, err := provisioned(ctx, l)
	if err != nil {
		return nil, err
	}
	dc := newDC(l)
	if err := dc.place(dir); err != nil {
		return nil, err
	}
	if out, err := exec.CommandContext(ctx, "cp", "-a", cached+"/.", dc.dir).CombinedOutput(); err != nil {
		dc.Stop()
		return nil, fmt.Errorf("directorytest: copy %s: %w: %s", cached, err, out)
	}
	if err := dc.start(ctx); err != nil {
		dc.Stop()
		return nil, err
	}
	if err := dc.Lock("locked1"); err != nil {
		dc.Stop()
		return nil, err
	}
	return dc, nil
}

const (
	adminPass    = "Keel-Harbour-77!"
	servicePass  = "Rudder Tiller 55 \"quoted\" ü"
	serviceLogin = "svc-postern"
)

func newDC(l launch) *DC {
	baseDN := "DC=" + strings.ReplaceAll(l.domain, ".", ",DC=")
	dc := &DC{
		Domain: l.domain, NetBIOS: l.netbios, BaseDN: baseDN, PeopleDN: "OU=People," + baseDN,
		AdminDN: "CN=Administrator,CN=Users," + baseDN, AdminPass: adminPass,
		ServiceDN: "CN=" + serviceLogin + ",OU=Services," + baseDN, ServicePassword: servicePass,
		Policy: l.policy, People: samplePeople(l.domain),
	}
	place(dc.People, func(p Person) string { return "CN=" + escapeRDN(p.Name) + "," + dc.PeopleDN })
	return dc
}

func (dc *DC) place(dir string) error {
	if dir != "" {
		dc.dir = dir
		return os.MkdirAll(dir, 0o700)
	}
	var err error
	dc.dir, err = os.MkdirTemp("", "postern-samba-")
	dc.ownDir = true
	return err
}

// Person returns a sample person; it panics on a login nobody made, which is a
// mistake in the test.
func (dc *DC) Person(login string) Person {
	p, err := find(dc.People, login)
	if err != nil {
		panic(err)
	}
	return p
}

// start writes configuration and certificate for wherever the folder is now,
// and starts the server on an address of its own.
func (dc *DC) start(ctx context.Context) error {
	samba, err := program("samba")
	if err != nil {
		return err
	}
	ip, err := dc.address()
	if err != nil {
		return err
	}
	dc.scratch = dc.dir
	dc.CAFile = filepath.Join(dc.dir, "tls", "ca.pem")
	if dc.CA, err = writeTLS(filepath.Join(dc.dir, "tls"), ip, "127.0.0.1", "localhost", "dc1."+dc.Domain); err != nil {
		return err
	}
	if err := dc.writeConf(ip); err != nil {
		return err
	}
	cmd := exec.Command("/bin/sh", "-c", keepAlive, "sh", samba, "-F", "-M", "single", "--no-process-group", "--debug-stdout", "-s", dc.conf())
	launch := cmd.Start
	if dc.ns != nil {
		launch = func() error { return dc.ns.start(cmd) }
	}
	if dc.proc, err = start(cmd, launch); err != nil {
		return err
	}
	if err := dc.publish(ip); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	return dc.proc.await(ctx, func() error { return dc.Bind(dc.AdminDN, dc.AdminPass) })
}

// address picks a loopback address whose LDAP ports are free, and claims it with
// a listener so that another test binary picks another one. Where every address
// is taken by somebody listening on *:389 it opens a network namespace instead.
func (dc *DC) address() (string, error) {
	for range 50 {
		ip := fmt.Sprintf("127.0.0.%d", 10+rand.IntN(240))
		claim, err := net.Listen("tcp", net.JoinHostPort(ip, "63689"))
		if err != nil {
			continue
		}
		if portsFree(ip) {
			dc.claim = claim
			return ip, nil
		}
		claim.Close()
		if !portsFree("127.0.0.9") {
			break // nobody claims .9: the ports are taken everywhere
		}
	}
	ns, err := newNamespace()
	if err != nil {
		return "", fmt.Errorf("%w (something listens on *:389 or *:636 here)", err)
	}
	dc.ns = ns
	return "127.0.0.1", nil
}

func portsFree(ip string) bool {
	for _, port := range []string{"389", "636", "3268", "3269"} {
		l, err := net.Listen("tcp", net.JoinHostPort(ip, port))
		if err != nil {
			return false
		}
		l.Close()
	}
	return true
}

func (dc *DC) publish(ip string) error {
	if dc.ns == nil {
		dc.URL, dc.StartTLSURL, dc.CatalogURL = "ldaps://"+ip+":636", "ldap://"+ip+":389", "ldaps://"+ip+":3269"
		return nil
	}
	for _, port := range []string{"636", "389", "3269"} {
		r, err := newRelay(func() (net.Conn, error) { return dc.ns.dial(net.JoinHostPort(ip, port)) })
		if err != nil {
			return err
		}
		dc.relays = append(dc.relays, r)
	}
	dc.URL, dc.StartTLSURL = "ldaps://"+dc.relays[0].addr(), "ldap://"+dc.relays[1].addr()
	dc.CatalogURL = "ldaps://" + dc.relays[2].addr()
	return nil
}

// Stop ends the server and removes a folder that StartSamba made. More than once is fine.
func (dc *DC) Stop() {
	dc.cleanup.Do(func() {
		for _, r := range dc.relays {
			r.close()
		}
		if dc.proc != nil {
			dc.proc.stop()
		}
		if dc.claim != nil {
			dc.claim.Close()
		}
		if dc.ns != nil {
			dc.ns.close()
		}
		if dc.ownDir {
			_ = os.RemoveAll(dc.dir)
		}
	})
}

// Log is the end of what the server wrote.
func (dc *DC) Log() string { return dc.proc.out.String() }

func (dc *DC) conf() string { return filepath.Join(dc.dir, "etc", "smb.conf") }

// writeConf replaces the provisioned smb.conf, whose paths belong to the folder
// it was made in. Only the LDAP service runs: no Kerberos, SMB, RPC or DNS.
func (dc *DC) writeConf(ip string) error {
	dir := dc.dir
	for _, d := range []string{"etc", "run", "ncalrpc", "cache", "lock"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return err
		}
	}
	conf := `[global]
netbios name = DC1
realm = REALM
workgroup = NETBIOS
server role = active directory domain controller
server services = ldap
dcerpc endpoint servers =
interfaces = IP/8
bind interfaces only = yes
private dir = DIR/private
state directory = DIR/state
cache directory = DIR/cache
lock directory = DIR/lock
binddns dir = DIR/bind-dns
pid directory = DIR/run
ncalrpc dir = DIR/ncalrpc
log level = 0
tls enabled = yes
tls certfile = DIR/tls/cert.pem
tls keyfile = DIR/tls/key.pem
tls cafile = DIR/tls/ca.pem
ldap server require strong auth = yes
`
	conf = strings.NewReplacer("DIR", dir, "IP", ip, "REALM", strings.ToUpper(dc.Domain), "NETBIOS", dc.NetBIOS).Replace(conf)
	return os.WriteFile(filepath.Join(dir, "etc", "smb.conf"), []byte(conf), 0o600)
}

// Shell runs a line that begins with samba-tool as a shell runs it, on this
// controller's own database: for commands that are printed for people to copy.
func (dc *DC) Shell(ctx context.Context, line string) (string, error) {
	if !strings.HasPrefix(line, "samba-tool ") {
		return "", fmt.Errorf("directorytest: not a line for samba-tool: %s", line)
	}
	tool, err := program("samba-tool")
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", line+" --configfile="+dc.conf())
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(tool)+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("%s: %w: %s", line, err, out)
	}
	return string(out), nil
}

// Exec runs samba-tool on this controller's own database and returns its output.
func (dc *DC) Exec(ctx context.Context, args ...string) (string, error) {
	tool, err := program("samba-tool")
	if err != nil {
		return "", err
	}
	out, err := exec.CommandContext(ctx, tool, append(args, "--configfile="+dc.conf())...).CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("samba-tool %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

var errNotProvisioned = errors.New("directorytest: provisioning failed")
