package access

// Screen is a registered device that somebody stands before, as people call it.
// The zero value is none: the browser is the person's own.
type Screen struct {
	ID   string `json:",omitempty"`
	Name string `json:",omitempty"` // "Ward 3"
	Site string `json:",omitempty"` // "North hospital"; may be empty
}

// Here reports whether there is one.
func (s Screen) Here() bool { return s.ID != "" }

// Label is name and site on one line.
func (s Screen) Label() string {
	if s.Site == "" {
		return s.Name
	}
	return s.Name + ", " + s.Site
}
