// Package web is the portal in HTML: routes, what stands before them, one file
// per page, and the one switch from errors to pages.
//
// It decides nothing: which proofs are enough, whether an answer is right and
// what may be written is asked of portal/flow and portal/enrol, once per
// request. It keeps no state of its own; a case is a row, and GET /recover
// shows what the row says.
package web

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/audit"
	"postern/portal/enrol"
	"postern/portal/flow"
	"postern/portal/limit"
	"postern/portal/policy"
	"postern/portal/web/view"
	"postern/static"
	"postern/verify"
)

// Cases begin, are read and are given up. See flow.Service for all of Flow.
type Cases interface {
	Start(ctx context.Context, r flow.StartRequest) (*flow.Case, error)
	Load(ctx context.Context, id string) (*flow.Case, error)
	Cancel(ctx context.Context, id string) error
}

// Proofs are asked for and checked.
type Proofs interface {
	Options(ctx context.Context, c *flow.Case) ([]flow.Option, error)
	Choose(ctx context.Context, id string, k verify.Kind, why string) (*flow.Case, error)
	Prove(ctx context.Context, id string, answer, hold []byte) (*flow.Case, error)
}

// Passwords are judged and set.
type Passwords interface {
	Checklist(ctx context.Context, c *flow.Case) (flow.Checklist, error)
	Finish(ctx context.Context, id string, pw directory.Secret, hold []byte) (*flow.Case, error)
	FinishAll(ctx context.Context, id string, pw directory.Secret, hold []byte) (*flow.Case, error)
	Others(ctx context.Context, c *flow.Case) ([]flow.Other, error)
}

// Vouching is answering for somebody else.
type Vouching interface {
	Request(ctx context.Context, token string, by access.Principal) (flow.Request, error)
	Vouch(ctx context.Context, a flow.Answer) (flow.Request, error)
	Decline(ctx context.Context, a flow.Answer) (flow.Request, error)
}

// Claims open what a technician began.
type Claims interface {
	// Claim returns flow.ErrNoRequest for a code that opens nothing.
	Claim(ctx context.Context, code, address, lang string) (*flow.Case, error)
}

// Flow is the core.
type Flow interface {
	Cases
	Proofs
	Passwords
	Vouching
	Claims
}

// Factors are somebody's own. See enrol.Service for all of Enrol.
type Factors interface {
	// Still reads the account again; enrol.ErrEnded: the session must end.
	Still(ctx context.Context, w enrol.Who) (directory.User, error)
	Kinds() []verify.Kind
	Methods(ctx context.Context, w enrol.Who) ([]verify.Credential, error)
	Rename(ctx context.Context, w enrol.Who, id, name string) error
	Remove(ctx context.Context, w enrol.Who, id string) error
}

// SetUps add a factor in two steps.
type SetUps interface {
	Offer(ctx context.Context, w enrol.Who, kind verify.Kind, replaces string) (verify.Challenge, error)
	Enrol(ctx context.Context, w enrol.Who, kind verify.Kind, answer []byte, name string) (enrol.Offer, error)
}

// Kept is what the directory keeps of how somebody signs in elsewhere.
type Kept interface {
	// Kept is directory.ErrUnsupported where it keeps nothing.
	Kept(ctx context.Context, w enrol.Who) (enrol.Kept, error)
	RemoveKept(ctx context.Context, w enrol.Who, id string) error
	Pass(ctx context.Context, w enrol.Who, once string) (directory.Pass, error)
}

// Reports are what is remembered of an account, and "this wasn't me".
type Reports interface {
	Standing(ctx context.Context, w enrol.Who) (access.Standing, error)
	Report(ctx context.Context, token string) (enrol.Reported, error)
	NotMe(ctx context.Context, token, address, lang string) error
	NotMine(ctx context.Context, w enrol.Who) error
}

// Links are those of invitations and reminders.
type Links interface {
	Open(ctx context.Context, token string) (enrol.Opened, error)
	Snooze(ctx context.Context, token, address string) (until time.Time, err error)
}

// Enrol is a person managing their own factors.
type Enrol interface {
	Factors
	SetUps
	Kept
	Reports
	Links
}

// Limits are the short-lived limits; a *limit.Exceeded says that one is reached.
type Limits interface {
	Take(ctx context.Context, name limit.Name, key string) error
}

// Renderer writes a page in a language.
type Renderer interface {
	Page(w io.Writer, lang string, p view.Page) error
}

// Languages chooses among those there are: what was asked for in the address,
// what this browser chose before, and its Accept-Language, in this order.
type Languages interface {
	Choose(asked, kept, accept string) string
}

// Records are the latest events of one account, newest first.
type Records interface {
	Recent(ctx context.Context, who directory.ID, most int) ([]audit.Event, error)
}

// Plans says which proofs would be enough, to count a person's ways back in.
type Plans interface {
	For(door access.Door, purpose policy.Purpose, u directory.User) policy.Plan
}

// Static holds the files under /static/, by content-hashed name.
type Static interface {
	Get(urlPath string) (static.File, bool)
}

// Demo is the page of sample people and the inbox of `postern demo`.
type Demo interface {
	Page(ctx context.Context) (*view.Demo, error)
	Inbox(ctx context.Context) ([]view.DemoMessage, error)
	// Launch is the path that opens the demo's kiosk.
	Launch(ctx context.Context) (string, error)
}

// Options are the parts of a Site.
type Options struct {
	PublicURL *url.URL // scheme and host; links and the origin check come from it alone
	Proxies   []netip.Prefix
	Secret    []byte // at least 32 bytes, the same on every node: form tokens are made with it

	Flow      Flow
	Enrol     Enrol
	Sessions  Sessions
	Limits    Limits
	Plans     Plans
	Records   Records
	Receipts  Receipts
	Renderer  Renderer
	Languages Languages
	Static    Static
	// Ready says whether the store can be used.
	Ready func(ctx context.Context) error
	// Phrase makes a passphrase to offer that keeps the rules; may be nil.
	Phrase func(rules directory.Rules, who directory.User) (directory.Secret, error)
	// Demo registers /demo; nil everywhere but in `postern demo`.
	Demo Demo
	// Desk registers /desk; nil where nobody has a role.
	Desk *Desk
	// Kiosk registers /kiosk; nil: there are no shared screens.
	Kiosk *Kiosk

	// Purposes are what GET / offers, in this order. An unlock or a change that is
	// not among them is begun at no door.
	Purposes []policy.Purpose
	// Places are what a person may pick in the forms that ask who they are; none: there
	// is no picker.
	Places []view.Place
	// Passwords says whom the sign-in form asks for one.
	Passwords view.Asked
	Now       func() time.Time
	Rand      io.Reader
	Log       *slog.Logger
	// Observe is told of every request, by its route's pattern; may be nil.
	Observe func(method, route string, status int, took time.Duration)
	// Panicked is told where a panic was caught; may be nil.
	Panicked func(where string)
}

// Site is the portal's pages. It is safe for concurrent use.
type Site struct {
	Options
	proxies   proxies
	https     bool
	host      string
	origin    string
	tokens    tokens
	noAddress sync.Once
}

// New checks that nothing is missing.
func New(o Options) (*Site, error) {
	switch {
	case o.PublicURL == nil || o.PublicURL.Host == "":
		return nil, errors.New("web: no public URL")
	case o.Flow == nil, o.Enrol == nil, o.Sessions == nil, o.Limits == nil, o.Plans == nil, o.Records == nil, o.Receipts == nil:
		return nil, errors.New("web: a service is missing")
	case o.Renderer == nil, o.Languages == nil, o.Static == nil, o.Ready == nil, o.Now == nil, o.Rand == nil, o.Log == nil:
		return nil, errors.New("web: a part is missing")
	case !o.Desk.whole():
		return nil, errDesk
	}
	t, err := newTokens(o.Secret, o.Rand)
	if err != nil {
		return nil, err
	}
	return &Site{Options: o, proxies: o.Proxies, tokens: t, host: o.PublicURL.Host,
		https: o.PublicURL.Scheme == "https", origin: o.PublicURL.Scheme + "://" + o.PublicURL.Host}, nil
}
