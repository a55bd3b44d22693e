// Package notify says what a message is and which transports carry it. A
// message is a row written with the case it belongs to; a job renders and
// sends it. Nothing is ever sent inside a request.
package notify

import (
	"context"
	"time"

	"postern/directory"
)

// Channel a message goes by.
type Channel string

const (
	Mail Channel = "mail"
	SMS  Channel = "sms"
)

// Message is one thing to send.
type Message struct {
	ID      string // set by the store when empty
	Channel Channel
	// To is where it goes. Empty: read from the directory, for Who, when it is
	// sent, so that nothing a browser said can choose the address
	// (CVE-2023-7028, CVE-2023-49032).
	To []string
	// Who the message is about; the zero User for a decoy, whose message is
	// stored, timed and dropped like any other.
	Who      directory.User
	Template string            // "code", "password_changed", …: templates/mail
	Lang     string            // BCP 47
	Args     map[string]string // sealed at rest, removed after delivery
	NotAfter time.Time         // a code is worth nothing later; zero: no limit
	Case     string
	// Links are made when the message is stored: Args gets the path of each under
	// its kind.
	Links []LinkTo `json:"-"`
}

// Rendered is a message as text in the person's language.
type Rendered struct {
	Subject string
	Text    string
	HTML    string // empty for SMS
	Lang    string
}

// Transport carries rendered messages to one address by one channel. An error
// that is not Permanent is tried again.
type Transport interface {
	Send(ctx context.Context, id, to string, r Rendered) error
}

// Permanent marks a refusal that trying again will not change.
type Permanent struct{ Err error }

func (p Permanent) Error() string { return p.Err.Error() }
func (p Permanent) Unwrap() error { return p.Err }
