//go:build unix

package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// stubs are what the X session calls. The browser takes its time to end, and writes into its
// profile until then, as a real one does.
var stubs = map[string]string{
	"xmodmap": "exit 0", "xset": "exit 0", "xwininfo": "exit 0", "xdpyinfo": "echo '  dimensions:    800x600 pixels'",
	"chromium": `for a; do case $a in --user-data-dir=*) profile=${a#*=};; esac; done
trap 'sleep 0.3; mkdir -p "$profile/Default"; echo secret >"$profile/Default/Cookies"; exit 0' TERM
echo secret >"$profile/Cookies"
echo "$$" >"$STARTED"
while :; do sleep 0.05; done`,
}

// The session of a logon screen that is ended, as at a restart of the machine, takes its
// browser along, and what that wrote (security case 108).
func TestAnEndedSessionLeavesNothing(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("openssl"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	dir := t.TempDir()
	bin, temp, key, started := filepath.Join(dir, "bin"), filepath.Join(dir, "tmp"), filepath.Join(dir, "key"), filepath.Join(dir, "started")
	if _, err := writeKioskFiles(filepath.Join(dir, "files"), "https://id.example.org"); err != nil {
		t.Fatal(err)
	}
	err := errors.Join(os.Mkdir(bin, 0o755), os.Mkdir(temp, 0o755), syscall.Mkfifo(started, 0o600), os.WriteFile(key, []byte("abc:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"), 0o600))
	for name, body := range stubs {
		err = errors.Join(err, os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+body+"\n"), 0o755))
	}
	if err != nil {
		t.Fatal(err)
	}
	session := exec.Command("sh", filepath.Join(dir, "files", "postern-kiosk.sh"))
	session.Env = []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + temp, "POSTERN_KEY=" + key, "STARTED=" + started}
	session.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := session.Start(); err != nil {
		t.Fatal(err)
	}
	defer syscall.Kill(-session.Process.Pid, syscall.SIGKILL)
	if _, err := os.ReadFile(started); err != nil { // until the browser is there
		t.Fatal(err)
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) != 1 {
		t.Fatalf("its profile: %v %v", left, err)
	}
	ended := make(chan error, 1)
	session.Process.Signal(syscall.SIGTERM)
	go func() { ended <- session.Wait() }()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Fatal("it goes on")
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
	if err := syscall.Kill(-session.Process.Pid, 0); err == nil {
		t.Error("its browser goes on")
	}
}
