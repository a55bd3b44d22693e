package main

import (
	"strings"
	"testing"
	"time"

	"postern/directory"
	"postern/directory/embedded"
	"postern/portal/audit"
	"postern/portal/kiosk"
)

// has reports whether some finding of a check is that bad and says all of it.
func has(found map[string][]directory.Finding, check string, s directory.Severity, words ...string) bool {
next:
	for _, f := range found[check] {
		for _, w := range words {
			if !strings.Contains(f.What+f.Why+f.Mend, w) {
				continue next
			}
		}
		if f.Severity == s {
			return true
		}
	}
	return false
}

// A role of a group that is misspelt is nobody's, and says so nowhere else.
func TestDoctorNamesRolesThatNobodyHas(t *testing.T) {
	const store = "store:\n"
	for name, c := range map[string]struct {
		config, alerts, words string
		severity              directory.Severity
	}{
		"none":      {"", "is empty", "there is no desk", directory.OK},
		"misspelt":  {"alerts: {mail: [security@example.org]}\naccess: {roles: {technician: [" + embedded.Technicians + "], operator: [Operatros]}}\n", "security@example.org", "operator: none of ", directory.Warning},
		"all there": {"alerts: {mail: [security@example.org]}\naccess: {roles: {technician: [" + embedded.Technicians + "], operator: [" + embedded.Operators + "]}}\n", "security@example.org", "somebody has each", directory.OK},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, store, c.config+store)
			found, told, _ := h.diagnose()
			if !has(found, "roles", c.severity, c.words) || has(found, "roles", directory.Warning, "technician") {
				t.Errorf("%+v", found["roles"])
			}
			if want := map[bool]directory.Severity{true: directory.Warning, false: directory.OK}[c.config == ""]; !has(found, "alerts", want, c.alerts) {
				t.Errorf("%+v\n%s", found["alerts"], told)
			}
		})
	}
	h := newHouse(t, store, "access: {roles: {operator: ["+embedded.Operators+"]}}\n"+store)
	h.ldap.Close()
	if found, _, _ := h.diagnose(); !has(found, "roles", directory.Warning, "operator: whether somebody has it could not be told") {
		t.Errorf("nobody could be read: %+v", found["roles"])
	}
}

// A screen that is not seen any more may have been carried off; a code that nobody
// typed may have got lost.
func TestDoctorNamesKiosksThatNobodyLooksAfter(t *testing.T) {
	h := newHouse(t)
	h.serve()() // makes the store
	if found, _, _ := h.diagnose(); len(found["kiosks"]) != 0 {
		t.Errorf("there are none: %+v", found["kiosks"])
	}
	cfg, day := h.load(), 24*time.Hour
	db, keys, err := cfg.openReady(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	ids := map[string]string{}
	for name, k := range map[string]struct {
		way kiosk.Way
		ago time.Duration
	}{"Used": {kiosk.Launch, day}, "Gone": {kiosk.Launch, 8 * day}, "Lost": {kiosk.Key, 2 * day}, "New": {kiosk.Key, 0}} {
		at := time.Now().Add(-k.ago)
		d, _, err := cfg.registry(db, keys, func() time.Time { return at }).Register(t.Context(), audit.Event{ActorName: "op"}, kiosk.Draft{Name: name, Site: "North", Way: k.way, Rights: kiosk.Rights()})
		if err != nil {
			t.Fatal(err)
		}
		ids[name] = d.ID
	}
	found, told, code := h.diagnose()
	if code != int(directory.Warning) || len(found["kiosks"]) != 4 ||
		!has(found, "kiosks", directory.Warning, "not seen for a week", "Gone, North ("+ids["Gone"]+")", "postern kiosk revoke "+ids["Gone"]) ||
		!has(found, "kiosks", directory.Warning, "nobody entered the code", "Lost, North", "postern kiosk code "+ids["Lost"]) ||
		!has(found, "kiosks", directory.OK, "New, North waits for its one-time code until") || !has(found, "kiosks", directory.OK, "1 kiosk in use") {
		t.Errorf("exit code %d\n%s", code, told)
	}
}
