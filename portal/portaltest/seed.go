package portaltest

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"postern/directory"
	"postern/directory/ad"
	"postern/directory/directorytest"
	"postern/directory/openldap"
	"postern/portal/enrol"
	"postern/portal/store"
	"postern/verify"
	"postern/verify/recoverycode"
	"postern/verify/totp"
)

// recoveryKey is the name cmd/postern derives the key of recovery codes by. It
// is for ever, so it can stand here again.
const recoveryKey = "recovery codes"

// member is one made-up person and all that is known only to them.
type member struct {
	login, dn, mail string
	password, old   string
	user            directory.User
	secret          []byte   // of the authenticator app
	codes           []string // recovery codes not used yet
}

// town is a directory under load: how to add people and how to reach it raw.
type town struct {
	house   *House
	add     func(directorytest.Person) (directorytest.Person, error)
	people  directory.Directory // the connector, for ids
	dial    dialer
	dialect dialect
	pidFile string
	// counters of the server itself; nil where it keeps none.
	counters func() (directorytest.Counters, error)
	stop     func()
}

// bigSlapd starts an OpenLDAP in dir.
func bigSlapd(ctx context.Context, dir string) (*town, error) {
	s, err := directorytest.StartSlapd(ctx, dir)
	if err != nil {
		return nil, err
	}
	cfg := openldap.DefaultConfig()
	cfg.Servers, cfg.CAFile, cfg.BaseDN, cfg.DefaultPolicy = []string{s.URL}, s.CAFile, s.PeopleDN, s.PolicyDN
	cfg.BindDN, cfg.Password = s.ServiceDN, directory.NewSecret(s.ServicePassword)
	d, err := openldap.New("house", cfg)
	if err != nil {
		s.Stop()
		return nil, err
	}
	return &town{house: slapdHouse(s), add: s.AddUser, people: d, counters: s.Counters, pidFile: filepath.Join(dir, "slapd.pid"),
		dial:    dialer{dial: s.Dial, service: s.ServiceDN, password: s.ServicePassword},
		dialect: dialect{base: s.PeopleDN, filter: "(&(objectClass=inetOrgPerson)(|(uid=%[1]s)(mail=%[1]s)))", write: passwordModify},
		stop:    func() { d.Close(); s.Stop() }}, nil
}

// bigSamba starts a domain controller in dir.
func bigSamba(ctx context.Context, dir string) (*town, error) {
	dc, err := directorytest.StartSamba(ctx, dir)
	if err != nil {
		return nil, err
	}
	cfg := ad.DefaultConfig()
	cfg.Servers, cfg.CAFile, cfg.BaseDN = []string{dc.URL}, dc.CAFile, dc.PeopleDN
	cfg.BindDN, cfg.Password = dc.ServiceDN, directory.NewSecret(dc.ServicePassword)
	d, err := ad.New("house", cfg)
	if err != nil {
		dc.Stop()
		return nil, err
	}
	h := &House{Name: "samba", Section: section("ad", dc.URL, dc.CAFile, dc.ServiceDN, dc.PeopleDN, ""), Secret: dc.ServicePassword, Stop: dc.Stop}
	return &town{house: h, add: dc.AddUser, people: d, pidFile: filepath.Join(dir, "run", "samba.pid"),
		dial: dialer{dial: dc.Dial, service: dc.ServiceDN, password: dc.ServicePassword},
		dialect: dialect{base: dc.PeopleDN, filter: "(&(objectClass=user)(|(sAMAccountName=%[1]s)(userPrincipalName=%[1]s)(mail=%[1]s)))",
			write: unicodePwd},
		stop: func() { d.Close(); dc.Stop() }}, nil
}

// populate makes n ordinary people.
func (t *town) populate(ctx context.Context, n int) ([]*member, error) {
	people := make([]*member, n)
	_, err := drive(n, 4, func(_, i int) error {
		p, err := t.add(directorytest.Person{Login: fmt.Sprintf("bench%04d", i), Name: fmt.Sprintf("Person %04d", i), Surname: "Person", Password: freshPassword()})
		if err != nil {
			return fmt.Errorf("add %s: %w", p.Login, err)
		}
		u, err := t.people.Find(ctx, p.Login)
		if err != nil {
			return fmt.Errorf("find %s: %w", p.Login, err)
		}
		people[i] = &member{login: p.Login, dn: u.DN, mail: p.Mail, password: p.Password, user: u}
		return nil
	})
	return people, err
}

// freshPassword satisfies every sample policy and was never used before.
func freshPassword() string {
	b := make([]byte, 10)
	rand.Read(b) // never fails
	return "Tv-7" + base32.StdEncoding.EncodeToString(b)
}

// registrar binds factors to people as the enrolment pages do: through the
// portal's own store, opened beside the running portal, and the factors' own
// code.
type registrar struct {
	db    *store.DB
	codes *recoverycode.Factor
}

func newRegistrar(ctx context.Context, dir string) (*registrar, error) {
	cfg := store.DefaultConfig()
	cfg.Path = filepath.Join(dir, "postern.db")
	return registrarOf(ctx, dir, cfg)
}

// registrarOf is newRegistrar for another database than the one in dir.
func registrarOf(ctx context.Context, dir string, cfg store.Config) (*registrar, error) {
	keys, err := store.LoadKeys(filepath.Join(dir, "keys.json"))
	if err != nil {
		return nil, err
	}
	db, err := store.Open(ctx, cfg, keys)
	if err != nil {
		return nil, err
	}
	codes, err := recoverycode.New(keys.Derive(recoveryKey), db, time.Now, rand.Reader)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &registrar{db: db, codes: codes}, nil
}

// app gives everybody a new authenticator app in place of the one they had, so
// that the code of this very half minute was not used yet.
func (r *registrar) app(ctx context.Context, people []*member) error {
	_, err := drive(len(people), 2, func(_, i int) error {
		m := people[i]
		id, err := verify.NewID(rand.Reader)
		if err != nil {
			return err
		}
		m.secret = make([]byte, 20)
		rand.Read(m.secret)
		now := time.Now()
		return r.db.Commit(ctx, enrol.Change{Owner: m.user.ID, ReplaceAll: verify.TOTP, Add: []verify.Credential{{ID: id, Owner: m.user.ID,
			Kind: verify.TOTP, Name: "Authenticator app", Secret: m.secret, Counter: totp.Step(now) - 2, Created: now}}})
	})
	return err
}

// paper gives everybody ten recovery codes.
func (r *registrar) paper(ctx context.Context, people []*member) error {
	_, err := drive(len(people), 2, func(_, i int) error {
		m := people[i]
		s := verify.Subject{ID: m.user.ID, User: &m.user, Case: "bench"}
		offer, err := r.codes.Offer(ctx, s)
		if err != nil {
			return err
		}
		var set recoverycode.Set
		if err := json.Unmarshal(offer.Public, &set); err != nil {
			return err
		}
		e, err := r.codes.Enrol(ctx, s, offer, []byte(recoverycode.Saved))
		if err != nil {
			return err
		}
		m.codes = set.Codes
		return r.db.Commit(ctx, enrol.Change{Owner: m.user.ID, ReplaceAll: verify.RecoveryCode, Add: e.Add})
	})
	return err
}
