package main

import (
	"net/http"
	"os"
	"os/exec"
	"testing"

	"postern/portal/store/storetest"
)

// Three nodes in one command: a case goes round all of them, the record is one, and
// nothing is left behind.
func TestADemoOfThreeNodes(t *testing.T) {
	storetest.Postgres(t) // or skip
	if _, err := exec.LookPath("redis-server"); err != nil && os.Getenv("CI") != "" {
		t.Fatal(err)
	}
	r := startDemoOf(t, "", false, 3)
	p := r.person("user1")
	v := r.visit()
	v.open("/recover/reset", "start")
	v.send("/recover/start", "choose", "purpose", "reset", "login", "user1")
	v.send("/recover/choose", "answer", "factor", "totp")
	v.send("/recover/answer", "choose", "answer", p.code(t))
	v.send("/recover/choose", "answer", "factor", "recovery_code")
	v.send("/recover/answer", "new-password", "answer", p.RecoveryCodes[0])
	v.send("/recover/password", "done", "password", "Quite-new-words-77", "confirm", "Quite-new-words-77")
	seen := map[string]bool{}
	for range 6 {
		resp, err := http.Get(r.file.Portal + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		seen[resp.Header.Get("X-Demo-Node")] = resp.StatusCode == http.StatusOK
	}
	if len(seen) != 3 || !seen["1"] || !seen["2"] || !seen["3"] {
		t.Errorf("nodes that answer: %v", seen)
	}
	r.stop()
	if _, err := os.Stat(r.dir); !os.IsNotExist(err) {
		t.Errorf("%s is left: %v", r.dir, err)
	}
}
