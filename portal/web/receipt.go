package web

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"unicode"

	"github.com/gofiber/fiber/v2"

	"postern/portal/audit"
	"postern/portal/flow"
	"postern/portal/limit"
	"postern/portal/policy"
	"postern/portal/web/view"
)

// Receipts prove that a finished case is in the record (*store.DB).
type Receipts interface {
	Receipt(ctx context.Context, code string) (audit.Receipt, error)
}

const receiptPath = "/receipt"

// receiptForm takes the number of a receipt.
func (s *Site) receiptForm(v *visit) error {
	return v.page(fiber.StatusOK, &view.Receipt{Frame: v.frame(receiptPath)})
}

// checkReceipt says whether the record has it, and names nobody.
func (s *Site) checkReceipt(v *visit, f form) error {
	r, err := s.receiptOf(v, f["code"])
	if err == nil {
		var p *view.Receipt
		if p, err = receiptPage(v, r); err == nil {
			return v.page(fiber.StatusOK, p)
		}
	}
	t := judge(err)
	if len(t.faults) == 0 {
		return err
	}
	s.tell(v, t, err)
	return v.page(t.status, &view.Receipt{Frame: v.frame(receiptPath, t.faults...), Typed: f["code"]})
}

// receiptFile is the proof itself, for postern audit receipt.
func (s *Site) receiptFile(v *visit) error {
	r, err := s.receiptOf(v, v.Params("code"))
	if errors.As(err, new(*flow.Invalid)) {
		return fiber.ErrNotFound
	}
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	v.Set(fiber.HeaderContentType, fiber.MIMEApplicationJSON)
	v.Set(fiber.HeaderContentDisposition, `attachment; filename="receipt-`+r.Code+`.json"`)
	return v.Send(append(text, '\n'))
}

// receiptOf finds it. Numbers are tried by address, as often as cases are begun from one:
// of 40 bits a hundred tries find nothing, and what is found names nobody.
func (s *Site) receiptOf(v *visit, typed string) (audit.Receipt, error) {
	if err := s.Limits.Take(v.ctx(), limit.Start, "receipt\x00"+limit.AddressKey(v.client)); err != nil {
		if errors.As(err, new(*limit.Exceeded)) {
			return audit.Receipt{}, err
		}
		return audit.Receipt{}, &down{err}
	}
	r, err := s.Receipts.Receipt(v.ctx(), receiptNumber(typed))
	switch {
	case errors.Is(err, audit.ErrNoReceipt):
		return r, &flow.Invalid{Field: "code", Code: "no_receipt"}
	case errors.Is(err, audit.ErrNotSealed):
		return r, &flow.Invalid{Field: "code", Code: "not_sealed"}
	case err != nil:
		return r, &down{err}
	}
	return r, nil
}

// receiptNumber is what was typed as it is printed: P-XXXX-XXXX.
func receiptNumber(typed string) string {
	n := strings.Map(func(r rune) rune {
		if r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			return -1
		}
		return unicode.ToUpper(r)
	}, typed)
	if len(n) != 9 {
		return n
	}
	return n[:1] + "-" + n[1:5] + "-" + n[5:]
}

func receiptPage(v *visit, r audit.Receipt) (*view.Receipt, error) {
	var e audit.Event
	if err := json.Unmarshal([]byte(r.Event), &e); err != nil {
		return nil, &down{err}
	}
	return &view.Receipt{Frame: v.frame(receiptPath), Typed: r.Code, Found: true, Purpose: policy.Purpose(e.Purpose), At: e.At, Entry: int(r.Index) + 1,
		File: receiptPath + "/" + r.Code, Checkpoint: r.Checkpoint}, nil
}
