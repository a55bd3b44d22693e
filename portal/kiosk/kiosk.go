// Package kiosk keeps the shared devices: a screen on a ward or a shop floor, the
// link of a logon screen. It says which device a request comes from and what its
// people may do there; it carries a case over to a phone and calls the desk.
//
// A device says nothing of who stands before it. What it is trusted for is a limit
// of its own and its name on other people's pages: every person proves themselves
// there as they do anywhere else, in the same cases (portal/flow). It knows no HTTP
// and no SQL.
package kiosk

import (
	"context"
	"errors"
	"slices"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/audit"
	"postern/portal/notify"
	"postern/portal/policy"
)

// Way is how a device shows that it is itself.
type Way string

const (
	// Key is a P-256 key pair that the device's browser made and never lets out
	// (WebCrypto, not extractable). Its signature renews a short-lived pass.
	Key Way = "key"
	// Certificate is a client certificate, at every connection.
	Certificate Way = "certificate"
	// Launch is for screens that keep nothing: a key in a file of the device signs an
	// address that opens the kiosk once.
	Launch Way = "launch"
)

// Right is one thing that people may do at a device.
type Right string

const (
	Reset        = Right(policy.Reset)
	Unlock       = Right(policy.Unlock)
	Change       = Right(policy.Change)
	Help   Right = "help" // call the help desk
)

// Rights lists them in the order of the page.
func Rights() []Right { return []Right{Reset, Unlock, Change, Help} }

// Keyboard is when a device shows keys on its screen.
type Keyboard string

const (
	Auto Keyboard = "auto" // where there is nothing but touch
	On   Keyboard = "on"
	Off  Keyboard = "off"
)

// Device is one registered device, or one that is to be.
type Device struct {
	ID       string // random; names the device in addresses and in the record
	Name     string
	Site     string
	Way      Way
	Rights   []Right
	Keyboard Keyboard

	// Public is the public key of Key and Certificate: SubjectPublicKeyInfo, DER.
	Public []byte
	// Print is the SHA-256 of Public, hex; empty until there is one. One device's alone.
	Print string
	// Secret is the key of Launch. The store seals it.
	Secret []byte
	// Counter is the highest the device has signed (Key). One that does not rise is
	// another device with a copy of the key.
	Counter int64
	// Pass is the number of the newest pass; older ones are worth nothing any more,
	// but for a moment that of requests under way.
	Pass    int64
	Renewed time.Time // when Pass was given out

	// Code is the hash of the one-time code; empty once it was used.
	Code  string
	Until time.Time // the code's end

	// Case is the case somebody began at it last, if it may still be there.
	Case string

	Created    time.Time
	By         directory.ID
	ByName     string
	Registered time.Time // zero: nobody has entered the code yet
	Seen       time.Time // a column of its own
	From       string    // client address it was seen from last
	Revoked    time.Time
	RevokedBy  string
	Why        string // it was revoked: "operator" or "cloned"
}

// Screen is how other pages call it.
func (d Device) Screen() access.Screen { return access.Screen{ID: d.ID, Name: d.Name, Site: d.Site} }

// May reports whether people may do that there.
func (d Device) May(r Right) bool { return slices.Contains(d.Rights, r) }

// Effects are what commits together with a change.
type Effects struct {
	Events   []audit.Event
	Messages []notify.Message
}

// Store keeps devices. Any error but ErrNone is a no.
type Store interface {
	// AddKiosk stores a new one; ErrTaken when its print or its code is another's.
	AddKiosk(ctx context.Context, d Device, e Effects) error
	// Kiosk reads one by id, print or hash of its code, whichever is not empty.
	Kiosk(ctx context.Context, by Index) (Device, error)
	// Kiosks are all, revoked ones too, by name and id.
	Kiosks(ctx context.Context) ([]Device, error)
	// UpdateKiosk locks the row, calls change with it, and commits both; when change
	// fails nothing is written. It may be called again after a conflict. Within a
	// transaction of ctx it is part of that. ErrTaken as AddKiosk.
	UpdateKiosk(ctx context.Context, id string, change func(ctx context.Context, d *Device) (Effects, error)) (Device, error)
}

// Index is one of the names a device is found by.
type Index struct{ ID, Print, Code string }

// Errands are what a device asks of another screen: a phone, or the desk.
type Errands interface {
	AddErrand(ctx context.Context, e Errand, f Effects) error
	// Errand reads one by its id or the hash of its code; ErrNone.
	Errand(ctx context.Context, id, code string) (Errand, error)
	// OpenErrands are those of a kind whose time is not over at now and that are not Ended,
	// oldest first, 200 at most.
	OpenErrands(ctx context.Context, kind ErrandKind, now time.Time) ([]Errand, error)
	// UpdateErrand is as UpdateKiosk.
	UpdateErrand(ctx context.Context, id string, change func(ctx context.Context, e *Errand) (Effects, error)) (Errand, error)
}

// ErrandKind is what an errand is for.
type ErrandKind string

const (
	ToPhone ErrandKind = "phone"
	ToDesk  ErrandKind = "desk"
)

// Errand is a device asking another screen to take part: it shows a number, and who
// sits at the other screen types it.
type Errand struct {
	ID     string
	Kind   ErrandKind
	Screen access.Screen
	Number string // two digits, on the device's screen alone
	Misses int    // wrong numbers; three end it
	Lang   string

	Purpose policy.Purpose // ToPhone: what for, where no case was begun yet
	// Case is the one it is about: begun before at the device, or by who took it.
	Case string

	Code    string       // ToPhone: hash of the code in the QR; empty once the number was right
	Opened  time.Time    `json:",omitzero"`  // ToPhone: a phone has looked
	Matched time.Time    `json:",omitzero"`  // the number was right
	By      directory.ID `json:",omitempty"` // ToDesk: the technician who took it
	ByName  string       `json:",omitempty"`
	Ended   bool
	Created time.Time
	Expires time.Time
}

// ErrNone: there is no such device, code or errand, or not any more. ErrTaken: that
// key or certificate is another device's.
var (
	ErrNone  = errors.New("kiosk: none")
	ErrTaken = errors.New("kiosk: that key is another device's")
)
