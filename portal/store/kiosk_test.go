package store_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern/portal/access"
	"postern/portal/audit"
	"postern/portal/kiosk"
	"postern/portal/notify"
	"postern/portal/policy"
	"postern/portal/store"
	"postern/portal/store/storetest"
)

// noon has no more than microseconds, as the database.
var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

func newKiosk(id string) kiosk.Device {
	return kiosk.Device{ID: id, Name: "Ward " + id, Site: nasty, Way: kiosk.Key, Rights: kiosk.Rights(), Keyboard: kiosk.Auto, Secret: []byte{0, 1, 255},
		Code: "code of " + id, Until: noon.Add(24 * time.Hour), Created: noon, By: bob, ByName: nasty}
}

func newErrand(id string, kind kiosk.ErrandKind) kiosk.Errand {
	return kiosk.Errand{ID: id, Kind: kind, Screen: access.Screen{ID: "3", Name: "Ward 3", Site: nasty}, Number: "47", Lang: "ar", Purpose: policy.Reset,
		Created: noon, Expires: noon.Add(5 * time.Minute)}
}

func addKiosk(t *testing.T, db *store.DB, list ...kiosk.Device) {
	t.Helper()
	for _, d := range list {
		if err := db.AddKiosk(t.Context(), d, kiosk.Effects{}); err != nil {
			t.Fatal(err)
		}
	}
}

func addErrand(t *testing.T, db *store.DB, list ...kiosk.Errand) {
	t.Helper()
	for _, e := range list {
		if err := db.AddErrand(t.Context(), e, kiosk.Effects{}); err != nil {
			t.Fatal(err)
		}
	}
}

// told is what a change of these tests tells.
func told(what string) kiosk.Effects {
	return kiosk.Effects{Events: []audit.Event{{At: noon, Kind: what, Outcome: audit.OK}}, Messages: []notify.Message{{Channel: notify.Mail, Template: "x", To: []string{"ops@example.org"}}}}
}

// tellings are how often that was recorded, and how much mail waits.
func tellings(t *testing.T, db *store.DB, p storetest.Place, kind string) (events, messages int) {
	t.Helper()
	err := db.Export(t.Context(), audit.Query{}, func(e audit.Event) error {
		if e.Kind == kind {
			events++
		}
		return nil
	})
	if err == nil {
		err = p.Raw(t).QueryRow("SELECT count(*) FROM messages").Scan(&messages)
	}
	if err != nil {
		t.Fatal(err)
	}
	return events, messages
}

// Of any number who enter one code at once, on several nodes, one is registered.
func TestACodeRegistersOneKiosk(t *testing.T) {
	storetest.Each(t, func(t *testing.T, p storetest.Place) {
		here, there := p.Open(t), p.Open(t)
		addKiosk(t, here, newKiosk("3"))
		var won atomic.Int32
		var all sync.WaitGroup
		for i, db := range slices.Repeat([]*store.DB{here, there}, 5) {
			all.Go(func() {
				d, err := db.Kiosk(t.Context(), kiosk.Index{Code: "code of 3"})
				if err == nil {
					_, err = db.UpdateKiosk(t.Context(), d.ID, func(_ context.Context, d *kiosk.Device) (kiosk.Effects, error) {
						if d.Code == "" {
							return kiosk.Effects{}, kiosk.ErrNone
						}
						d.Code, d.Print, d.Registered = "", fmt.Sprint("print ", i), noon
						return told("kiosk.enrolled"), nil
					})
				}
				switch {
				case err == nil:
					won.Add(1)
				case !errors.Is(err, kiosk.ErrNone):
					t.Error(err)
				}
			})
		}
		all.Wait()
		if events, messages := tellings(t, here, p, "kiosk.enrolled"); won.Load() != 1 || events != 1 || messages != 1 {
			t.Errorf("%d registered, %d events, %d messages", won.Load(), events, messages)
		}
		if d, err := there.Kiosk(t.Context(), kiosk.Index{Code: "code of 3"}); !errors.Is(err, kiosk.ErrNone) {
			t.Errorf("the code still opens %+v, %v", d, err)
		}
	})
}

// A key, a certificate or a code is one device's, also where two take it at once.
func TestNoTwoKiosksShareAKeyOrACode(t *testing.T) {
	storetest.Each(t, func(t *testing.T, p storetest.Place) {
		here, there := p.Open(t), p.Open(t)
		var devices []kiosk.Device
		for i := range 8 {
			devices = append(devices, newKiosk(fmt.Sprint(i)))
		}
		addKiosk(t, here, devices...)
		take := func(db *store.DB, id string) error {
			_, err := db.UpdateKiosk(t.Context(), id, func(_ context.Context, d *kiosk.Device) (kiosk.Effects, error) {
				d.Print, d.Code = "one print", ""
				return told("kiosk.enrolled"), nil
			})
			return err
		}
		var won atomic.Int32
		var all sync.WaitGroup
		for i, d := range devices {
			all.Go(func() {
				switch err := take([]*store.DB{here, there}[i%2], d.ID); {
				case err == nil:
					won.Add(1)
				case !errors.Is(err, kiosk.ErrTaken):
					t.Error(err)
				}
			})
		}
		all.Wait()
		if events, messages := tellings(t, here, p, "kiosk.enrolled"); won.Load() != 1 || events != 1 || messages != 1 {
			t.Errorf("%d have the key, %d events, %d messages", won.Load(), events, messages)
		}
		owner, err := here.Kiosk(t.Context(), kiosk.Index{Print: "one print"})
		if err != nil {
			t.Fatal(err)
		}
		shared := newKiosk("9")
		shared.Print = "one print"
		if err := here.AddKiosk(t.Context(), shared, told("kiosk.registered")); !errors.Is(err, kiosk.ErrTaken) {
			t.Errorf("a certificate of another: %v", err)
		}
		other := devices[0].Code
		if owner.ID == devices[0].ID {
			other = devices[1].Code
		}
		shared.Print, shared.Code = "", other
		if err := here.AddKiosk(t.Context(), shared, told("kiosk.registered")); !errors.Is(err, kiosk.ErrTaken) {
			t.Errorf("a code of another: %v", err)
		}
		shared.Code = "" // as many as like have neither
		addKiosk(t, here, shared)
		if events, messages := tellings(t, here, p, "kiosk.registered"); events != 0 || messages != 1 {
			t.Errorf("what failed was told: %d events, %d messages", events, messages)
		}
	})
}

// Two nodes that change one device at once lose no change, and what is seen of it
// meanwhile stands, only forward.
func TestChangesOfAKioskLoseNone(t *testing.T) {
	storetest.Each(t, func(t *testing.T, p storetest.Place) {
		here, there := p.Open(t), p.Open(t)
		addKiosk(t, here, newKiosk("3"))
		addErrand(t, here, newErrand("e", kiosk.ToDesk))
		const each = 15
		var all sync.WaitGroup
		for _, db := range []*store.DB{here, there} {
			all.Go(func() {
				for i := range each {
					_, err := db.UpdateKiosk(t.Context(), "3", func(_ context.Context, d *kiosk.Device) (kiosk.Effects, error) {
						d.Counter++
						return told("kiosk.renewed"), nil
					})
					_, err2 := db.UpdateErrand(t.Context(), "e", func(_ context.Context, e *kiosk.Errand) (kiosk.Effects, error) {
						e.Misses++
						return told("kiosk.call_missed"), nil
					})
					err3 := db.SeenKiosk(t.Context(), "3", noon.Add(time.Duration(i)*time.Second), fmt.Sprint("192.0.2.", i))
					if err := errors.Join(err, err2, err3); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		last := noon.Add((each - 1) * time.Second)
		if d, err := here.Kiosk(t.Context(), kiosk.Index{ID: "3"}); err != nil || d.Counter != 2*each || !d.Seen.Equal(last) || d.From != "192.0.2.14" {
			t.Errorf("%+v, %v", d, err)
		}
		if e, err := here.Errand(t.Context(), "e", ""); err != nil || e.Misses != 2*each {
			t.Errorf("%+v, %v", e, err)
		}
		if events, messages := tellings(t, here, p, "kiosk.renewed"); events != 2*each || messages != 4*each {
			t.Errorf("%d events, %d messages", events, messages)
		}
		if err := here.SeenKiosk(t.Context(), "3", noon, "203.0.113.9"); err != nil {
			t.Error(err)
		}
		if d, err := here.Kiosk(t.Context(), kiosk.Index{ID: "3"}); err != nil || !d.Seen.Equal(last) || d.From != "192.0.2.14" {
			t.Errorf("seen earlier than before: %+v, %v", d, err)
		}
	})
}

// A change that fails, by itself, by what it tells or by what it is part of, leaves
// nothing behind.
func TestAFailedChangeOfAKioskWritesNothing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, p storetest.Place) {
		db := p.Open(t)
		addKiosk(t, db, newKiosk("3"))
		addErrand(t, db, newErrand("e", kiosk.ToPhone))
		no := errors.New("no")
		unsendable := told("kiosk.changed")
		unsendable.Messages[0].Links = []notify.LinkTo{{Kind: notify.Invite}} // has no life
		change := func(e kiosk.Effects, fail error) (func(context.Context, *kiosk.Device) (kiosk.Effects, error), func(context.Context, *kiosk.Errand) (kiosk.Effects, error)) {
			return func(_ context.Context, d *kiosk.Device) (kiosk.Effects, error) {
					d.Name, d.Code, d.Print = "other", "", "p"
					return e, fail
				}, func(_ context.Context, r *kiosk.Errand) (kiosk.Effects, error) {
					r.Number, r.Ended = "48", true
					return e, fail
				}
		}
		for name, c := range map[string]struct {
			e    kiosk.Effects
			fail error
		}{"itself": {told("kiosk.changed"), no}, "what it tells": {unsendable, nil}} {
			device, errand := change(c.e, c.fail)
			if d, err := db.UpdateKiosk(t.Context(), "3", device); err == nil || !reflect.DeepEqual(d, kiosk.Device{}) {
				t.Errorf("%s: %+v, %v", name, d, err)
			}
			if e, err := db.UpdateErrand(t.Context(), "e", errand); err == nil || e != (kiosk.Errand{}) {
				t.Errorf("%s: %+v, %v", name, e, err)
			}
		}
		if err := db.AddKiosk(t.Context(), newKiosk("4"), unsendable); err == nil {
			t.Error("added without its mail")
		}
		if err := db.AddErrand(t.Context(), newErrand("f", kiosk.ToPhone), unsendable); err == nil {
			t.Error("asked without its mail")
		}
		first, err := db.Once(t.Context(), "mark", func(ctx context.Context) error {
			device, errand := change(told("kiosk.changed"), nil)
			_, err := db.UpdateKiosk(ctx, "3", device)
			_, err2 := db.UpdateErrand(ctx, "e", errand)
			if d, err3 := db.Kiosk(ctx, kiosk.Index{ID: "3"}); err3 != nil || d.Name != "other" {
				t.Errorf("within the transaction: %+v, %v", d, err3)
			}
			return errors.Join(err, err2, db.SeenKiosk(ctx, "3", noon, "192.0.2.7"), db.AddKiosk(ctx, newKiosk("4"), told("kiosk.changed")), no)
		})
		if first || !errors.Is(err, no) {
			t.Errorf("%v %v", first, err)
		}
		if d, err := db.Kiosk(t.Context(), kiosk.Index{Code: "code of 3"}); err != nil || d.Name != "Ward 3" || d.Print != "" || !d.Seen.IsZero() {
			t.Errorf("%+v, %v", d, err)
		}
		if e, err := db.Errand(t.Context(), "e", ""); err != nil || e.Number != "47" || e.Ended {
			t.Errorf("%+v, %v", e, err)
		}
		if _, err := db.Kiosk(t.Context(), kiosk.Index{ID: "4"}); !errors.Is(err, kiosk.ErrNone) {
			t.Errorf("it is there: %v", err)
		}
		if _, err := db.Errand(t.Context(), "f", ""); !errors.Is(err, kiosk.ErrNone) {
			t.Errorf("it is there: %v", err)
		}
		if events, messages := tellings(t, db, p, "kiosk.changed"); events != 0 || messages != 0 {
			t.Errorf("%d events, %d messages", events, messages)
		}
	})
}

// What nobody has is none, and so is everything that cannot be stored.
func TestAnUnknownKioskIsNone(t *testing.T) {
	storetest.Each(t, func(t *testing.T, p storetest.Place) {
		db := p.Open(t)
		bare := newKiosk("3") // neither print nor code: an empty one finds nobody
		bare.Code = ""
		addKiosk(t, db, bare)
		addErrand(t, db, newErrand("e", kiosk.ToDesk))
		for _, key := range []string{"", "4", "3\x00", "\xff", "3 ", "'; --"} {
			for _, by := range []kiosk.Index{{ID: key}, {Print: key}, {Code: key}, {ID: key, Print: key}} {
				if d, err := db.Kiosk(t.Context(), by); !errors.Is(err, kiosk.ErrNone) {
					t.Errorf("%+v: %+v, %v", by, d, err)
				}
			}
			if _, err := db.UpdateKiosk(t.Context(), key, func(context.Context, *kiosk.Device) (kiosk.Effects, error) {
				t.Error("changed")
				return kiosk.Effects{}, nil
			}); !errors.Is(err, kiosk.ErrNone) {
				t.Errorf("%q: %v", key, err)
			}
			for _, by := range [][2]string{{key, ""}, {"", key}, {"e", key + "x"}} {
				if e, err := db.Errand(t.Context(), by[0], by[1]); !errors.Is(err, kiosk.ErrNone) {
					t.Errorf("%q: %+v, %v", by, e, err)
				}
			}
			if _, err := db.UpdateErrand(t.Context(), key, func(context.Context, *kiosk.Errand) (kiosk.Effects, error) {
				t.Error("changed")
				return kiosk.Effects{}, nil
			}); !errors.Is(err, kiosk.ErrNone) {
				t.Errorf("%q: %v", key, err)
			}
		}
		if err := db.SeenKiosk(t.Context(), "4", noon, "\x00"); err != nil {
			t.Errorf("seeing who is none: %v", err)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := db.Kiosk(ended, kiosk.Index{ID: "3"}); err == nil || errors.Is(err, kiosk.ErrNone) {
			t.Errorf("what could not be looked up is not none: %v", err)
		}
	})
}
