package directorytest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Server is a running, private OpenLDAP.
type Server struct {
	Endpoint
	BaseDN   string
	PeopleDN string
	GroupsDN string
	// RootDN is the database's own administrator: policies do not hold for it.
	RootDN, RootPassword string
	// ServiceDN has `write` (not `manage`) on userPassword, on the lockout attributes
	// and on pwdReset of the people, and may read policies and groups.
	ServiceDN, ServicePassword string
	MonitorDN, MonitorPassword string // may read cn=Monitor, and nothing else
	PolicyDN                   string // the default policy
	People                     []Person
	Policy                     Policy

	dir     string
	ownDir  bool
	proc    *process
	cleanup sync.Once
}

const (
	slapdBase   = "dc=example,dc=org"
	slapdRootPW = "root-of-the-tests-1"
	slapdSvcPW  = "Rudder Tiller 55 \"quoted\""
	slapdMonPW  = "monitor-of-the-tests-1"
)

// Slapd starts an OpenLDAP for one test and stops it with the test. It costs
// about a third of a second.
func Slapd(t testing.TB, opts ...Option) *Server {
	t.Helper()
	needService(t)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	s, err := StartSlapd(ctx, "", opts...)
	Require(t, err)
	t.Cleanup(s.Stop)
	return s
}

// StartSlapd is Slapd for TestMain, benchmarks and programs: the caller calls
// Stop. dir is an empty or new folder; "" makes a temporary one. Errors are
// ErrMissing where slapd is not installed.
func StartSlapd(ctx context.Context, dir string, opts ...Option) (*Server, error) {
	s := newServer(launchOf(opts).policy)
	if err := s.place(dir); err != nil {
		return nil, err
	}
	if err := s.run(ctx); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

func newServer(policy Policy) *Server {
	s := &Server{
		BaseDN: slapdBase, PeopleDN: "ou=people," + slapdBase, GroupsDN: "ou=groups," + slapdBase,
		RootDN: "cn=root," + slapdBase, RootPassword: slapdRootPW,
		ServiceDN: "cn=svc-postern,ou=services," + slapdBase, ServicePassword: slapdSvcPW,
		MonitorDN: "cn=monitor,ou=services," + slapdBase, MonitorPassword: slapdMonPW,
		PolicyDN: "cn=default,ou=policies," + slapdBase, Policy: policy,
	}
	for _, p := range samplePeople("example.org") {
		switch p.Login {
		case "primary1", "stale1", "left1":
			continue // states that only Active Directory has
		}
		p.UPN = ""
		s.People = append(s.People, p)
	}
	place(s.People, func(p Person) string { return "uid=" + p.Login + "," + s.PeopleDN })
	return s
}

func (s *Server) place(dir string) error {
	if dir != "" {
		s.dir = dir
		return os.MkdirAll(dir, 0o700)
	}
	var err error
	s.dir, err = os.MkdirTemp("", "postern-slapd-")
	s.ownDir = true
	return err
}

// Person returns a sample person; it panics on a login nobody made.
func (s *Server) Person(login string) Person {
	p, err := find(s.People, login)
	if err != nil {
		panic(err)
	}
	return p
}

func (s *Server) run(ctx context.Context) error {
	slapd, err := program("slapd")
	if err != nil {
		return err
	}
	s.scratch = s.dir
	s.CAFile = filepath.Join(s.dir, "tls", "ca.pem")
	if s.CA, err = writeTLS(filepath.Join(s.dir, "tls"), "127.0.0.1", "localhost"); err != nil {
		return err
	}
	if err := s.writeConf(); err != nil {
		return err
	}
	// A port that was free may be somebody else's a moment later.
	for range 3 {
		if err = s.launch(ctx, slapd); err == nil || ctx.Err() != nil {
			break
		}
	}
	if err != nil {
		return err
	}
	if err := s.as(s.RootDN, s.RootPassword, s.populate); err != nil {
		return err
	}
	return s.Lock("locked1")
}

func (s *Server) launch(ctx context.Context, slapd string) error {
	plain, err := freePort("127.0.0.1")
	if err != nil {
		return err
	}
	secure, err := freePort("127.0.0.1")
	if err != nil {
		return err
	}
	s.URL = "ldaps://127.0.0.1:" + strconv.Itoa(secure)
	s.StartTLSURL = "ldap://127.0.0.1:" + strconv.Itoa(plain)
	// -d keeps it in the foreground; 0 says nothing but what is fatal.
	cmd := exec.Command("/bin/sh", "-c", keepAlive, "sh",
		slapd, "-d", "0", "-f", filepath.Join(s.dir, "slapd.conf"), "-h", s.StartTLSURL+" "+s.URL)
	if s.proc, err = start(cmd, cmd.Start); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	if err := s.proc.await(ctx, func() error { return s.Bind(s.RootDN, s.RootPassword) }); err != nil {
		s.proc.stop()
		return err
	}
	return nil
}

// Stop ends the server and removes a folder that StartSlapd made. More than once is fine.
func (s *Server) Stop() {
	s.cleanup.Do(func() {
		if s.proc != nil {
			s.proc.stop()
		}
		if s.ownDir {
			_ = os.RemoveAll(s.dir)
		}
	})
}

// firstExisting returns the first of some folders that is there.
func firstExisting(paths ...string) (string, error) {
	for _, p := range paths {
		if _, err := os.Stat(p); err == nil {
			return p, nil
		}
	}
	return "", fmt.Errorf("%w: none of %s", ErrMissing, strings.Join(paths, ", "))
}

func (s *Server) writeConf() error {
	modules, err := firstExisting("/usr/lib/ldap", "/usr/lib64/openldap", "/usr/lib/openldap", "/usr/local/libexec/openldap")
	if err != nil {
		return err
	}
	schema, err := firstExisting("/etc/ldap/schema", "/etc/openldap/schema", "/usr/local/etc/openldap/schema")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(s.dir, "db"), 0o700); err != nil {
		return err
	}
	listed := "unlimited"
	if s.Policy.ListLimit > 0 {
		listed = strconv.Itoa(s.Policy.ListLimit)
	}
	config, rights := "none", "=wx"
	if s.Policy.OpenConfig {
		config = "read"
	}
	if s.Policy.Manage {
		rights = "manage"
	}
	conf := strings.NewReplacer("DIR", s.dir, "MODULES", modules, "SCHEMA", schema, "BASE", s.BaseDN,
		"ROOTDN", s.RootDN, "ROOTPW", s.RootPassword, "SERVICE", s.ServiceDN, "MONITOR", s.MonitorDN, "POLICY", s.PolicyDN,
		"LISTED", listed, "CONFIG", config, "RIGHTS", rights,
	).Replace(slapdConf)
	return os.WriteFile(filepath.Join(s.dir, "slapd.conf"), []byte(conf), 0o600)
}

// The rights are those the README asks an operator to give. `=wx` and not `write`,
// which would let the account read hashes; and not `manage`: that on userPassword makes a password administrator, for whom
// quality and history do not hold (slapo-ppolicy(5)).
//
// The entry's own `pwdReset` and friends are operational; ppolicy lets whoever has
// `write` delete pwdAccountLockedTime, and that is the unlock.
const slapdConf = `include SCHEMA/core.schema
include SCHEMA/cosine.schema
include SCHEMA/inetorgperson.schema
modulepath MODULES
moduleload back_mdb
moduleload back_monitor
moduleload ppolicy
moduleload memberof
pidfile DIR/slapd.pid
argsfile DIR/slapd.args
TLSCACertificateFile DIR/tls/ca.pem
TLSCertificateFile DIR/tls/cert.pem
TLSCertificateKeyFile DIR/tls/key.pem
disallow bind_anon
security simple_bind=128

database config
access to * by dn.exact="SERVICE" CONFIG by * none

database monitor
access to dn.subtree="cn=Monitor" by dn.exact="MONITOR" read by * none

database mdb
suffix "BASE"
rootdn "ROOTDN"
rootpw ROOTPW
directory DIR/db
maxsize 2147483648
dbnosync
limits dn.exact="SERVICE" size.prtotal=LISTED
index objectClass,entryUUID,member,memberOf,employeeNumber eq
index uid,cn,displayName,givenName,sn,mail,telephoneNumber,mobile eq,sub
access to attrs=userPassword
  by dn.exact="SERVICE" RIGHTS
  by anonymous auth
  by self =wx
  by * none
access to dn.subtree="ou=people,BASE" attrs=pwdAccountLockedTime,pwdReset
  by dn.exact="SERVICE" write
  by * none
access to dn.subtree="ou=people,BASE" attrs=pwdHistory
  by * none
access to *
  by dn.exact="SERVICE" read
  by self read
  by * none
overlay memberof
overlay ppolicy
ppolicy_default "POLICY"
ppolicy_hash_cleartext
`
