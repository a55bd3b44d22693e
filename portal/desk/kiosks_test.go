package desk_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/audit"
	"postern/portal/desk"
	"postern/portal/flow"
	"postern/portal/kiosk"
	"postern/verify"
)

// drawer notes in whose name kiosks are changed.
type drawer struct {
	by   []audit.Event
	fail error
}

func (d *drawer) note(by audit.Event) (kiosk.Device, error) {
	d.by = append(d.by, by)
	return kiosk.Device{ID: "k"}, d.fail
}

func (d *drawer) Register(_ context.Context, by audit.Event, _ kiosk.Draft) (kiosk.Device, string, error) {
	k, err := d.note(by)
	return k, "secret", err
}

func (d *drawer) Reissue(_ context.Context, by audit.Event, _ string) (kiosk.Device, string, error) {
	k, err := d.note(by)
	return k, "secret", err
}

func (d *drawer) Rename(_ context.Context, by audit.Event, _, _, _ string) (kiosk.Device, error) {
	return d.note(by)
}

func (d *drawer) Revoke(_ context.Context, by audit.Event, _, _ string) (kiosk.Device, error) {
	return d.note(by)
}

// Who lets a device in lets in whoever stands before it: that is an operator's, and with a
// proof as fresh as for the threat level.
func TestOnlyAnOperatorWithAFreshProofChangesKiosks(t *testing.T) {
	now := time.Date(2026, 5, 4, 9, 0, 0, 0, time.UTC)
	as := func(groups ...string) directory.User { return directory.User{ID: "x:op", Login: "op", Groups: groups} }
	for name, c := range map[string]struct {
		u    directory.User
		ago  time.Duration
		by   verify.Kind
		want error
		sees error
	}{
		"an operator":             {ops, 10 * time.Minute, verify.Passkey, nil, nil},
		"eleven minutes ago":      {ops, 11 * time.Minute, verify.Passkey, desk.ErrStale, nil},
		"by what anybody copies":  {ops, 0, verify.RecoveryCode, desk.ErrStale, nil},
		"a senior":                {as("CN=Leads,DC=x"), 0, verify.Passkey, desk.ErrUnknown, desk.ErrUnknown},
		"an auditor":              {as("CN=Audit,DC=x"), 0, verify.Passkey, desk.ErrUnknown, desk.ErrUnknown},
		"no operator any more":    {as(), 0, verify.Passkey, desk.ErrUnknown, desk.ErrUnknown},
		"nobody, with the groups": {directory.User{Groups: ops.Groups}, 0, verify.Passkey, desk.ErrUnknown, desk.ErrUnknown},
	} {
		d := &drawer{}
		k := desk.Kiosks{Registry: d, All: func(context.Context) ([]kiosk.Device, error) { return nil, nil }, Now: func() time.Time { return now },
			Roles: access.Roles{Operator: []string{"Ops"}, Senior: []string{"Leads"}, Auditor: []string{"Audit"}}}
		w := desk.Who{Principal: access.Principal{ID: c.u.ID, User: c.u, By: []verify.Kind{verify.Password, c.by}, Proven: now.Add(-c.ago)}, Address: "192.0.2.9"}
		_, s1, err1 := k.Register(t.Context(), w, kiosk.Draft{})
		_, s2, err2 := k.Reissue(t.Context(), w, "k")
		for act, err := range map[string]error{"register": err1, "code": err2, "rename": k.Rename(t.Context(), w, "k", "a", ""), "revoke": k.Revoke(t.Context(), w, "k")} {
			if !errors.Is(err, c.want) {
				t.Errorf("%s: %s: %v", name, act, err)
			}
		}
		if (s1+s2 != "") != (c.want == nil) || (len(d.by) != 0) != (c.want == nil) {
			t.Errorf("%s: %q, %d acts", name, s1+s2, len(d.by))
		}
		for _, by := range d.by {
			if by.Actor != "x:op" || by.ActorName != "op" || by.Door != "desk" || by.Address != "192.0.2.9" {
				t.Errorf("%+v", by)
			}
		}
		if _, err := k.List(t.Context(), w); !errors.Is(err, c.sees) {
			t.Errorf("%s: the list: %v", name, err)
		}
		if c.want != nil {
			continue
		}
		for fail, want := range map[error]error{errors.New("database is locked"): flow.ErrUnavailable, kiosk.ErrNone: desk.ErrUnknown} {
			d.fail = fail
			if err := k.Revoke(t.Context(), w, "k"); !errors.Is(err, want) {
				t.Errorf("%v: %v", fail, err)
			}
		}
	}
}
