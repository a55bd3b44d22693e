package embedded

import (
	"encoding/binary"
)

// Rights as in the security descriptor of a person, so that the doctor's
// reading of effective rights has something true to read.
const (
	rightResetPassword  = "00299570-246d-11d0-a768-00aa006e0529"
	rightChangePassword = "ab721a53-1e2f-11d0-9819-00aa0040529b"
	rightUnexpire       = "ccc2dc7d-a6ad-4a7a-8846-c04e3cc53501"
	attrLockoutTime     = "28630ebf-41d5-11d1-a9c1-0000f80367c1"
	attrPwdLastSet      = "bf967a0a-0de6-11d0-a285-00aa003049e2"

	maskControlAccess = 0x100
	maskReadProperty  = 0x10
	maskWriteProperty = 0x20
)

// descriptor is a self-relative security descriptor (MS-DTYP 2.4.6) that grants
// the service account exactly what the server lets it do. A protected account
// has lost the delegation, as after AdminSDHolder has been over it.
func (d *data) descriptor(protected bool) string {
	service := d.sid(svcRID).bytes()
	everyone := "\x01\x01\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00"
	aces := objectACE(maskControlAccess, rightChangePassword, everyone)
	count := 1
	if !protected {
		aces += objectACE(maskControlAccess, rightResetPassword, service) +
			objectACE(maskControlAccess, rightUnexpire, service) +
			objectACE(maskReadProperty|maskWriteProperty, attrLockoutTime, service) +
			objectACE(maskReadProperty|maskWriteProperty, attrPwdLastSet, service)
		count = 5
	}
	le := binary.LittleEndian
	owner := d.sid(512).bytes()
	const headerSize = 20
	sd := []byte{1, 0}
	sd = le.AppendUint16(sd, 0x8004)                        // self-relative, DACL present
	sd = le.AppendUint32(sd, headerSize)                    // owner
	sd = le.AppendUint32(sd, headerSize)                    // group: the same
	sd = le.AppendUint32(sd, 0)                             // no SACL
	sd = le.AppendUint32(sd, uint32(headerSize+len(owner))) // DACL
	sd = append(sd, owner...)
	sd = append(sd, 4, 0) // ACL_REVISION_DS
	sd = le.AppendUint16(sd, uint16(8+len(aces)))
	sd = le.AppendUint16(sd, uint16(count))
	sd = le.AppendUint16(sd, 0)
	return string(sd) + aces
}

// objectACE is an ACCESS_ALLOWED_OBJECT_ACE (MS-DTYP 2.4.4.3).
func objectACE(mask uint32, object guid, trustee string) string {
	le := binary.LittleEndian
	b := []byte{0x05, 0x00}
	b = le.AppendUint16(b, uint16(4+4+4+16+len(trustee)))
	b = le.AppendUint32(b, mask)
	b = le.AppendUint32(b, 1) // ACE_OBJECT_TYPE_PRESENT
	return string(b) + object.bytes() + trustee
}
