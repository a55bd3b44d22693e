package embedded

import (
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"
)

// index is the directory as it is searched: every entry, made once and found by
// object and by name. Without it each look at one person was a look at all of them.
//
// An entry in it is never changed, only replaced: a search that found it goes on
// showing it after the lock is gone.
type index struct {
	data     *data
	entries  []*entry // the head first
	byGUID   map[string]int
	byDN     map[string]int    // in lower-case normal form; a hint, see at
	accounts map[*account]int  // where each one's entry is
	managers map[string]string // DN by login, as far as somebody is managed
}

func newIndex(d *data, p policy) *index {
	x := &index{data: d, byGUID: map[string]int{}, byDN: map[string]int{}, accounts: map[*account]int{}, managers: map[string]string{}}
	for _, e := range d.entries(p) {
		x.put(e)
	}
	for _, a := range d.Accounts {
		x.accounts[a] = len(x.entries)
		x.put(x.account(a))
	}
	return x
}

func (x *index) put(e *entry) {
	if parsed, err := ldap.ParseDN(e.dn); err == nil {
		e.parsed = parsed
	} else {
		e.parsed = &ldap.DN{} // found by object alone
	}
	for _, g := range e.attrs["objectGUID"] {
		if g != "" {
			x.byGUID[g] = len(x.entries)
		}
	}
	x.byDN[strings.ToLower(e.parsed.String())] = len(x.entries)
	x.entries = append(x.entries, e)
}

// refresh replaces the entry of an account that was changed in place.
func (x *index) refresh(a *account) {
	if i, ok := x.accounts[a]; ok {
		e := x.account(a)
		e.parsed = x.entries[i].parsed
		x.entries[i] = e
	}
}

func (x *index) account(a *account) *entry {
	manager, known := x.managers[a.Manager]
	if !known {
		i := slices.IndexFunc(x.data.Accounts, func(m *account) bool { return foldEqual(m.Login, a.Manager) })
		if a.Manager != "" && i >= 0 {
			manager = x.data.Accounts[i].DN
		}
		x.managers[a.Manager] = manager
	}
	return x.data.accountEntry(a, manager)
}

// at finds an entry by DN or <GUID=…>, or nil.
func (x *index) at(dn string) *entry {
	if g, ok := guidOf(dn); ok {
		if i, there := x.byGUID[g]; there {
			return x.entries[i]
		}
		return nil
	}
	parsed, err := ldap.ParseDN(dn)
	if err != nil || len(parsed.RDNs) == 0 {
		return nil
	}
	if i, there := x.byDN[strings.ToLower(parsed.String())]; there && x.entries[i].parsed.EqualFold(parsed) {
		return x.entries[i]
	}
	// Letters beyond ASCII have more cases than ToLower sees in normal form.
	if i := slices.IndexFunc(x.entries, func(e *entry) bool { return e.parsed.EqualFold(parsed) }); i >= 0 {
		return x.entries[i]
	}
	return nil
}
