package ldapconn

import (
	"errors"
	"fmt"
	"slices"

	"github.com/go-ldap/ldap/v3"
)

// AttributeFaults checks the names of the attributes that people are known by;
// each fault begins with the name of its key. language may be empty.
func AttributeFaults(login, mail, phone []string, language string) []error {
	var faults []error
	if len(login) == 0 {
		faults = append(faults, errors.New("login_attributes: name at least one"))
	}
	for _, f := range []struct {
		key   string
		names []string
	}{{"login_attributes", login}, {"mail_attributes", mail}, {"phone_attributes", phone}} {
		for i, a := range f.names {
			if !ValidAttribute(a) {
				faults = append(faults, fmt.Errorf("%s[%d]: %q is not an attribute name", f.key, i, a))
			}
		}
	}
	if language != "" && !ValidAttribute(language) {
		faults = append(faults, fmt.Errorf("language_attribute: %q is not an attribute name", language))
	}
	return faults
}

// Values collects several attributes in order, without repeating one.
func Values(e *ldap.Entry, attributes []string) []string {
	var out []string
	for _, a := range attributes {
		for _, v := range e.GetAttributeValues(a) {
			if !slices.Contains(out, v) {
				out = append(out, v)
			}
		}
	}
	return out
}
