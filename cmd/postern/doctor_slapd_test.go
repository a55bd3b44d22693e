package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postern/directory"
	"postern/directory/directorytest"
)

// before is a house whose directory is this OpenLDAP, bound as dn.
func (h *house) before(s *directorytest.Server, dn, password string) {
	h.t.Helper()
	text, err := os.ReadFile(h.file)
	if err != nil {
		h.t.Fatal(err)
	}
	head, _, _ := strings.Cut(string(text), "directories:\n")
	writeFile(h.t, h.file, head+fmt.Sprintf(`directories:
  - name: corp
    openldap:
      servers: [%q]
      ca_file: %q
      bind_dn: %q
      bind_password: file:corp.password
      base_dn: %q
      default_policy: %q
      privileged_groups: ["cn=%s,%s"]
`, s.URL, s.CAFile, dn, s.PeopleDN, s.PolicyDN, directorytest.AdminGroup, s.GroupsDN), 0o600)
	writeFile(h.t, filepath.Join(h.dir, "corp.password"), password, 0o600)
}

// security case 73: bound as rootdn no policy holds; that is no warning.
func TestDoctorFailsWhereItIsBoundAsRootDN(t *testing.T) {
	s := directorytest.Slapd(t)
	h := newHouse(t)
	h.before(s, s.ServiceDN, s.ServicePassword)
	found, told, code := h.diagnose()
	if code == int(directory.Failure) || !has(found, "corp: account", directory.OK, "an entry of its own") || !has(found, "corp: ppolicy", directory.OK, "is at work") {
		t.Errorf("as the service account: exit code %d\n%s", code, told)
	}
	h.before(s, s.RootDN, s.RootPassword)
	found, told, code = h.diagnose()
	if code != int(directory.Failure) || !has(found, "corp: account", directory.Failure, "this is how rootdn looks", "neither quality nor history holds", "olcAccess: {0}to dn.subtree=") {
		t.Errorf("as rootdn: exit code %d\n%s", code, told)
	}
	if strings.Contains(told, s.RootPassword) {
		t.Error("the password is told")
	}
}
