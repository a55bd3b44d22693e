package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"postern": main, "postern-that-dies": dies})
}

func TestCommands(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			port, err := freePort()
			e.Setenv("PORT", strconv.Itoa(port))
			return err
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"get":       scriptGet,
			"interrupt": scriptInterrupt,
			"mode":      scriptMode,
			"demo-json": scriptDemoJSON,
			"remember":  scriptRemember,
			"unchanged": scriptUnchanged,
			"temporary": scriptTemporary,
			"kiosk-id":  scriptKioskID,
		},
	})
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// get URL STATUS [TEXT]: waits until somebody listens, asks once, and compares.
func scriptGet(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: get URL STATUS [TEXT]")
	}
	client := &http.Client{Timeout: 30 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Get(args[0])
	for end := time.Now().Add(60 * time.Second); err != nil && time.Now().Before(end); answer, err = client.Get(args[0]) {
		// Nobody listens yet: this is how readiness is waited for from outside.
		time.Sleep(10 * time.Millisecond)
	}
	ts.Check(err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	ts.Check(err)
	if got := strconv.Itoa(answer.StatusCode); got != args[1] {
		ts.Fatalf("%s: %s\n%s", args[0], answer.Status, text)
	}
	if len(args) == 3 && strings.Contains(string(text), args[2]) == neg {
		ts.Fatalf("%s: %q is there: %v\n%s", args[0], args[2], !neg, text)
	}
}

// interrupt sends the background commands what Ctrl-C sends.
func scriptInterrupt(ts *testscript.TestScript, _ bool, _ []string) {
	for _, cmd := range ts.BackgroundCmds() {
		ts.Check(cmd.Process.Signal(os.Interrupt))
	}
}

// mode FILE OCTAL
func scriptMode(ts *testscript.TestScript, _ bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if got := fmt.Sprintf("%04o", info.Mode().Perm()); got != args[1] {
		ts.Fatalf("%s has mode %s", args[0], got)
	}
}

func readDemo(ts *testscript.TestScript, path string) (d demoFile) {
	text, err := os.ReadFile(ts.MkAbs(path))
	ts.Check(err)
	ts.Check(json.Unmarshal(text, &d))
	return d
}

// demo-json DIR: the file has the promised shape.
func scriptDemoJSON(ts *testscript.TestScript, _ bool, args []string) {
	path := filepath.Join(args[0], "demo.json")
	text, err := os.ReadFile(ts.MkAbs(path))
	ts.Check(err)
	var raw struct {
		Portal, LDAP string
		CAFile       string `json:"ca_file"`
		People       []map[string]any
	}
	ts.Check(json.Unmarshal(text, &raw))
	if raw.Portal != "http://localhost:"+ts.Getenv("PORT") || !strings.HasPrefix(raw.LDAP, "ldaps://127.0.0.1:") {
		ts.Fatalf("portal %q, ldap %q", raw.Portal, raw.LDAP)
	}
	if _, err := os.Stat(raw.CAFile); err != nil {
		ts.Fatalf("ca_file: %v", err)
	}
	logins := map[string]demoPerson{}
	for _, p := range raw.People {
		for _, key := range []string{"login", "dn", "name", "password", "mail", "phone", "totp_secret", "recovery_codes", "groups"} {
			if _, ok := p[key]; !ok || len(p) != 9 {
				ts.Fatalf("a person without %s, or with more: %v", key, p)
			}
		}
	}
	for _, p := range readDemo(ts, path).People {
		logins[p.Login] = p
	}
	for i := range 20 {
		if _, ok := logins[fmt.Sprintf("user%d", i+1)]; !ok {
			ts.Fatalf("no user%d", i+1)
		}
	}
	for _, login := range []string{"locked1", "mustchange1", "expired1", "disabled1", "admin1", "manager1", "director1", "tech1", "tech2", "operator1"} {
		if _, ok := logins[login]; !ok {
			ts.Fatalf("no %s", login)
		}
	}
	if p := logins["user1"]; len(p.TOTPSecret) != 32 || len(p.RecoveryCodes) != 10 || p.Password == "" || p.DN == "" {
		ts.Fatalf("user1: %+v", p)
	}
	if p := logins["user20"]; p.TOTPSecret != "" || len(p.RecoveryCodes) != 0 || p.Password == "" {
		ts.Fatalf("user20: %+v", p)
	}
}

// remember DIR, and later unchanged DIR: everything about the people.
func scriptRemember(ts *testscript.TestScript, _ bool, args []string) {
	ts.Setenv("PEOPLE", people(ts, args[0]))
}

func scriptUnchanged(ts *testscript.TestScript, neg bool, args []string) {
	if was, is := ts.Getenv("PEOPLE"), people(ts, args[0]); was == "" || (was == is) == neg {
		ts.Fatalf("was %s\nis %s", was, is)
	}
}

func people(ts *testscript.TestScript, dir string) string {
	text, err := json.Marshal(readDemo(ts, filepath.Join(dir, "demo.json")).People)
	ts.Check(err)
	return string(text)
}

// kiosk-id NAME: sets ID to that of the kiosk in what was printed as JSON just now.
func scriptKioskID(ts *testscript.TestScript, _ bool, args []string) {
	for line := range strings.Lines(ts.ReadFile("stdout")) {
		var d struct{ ID, Name string }
		ts.Check(json.Unmarshal([]byte(line), &d))
		if d.Name == args[0] {
			ts.Setenv("ID", d.ID)
			return
		}
	}
	ts.Fatalf("no kiosk is called %s", args[0])
}

// temporary DIR: demo leaves no folder of its own behind there.
func scriptTemporary(ts *testscript.TestScript, neg bool, args []string) {
	found, err := filepath.Glob(filepath.Join(ts.MkAbs(args[0]), "postern-demo-*"))
	ts.Check(err)
	if (len(found) > 0) == neg {
		ts.Fatalf("found %v", found)
	}
}
