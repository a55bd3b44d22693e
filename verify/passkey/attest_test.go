package passkey

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-webauthn/webauthn/metadata"

	"postern/verify"
	"postern/verify/passkey/passkeytest"
)

var (
	modelA    = [16]byte{0xcb, 0x69, 0x48, 0x1e, 1}
	modelB    = [16]byte{0xcb, 0x69, 0x48, 0x1e, 2}
	withdrawn = [16]byte{0xcb, 0x69, 0x48, 0x1e, 3}
	broken    = [16]byte{0xcb, 0x69, 0x48, 0x1e, 4}
	plain     = [16]byte{0xcb, 0x69, 0x48, 0x1e, 5}
	updated   = [16]byte{0xcb, 0x69, 0x48, 0x1e, 6}
	unknown   = [16]byte{0xcb, 0x69, 0x48, 0x1e, 7}
)

// world is a maker of devices, another one, and the metadata about the first.
type world struct {
	maker, other, fido *passkeytest.Maker
	blob, root         string
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func newWorld(t testing.TB) *world {
	t.Helper()
	maker := must[*passkeytest.Maker](t)
	w := &world{maker: maker(passkeytest.NewMaker("Maker")), other: maker(passkeytest.NewMaker("Maker")), fido: maker(passkeytest.NewMaker("FIDO"))}
	w.blob, w.root = filepath.Join(t.TempDir(), "blob.jwt"), filepath.Join(t.TempDir(), "root.pem")
	write(t, w.root, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.fido.Root.Raw}))
	write(t, w.blob, w.metadata(t, w.fido, 7, time.Now().AddDate(0, 0, 14)))
	return w
}

func write(t testing.TB, path string, b []byte) {
	t.Helper()
	// By renaming, as the documentation says.
	if err := errors.Join(os.WriteFile(path+".new", b, 0o600), os.Rename(path+".new", path)); err != nil {
		t.Fatal(err)
	}
}

func (w *world) metadata(t testing.TB, signer *passkeytest.Maker, number int, next time.Time, more ...passkeytest.Model) []byte {
	t.Helper()
	model := func(id [16]byte, statuses ...string) passkeytest.Model {
		return passkeytest.Model{AAGUID: id, Root: w.maker.Root, Statuses: statuses}
	}
	return must[[]byte](t)(signer.Blob("mds.fidoalliance.org", number, next, append(more,
		model(modelA, "NOT_FIDO_CERTIFIED", "FIDO_CERTIFIED_L1"), model(modelB, "FIDO_CERTIFIED_L2"),
		model(withdrawn, "FIDO_CERTIFIED", "REVOKED"), model(broken, "USER_KEY_REMOTE_COMPROMISE", "FIDO_CERTIFIED_L1"),
		model(plain, "FIDO_CERTIFIED", "NOT_FIDO_CERTIFIED"), model(updated, "FIDO_CERTIFIED_L1", "UPDATE_AVAILABLE", "FIPS140_CERTIFIED_L2"))...))
}

func (w *world) config(demand Attestation) Config {
	cfg := DefaultConfig()
	cfg.Name, cfg.Attestation = "Postern", demand
	if demand == Listed || demand == Certified {
		cfg.Metadata, cfg.MetadataRoot = w.blob, w.root
	}
	if demand == Listed {
		cfg.AllowedAAGUIDs = []string{passkeytest.UUID(modelA), passkeytest.UUID(withdrawn), passkeytest.UUID(plain), passkeytest.UUID(unknown)}
	}
	return cfg
}

func (b *bench) with(t testing.TB, cfg Config) *bench {
	t.Helper()
	b.Factor = must[*Factor](t)(New(cfg, site, b.vault, b.handles, func() time.Time { return b.at }, rand.Reader))
	return b
}

func TestANewPasskeyMustProveWhatThePolicyDemands(t *testing.T) {
	w := newWorld(t)
	forged := func(knob passkeytest.Knob) passkeytest.Knob {
		return func(c *passkeytest.Ceremony) { knob(c); c.Forge = true }
	}
	const taken, wrong, barred = "taken", "wrong", "not allowed"
	for name, test := range map[string]struct {
		knob                         passkeytest.Knob
		none, any, listed, certified string
	}{
		"no statement":                 {func(*passkeytest.Ceremony) {}, taken, barred, barred, barred},
		"self attestation":             {passkeytest.SelfAttested(modelA), taken, taken, barred, barred},
		"forged self attestation":      {forged(passkeytest.SelfAttested(modelA)), taken, wrong, wrong, wrong},
		"the maker's":                  {w.maker.Attested(modelA, modelA), taken, taken, taken, taken},
		"the maker's, forged":          {forged(w.maker.Attested(modelA, modelA)), taken, wrong, wrong, wrong},
		"another maker's root":         {w.other.Attested(modelA, modelA), taken, taken, barred, barred},
		"certificate of another model": {w.maker.Attested(modelA, modelB), taken, wrong, wrong, wrong},
		"not on the list":              {w.maker.Attested(modelB, modelB), taken, taken, barred, taken},
		"revoked":                      {w.maker.Attested(withdrawn, withdrawn), taken, taken, barred, barred},
		"broken, certified again":      {w.maker.Attested(broken, broken), taken, taken, barred, barred},
		"no longer certified":          {w.maker.Attested(plain, plain), taken, taken, taken, barred},
		"update and FIPS later":        {w.maker.Attested(updated, updated), taken, taken, barred, taken},
		"not in the metadata":          {w.maker.Attested(unknown, unknown), taken, taken, barred, barred},
		"zeros":                        {w.maker.Attested([16]byte{}, [16]byte{}), taken, taken, barred, barred},
	} {
		for demand, want := range map[Attestation]string{None: test.none, Any: test.any, Listed: test.listed, Certified: test.certified} {
			t.Run(name+"/"+string(demand), func(t *testing.T) {
				b := newBench(t).with(t, w.config(demand))
				_, err := b.enrol(t, b.who, b.device, test.knob)
				got := "a fault"
				switch {
				case err == nil:
					got = taken
				case errors.Is(err, ErrNotAllowed) && errors.Is(err, verify.ErrWrong):
					got = barred
				case errors.Is(err, verify.ErrWrong):
					got = wrong
				}
				if got != want {
					t.Errorf("%s, want %s: %v", got, want, err)
				}
				if held, err := b.vault.Credentials(t.Context(), b.who.ID, verify.Passkey); err != nil || (len(held) == 1) != (want == taken) {
					t.Errorf("%d kept, %v", len(held), err)
				}
				if want == taken {
					if err := b.sign(t, b.who); err != nil {
						t.Errorf("does not open: %v", err)
					}
				}
			})
		}
	}
}

func TestDeviceBoundRefusesWhatCanBeCopied(t *testing.T) {
	w := newWorld(t)
	for _, demand := range []Attestation{None, Certified} {
		cfg := w.config(demand)
		cfg.DeviceBound = true
		b := newBench(t).with(t, cfg)
		for _, knob := range []passkeytest.Knob{passkeytest.Synced, eligible} {
			if _, err := b.enrol(t, b.who, b.device, w.maker.Attested(modelA, modelA), knob); !errors.Is(err, ErrNotAllowed) {
				t.Errorf("%s: %v", demand, err)
			}
		}
		b.mustEnrol(t, b.who, b.device, w.maker.Attested(modelA, modelA))
		b = newBench(t).with(t, w.config(demand))
		b.mustEnrol(t, b.who, b.device, w.maker.Attested(modelA, modelA), passkeytest.Synced)
	}
}

func TestTheBrowserIsAskedNoMoreThanNeeded(t *testing.T) {
	w := newWorld(t)
	for demand, want := range map[Attestation]string{"": "none", None: "none", Any: "direct", Listed: "direct", Certified: "direct"} {
		for _, bound := range []bool{false, true} {
			cfg := w.config(demand)
			cfg.DeviceBound = bound
			b := newBench(t).with(t, cfg)
			offer := must[verify.Challenge](t)(b.Offer(t.Context(), b.who))
			var o struct {
				PublicKey struct {
					Attestation string
					Hints       []string
					Selection   map[string]any `json:"authenticatorSelection"`
				}
			}
			if err := json.Unmarshal(offer.Public, &o); err != nil {
				t.Fatal(err)
			}
			hints := ""
			if bound {
				hints = "security-key client-device"
			}
			if o.PublicKey.Attestation != want && (want != "none" || o.PublicKey.Attestation != "") || strings.Join(o.PublicKey.Hints, " ") != hints {
				t.Errorf("%s, bound %v: %+v", demand, bound, o.PublicKey)
			}
			if _, set := o.PublicKey.Selection["authenticatorAttachment"]; set {
				t.Errorf("%s, bound %v: devices are ruled out", demand, bound)
			}
		}
	}
}

func TestTransportsAreKept(t *testing.T) {
	b := newBench(t)
	kept := b.mustEnrol(t, b.who, b.device, func(c *passkeytest.Ceremony) { c.Transports = []string{"usb", "nfc"} })
	r, err := record(kept)
	if err != nil || len(r.Transport) != 2 || r.Transport[0] != "usb" || r.Transport[1] != "nfc" {
		t.Errorf("%v, %v", r.Transport, err)
	}
	offer := must[verify.Challenge](t)(b.Offer(t.Context(), b.who))
	if !bytes.Contains(offer.Public, []byte(`"transports":["usb","nfc"]`)) {
		t.Errorf("not in the exclude list: %s", offer.Public)
	}
}

func TestTheAttestationPolicyIsChecked(t *testing.T) {
	id := passkeytest.UUID(modelA)
	for name, test := range map[string]struct {
		change func(*Config)
		fault  string
	}{
		"default":          {func(*Config) {}, ""},
		"any":              {func(c *Config) { c.Attestation = Any }, ""},
		"listed":           {func(c *Config) { c.Attestation, c.AllowedAAGUIDs, c.Metadata = Listed, []string{id}, "x" }, ""},
		"certified":        {func(c *Config) { c.Attestation, c.Metadata = Certified, "x" }, ""},
		"unheard of":       {func(c *Config) { c.Attestation = "some" }, "attestation: "},
		"no list":          {func(c *Config) { c.Attestation, c.Metadata = Listed, "x" }, "allowed_aaguids: "},
		"list for nothing": {func(c *Config) { c.AllowedAAGUIDs = []string{id} }, "allowed_aaguids: "},
		"no AAGUID":        {func(c *Config) { c.Attestation, c.Metadata, c.AllowedAAGUIDs = Listed, "x", []string{"yubikey"} }, "allowed_aaguids[0]: "},
		"braces":           {func(c *Config) { c.Attestation, c.Metadata, c.AllowedAAGUIDs = Listed, "x", []string{"{" + id + "}"} }, "allowed_aaguids[0]: "},
		"zeros": {func(c *Config) {
			c.Attestation, c.Metadata, c.AllowedAAGUIDs = Listed, "x", []string{passkeytest.UUID([16]byte{})}
		}, "allowed_aaguids[0]: "},
		"listed, no roots":  {func(c *Config) { c.Attestation, c.AllowedAAGUIDs = Listed, []string{id} }, "metadata: "},
		"certified by whom": {func(c *Config) { c.Attestation = Certified }, "metadata: "},
		"file for nothing":  {func(c *Config) { c.Metadata = "x" }, "metadata: "},
		"root for nothing":  {func(c *Config) { c.MetadataRoot = "x" }, "metadata_root: "},
	} {
		cfg := DefaultConfig()
		cfg.Name = "Postern"
		test.change(&cfg)
		faults := cfg.Validate()
		if test.fault == "" && len(faults) > 0 || test.fault != "" && (len(faults) != 1 || !strings.HasPrefix(faults[0].Error(), test.fault)) {
			t.Errorf("%s: %v, want %q", name, faults, test.fault)
		}
	}
}

func TestTheMetadataFileMustBeSigned(t *testing.T) {
	w := newWorld(t)
	good := must[[]byte](t)(os.ReadFile(w.blob))
	soon := time.Now().AddDate(0, 0, 14)
	parts := strings.Split(string(good), ".")
	foreign := strings.Split(string(w.metadata(t, w.other, 8, soon)), ".")
	for name, test := range map[string]struct {
		content []byte
		root    string
		ok      bool
	}{
		"good":                      {good, w.root, true},
		"a line end":                {append(bytes.Clone(good), '\n'), w.root, true},
		"empty":                     {nil, w.root, false},
		"not a BLOB":                {[]byte("{}"), w.root, false},
		"cut":                       {good[:len(good)-9], w.root, false},
		"another payload":           {[]byte(parts[0] + "." + foreign[1] + "." + parts[2]), w.root, false},
		"signed by somebody":        {w.metadata(t, w.other, 7, soon), w.root, false},
		"no signature":              {[]byte("eyJhbGciOiJub25lIn0." + parts[1] + "."), w.root, false},
		"a model twice":             {w.metadata(t, w.fido, 7, soon, passkeytest.Model{AAGUID: modelA, Root: w.maker.Root}), w.root, false},
		"no models":                 {must[[]byte](t)(w.fido.Blob("mds.fidoalliance.org", 7, soon)), w.root, false},
		"not FIDO's root":           {good, "", false},
		"root is not there":         {good, w.root + ".x", false},
		"root is not a certificate": {good, w.blob, false},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := w.config(Certified)
			cfg.Metadata, cfg.MetadataRoot = filepath.Join(t.TempDir(), "blob"), test.root
			write(t, cfg.Metadata, test.content)
			_, err := New(cfg, site, nil, nil, time.Now, rand.Reader)
			if (err == nil) != test.ok {
				t.Errorf("%v", err)
			}
			_, asked, err := cfg.CheckMetadata(time.Now())
			if !asked || (err == nil) != test.ok {
				t.Errorf("check: %v", err)
			}
		})
	}
}

// FIDO's root signs for half the web.
func TestMetadataOfAnotherSiteIsRefused(t *testing.T) {
	w := newWorld(t)
	blob := must[[]byte](t)(w.fido.Blob("www.example.com", 7, time.Now(), passkeytest.Model{AAGUID: modelA, Root: w.maker.Root}))
	if _, err := openBlob(blob, w.fido.Root, blobHost, time.Now()); err == nil {
		t.Error("taken")
	}
	if _, err := openBlob(w.metadata(t, w.fido, 7, time.Now()), w.fido.Root, blobHost, time.Now()); err != nil {
		t.Error(err)
	}
	if root, host, err := (&blobFile{}).anchor(); err != nil || host != blobHost || !root.IsCA || metadata.ProductionMDSRoot == "" {
		t.Errorf("the built-in root: %v", err)
	}
}

func TestOverdueMetadataIsAWarning(t *testing.T) {
	w := newWorld(t)
	// After 400 days the signer's certificate has ended as well.
	for days, overdue := range map[int]bool{0: false, 1: true, 400: true} {
		today := time.Now().UTC().Truncate(24 * time.Hour)
		write(t, w.blob, w.metadata(t, w.fido, 7, time.Now().UTC()))
		at := today.AddDate(0, 0, days).Add(23 * time.Hour)
		state, ok, err := w.config(Certified).CheckMetadata(at)
		if err != nil || !ok || state.Overdue != overdue || state.Number != 7 || state.Models != 6 || state.Unread != 0 || !state.NextUpdate.Equal(today) {
			t.Errorf("after %d days: %+v, %v", days, state, err)
		}
	}
	if _, ok, err := w.config(None).CheckMetadata(time.Now()); ok || err != nil {
		t.Errorf("none: %v, %v", ok, err)
	}
}

func TestReplacedMetadataCountsAtOnce(t *testing.T) {
	w := newWorld(t)
	b := newBench(t).with(t, w.config(Certified))
	b.mustEnrol(t, b.who, b.device, w.maker.Attested(modelA, modelA))
	try := func() error {
		_, err := b.enrol(t, b.who, passkeytest.New(site), w.maker.Attested(modelA, modelA))
		return err
	}
	soon := time.Now().AddDate(0, 0, 14)
	revoked := must[[]byte](t)(w.fido.Blob(blobHost, 8, soon, passkeytest.Model{AAGUID: modelA, Root: w.maker.Root, Statuses: []string{"FIDO_CERTIFIED", "REVOKED"}}))
	write(t, w.blob, revoked)
	if err := try(); !errors.Is(err, ErrNotAllowed) {
		t.Errorf("revoked since: %v", err)
	}
	for name, content := range map[string][]byte{"an older one": w.metadata(t, w.fido, 7, soon), "a foreign one": w.metadata(t, w.other, 9, soon), "rubbish": []byte("x")} {
		write(t, w.blob, content)
		if err := try(); err == nil || errors.Is(err, verify.ErrWrong) {
			t.Errorf("%s is a fault of the portal: %v", name, err)
		}
	}
	if err := os.Remove(w.blob); err != nil {
		t.Fatal(err)
	}
	if err := try(); err == nil || errors.Is(err, verify.ErrWrong) {
		t.Errorf("no file: %v", err)
	}
}
