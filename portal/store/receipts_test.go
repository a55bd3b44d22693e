package store_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"postern/portal/audit"
	"postern/portal/store/storetest"
)

// A receipt holds against the public key alone, whichever event it is of and however the
// log grew since; and nothing of it can be changed.
func TestAReceiptHoldsWithTheKeyAloneAndCannotBeForged(t *testing.T) {
	storetest.Each(t, func(t *testing.T, p storetest.Place) {
		db := p.Open(t)
		s, k := signer(t)
		for i := range 20 {
			e := about(alice, alice)
			e.Detail = map[string]string{"receipt": fmt.Sprintf("P-%04d", i)}
			recordAll(t, db, e, audit.Event{Kind: "desk.viewed", Detail: map[string]string{"receipt": fmt.Sprintf("P-%04d", i)}})
			if i == 7 {
				if _, err := db.Receipt(t.Context(), "P-0007"); !errors.Is(err, audit.ErrNotSealed) {
					t.Error(err)
				}
			}
			if i%3 != 2 {
				sealAll(t, db, s)
			}
		}
		for i := range 20 {
			r, err := db.Receipt(t.Context(), fmt.Sprintf("P-%04d", i))
			if err != nil {
				t.Fatal(err)
			}
			text, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(text), "name-of") || strings.Contains(string(text), "192.0.2") {
				t.Errorf("it says who: %s", text)
			}
			var read audit.Receipt
			if err := json.Unmarshal(text, &read); err != nil {
				t.Fatal(err)
			}
			got, err := read.Check(k)
			if err != nil || got.Event.Kind != "password.reset" || got.Entry != int64(2*i+1) || got.Size != 40 {
				t.Errorf("%d: %+v %v", i, got, err)
			}
			other, err := db.Receipt(t.Context(), fmt.Sprintf("P-%04d", (i+1)%20))
			if err != nil {
				t.Fatal(err)
			}
			for what, change := range map[string]func(*audit.Receipt){
				"event":      func(r *audit.Receipt) { r.Event = strings.Replace(r.Event, "password.reset", "password.kept_", 1) },
				"code":       func(r *audit.Receipt) { r.Code = "P-9999" },
				"index":      func(r *audit.Receipt) { r.Index++ },
				"negative":   func(r *audit.Receipt) { r.Index = -1 },
				"far":        func(r *audit.Receipt) { r.Index = 1 << 40 },
				"path":       func(r *audit.Receipt) { r.Path = other.Path },
				"no path":    func(r *audit.Receipt) { r.Path = nil },
				"another":    func(r *audit.Receipt) { r.Event = other.Event },
				"checkpoint": func(r *audit.Receipt) { r.Checkpoint = strings.Replace(r.Checkpoint, "\n40\n", "\n41\n", 1) },
				"format":     func(r *audit.Receipt) { r.Format = "" },
			} {
				forged := read
				change(&forged)
				if _, err := forged.Check(k); err == nil {
					t.Errorf("%d: %s was changed, and it holds", i, what)
				}
			}
		}
		for _, none := range []string{"", "P-0099", "p-0001", "%", "\x00", strings.Repeat("x", 1000)} {
			if _, err := db.Receipt(t.Context(), none); !errors.Is(err, audit.ErrNoReceipt) {
				t.Errorf("%q: %v", none, err)
			}
		}
	})
}
