package portal

import (
	"strings"
	"testing"
)

// Whoever has a number sees what it is of; everybody else sees that there is none, and
// tries no more often than cases are begun.
func TestAReceiptIsCheckedByAnybodyWithItsNumber(t *testing.T) {
	t.Parallel()
	h := open(t)
	b := h.tab()
	b.get("/receipt").want(t, 200, "Receipt")
	for _, typed := range []string{"P-0000-0001", "p-0000-0001", " P00000001 ", "P 0000 0001"} {
		b.post("/receipt", "code", typed).want(t, 200, "Receipt")
	}
	for typed, code := range map[string]string{"P-0000-0009": "no_receipt", "P-0000-0002": "not_sealed", "\u0660": "no_receipt", "x": "no_receipt"} {
		a := b.post("/receipt", "code", typed).want(t, 422, "Receipt")
		if f := a.Page.Faults; len(f) != 1 || f[0].Field != "code" || f[0].Code != code {
			t.Errorf("%q: %+v", typed, f)
		}
	}
	b.post("/receipt", "code", "P-0000-0003").want(t, 503, "Receipt")
	if a := b.get("/receipt/P-0000-0001"); a.StatusCode != 200 || !strings.Contains(a.Header.Get("Content-Disposition"), `attachment; filename="receipt-P-0000-0001.json"`) || !strings.Contains(string(a.body), `"checkpoint": "signed"`) {
		t.Errorf("%d %v %s", a.StatusCode, a.Header, a.body)
	}
	for path, status := range map[string]int{"/receipt/P-0000-0009": 404, "/receipt/P-0000-0002": 404, "/receipt/P-0000-0003": 503} {
		if a := b.get(path); a.StatusCode != status {
			t.Errorf("%s: %d", path, a.StatusCode)
		}
	}
	h.limits.most = 1
	b.post("/receipt", "code", "P-0000-0001").want(t, 429, "ErrorPage")
}
