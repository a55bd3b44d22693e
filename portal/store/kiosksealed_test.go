package store_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"postern/portal/audit"
	"postern/portal/kiosk"
	"postern/portal/policy"
	"postern/portal/store"
	"postern/portal/store/storetest"
)

// Security case 120: who can write to the database, and has no key, makes no device
// into another, gives no key a device's rights, and no code another device or errand.
func TestAMovedKioskCannotBeOpened(t *testing.T) {
	storetest.Each(t, func(t *testing.T, p storetest.Place) {
		db, raw := p.Open(t), p.Raw(t)
		mine, theirs := newKiosk("mine"), newKiosk("theirs")
		mine.Print, theirs.Print = "my print", "their print"
		addKiosk(t, db, mine, theirs)
		my, their := newErrand("my", kiosk.ToPhone), newErrand("their", kiosk.ToPhone)
		my.Code, their.Code = "my code", "their code"
		addErrand(t, db, my, their)
		device := func(by kiosk.Index) func() error {
			return func() error { _, err := db.Kiosk(t.Context(), by); return err }
		}
		errand := func(id, code string) func() error {
			return func() error { _, err := db.Errand(t.Context(), id, code); return err }
		}
		for name, move := range map[string]struct {
			table   string
			queries []string
			read    func() error
		}{
			"body to another device": {"kiosks", []string{"UPDATE kiosks SET body = (SELECT body FROM kiosks WHERE id = 'mine') WHERE id = 'theirs'"}, device(kiosk.Index{ID: "theirs"})},
			"body to another errand": {"errands", []string{"UPDATE errands SET body = (SELECT body FROM errands WHERE id = 'my') WHERE id = 'their'"}, errand("their", "")},
			"body to another table":  {"kiosks", []string{"UPDATE kiosks SET body = (SELECT body FROM errands WHERE id = 'my') WHERE id = 'mine'"}, device(kiosk.Index{ID: "mine"})},
			"device under a new id":  {"kiosks", []string{"UPDATE kiosks SET id = 'x' WHERE id = 'mine'"}, device(kiosk.Index{Print: "my print"})},
			"print given away": {"kiosks", []string{"UPDATE kiosks SET print = '' WHERE id = 'mine'", "UPDATE kiosks SET print = 'my print' WHERE id = 'theirs'"},
				device(kiosk.Index{Print: "my print"})},
			"code given away": {"kiosks", []string{"UPDATE kiosks SET code = '' WHERE id = 'mine'", "UPDATE kiosks SET code = 'code of mine' WHERE id = 'theirs'"},
				device(kiosk.Index{Code: "code of mine"})},
			"code of a phone given away": {"errands", []string{"UPDATE errands SET code = '' WHERE id = 'my'", "UPDATE errands SET code = 'my code' WHERE id = 'their'"}, errand("", "my code")},
			"in the clear":               {"kiosks", []string{"UPDATE kiosks SET body = '{}' WHERE id = 'mine'"}, device(kiosk.Index{ID: "mine"})},
		} {
			t.Run(name, func(t *testing.T) {
				defer remember(t, raw, move.table)()
				for _, q := range move.queries {
					if r, err := raw.Exec(q); err != nil {
						t.Fatal(err)
					} else if n, err := r.RowsAffected(); err != nil || n != 1 {
						t.Fatalf("%d rows, %v: %s", n, err, q)
					}
				}
				if err := move.read(); err == nil || errors.Is(err, kiosk.ErrNone) || !strings.Contains(err.Error(), "sealed") {
					t.Errorf("opened: %v", err)
				}
			})
		}
		for _, read := range []func() error{device(kiosk.Index{Print: "my print"}), device(kiosk.Index{Code: "code of mine"}), errand("", "my code")} {
			if err := read(); err != nil {
				t.Errorf("put back: %v", err)
			}
		}
	})
}

// Security cases 24 and 113: a dump opens no kiosk: no code, no launch key, no number;
// and it does not say who stood before one.
func TestADumpOpensNoKiosk(t *testing.T) {
	storetest.Each(t, func(t *testing.T, p storetest.Place) {
		db := p.Open(t)
		now := func() time.Time { return noon }
		key := make([]byte, 32)
		s, err := kiosk.New(kiosk.Options{Store: db, Errands: db, Spent: db, Sightings: db, Key: key, Origin: "https://id.example.org", Now: now, Rand: rand.Reader, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		r := kiosk.Registry{Store: db, Key: key, Now: now, Rand: rand.Reader, Alerts: []string{"ops@example.org"}}
		by := audit.Event{Actor: bob, ActorName: "bob", Door: "desk"}
		_, code, err := r.Register(t.Context(), by, kiosk.Draft{Name: "Ward 3", Way: kiosk.Key, Rights: kiosk.Rights()})
		if err != nil {
			t.Fatal(err)
		}
		screen, launch, err := r.Register(t.Context(), by, kiosk.Draft{Name: "Lobby", Way: kiosk.Launch, Rights: kiosk.Rights()})
		if err != nil {
			t.Fatal(err)
		}
		e, carry, err := s.AskPhone(t.Context(), screen, policy.Reset, "", "en", "192.0.2.7")
		if err != nil {
			t.Fatal(err)
		}
		login, number := "login-"+rand.Text(), "number-"+rand.Text()
		if _, err := db.UpdateErrand(t.Context(), e.ID, func(_ context.Context, e *kiosk.Errand) (kiosk.Effects, error) {
			e.Number, e.ByName = number, "technician-"+login
			return kiosk.Effects{}, nil
		}); err != nil {
			t.Fatal(err)
		}
		_, launch, _ = strings.Cut(launch, ":")
		raw, err := base64.RawURLEncoding.DecodeString(launch)
		if err != nil {
			t.Fatal(err)
		}
		dump := dumpOf(t, p)
		if !bytes.Contains(dump, []byte(screen.ID)) || !bytes.Contains(dump, []byte(e.ID)) {
			t.Fatal("this is no dump: the device and its errand are not in it")
		}
		for _, secret := range []string{code, strings.ReplaceAll(code, "-", ""), launch, string(raw), carry, login, number} {
			for _, spelling := range []string{secret, hex.EncodeToString([]byte(secret)), base64.StdEncoding.EncodeToString([]byte(secret))[:8*len(secret)/6-1]} {
				if bytes.Contains(dump, []byte(spelling)) {
					t.Errorf("%q is in the dump as %q", secret, spelling)
				}
			}
		}
	})
}

// Security case 120: devices and errands move to the new keys with everything else.
func TestKiosksAreSealedAnew(t *testing.T) {
	storetest.Each(t, func(t *testing.T, p storetest.Place) {
		db := p.Open(t)
		for i := range 70 { // more than one batch
			addKiosk(t, db, newKiosk(fmt.Sprint(i)))
		}
		addErrand(t, db, newErrand("e", kiosk.ToDesk))
		if err := store.RotateKeys(p.Keys); err != nil {
			t.Fatal(err)
		}
		if n, err := p.Open(t).Reseal(t.Context()); n != 71 || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
		if err := store.RetireKeys(p.Keys); err != nil {
			t.Fatal(err)
		}
		last := p.Open(t)
		if list, err := last.Kiosks(t.Context()); err != nil || len(list) != 70 {
			t.Errorf("%d, %v", len(list), err)
		}
		if e, err := last.Errand(t.Context(), "e", ""); err != nil || e.Number != "47" {
			t.Errorf("%+v, %v", e, err)
		}
	})
}

// A device and an errand come back as they were, and in their order.
func TestKiosksComeBackAsTheyWere(t *testing.T) {
	storetest.Each(t, func(t *testing.T, p storetest.Place) {
		db := p.Open(t)
		d := newKiosk("1")
		d.Name, d.Public, d.Print, d.Counter, d.Pass, d.Renewed, d.Registered = "Ward 9", []byte{0, 9}, "p", 1<<60, 7, noon, noon
		same := newKiosk("0")
		same.Name = d.Name
		gone := newKiosk("2")
		gone.Name, gone.Revoked, gone.RevokedBy, gone.Why = "Annex", noon, "op", "operator"
		addKiosk(t, db, d, same, gone)
		if got, err := db.Kiosk(t.Context(), kiosk.Index{Print: "p"}); err != nil || !reflect.DeepEqual(got, d) {
			t.Errorf("came back as\n%+v, want\n%+v (%v)", got, d, err)
		}
		list, err := db.Kiosks(t.Context())
		if err != nil || len(list) != 3 || list[0].ID != "2" || list[1].ID != "0" || list[2].ID != "1" {
			t.Errorf("%+v, %v", list, err)
		}
		e := newErrand("e", kiosk.ToDesk)
		e.Matched, e.By, e.ByName, e.Misses, e.Case = noon, bob, nasty, 2, "c"
		addErrand(t, db, e)
		if got, err := db.Errand(t.Context(), "e", ""); err != nil || !reflect.DeepEqual(got, e) {
			t.Errorf("came back as\n%+v, want\n%+v (%v)", got, e, err)
		}
	})
}

// The desk sees the calls that wait, the oldest first, and none that is over; they stay
// a day for whoever asks, and then they are gone. Devices stay.
func TestErrandsWaitAndGo(t *testing.T) {
	storetest.Each(t, func(t *testing.T, p storetest.Place) {
		c := newClock()
		p.Config.Now = c.now
		db := p.Open(t)
		addKiosk(t, db, newKiosk("3"))
		for i, id := range []string{"second", "first", "ended", "phone"} {
			e := newErrand(id, kiosk.ToDesk)
			e.Expires = c.now().Add(time.Hour - time.Duration(i)*time.Minute)
			e.Ended = id == "ended"
			if id == "phone" {
				e.Kind = kiosk.ToPhone
			}
			addErrand(t, db, e)
		}
		open := func() (ids string) {
			t.Helper()
			list, err := db.OpenErrands(t.Context(), kiosk.ToDesk, c.now())
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range list {
				ids += e.ID + " "
			}
			return ids
		}
		if got := open(); got != "first second " {
			t.Error(got)
		}
		if _, err := db.UpdateErrand(t.Context(), "first", func(_ context.Context, e *kiosk.Errand) (kiosk.Effects, error) {
			e.Ended = true
			return kiosk.Effects{}, nil
		}); err != nil {
			t.Fatal(err)
		}
		if got := open(); got != "second " {
			t.Error(got)
		}
		c.forward(time.Hour)
		if got := open(); got != "" {
			t.Error(got)
		}
		if n, err := db.Sweep(t.Context()); err != nil || n != 0 {
			t.Errorf("swept %d, %v", n, err)
		}
		c.forward(24*time.Hour + time.Minute)
		if n, err := db.Sweep(t.Context()); err != nil || n != 4 {
			t.Errorf("swept %d, %v", n, err)
		}
		if _, err := db.Kiosk(t.Context(), kiosk.Index{ID: "3"}); err != nil {
			t.Error(err)
		}
	})
}
