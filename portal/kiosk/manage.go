package kiosk

import (
	"context"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"postern/portal/audit"
	"postern/portal/notify"
)

// Registry is how devices are managed: made, renamed, given rights, and revoked. Who
// may do so its callers decide. All parts are required but Alerts; Key is that of
// Options.
type Registry struct {
	Store  Store
	Key    []byte
	Alerts []string // mail addresses that hear of every device, code and revocation
	Lang   string   // they are written in
	Now    func() time.Time
	Rand   io.Reader
}

// Draft is a device that is to be.
type Draft struct {
	Name     string // 1 to 60 characters
	Site     string // up to 60; may be empty
	Way      Way
	Rights   []Right // at least one
	Keyboard Keyboard
	// Certificate is what a device of Way Certificate shows: PEM, its own first.
	Certificate []byte
}

// Invalid is what was asked for and cannot be: Code of what is wrong with Field.
type Invalid struct{ Field, Code string }

func (e *Invalid) Error() string { return "kiosk: " + e.Field + ": " + e.Code }

const (
	maxName = 60 // code points, of a name and of a site
	// CodeLife is how long a one-time code can be entered.
	CodeLife = 24 * time.Hour
	// idBytes name a device. They are no secret: what is worth something is signed.
	idBytes     = 10
	secretBytes = 32
	// codeLength symbols of 32 are 50 bits, in a code that lives a day, is tried by
	// address only so often (limit.Start), and is spent by who types it first.
	codeLength   = 10
	codeAlphabet = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
)

// Register makes a device. secret is what it still needs, and is nowhere else: the
// one-time code of Key, "id:key" for the key file of Launch, nothing for Certificate.
// *Invalid says what is wrong. by has the actor, the door and the address.
func (r Registry) Register(ctx context.Context, by audit.Event, n Draft) (d Device, secret string, err error) {
	if d, err = r.draft(n); err != nil {
		return Device{}, "", err
	}
	if err := r.free(ctx, d); err != nil {
		return Device{}, "", err
	}
	id := make([]byte, idBytes)
	if _, err := io.ReadFull(r.Rand, id); err != nil {
		return Device{}, "", err
	}
	d.ID = strings.ToLower(base32.StdEncoding.EncodeToString(id))
	d.Created, d.By, d.ByName = r.Now(), by.Actor, by.ActorName
	key, err := r.newKey(d.Way)
	if err != nil {
		return Device{}, "", err
	}
	secret = key.give(&d, d.Created)
	err = r.Store.AddKiosk(ctx, d, r.told(d, by, "registered", nil))
	if errors.Is(err, ErrTaken) {
		err = &Invalid{"certificate", "kiosk_cert_taken"}
	}
	if err != nil {
		return Device{}, "", err
	}
	return d, secret, nil
}

// Reissue gives a device a new code or launch key, and what it had before is worth
// nothing from the next request on: for one that was never registered, and one whose
// key is lost. A certificate is no one's here to make: *Invalid.
func (r Registry) Reissue(ctx context.Context, by audit.Event, id string) (d Device, secret string, err error) {
	found, err := r.Store.Kiosk(ctx, Index{ID: id})
	if err != nil {
		return Device{}, "", err
	}
	key, err := r.newKey(found.Way)
	if err != nil {
		return Device{}, "", err
	}
	d, err = r.Store.UpdateKiosk(ctx, id, func(_ context.Context, d *Device) (Effects, error) {
		switch {
		case !d.Revoked.IsZero():
			return Effects{}, &Invalid{"", "kiosk_revoked"}
		case d.Way == Certificate:
			return Effects{}, &Invalid{"", "kiosk_no_code"}
		}
		d.Public, d.Print = nil, ""
		// Two further, so that no request that is under way has a pass that still counts.
		d.Pass, d.Registered = d.Pass+2, time.Time{}
		secret = key.give(d, r.Now())
		return r.told(*d, by, "code", nil), nil
	})
	if err != nil {
		return Device{}, "", err
	}
	return d, secret, nil
}

// Rename gives a device another name and site; *Invalid as Register.
func (r Registry) Rename(ctx context.Context, by audit.Event, id, name, site string) (Device, error) {
	name, site, err := named(name, site)
	if err != nil {
		return Device{}, err
	}
	if err := r.free(ctx, Device{ID: id, Name: name, Site: site}); err != nil {
		return Device{}, err
	}
	return r.change(ctx, id, func(d *Device) (Effects, error) {
		if d.Name == name && d.Site == site {
			return Effects{}, errSame
		}
		was := d.Screen().Label()
		d.Name, d.Site = name, site
		return r.told(*d, by, "renamed", map[string]string{"was": was}), nil
	})
}

// SetRights changes what people may do at a device, from the next request on, and when
// it shows keys; *Invalid as Register.
func (r Registry) SetRights(ctx context.Context, by audit.Event, id string, rights []Right, keys Keyboard) (Device, error) {
	rights, keys, err := allowed(rights, keys)
	if err != nil {
		return Device{}, err
	}
	return r.change(ctx, id, func(d *Device) (Effects, error) {
		if slices.Equal(d.Rights, rights) && d.Keyboard == keys {
			return Effects{}, errSame
		}
		was := joined(d.Rights)
		d.Rights, d.Keyboard = rights, keys
		return r.told(*d, by, "rights", map[string]string{"was": was}), nil
	})
}

// Revoke ends a device for good: its pass, key and code are worth nothing from the next
// request on. Why is for the record, up to 200 characters, and may be empty. The case
// that somebody is walking there is in the answer, for the caller to end.
func (r Registry) Revoke(ctx context.Context, by audit.Event, id, why string) (Device, error) {
	why = strings.TrimSpace(why)
	if !plain(why, maxWhy) {
		return Device{}, &Invalid{"cause", "bad_cause"}
	}
	return r.change(ctx, id, func(d *Device) (Effects, error) {
		d.Revoked, d.RevokedBy, d.Why = r.Now(), by.ActorName, "operator"
		d.Code, d.Until, d.Secret = "", time.Time{}, nil
		// Print stays: that key or certificate is not taken for another device later.
		var more map[string]string
		if why != "" {
			more = map[string]string{"why": why}
		}
		return r.told(*d, by, "revoked", more), nil
	}, func(d Device) bool { return d.Why == "operator" })
}

const maxWhy = 200

// List is every device, revoked ones too.
func (r Registry) List(ctx context.Context) ([]Device, error) { return r.Store.Kiosks(ctx) }

// Find is one device; ErrNone.
func (r Registry) Find(ctx context.Context, id string) (Device, error) {
	return r.Store.Kiosk(ctx, Index{ID: id})
}

// errSame undoes a change that changes nothing.
var errSame = errors.New("kiosk: it is so already")

// change does something to a device that is not revoked. What is so already is neither
// told again nor an error; done says of a revoked device whether it is so.
func (r Registry) change(ctx context.Context, id string, do func(*Device) (Effects, error), done ...func(Device) bool) (d Device, err error) {
	d, err = r.Store.UpdateKiosk(ctx, id, func(_ context.Context, was *Device) (e Effects, err error) {
		if !was.Revoked.IsZero() {
			d = *was
			if slices.ContainsFunc(done, func(f func(Device) bool) bool { return f(d) }) {
				return e, errSame
			}
			return e, &Invalid{"", "kiosk_revoked"}
		}
		return do(was)
	})
	if errors.Is(err, errSame) {
		return r.Find(ctx, id)
	}
	return d, err
}

// free refuses a name that another device of the same site has, however it is written:
// people and technicians tell devices apart by nothing else.
func (r Registry) free(ctx context.Context, d Device) error {
	all, err := r.Store.Kiosks(ctx)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(all, func(o Device) bool {
		return o.ID != d.ID && o.Revoked.IsZero() && strings.EqualFold(o.Name, d.Name) && strings.EqualFold(o.Site, d.Site)
	}) {
		return &Invalid{"name", "kiosk_named"}
	}
	return nil
}

// told is the event of a change, and mail of it where it lets a device in or out.
func (r Registry) told(d Device, by audit.Event, what string, more map[string]string) Effects {
	by.At, by.Kind, by.Outcome = r.Now(), "kiosk."+what, audit.OK
	by.Detail = map[string]string{"device": d.ID, "kiosk": d.Screen().Label(), "name": d.Name, "way": string(d.Way), "rights": joined(d.Rights), "keyboard": string(d.Keyboard)}
	if d.Site != "" {
		by.Detail["site"] = d.Site
	}
	for k, v := range more {
		by.Detail[k] = v
	}
	e := Effects{Events: []audit.Event{by}}
	if len(r.Alerts) == 0 || what == "renamed" || what == "rights" {
		return e
	}
	args := map[string]string{"screen": d.Screen().Label(), "what": by.Kind, "approver": by.ActorName, "note": more["why"],
		"address": by.Address, "door": by.Door, "at": by.At.UTC().Format(time.RFC3339)}
	e.Messages = []notify.Message{{Channel: notify.Mail, To: r.Alerts, Template: "kiosk_changed", Lang: r.Lang, Args: args}}
	return e
}

// newSecret is what a device is given so that it can show that it is itself.
type newSecret struct {
	code, hash string // Key
	launch     []byte // Launch
}

// newKey makes it before a transaction, which may run again.
func (r Registry) newKey(w Way) (s newSecret, err error) {
	b := make([]byte, secretBytes)
	if _, err := io.ReadFull(r.Rand, b); err != nil {
		return s, err
	}
	switch w {
	case Launch:
		s.launch = b
	case Key:
		code := make([]byte, 0, codeLength+1)
		for i := range codeLength {
			if i == codeLength/2 {
				code = append(code, '-')
			}
			code = append(code, codeAlphabet[b[i]%byte(len(codeAlphabet))]) // 256 is a multiple of 32
		}
		s.code, s.hash = string(code), codeHash(r.Key, string(code))
	}
	return s, nil
}

// give puts it into d and returns what people are told, once.
func (s newSecret) give(d *Device, now time.Time) string {
	switch d.Way {
	case Key:
		d.Code, d.Until = s.hash, now.Add(CodeLife)
		return s.code
	case Launch:
		d.Secret, d.Registered = s.launch, now
		return d.ID + ":" + base64.RawURLEncoding.EncodeToString(s.launch)
	}
	d.Registered = now
	return ""
}

func (r Registry) draft(n Draft) (d Device, err error) {
	d.Way = n.Way
	if d.Name, d.Site, err = named(n.Name, n.Site); err != nil {
		return d, err
	}
	if d.Rights, d.Keyboard, err = allowed(n.Rights, n.Keyboard); err != nil {
		return d, err
	}
	switch {
	case n.Way == Certificate:
		d.Public, err = certified(n.Certificate, r.Now())
		d.Print = printOf(d.Public)
	case n.Way != Key && n.Way != Launch || n.Certificate != nil:
		err = &Invalid{"way", "bad_choice"}
	}
	return d, err
}

func named(name, site string) (string, string, error) {
	name, site = strings.TrimSpace(name), strings.TrimSpace(site)
	switch {
	case name == "" || !plain(name, maxName):
		return "", "", &Invalid{"name", "kiosk_name"}
	case !plain(site, maxName):
		return "", "", &Invalid{"site", "kiosk_site"}
	}
	return strings.Join(strings.Fields(name), " "), strings.Join(strings.Fields(site), " "), nil
}

// plain is text of so many code points at most with nothing in it that cannot be seen:
// no control characters, and none that turn the text around (Unicode UAX 9 section 2).
func plain(s string, most int) bool {
	return utf8.ValidString(s) && utf8.RuneCountInString(s) <= most && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// allowed puts rights into their order. A device where nothing can be done is a mistake.
func allowed(rights []Right, keys Keyboard) ([]Right, Keyboard, error) {
	if keys == "" {
		keys = Auto
	}
	var list []Right
	for _, r := range Rights() {
		if slices.Contains(rights, r) {
			list = append(list, r)
		}
	}
	unknown := slices.ContainsFunc(rights, func(r Right) bool { return !slices.Contains(list, r) })
	switch {
	case unknown, len(list) == 0:
		return nil, "", &Invalid{"allow", "kiosk_rights"}
	case keys != Auto && keys != On && keys != Off:
		return nil, "", &Invalid{"keyboard", "bad_choice"}
	}
	return list, keys, nil
}

func joined(rights []Right) string {
	var s []string
	for _, r := range rights {
		s = append(s, string(r))
	}
	return strings.Join(s, ",")
}
