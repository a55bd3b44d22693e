package enrol

import (
	"slices"

	"postern/verify"
)

// Figures count a Coverage. People, and all that follows before NotServed, are those
// whom the portal serves.
type Figures struct {
	People         int                 `json:"people"`
	CanRecover     int                 `json:"can_recover"`
	ByPasskeyAlone int                 `json:"by_passkey_alone"`
	ByTwoGates     int                 `json:"by_two_gates"` // some of them by a passkey alone as well
	OneWay         int                 `json:"one_way"`
	CannotRecover  int                 `json:"cannot_recover"`
	Factors        map[verify.Kind]int `json:"factors"`    // people who have it
	CodesLeft      int                 `json:"codes_left"` // recovery codes of all
	FewCodes       int                 `json:"few_codes"`  // people who have some, and fewer than FewCodes
	NotServed      map[string]int      `json:"not_served"` // by why
	// Registered is what people registered with a directory itself; nil: none tells.
	Registered *Registered `json:"registered,omitempty"`
	Gone       int         `json:"gone"`
}

// FewCodes is when somebody should make new ones.
const FewCodes = 3

// Figures counts everybody.
func (c Coverage) Figures() Figures {
	f := c.figures(func(Covered) bool { return true })
	f.Gone, f.Registered = len(c.Gone), c.registered()
	for why, n := range c.Outside {
		f.NotServed[why] += n
	}
	return f
}

// In counts the members of one of the groups that were asked about.
func (c Coverage) In(group string) Figures {
	return c.figures(func(p Covered) bool { return slices.Contains(p.Groups, group) })
}

func (c Coverage) figures(of func(Covered) bool) Figures {
	f := Figures{Factors: map[verify.Kind]int{}, NotServed: map[string]int{}}
	for _, p := range c.People {
		if of(p) {
			f.add(p)
		}
	}
	for _, p := range c.Unserved {
		if of(p) {
			f.NotServed[p.Unserved]++
		}
	}
	return f
}

func (f *Figures) add(p Covered) {
	f.People++
	for _, h := range p.Holdings {
		f.Factors[h.Kind]++
	}
	codes := p.Count(verify.RecoveryCode)
	f.CodesLeft += codes
	if codes > 0 && codes < FewCodes {
		f.FewCodes++
	}
	switch len(p.Ways) {
	case 0:
		f.CannotRecover++
		return
	case 1:
		f.OneWay++
	}
	f.CanRecover++
	if p.ByPasskeyAlone() {
		f.ByPasskeyAlone++
	}
	if p.ByTwoGates() {
		f.ByTwoGates++
	}
}
