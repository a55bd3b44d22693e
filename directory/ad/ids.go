package ad

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// formatGUID writes an objectGUID in 8-4-4-4-12 form, lower case. The first three
// fields are little-endian on the wire (MS-DTYP section 2.3.4.2).
func formatGUID(b []byte) (string, error) {
	if len(b) != 16 {
		return "", fmt.Errorf("ad: an objectGUID has 16 bytes, not %d", len(b))
	}
	return fmt.Sprintf("%08x-%04x-%04x-%x-%x", binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint16(b[4:]),
		binary.LittleEndian.Uint16(b[6:]), b[8:10], b[10:]), nil
}

// validGUID reports whether s is what formatGUID writes, so that nothing else can
// be slipped into a DN.
func validGUID(s string) bool {
	if len(s) != 36 || s != strings.ToLower(s) {
		return false
	}
	for _, i := range []int{8, 13, 18, 23} {
		if s[i] != '-' {
			return false
		}
	}
	raw, err := hex.DecodeString(strings.ReplaceAll(s, "-", ""))
	return err == nil && len(raw) == 16
}

// sid is a security identifier in its binary form (MS-DTYP section 2.4.2.2).
type sid string

func newSID(b []byte) (sid, error) {
	if len(b) < 12 || b[0] != 1 || b[1] > 15 || len(b) != 8+4*int(b[1]) {
		return "", errors.New("ad: not a SID")
	}
	return sid(b), nil
}

// parseSID reads S-1-5-21-….
func parseSID(s string) (sid, error) {
	parts := strings.Split(strings.ToUpper(s), "-")
	if len(parts) < 4 || len(parts) > 3+15 || parts[0] != "S" || parts[1] != "1" {
		return "", errors.New("ad: not a SID")
	}
	authority, err := strconv.ParseUint(parts[2], 10, 48)
	if err != nil {
		return "", errors.New("ad: not a SID")
	}
	b := []byte{1, byte(len(parts) - 3)}
	b = append(b, binary.BigEndian.AppendUint64(nil, authority)[2:]...)
	for _, p := range parts[3:] {
		n, err := strconv.ParseUint(p, 10, 32)
		if err != nil {
			return "", errors.New("ad: not a SID")
		}
		b = binary.LittleEndian.AppendUint32(b, uint32(n))
	}
	return sid(b), nil
}

func (s sid) String() string {
	b := []byte(s)
	var w strings.Builder
	fmt.Fprintf(&w, "S-1-%d", binary.BigEndian.Uint64(append([]byte{0, 0}, b[2:8]...)))
	for i := 8; i < len(b); i += 4 {
		fmt.Fprintf(&w, "-%d", binary.LittleEndian.Uint32(b[i:]))
	}
	return w.String()
}

// rid is the last sub-authority; builtin says that it is below S-1-5-32, domain
// that it is below S-1-5-21.
func (s sid) rid() (rid uint32, builtin, domain bool) {
	text := s.String()
	if len(s) < 12 {
		return 0, false, false
	}
	rid = binary.LittleEndian.Uint32([]byte(s[len(s)-4:]))
	return rid, strings.HasPrefix(text, "S-1-5-32-"), strings.HasPrefix(text, "S-1-5-21-")
}

// filterValue is the escaped binary form for a search filter.
func (s sid) filterValue() string {
	var w strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&w, `\%02x`, s[i])
	}
	return w.String()
}

const (
	never      = 0x7FFFFFFFFFFFFFFF
	ticksSince = 116444736000000000 // 1601-01-01 to 1970-01-01 in 100 ns
)

// fileTime turns 100 ns since 1601 UTC into a time; 0 and "never" are the zero time.
func fileTime(s string) time.Time {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n <= 0 || n == never {
		return time.Time{}
	}
	n -= ticksSince
	return time.Unix(n/1e7, n%1e7*100).UTC()
}

// interval turns a negative count of 100 ns into a duration. The smallest number
// means "never", as does 0.
func interval(s string) time.Duration {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n >= 0 || n == -never-1 || n < -never/100 {
		return 0
	}
	return time.Duration(-n) * 100
}
