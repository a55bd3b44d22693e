package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// Receipt proves to anybody with the log's public key that an event stands in it: its
// text as it was sealed, its place, and the audit path from there to a signed checkpoint
// (RFC 6962 section 2.1.1). It names nobody: what is personal in the text is sealed.
type Receipt struct {
	Format     string `json:"format"` // ReceiptFormat
	Code       string `json:"receipt"`
	Index      int64  `json:"index"`
	Event      string `json:"event"` // the entry, byte for byte
	Path       []Hash `json:"path"`
	Checkpoint string `json:"checkpoint"`
}

// ReceiptFormat is what Receipt.Format says.
const ReceiptFormat = "postern-receipt-1"

// ErrNoReceipt is a code that no event has. ErrNotSealed is one whose event is not in the
// log yet: a second later it is.
var (
	ErrNoReceipt = errors.New("audit: no such receipt")
	ErrNotSealed = errors.New("audit: not sealed yet")
)

// NewReceipt proves an entry of the log that a checkpoint was signed over.
func NewReceipt(code string, index int64, leaf []byte, size int64, checkpoint string, h Hashes) (Receipt, error) {
	path, err := Prove(size, index, h)
	if err != nil {
		return Receipt{}, err
	}
	return Receipt{Format: ReceiptFormat, Code: code, Index: index, Event: string(leaf), Path: path, Checkpoint: checkpoint}, nil
}

// Proven is what a receipt that holds says.
type Proven struct {
	Event Event
	Entry int64 // from 1
	Size  int64 // entries of the log when it was signed
	Sign  time.Time
}

// Check holds the receipt against the key of the log.
func (r Receipt) Check(key Key) (Proven, error) {
	if r.Format != ReceiptFormat {
		return Proven{}, fmt.Errorf("audit: %q is not the format of a receipt, %s", r.Format, ReceiptFormat)
	}
	c, err := key.Open(r.Checkpoint)
	if err != nil {
		return Proven{}, err
	}
	if r.Index < 0 || r.Index >= c.Size || tlog.CheckRecord(r.Path, c.Size, c.Root, r.Index, LeafHash([]byte(r.Event))) != nil {
		return Proven{}, errors.New("audit: this is not what the log holds there: the receipt was changed, or the log is another")
	}
	p := Proven{Entry: r.Index + 1, Size: c.Size, Sign: c.At}
	if err := json.Unmarshal([]byte(r.Event), &p.Event); err != nil {
		return Proven{}, fmt.Errorf("audit: the event of a receipt: %w", err)
	}
	if p.Event.Detail["receipt"] != r.Code {
		return Proven{}, fmt.Errorf("audit: the event of this receipt has another number, %q", p.Event.Detail["receipt"])
	}
	return p, nil
}
