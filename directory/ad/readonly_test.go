package ad_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"postern/directory"
	"postern/directory/directorytest"
)

// A case that began at a branch's read-only domain controller is written at another
// one, and read there from then on.
func TestACaseOfAReadOnlyDomainControllerIsWrittenAtAWritableOne(t *testing.T) {
	dc := directorytest.Samba(t)
	for name, tells := range map[string]bool{"says it is": true, "does not say": false} {
		t.Run(name, func(t *testing.T) {
			branch := before(t, dc, &front{behind: dc.URL, readOnly: true, tells: tells})
			cfg := config(dc)
			cfg.Servers = []string{"ldaps://" + branch.addr(), dc.URL}
			d := open(t, cfg)
			u := find(t, d, "user6")
			if u.Server != branch.addr() {
				t.Fatalf("found on %s", u.Server)
			}
			pw := "Written-Elsewhere-" + map[bool]string{true: "1", false: "2"}[tells]
			if err := d.SetPassword(t.Context(), u, secret(pw)); err != nil {
				t.Fatal(err)
			}
			if err := dc.Bind(u.DN, pw); err != nil {
				t.Error(err)
			}
			// A password that a read-only server must not know is not sent to it.
			if n, _, _ := branch.counts(); tells && n != 0 || n > 1 {
				t.Errorf("%d changes were sent to it", n)
			}
			_, _, reads := branch.counts()
			again, err := d.Read(t.Context(), u)
			if err != nil || "ldaps://"+again.Server != dc.URL {
				t.Errorf("read again on %s, %v", again.Server, err)
			}
			if err := d.Authenticate(t.Context(), u, secret(pw)); err != nil {
				t.Error(err)
			}
			if err := d.Unlock(t.Context(), u); err != nil {
				t.Error(err)
			}
			if _, _, n := branch.counts(); n != reads {
				t.Errorf("%d reads went back to it", n-reads)
			}
			// Somebody who was not written to is still read where the case began.
			other := find(t, d, "user7")
			if other, err = d.Read(t.Context(), other); err != nil || other.Server != branch.addr() {
				t.Errorf("another person is read on %s, %v", other.Server, err)
			}
		})
	}
	t.Run("alone", func(t *testing.T) {
		branch := before(t, dc, &front{behind: dc.URL, readOnly: true, tells: true})
		cfg := config(dc)
		cfg.Servers = []string{"ldaps://" + branch.addr()}
		d := open(t, cfg)
		u := find(t, d, "user8")
		err := d.SetPassword(t.Context(), u, secret("Goes-Nowhere-At-All-1"))
		if !errors.Is(err, directory.ErrUnavailable) || errors.Is(err, directory.ErrUncertain) || !strings.Contains(err.Error(), "read-only") {
			t.Errorf("%v", err)
		}
		found := d.Examine(t.Context())
		if !slices.ContainsFunc(found, func(f directory.Finding) bool {
			return f.Check == "writable" && f.Severity == directory.Warning && strings.Contains(f.What, branch.addr()) && strings.Contains(f.Mend, "/writable")
		}) {
			t.Errorf("the doctor does not say that nothing can be written: %+v", found)
		}
		cfg.Servers = append(cfg.Servers, dc.URL)
		if !slices.ContainsFunc(open(t, cfg).Examine(t.Context()), func(f directory.Finding) bool {
			return f.Check == "writable" && f.Severity == directory.OK && strings.Contains(f.What, branch.addr()+" is a read-only domain controller")
		}) {
			t.Error("the doctor does not say which is read-only")
		}
	})
}
