package view

import (
	"slices"
	"time"

	"postern/portal/i18n"
	"postern/portal/policy"
	"postern/verify"
)

// Text is a sentence to be: a key of the locales and what goes into it. It
// becomes words only when the page is written.
type Text = i18n.Text

// Page is one typed page struct of this package. Each names its template.
type Page interface {
	file() string
	top() *Frame
}

// Frame is what every page carries. Every page struct embeds it.
type Frame struct {
	CSRF string // value of the hidden field csrf of every form on the page
	// Here is the path that GETs this page, for the language links; needed
	// where the page answers a POST. Empty: the address the browser has.
	Here string
	// Person is the login of who is signed in: shows the account's menu and
	// the button to sign out. Empty for strangers.
	Person string
	Desk   Rooms // of the desk, for the same menu
	// Threat says on pages of the desk that the level is raised; nil: it is not.
	Threat *Threat
	// Kiosk is the registered device the page is for; nil: a browser of somebody's own.
	Kiosk  *Kiosk
	Notice Text // something that went well just now: shown at the top, announced
	Faults []Fault
}

func (f *Frame) top() *Frame { return f }

// Fault is one thing wrong with what was sent. Its sentence is "error."+Code.
type Fault struct {
	// Field is the form field it belongs to ("login", "current", "answer",
	// "password", "confirm", "name", "purpose", "door", "code", "q", "cause", "ticket", "number"); empty: shown above the form.
	Field string
	Code  string
	Left  int           // tries left, said after the sentence; 0: not said
	Limit int           // the number in a rule: characters, remembered passwords; 0: unknown
	Until time.Time     // too_young: when it may be changed; zero: unknown
	Retry time.Duration // said as "Try again in … minutes"; 0: not said
}

// On returns the first fault of a field, nil when there is none.
func (f *Frame) On(field string) *Fault {
	for i := range f.Faults {
		if f.Faults[i].Field == field {
			return &f.Faults[i]
		}
	}
	return nil
}

// Every returns all faults of a field: a password can break several rules at once.
func (f *Frame) Every(field string) []*Fault {
	var list []*Fault
	for i := range f.Faults {
		if f.Faults[i].Field == field {
			list = append(list, &f.Faults[i])
		}
	}
	return list
}

// May says that some people must leave a field empty, which the page then says.
func (*Frame) May(string) bool { return false }

// May implements the same of a sign-in.
func (p *SignIn) May(field string) bool { return field == "current" && p.Asked == AskSome }

// Start is GET /.
type Start struct {
	Frame
	Offers []policy.Purpose // reset, unlock, change, signin, in this order; the first is the green one
}

// Place is a directory as people know it. Name is what a form posts.
type Place struct{ Name, Label string }

// Picker lets a person say where their account is; without Places there is none. It posts
// directory, which is empty for whoever leaves that to the portal.
type Picker struct {
	Places []Place
	Place  string // what was picked before, to keep it after an error
}

// StartForm is GET /recover/{reset,unlock,change} and the same of the kiosk; posts
// purpose, login (and current for change) to Base/start.
type StartForm struct {
	Frame
	Picker
	Base    string
	Purpose policy.Purpose
	Login   string // as typed, to keep it after an error
}

// Asked is whom a form asks for the current password: everybody, those whose directory
// lets it be checked, or nobody.
type Asked string

const (
	AskAll  Asked = ""
	AskSome Asked = "some"
	AskNone Asked = "none"
)

// SignIn is GET /signin; posts login and current to /signin/start. The passkey
// button posts factor=passkey to /signin/start when Options is empty; with
// Options (a challenge the server already holds) script asks the device, also
// while the name is typed, and posts answer to /signin/answer.
type SignIn struct {
	Frame
	Picker
	Asked   Asked
	Login   string
	Options string // WebAuthn request options as JSON, with or without the publicKey wrapper
}

// Option is one row of the choose page.
type Option struct {
	Kind   verify.Kind
	Reason string // empty: can be chosen; else same_class, needs_other_first, needs_stronger, needs_approval, not_enrolled, not_allowed
}

// Proven is one proof that stands.
type Proven struct {
	Kind verify.Kind
	At   time.Time
}

// Choose posts factor to Base/choose and has a form for Base/cancel.
type Choose struct {
	Frame
	Base    string // "/recover", "/signin" or wherever choose, answer and cancel live
	Purpose policy.Purpose
	Options []Option // in the order of the policy; the first open one is the green one
	Proven  []Proven
	Settles time.Time // proofs that would be enough are too new until then; zero: that is not it
	Need    int       // proofs still to come, when none of them is enough alone; at least 1
	Alone   bool      // one open option (the passkey) is enough by itself
	Helped  bool      // a technician began it, and a number is read to them
	Vouched bool      // somebody must approve besides, because the threat level is raised
}

// Answer posts answer to Base/answer. Others become buttons that post factor
// to Base/choose; for email and sms there is one more to send a new code.
type Answer struct {
	Frame
	Base    string
	Purpose policy.Purpose
	Kind    verify.Kind
	Options string    // passkey: WebAuthn request options as JSON
	Until   time.Time // email and sms: until when the code is good; zero: not said
	Others  []Option
}

// Wait is shown while somebody else has to act.
type Wait struct {
	Frame
	Base    string
	Purpose policy.Purpose
	Who     []string // whom we wait for
	Number  string   // to be compared; empty: none
	Since   time.Time
	Until   time.Time
	Every   int    // seconds between two looks; 0: 10
	Still   bool   // no looking by itself: GET Base?refresh=off
	Phone   bool   // the number is read to a technician on the telephone
	Ticket  string // of the help desk's case, so that both mean the same one; empty: it is none
}

// NewPassword posts password and confirm to Base/password.
type NewPassword struct {
	Frame
	Base    string
	Purpose policy.Purpose
	Login   string // hidden, for password managers
	Rules   []Rule
	// Phrases are ready-made passphrases, made for this page alone; the first
	// is shown, script steps through the others. Empty: no offer.
	Phrases []string
	// Also are the person's other accounts. Alone: they were left out by who fills it in.
	Also  []Account
	Alone bool
}

// Settable reports whether any of them can be set together with the first.
func (p NewPassword) Settable() bool {
	return slices.ContainsFunc(p.Also, func(a Account) bool { return a.State == "" })
}

// Applying is shown while the directory's answer is awaited.
type Applying struct {
	Frame
	Base    string
	Purpose policy.Purpose
	Every   int // seconds between two looks; 0: 2
}

// Account is another account of the person. State is empty while it is to be set together
// with the first; else more_proofs, unreached, waits, done, applying, outcome_unknown or over.
type Account struct{ Login, Directory, State string }

// Also is what came of the person's other accounts.
type Also struct {
	Accounts []Account
	Again    string // where the form that tries the rest again goes; empty: nothing waits
}

// Done says what happened, what did not, and what next.
type Done struct {
	Frame
	Purpose     policy.Purpose
	Login       string
	At          time.Time
	Unlocked    bool
	StillLocked bool
	// SessionsEnded: of the directory itself; SessionsLeft: it was tried and failed.
	SessionsEnded, SessionsLeft bool
	ChangeAgain                 bool
	Unconfirmed                 bool
	SignedOut                   bool     // sessions elsewhere were ended
	Notified                    []string // masked addresses a notice goes to
	Proofs                      []verify.Kind
	Receipt                     string
	Also                        Also
	AddPasskey                  bool // suggest one for the next time
}

// Refused ends a case. Reason is a flow.Reason as a string; strangers read the
// same neutral sentence for all but cancelled, superseded, outcome_unknown and
// not_applied. Proven says that every proof stood, and lets them read
// directory_denied too.
type Refused struct {
	Frame
	Purpose policy.Purpose
	Reason  string
	Proven  bool
	Receipt string // to quote at the help desk; must exist for decoys as well
	Note    string // declined: why, in the words of who was asked
	Also    Also
}

// Expired is shown after the deadline of a case.
type Expired struct {
	Frame
	Purpose policy.Purpose
	Life    time.Duration // of a case, to say how long one stays open; 0: not said
}

// ErrorPage is a request that led nowhere. Code is one of not_found, conflict,
// limited, unavailable, csrf, bad_form, host, server; anything else reads as server.
type ErrorPage struct {
	Frame
	Code    string
	Retry   time.Duration // limited, unavailable
	Until   time.Time     // proofs stay good until then; zero: not said
	Request string        // number to quote
	Again   string        // path of "Try again"; empty: only "Back to the start"
}

// Method is one way to prove oneself, as its owner sees it.
type Method struct {
	ID      string // credential id, for rename and remove; empty: it has neither (mail, phone, codes)
	Kind    verify.Kind
	Name    string // the person's own; empty: the kind's
	Masked  string // e-mail, sms: masked address in the directory
	Created time.Time
	Used    time.Time // zero: never
	Cooling time.Time // cannot be the only proof until then; zero: it can
	Left    int       // recovery codes left
	Total   int       // recovery codes: how many there were
}

// Activity is one line of what happened to an account. Kind, Outcome and Factor
// are those of audit.Event; kinds without a sentence of their own read as one general one.
type Activity struct {
	At      time.Time
	Kind    string
	Outcome string
	Factor  verify.Kind
	Purpose policy.Purpose
	Address string
	Door    string
	Kiosk   string // the shared screen it was done at; empty: none
}

// Me is GET /me.
type Me struct {
	Frame
	Name    string
	Login   string
	Methods []Method
	// Ways is in how many ways a forgotten password can be recovered now
	// (complete sets of proofs, as policy counts them).
	Ways   int
	Strong bool // a passkey is among them
	Kept   *KeptList
	Recent []Activity
}

// Factors is GET /me/factors. Add posts to /me/factors/{kind}/offer, rename
// posts name to /me/factors/{id}/rename, remove links to GET /me/factors/{id}/remove.
type Factors struct {
	Frame
	Methods []Method
	Ways    int
	Strong  bool          // a passkey is among them
	Addable []verify.Kind // in the order to suggest them
	// Editing is the id whose rename form shows a fault; Typed what was typed.
	Editing string
	Typed   string
}

// OfferTOTP answers POST /me/factors/totp/offer; posts name and answer to /me/factors/totp/enrol.
type OfferTOTP struct {
	Frame
	URI    string // otpauth://, a link for those who read this on the phone itself
	QRSize int    // width of the QR code in modules, with its white border (totp.QRCode)
	QRPath string // the code as one SVG path
	Secret string // base32, shown in groups of four
	Name   string
}

// OfferPasskey answers POST /me/factors/passkey/offer; posts name and answer to /me/factors/passkey/enrol.
type OfferPasskey struct {
	Frame
	Options string // WebAuthn creation options as JSON
	Name    string
}

// OfferYubiKey answers POST /me/factors/yubikey/offer; posts name and answer, an
// OTP of the key, to /me/factors/yubikey/enrol.
type OfferYubiKey struct {
	Frame
	Name string
}

// OfferCodes answers POST /me/factors/recovery_code/offer; posts answer=saved to /me/factors/recovery_code/enrol.
type OfferCodes struct {
	Frame
	Codes   []string
	Login   string
	Made    time.Time
	Replace bool // older codes stop working once these are confirmed
}

// Remove is GET /me/factors/{id}/remove; posts to the same path.
type Remove struct {
	Frame
	Method Method
	Ways   int // ways left after the removal; 0 is a loud warning
}

// ActivityLog is GET /me/activity.
type ActivityLog struct {
	Frame
	Rows  []Activity
	Older string // path and query of the next page; empty: no more
}

// Topics of GET /help/{topic}.
func Topics() []string {
	return []string{"getting-in", "passkeys", "authenticator", "codes", "privacy"}
}

// Help is GET /help/{topic}.
type Help struct {
	Frame
	Topic string // one of Topics
}

// DemoPerson is one sample account.
type DemoPerson struct {
	Login, Name, Password, Mail string
	What                        string // key after "demo.what.": user, locked, must_change, expired, disabled, admin, manager, tech, operator
	TOTP                        string // the current code; empty: none
	Seconds                     int    // until the code changes
	Codes                       []string
}

// DemoMessage is one message the demo would have sent.
type DemoMessage struct {
	At                         time.Time
	Channel, To, Subject, Text string
}

// Demo is GET /demo, newest message first.
type Demo struct {
	Frame
	LDAP   string
	CAFile string
	People []DemoPerson
	Inbox  []DemoMessage
}

func (*Start) file() string        { return "start" }
func (*StartForm) file() string    { return "start-form" }
func (*SignIn) file() string       { return "signin" }
func (*Choose) file() string       { return "choose" }
func (*Answer) file() string       { return "answer" }
func (*Wait) file() string         { return "wait" }
func (*NewPassword) file() string  { return "new-password" }
func (*Applying) file() string     { return "applying" }
func (*Done) file() string         { return "done" }
func (*Refused) file() string      { return "refused" }
func (*Expired) file() string      { return "expired" }
func (*ErrorPage) file() string    { return "error" }
func (*Me) file() string           { return "me" }
func (*Factors) file() string      { return "factors" }
func (*OfferTOTP) file() string    { return "offer-totp" }
func (*OfferPasskey) file() string { return "offer-passkey" }
func (*OfferYubiKey) file() string { return "offer-yubikey" }
func (*OfferCodes) file() string   { return "offer-codes" }
func (*Remove) file() string       { return "remove" }
func (*ActivityLog) file() string  { return "activity" }
func (*Help) file() string         { return "help" }
func (*Demo) file() string         { return "demo" }
