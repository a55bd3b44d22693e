package ad

import (
	"encoding/binary"
	"errors"

	"github.com/go-ldap/ldap/v3"
)

// Extended rights (MS-ADTS section 5.1.3.2.1), in the byte order of an ACE.
var (
	rightResetPassword    = right{0x00299570, 0x246d, 0x11d0, [8]byte{0xa7, 0x68, 0x00, 0xaa, 0x00, 0x6e, 0x05, 0x29}}
	rightChangePassword   = right{0xab721a53, 0x1e2f, 0x11d0, [8]byte{0x98, 0x19, 0x00, 0xaa, 0x00, 0x40, 0x52, 0x9b}}
	rightUnexpirePassword = right{0xccc2dc7d, 0xa6ad, 0x4a7a, [8]byte{0x88, 0x46, 0xc0, 0x4e, 0x3c, 0xc5, 0x35, 0x01}}
)

type right struct {
	a    uint32
	b, c uint16
	d    [8]byte
}

func (r right) wire() [16]byte {
	var w [16]byte
	binary.LittleEndian.PutUint32(w[:], r.a)
	binary.LittleEndian.PutUint16(w[4:], r.b)
	binary.LittleEndian.PutUint16(w[6:], r.c)
	copy(w[8:], r.d[:])
	return w
}

const (
	sidEveryone      = "S-1-1-0"
	sidSelf          = "S-1-5-10"
	sidAuthenticated = "S-1-5-11"

	aceAllow, aceDeny             = 0x00, 0x01
	aceAllowObject, aceDenyObject = 0x05, 0x06
	aceInheritOnly                = 0x08
	aceHasObjectType              = 0x1
	aceHasInheritedType           = 0x2
	maskControlAccess             = 0x100
	maskGenericAll                = 0x10000000
)

// sdFlags asks for the DACL alone (MS-ADTS section 3.1.1.3.4.1.11): without it the
// server wants the right to read the SACL too, and returns nothing.
func sdFlags() ldap.Control {
	return ldap.NewControlString(ldap.ControlTypeMicrosoftSDFlags, false, "\x30\x03\x02\x01\x04")
}

// ace is one access control entry that applies to the object itself.
type ace struct {
	deny    bool
	mask    uint32
	object  [16]byte // zero: every right of the mask
	trustee sid
}

var errDescriptor = errors.New("ad: not a security descriptor")

// parseDACL reads the discretionary list of a self-relative security descriptor
// (MS-DTYP section 2.4.6). Entries of other kinds are left out.
func parseDACL(b []byte) ([]ace, error) {
	if len(b) < 20 || b[0] != 1 {
		return nil, errDescriptor
	}
	at := int(binary.LittleEndian.Uint32(b[16:]))
	if at < 20 || at > len(b)-8 {
		return nil, errDescriptor
	}
	acl := b[at:]
	size, count := int(binary.LittleEndian.Uint16(acl[2:])), int(binary.LittleEndian.Uint16(acl[4:]))
	if size < 8 || size > len(acl) {
		return nil, errDescriptor
	}
	rest := acl[8:size]
	var out []ace
	for range count {
		if len(rest) < 8 {
			return nil, errDescriptor
		}
		n := int(binary.LittleEndian.Uint16(rest[2:]))
		if n < 8 || n > len(rest) {
			return nil, errDescriptor
		}
		if e, ok, err := parseACE(rest[:n]); err != nil {
			return nil, err
		} else if ok {
			out = append(out, e)
		}
		rest = rest[n:]
	}
	return out, nil
}

// inheritsNothing reports whether a descriptor is cut off from those above it
// (SE_DACL_PROTECTED, MS-DTYP section 2.4.6).
func inheritsNothing(b []byte) bool {
	return len(b) >= 20 && binary.LittleEndian.Uint16(b[2:])&0x1000 != 0
}

func parseACE(b []byte) (e ace, applies bool, err error) {
	kind, flags := b[0], b[1]
	e.mask = binary.LittleEndian.Uint32(b[4:])
	body := b[8:]
	switch kind {
	case aceAllow, aceDeny:
	case aceAllowObject, aceDenyObject:
		if len(body) < 4 {
			return e, false, errDescriptor
		}
		has := binary.LittleEndian.Uint32(body)
		body = body[4:]
		for _, f := range []uint32{aceHasObjectType, aceHasInheritedType} {
			if has&f == 0 {
				continue
			}
			if len(body) < 16 {
				return e, false, errDescriptor
			}
			if f == aceHasObjectType {
				copy(e.object[:], body)
			}
			body = body[16:]
		}
	default:
		return e, false, nil
	}
	e.deny = kind == aceDeny || kind == aceDenyObject
	if len(body) < 8 || len(body) < 8+4*int(body[1]) {
		return e, false, errDescriptor
	}
	if e.trustee, err = newSID(body[:8+4*int(body[1])]); err != nil {
		return e, false, errDescriptor
	}
	return e, flags&aceInheritOnly == 0, nil
}

// granted evaluates one extended right in the list's own order: the first entry
// that speaks of it and of the caller decides (MS-ADTS section 5.1.3.3.4).
func granted(dacl []ace, r right, token map[sid]bool) bool {
	want := r.wire()
	for _, e := range dacl {
		if !token[e.trustee] || e.mask&(maskControlAccess|maskGenericAll) == 0 {
			continue
		}
		if e.object == ([16]byte{}) || e.object == want {
			return !e.deny
		}
	}
	return false
}

// cannotChange is how "user cannot change password" is stored: the right Change
// Password denied to everyone or to the account itself.
func cannotChange(dacl []ace) bool {
	want := rightChangePassword.wire()
	for _, e := range dacl {
		if e.deny && e.object == want && e.mask&maskControlAccess != 0 {
			if t := e.trustee.String(); t == sidEveryone || t == sidSelf {
				return true
			}
		}
	}
	return false
}

// tokenOf is the set of SIDs a caller is checked with.
func tokenOf(own sid, groups []sid) map[sid]bool {
	token := map[sid]bool{own: true}
	for _, g := range groups {
		token[g] = true
	}
	for _, well := range []string{sidEveryone, sidAuthenticated} {
		if s, err := parseSID(well); err == nil {
			token[s] = true
		}
	}
	return token
}
