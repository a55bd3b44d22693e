package portal

import (
	"context"
	"encoding/json"
	"testing"

	"postern/portal/flow"
	"postern/portal/kiosk"
	"postern/portal/web"
	"postern/portal/web/view"
)

// registered is one device, whatever its pass.
type registered struct{ screens }

func (registered) Open(context.Context, string, string) (kiosk.Device, error) {
	return kiosk.Device{ID: "ward", Name: "Ward 3", Rights: []kiosk.Right{"reset"}}, nil
}

func (registered) Enter(context.Context, kiosk.Device, string) (string, error) { return "", nil }

func withPicker(o *Options) {
	o.Web.Places = []view.Place{{Name: "corp", Label: "Head office"}, {Name: "cloud", Label: "Microsoft 365"}}
}

func withDevice(o *Options) {
	kiosked(o)
	k := registered{}
	o.Web.Kiosk = &web.Kiosk{Devices: k, Doors: k, Errands: k, Phones: k, Leaving: k, Carrying: k, Asking: k, ClaimingAt: k}
}

// What is picked is looked for there, as if its name had been typed in front; whoever
// types one in front means that one.
func TestWhatIsPickedIsWhereOneIsLookedFor(t *testing.T) {
	t.Parallel()
	h := open(t, withPicker, withDevice)
	for _, door := range []struct {
		form, start string
		fields      []string
	}{
		{"/recover/reset", "/recover/start", []string{"purpose", "reset"}},
		{"/signin", "/signin/start", nil},
		{"/kiosk/reset", "/kiosk/case/start", []string{"purpose", "reset"}},
	} {
		for _, c := range []struct{ typed, picked, want string }{
			{"alice", "corp", `corp\alice`},
			{" alice@example.org ", "cloud", `cloud\alice@example.org`},
			{`NORTH\alice`, "cloud", `NORTH\alice`},
			{"alice", "", "alice"},
		} {
			b := h.tab()
			if door.form[:6] == "/kiosk" {
				b.cookies["__Host-kiosk"] = "pass"
			}
			b.get(door.form)
			b.post(door.start, append([]string{"login", c.typed, "directory", c.picked}, door.fields...)...)
			if n := len(h.core.seen); n == 0 || h.core.seen[n-1].Login != c.want {
				t.Errorf("%s: %q in %q: %+v, want %q", door.start, c.typed, c.picked, h.core.seen, c.want)
			}
			h.core.seen = nil
			b.get(door.form)
			a := b.post(door.start, append([]string{"login", c.typed, "directory", "elsewhere"}, door.fields...)...)
			if a.StatusCode != 400 || a.Page.Code != "bad_form" || len(h.core.seen) > 0 {
				t.Errorf("%s in a directory there is not: %d %q", door.start, a.StatusCode, a.Page.Code)
			}
		}
	}
}

func TestAFormShownAgainKeepsWhatWasPicked(t *testing.T) {
	t.Parallel()
	h := open(t, withPicker)
	h.core.fail = &flow.Invalid{Field: "login", Code: "required"}
	b := h.tab()
	for form, fields := range map[string][]string{"/recover/reset": {"/recover/start", "purpose", "reset"}, "/signin": {"/signin/start"}} {
		b.get(form)
		a := b.post(fields[0], append([]string{"login", "alice", "directory", "cloud"}, fields[1:]...)...)
		var shown struct {
			Page struct {
				Login, Place string
				Places       []view.Place
			}
		}
		if err := json.Unmarshal(a.body, &shown); err != nil || shown.Page.Login != "alice" || shown.Page.Place != "cloud" || len(shown.Page.Places) != 2 {
			t.Errorf("%s: %v %s", form, err, a.body)
		}
	}
}

// Without a picker its field is one that the form does not have.
func TestNothingIsPickedWhereThereIsNoPicker(t *testing.T) {
	t.Parallel()
	h := open(t, kiosked)
	b := h.tab()
	for form, start := range map[string]string{"/recover/reset": "/recover/start", "/signin": "/signin/start"} {
		b.get(form)
		if a := b.post(start, "purpose", "reset", "login", "alice", "directory", "corp"); a.StatusCode != 400 || a.Page.Code != "bad_form" {
			t.Errorf("%s: %d %q", start, a.StatusCode, a.Page.Code)
		}
	}
	if len(h.core.calls) > 0 {
		t.Errorf("the core was asked: %v", h.core.calls)
	}
}
