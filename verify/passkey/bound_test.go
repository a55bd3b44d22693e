package passkey

import (
	"errors"
	"strings"
	"testing"

	"postern/verify"
	"postern/verify/passkey/passkeytest"
)

// in is s as a member of these groups.
func in(s verify.Subject, groups ...string) verify.Subject {
	u := *s.User
	u.Groups, s.User = groups, &u
	return s
}

func eligible(c *passkeytest.Ceremony) { c.Flags |= passkeytest.BackupEligible }

func TestWhatCanBeCopiedIsRefusedToTheMembersOfAGroup(t *testing.T) {
	cfg := newWorld(t).config(None)
	cfg.DeviceBoundGroups = []string{"CN=Tier 0,OU=Groups,DC=corp,DC=example", "Helpdesk"}
	for name, test := range map[string]struct {
		groups []string
		bound  bool
	}{
		"in none":                {nil, false},
		"in another":             {[]string{"CN=Staff,OU=Groups,DC=corp,DC=example"}, false},
		"by DN":                  {[]string{"CN=Staff,DC=corp", "cn=tier 0, ou=groups, dc=CORP, dc=example"}, true},
		"by common name":         {[]string{"CN=Helpdesk,OU=Elsewhere,DC=corp,DC=example"}, true},
		"by bare name":           {[]string{"helpdesk"}, true},
		"same name, another DN":  {[]string{"CN=Tier 0,OU=Trash,DC=corp,DC=example"}, false},
		"a name that begins so":  {[]string{"CN=Helpdesk Guests,DC=corp"}, false},
		"an OU of the same name": {[]string{"CN=Staff,OU=Helpdesk,DC=corp"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t).with(t, cfg)
			who := in(b.who, test.groups...)
			for _, knob := range []passkeytest.Knob{passkeytest.Synced, eligible} {
				_, err := b.enrol(t, who, passkeytest.New(site), knob)
				if got := errors.Is(err, ErrNotAllowed) && errors.Is(err, verify.ErrNotAllowed); got != test.bound || !got && err != nil {
					t.Errorf("got %v, bound: %v", err, test.bound)
				}
			}
			b.mustEnrol(t, who, passkeytest.New(site))
			offer := must[verify.Challenge](t)(b.Offer(t.Context(), who))
			if got := strings.Contains(string(offer.Public), `"hints"`); got != test.bound {
				t.Errorf("hints: %v", got)
			}
		})
	}
}

// Whoever joins a group between the two steps is a member.
func TestMembershipCountsWhenTheSetUpIsConfirmed(t *testing.T) {
	cfg := newWorld(t).config(None)
	cfg.DeviceBoundGroups = []string{"Helpdesk"}
	b := newBench(t).with(t, cfg)
	offer := must[verify.Challenge](t)(b.Offer(t.Context(), b.who))
	answer := must[[]byte](t)(b.device.Create(offer.Public, passkeytest.Synced))
	if _, err := b.Enrol(t.Context(), in(b.who, "Helpdesk"), offer, answer); !errors.Is(err, ErrNotAllowed) {
		t.Errorf("got %v, want ErrNotAllowed", err)
	}
}

func TestTheGroupsOfDeviceBoundAreChecked(t *testing.T) {
	for name, test := range map[string]struct {
		all    bool
		groups []string
		fault  string
	}{
		"none":             {false, nil, ""},
		"both spellings":   {false, []string{"Helpdesk", `CN=a\,b,DC=corp`}, ""},
		"for everybody":    {true, nil, ""},
		"twice":            {true, []string{"Helpdesk"}, "device_bound_groups: "},
		"empty":            {false, []string{"Helpdesk", " "}, "device_bound_groups[1]: "},
		"half a DN":        {false, []string{"CN=Helpdesk,,DC=corp"}, "device_bound_groups[0]: "},
		"a DN cut short":   {false, []string{"CN=Helpdesk,DC"}, "device_bound_groups[0]: "},
		"a dangling slash": {false, []string{`CN=Helpdesk\`}, "device_bound_groups[0]: "},
	} {
		cfg := DefaultConfig()
		cfg.Name, cfg.DeviceBound, cfg.DeviceBoundGroups = "Postern", test.all, test.groups
		faults := cfg.Validate()
		if test.fault == "" && len(faults) > 0 || test.fault != "" && (len(faults) != 1 || !strings.HasPrefix(faults[0].Error(), test.fault)) {
			t.Errorf("%s: %v, want %q", name, faults, test.fault)
		}
	}
}
