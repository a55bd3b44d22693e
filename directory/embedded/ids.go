package embedded

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
)

// guid is an objectGUID as people write it, 8-4-4-4-12 in lower case.
type guid string

func newGUID(random io.Reader) (guid, error) {
	var b [16]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", fmt.Errorf("embedded: random: %w", err)
	}
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80 // RFC 9562 version 4
	return guid(fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])), nil
}

// bytes is the form on the wire: the first three groups little-endian (MS-DTYP 2.3.4.2).
func (g guid) bytes() string {
	b, err := hex.DecodeString(strings.ReplaceAll(string(g), "-", ""))
	if err != nil || len(b) != 16 {
		return ""
	}
	for _, swap := range [][2]int{{0, 3}, {1, 2}, {4, 5}, {6, 7}} {
		b[swap[0]], b[swap[1]] = b[swap[1]], b[swap[0]]
	}
	return string(b)
}

// sid is a security identifier: the domain's three numbers and a relative one.
type sid struct {
	domain [3]uint32
	rid    uint32
}

// bytes is the form on the wire (MS-DTYP 2.4.2.2): S-1-5-21-a-b-c-rid.
func (s sid) bytes() string {
	b := []byte{1, 5, 0, 0, 0, 0, 0, 5}
	for _, n := range []uint32{21, s.domain[0], s.domain[1], s.domain[2], s.rid} {
		b = binary.LittleEndian.AppendUint32(b, n)
	}
	return string(b)
}

func (s sid) String() string {
	return fmt.Sprintf("S-1-5-21-%d-%d-%d-%d", s.domain[0], s.domain[1], s.domain[2], s.rid)
}
