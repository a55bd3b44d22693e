package main

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"postern/directory"
	"postern/directory/embedded"
	"postern/portal/audit"
	"postern/portal/enrol"
	"postern/portal/store"
	"postern/verify"
	"postern/verify/recoverycode"
	"postern/verify/totp"
)

// enrolledAgo is how long ago sample people set up their factors: long enough
// that nothing of theirs counts as new.
const enrolledAgo = 30 * 24 * time.Hour

// unenrolled are sample people who have set up nothing yet.
var unenrolled = map[string]bool{"user19": true, "user20": true}

// sample is somebody of the demo, and what the demo knows of them beside the
// directory and the vault: recovery codes, of which the vault has hashes only.
type sample struct {
	Login string       `json:"login"`
	Owner directory.ID `json:"owner"`
	Codes []sampleCode `json:"codes"`
}

type sampleCode struct {
	Code   string `json:"code"`
	Handle []byte `json:"handle"`
}

// samplesFile remembers them from one start to the next. It exists once
// everybody is enrolled.
const samplesFile = "samples.json"

func readSamples(dir string) ([]sample, error) {
	text, err := os.ReadFile(filepath.Join(dir, samplesFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list []sample
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, fmt.Errorf("%s: %w", samplesFile, err)
	}
	return list, nil
}

// enrolSamples gives sample people real credentials: made and confirmed by the
// factors themselves, and stored as a person's own set-up is. A start that was
// cut short is made good by the next.
func enrolSamples(ctx context.Context, db *store.DB, dir directory.Directory, people []embedded.Person, recoveryKey []byte, now func() time.Time) ([]sample, error) {
	then := func() time.Time { return now().Add(-enrolledAgo) }
	app, err := totp.New(totp.Config{Issuer: "Postern demo", Max: totp.DefaultConfig().Max}, db, then, rand.Reader)
	if err != nil {
		return nil, err
	}
	codes, err := recoverycode.New(recoveryKey, db, then, rand.Reader)
	if err != nil {
		return nil, err
	}
	list := make([]sample, 0, len(people))
	for _, p := range people {
		u, err := dir.Find(ctx, p.Login)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.Login, err)
		}
		s := sample{Login: p.Login, Owner: u.ID}
		if !unenrolled[p.Login] {
			if err := enrolApp(ctx, db, app, u, then()); err != nil {
				return nil, fmt.Errorf("%s: authenticator app: %w", p.Login, err)
			}
			if s.Codes, err = enrolCodes(ctx, db, codes, u, then()); err != nil {
				return nil, fmt.Errorf("%s: recovery codes: %w", p.Login, err)
			}
		}
		list = append(list, s)
	}
	return list, nil
}

func sampleSubject(u directory.User) verify.Subject {
	return verify.Subject{ID: u.ID, User: &u, Case: "demo", Purpose: "enrol", Lang: u.Language}
}

func enrolApp(ctx context.Context, db *store.DB, f *totp.Factor, u directory.User, at time.Time) error {
	have, err := db.Credentials(ctx, u.ID, verify.TOTP)
	if err != nil || len(have) > 0 {
		return err
	}
	offer, err := f.Offer(ctx, sampleSubject(u))
	if err != nil {
		return err
	}
	var shown totp.Setup
	if err := json.Unmarshal(offer.Public, &shown); err != nil {
		return err
	}
	secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.ReplaceAll(shown.Secret, " ", ""))
	if err != nil {
		return errors.New("the offered secret is not base32") // not its own words: they quote it
	}
	code, err := totp.Code(secret, at)
	if err != nil {
		return err
	}
	made, err := f.Enrol(ctx, sampleSubject(u), offer, []byte(code))
	if err != nil {
		return err
	}
	return commitSample(ctx, db, u, made, verify.TOTP, at)
}

func enrolCodes(ctx context.Context, db *store.DB, f *recoverycode.Factor, u directory.User, at time.Time) ([]sampleCode, error) {
	offer, err := f.Offer(ctx, sampleSubject(u))
	if err != nil {
		return nil, err
	}
	var shown recoverycode.Set
	if err := json.Unmarshal(offer.Public, &shown); err != nil {
		return nil, err
	}
	made, err := f.Enrol(ctx, sampleSubject(u), offer, []byte(recoverycode.Saved))
	if err != nil {
		return nil, err
	}
	if len(made.Add) != len(shown.Codes) {
		return nil, errors.New("not as many credentials as codes")
	}
	list := make([]sampleCode, len(shown.Codes))
	for i, code := range shown.Codes {
		list[i] = sampleCode{Code: code, Handle: made.Add[i].Handle}
	}
	return list, commitSample(ctx, db, u, made, verify.RecoveryCode, at)
}

func commitSample(ctx context.Context, db *store.DB, u directory.User, made verify.Enrolment, kind verify.Kind, at time.Time) error {
	c := enrol.Change{Owner: u.ID, Add: made.Add, Events: []audit.Event{{
		At: at, Kind: "factor.added", Subject: u.ID, SubjectName: u.Login, Door: "cli", Factor: string(kind), Outcome: audit.OK, Reason: "demo",
	}}}
	if made.ReplaceAll {
		c.ReplaceAll = kind
	}
	return db.Commit(ctx, c)
}

// known is what can be said of a person now.
type known struct {
	embedded.Person
	secret []byte   // of the authenticator app; nil: none
	codes  []string // recovery codes not used yet, as far as the demo made them
}

// look reads everybody again: passwords, apps and codes change while one plays.
func look(ctx context.Context, db *store.DB, people []embedded.Person, samples []sample) ([]known, error) {
	byLogin := map[string]sample{}
	for _, s := range samples {
		byLogin[s.Login] = s
	}
	list := make([]known, 0, len(people))
	for _, p := range people {
		k, s := known{Person: p}, byLogin[p.Login]
		apps, err := db.Credentials(ctx, s.Owner, verify.TOTP)
		if err != nil {
			return nil, err
		}
		if len(apps) > 0 {
			k.secret = apps[len(apps)-1].Secret
		}
		left, err := db.Credentials(ctx, s.Owner, verify.RecoveryCode)
		if err != nil {
			return nil, err
		}
		there := map[string]bool{}
		for _, c := range left {
			there[string(c.Handle)] = true
		}
		for _, c := range s.Codes {
			if there[string(c.Handle)] {
				k.codes = append(k.codes, c.Code)
			}
		}
		list = append(list, k)
	}
	return list, nil
}

// demoFile is DIR/demo.json, for scripts.
type demoFile struct {
	Portal string       `json:"portal"`
	LDAP   string       `json:"ldap"`
	CAFile string       `json:"ca_file"`
	People []demoPerson `json:"people"`
	Kiosk  demoLaunch   `json:"kiosk"`
}

type demoPerson struct {
	Login         string   `json:"login"`
	DN            string   `json:"dn"`
	Name          string   `json:"name"`
	Password      string   `json:"password"` // empty once changed: nobody but the person knows it then
	Mail          string   `json:"mail"`
	Phone         string   `json:"phone"`
	TOTPSecret    string   `json:"totp_secret"` // base32; empty: no app
	RecoveryCodes []string `json:"recovery_codes"`
	Groups        []string `json:"groups"`
}

func (f *demoFile) add(k known) {
	p := demoPerson{
		Login: k.Login, DN: k.DN, Name: k.Name, Password: k.Password.Reveal(), Mail: k.Mail, Phone: k.Phone,
		RecoveryCodes: append([]string{}, k.codes...), Groups: append([]string{}, k.Groups...),
	}
	if len(k.secret) > 0 {
		p.TOTPSecret = base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(k.secret)
	}
	f.People = append(f.People, p)
}

// sort of account, for the page: the key after "demo.what.".
func (k known) what() string {
	switch {
	case k.Protected:
		return "admin"
	case k.Disabled:
		return "disabled"
	case k.Locked:
		return "locked"
	case k.MustChange:
		return "must_change"
	case k.PasswordExpired:
		return "expired"
	}
	for _, g := range k.Groups {
		switch g {
		case embedded.Technicians:
			return "tech"
		case embedded.Operators:
			return "operator"
		}
	}
	if strings.HasPrefix(k.Login, "manager") || strings.HasPrefix(k.Login, "director") {
		return "manager"
	}
	return "user"
}

func writeJSON(path string, v any) error {
	return replaceFile(path, func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		return e.Encode(v)
	})
}
