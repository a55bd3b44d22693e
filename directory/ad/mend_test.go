package ad

import (
	"os/exec"
	"strings"
	"testing"
)

// Whoever may name a unit must not be able to write the command that an administrator
// copies.
func TestANameInACommandStaysAnArgument(t *testing.T) {
	for _, dn := range []string{"OU=People,DC=corp", `OU=a" & calc & ",DC=corp`, `OU=a\" & calc,DC=corp`, "OU=a'; touch x; ',DC=corp", "OU=a\ncalc,DC=corp",
		"OU=%COMSPEC%,DC=corp", "OU=$(touch x)`touch x`,DC=corp", "OU=a’; calc; ‘,DC=corp", "OU=a\u0085b,DC=corp", `OU=Zoë\, the,DC=corp`} {
		w, p, s := quoted(dn), powershell(dn), single(dn)
		if inner := w[1 : len(w)-1]; strings.ContainsAny(inner, "\"%\n") {
			t.Errorf("%q in dsacls: %s", dn, w)
		}
		if inner := strings.NewReplacer("''", "", "‘‘", "", "’’", "").Replace(p[1 : len(p)-1]); strings.ContainsAny(inner, "'‘’\n") {
			t.Errorf("%q in PowerShell: %s", dn, p)
		}
		out, err := exec.Command("/bin/sh", "-c", "printf %s "+s).Output()
		if err != nil || string(out) != oneLine(dn) || strings.Contains(s, "\n") {
			t.Errorf("%q in a shell: %s is %q, %v", dn, s, out, err)
		}
	}
}

func TestInheritsNothing(t *testing.T) {
	b := make([]byte, 20)
	if inheritsNothing(b) || inheritsNothing(nil) {
		t.Error("nothing is cut off")
	}
	b[3] = 0x10
	if !inheritsNothing(b) {
		t.Error("SE_DACL_PROTECTED is not seen")
	}
}
