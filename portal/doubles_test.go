package portal

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/audit"
	"postern/portal/enrol"
	"postern/portal/limit"
	"postern/portal/session"
	"postern/portal/web/view"
	"postern/static"
	"postern/verify"
)

// own is enrol with one method in it.
type own struct {
	mu      sync.Mutex
	now     func() time.Time
	methods []verify.Credential
	offered map[string]bool
	calls   []string
	groups  []string // that Still reads
	ended   error    // of Still

	kept    *enrol.Kept // nil: the directory keeps nothing
	away    error       // of Kept
	refused error       // of what is done to it
	spent   map[string]bool
}

func (o *own) Still(_ context.Context, w enrol.Who) (directory.User, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	u := w.Principal.User
	u.Groups = o.groups
	return u, o.ended
}

func (o *own) Kinds() []verify.Kind {
	return []verify.Kind{verify.Passkey, verify.TOTP, verify.RecoveryCode}
}

func (o *own) Methods(context.Context, enrol.Who) ([]verify.Credential, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.methods), nil
}

func (o *own) allow(w enrol.Who, call string) error {
	o.calls = append(o.calls, call)
	if !w.Principal.Fresh(o.now(), 10*time.Minute) {
		return &enrol.StepUp{Strong: true}
	}
	return nil
}

func (o *own) find(id string) int {
	return slices.IndexFunc(o.methods, func(c verify.Credential) bool { return c.ID == id })
}

func (o *own) Rename(_ context.Context, _ enrol.Who, id, name string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if strings.TrimSpace(name) == "" {
		return enrol.ErrBadName
	}
	i := o.find(id)
	if i < 0 {
		return enrol.ErrNoMethod
	}
	o.methods[i].Name = name
	return nil
}

func (o *own) Remove(_ context.Context, w enrol.Who, id string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.allow(w, "remove"); err != nil {
		return err
	}
	i := o.find(id)
	if i < 0 {
		return enrol.ErrNoMethod
	}
	o.methods = slices.Delete(o.methods, i, i+1)
	return nil
}

// offers are what the real factors show, in their form.
var offers = map[verify.Kind]string{
	verify.TOTP:         `{"uri":"otpauth://totp/x?secret=ABCD","secret":"ABCD","issuer":"x","account":"y","qr":{"size":33,"path":"M4 4.5h7"}}`,
	verify.Passkey:      `{"publicKey":{}}`,
	verify.RecoveryCode: `{"codes":["AAAA-BBBB-CCCC-DDDD"]}`,
}

func (o *own) Standing(context.Context, enrol.Who) (access.Standing, error) {
	return access.Standing{}, nil
}

func (o *own) Report(_ context.Context, token string) (enrol.Reported, error) {
	if token != goodLink {
		return enrol.Reported{}, enrol.ErrNoLink
	}
	return enrol.Reported{ID: alice.ID, Login: alice.Login}, nil
}

// goodLink is the one link there is.
const goodLink = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

func (o *own) NotMe(_ context.Context, token, _, _ string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if token != goodLink {
		return enrol.ErrNoLink
	}
	o.calls = append(o.calls, "notme")
	return nil
}

func (o *own) Open(_ context.Context, token string) (enrol.Opened, error) {
	switch token {
	case goodLink:
		return enrol.Opened{Invited: true, Given: alice.GivenName}, nil
	case sleepy:
		return enrol.Opened{Until: o.now().Add(time.Hour)}, nil
	}
	return enrol.Opened{}, enrol.ErrNoLink
}

// sleepy is the one link of a reminder.
const sleepy = "BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBA"

func (o *own) Snooze(_ context.Context, token, _ string) (time.Time, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if token != sleepy {
		return time.Time{}, enrol.ErrNoLink
	}
	o.calls = append(o.calls, "snooze")
	return o.now().Add(time.Hour), nil
}

func (o *own) NotMine(context.Context, enrol.Who) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.calls = append(o.calls, "notmine")
	return o.ended
}

func (o *own) Offer(_ context.Context, w enrol.Who, k verify.Kind, _ string) (verify.Challenge, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.allow(w, "offer"); err != nil {
		return verify.Challenge{}, err
	}
	public := offers[k]
	if public == "" {
		return verify.Challenge{}, enrol.ErrUnknown
	}
	o.offered[w.Session+string(k)] = true
	return verify.Challenge{Kind: k, Public: []byte(public)}, nil
}

func (o *own) Enrol(_ context.Context, w enrol.Who, k verify.Kind, answer []byte, name string) (enrol.Offer, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.allow(w, "enrol"); err != nil {
		return enrol.Offer{}, err
	}
	if !o.offered[w.Session+string(k)] {
		return enrol.Offer{}, enrol.ErrNoOffer
	}
	if string(answer) != answers[k] && string(answer) != "saved" {
		return enrol.Offer{Challenge: verify.Challenge{Kind: k, Public: []byte(offers[k])}}, enrol.ErrBadReply
	}
	delete(o.offered, w.Session+string(k))
	o.methods = append(o.methods, verify.Credential{ID: fmt.Sprint("cred", len(o.methods)+1), Kind: k, Name: cmp.Or(name, string(k)), Created: o.now()})
	return enrol.Offer{}, nil
}

// rows is a session store in memory, under the real session.Manager.
type rows struct {
	mu   sync.Mutex
	rows map[string]session.Row
	fail error
}

func (s *rows) Session(_ context.Context, hash []byte) (session.Row, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.rows[string(hash)]
	if s.fail != nil {
		return r, s.fail
	}
	if !ok {
		return r, session.ErrNone
	}
	return r, nil
}

func (s *rows) ReplaceSession(_ context.Context, old []byte, next session.Row) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return s.fail
	}
	delete(s.rows, string(old))
	if next.Hash != nil {
		s.rows[string(next.Hash)] = next
	}
	return nil
}

func (s *rows) TouchDesk(_ context.Context, hash []byte, at time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r, ok := s.rows[string(hash)]; ok && at.After(r.Desk) {
		r.Desk = at
		s.rows[string(hash)] = r
	}
	return s.fail
}

func (s *rows) TouchSession(_ context.Context, hash []byte, at time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r, ok := s.rows[string(hash)]; ok && s.fail == nil && at.After(r.Used) {
		r.Used = at
		s.rows[string(hash)] = r
	}
	return s.fail
}

// limits count by name and key.
type limits struct {
	mu   sync.Mutex
	keys []string
	most int  // per key; 0: no limit
	lazy bool // counts nothing, for benchmarks
	fail error
}

func (l *limits) Failed(context.Context, string, string) error { return nil }

func (l *limits) Take(_ context.Context, name limit.Name, key string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fail != nil || l.lazy {
		return l.fail
	}
	l.keys = append(l.keys, string(name)+" "+key)
	n := 0
	for _, k := range l.keys {
		if k == string(name)+" "+key {
			n++
		}
	}
	if l.most > 0 && n > l.most {
		return &limit.Exceeded{Retry: 90 * time.Second}
	}
	return nil
}

// plain renders a page as its type and its fields, so that tests read them.
type plain struct{}

func (plain) Page(w io.Writer, lang string, p view.Page) error {
	data, err := json.Marshal(p)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, `{"Type":%q,"Lang":%q,"Page":%s}`, strings.TrimPrefix(fmt.Sprintf("%T", p), "*view."), lang, data)
	return err
}

type tongues struct{}

func (tongues) Choose(asked, kept, accept string) string {
	for _, l := range []string{asked, kept, accept[:min(2, len(accept))]} {
		if slices.Contains([]string{"en", "de", "ar"}, l) {
			return l
		}
	}
	return "en"
}

type records struct{}

func (records) Receipt(_ context.Context, code string) (audit.Receipt, error) {
	switch code {
	case "P-0000-0001":
		return audit.Receipt{Code: code, Event: `{"purpose":"reset"}`, Checkpoint: "signed"}, nil
	case "P-0000-0002":
		return audit.Receipt{}, audit.ErrNotSealed
	case "P-0000-0003":
		return audit.Receipt{}, errors.New("database")
	}
	return audit.Receipt{}, audit.ErrNoReceipt
}

func (records) Recent(context.Context, directory.ID, int) ([]audit.Event, error) {
	return []audit.Event{{Kind: "signin", Outcome: audit.OK, At: time.Unix(1, 0)}}, nil
}

type files struct{}

func (files) Get(path string) (static.File, bool) {
	if path != "/static/x.123.css" {
		return static.File{}, false
	}
	return static.File{Type: "text/css; charset=utf-8", ETag: `"123"`, Body: []byte("a{}"), Gzip: []byte("zipped")}, true
}

type demo struct{}

func (demo) Page(context.Context) (*view.Demo, error) {
	return &view.Demo{LDAP: "ldaps://127.0.0.1"}, nil
}
func (demo) Launch(context.Context) (string, error) { return "/kiosk", nil }

func (demo) Inbox(context.Context) ([]view.DemoMessage, error) {
	return []view.DemoMessage{{Channel: "mail", To: "a@example.org", Text: "code"}}, nil
}
