package view

import "time"

// KeptMethod is one way to sign in elsewhere, as the person's directory keeps it.
type KeptMethod struct {
	ID   string // for removal; empty: it cannot be removed here
	Kind string // as directory.Method has it
	Name string // numbers and addresses masked; may be empty
}

// KeptList are all of them; nil: the person's directory keeps none.
type KeptList struct {
	Methods []KeptMethod
	Away    bool // they could not be read now
	Passes  bool // a temporary pass can be asked for
}

// Kept is GET /me/methods. Remove links to GET /me/methods/{id}/remove; a pass posts
// once to /me/pass.
type Kept struct {
	Frame
	KeptList
	Once string
}

// RemoveKept is GET /me/methods/{id}/remove; posts to the same path.
type RemoveKept struct {
	Frame
	Method KeptMethod
	Last   bool // nothing but the password is left
}

// Pass answers POST /me/pass, the only page with the value.
type Pass struct {
	Frame
	Value string
	Until time.Time
}

func (*Kept) file() string       { return "kept" }
func (*RemoveKept) file() string { return "kept-remove" }
func (*Pass) file() string       { return "pass" }

// keptWord is the end of the key of a method's kind, kept.kind_…
func keptWord(kind string) string {
	switch kind {
	case "password", "phone", "email", "fido2":
		return kind
	case "microsoftAuthenticator":
		return "app"
	case "softwareOath":
		return "oath"
	case "windowsHelloForBusiness":
		return "hello"
	case "temporaryAccessPass":
		return "pass"
	}
	return "other" // tenants get new ones faster than the translations grow
}

func (w *words) keptKind(kind string) string { return w.say("kept.kind_"+keptWord(kind), nil) }

// keptName is what to call one among others.
func (w *words) keptName(m KeptMethod) string {
	if m.Name == "" {
		return w.keptKind(m.Kind)
	}
	return w.keptKind(m.Kind) + " (" + m.Name + ")"
}

func keptIcon(kind string) string {
	switch keptWord(kind) {
	case "phone":
		return "sms"
	case "email":
		return "mail"
	case "fido2", "hello":
		return "passkey"
	case "app", "oath":
		return "app"
	case "pass":
		return "key"
	}
	return "lock"
}
