package main

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// pty is both ends of a pseudo terminal.
func pty(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	return master, slave
}

// On a terminal there are colours and a line that comes and goes; in a pipe there is
// nothing of both, and nothing on standard error.
func TestDoctorOnATerminalAndInAPipe(t *testing.T) {
	h := newHouse(t)
	var plain, quiet bytes.Buffer
	piped := &cli{out: &plain, err: &quiet, env: noEnv}
	root := piped.root()
	root.SetArgs([]string{"doctor", "--config", h.file})
	piped.exitCode(root.ExecuteContext(t.Context()))
	if quiet.Len() > 0 || strings.Contains(plain.String(), "\x1b") || !strings.HasPrefix(plain.String(), "✓ ok      config: ") {
		t.Errorf("in a pipe: %q %q", plain.String(), quiet.String())
	}
	colour, line := "\x1b[32m✓\x1b[0m ok ", "\r\x1b[Klooking at "
	for name, c := range map[string]struct {
		env          map[string]string
		args         []string
		colour, live bool
	}{
		"as it is":        {nil, nil, true, true},
		"NO_COLOR":        {map[string]string{"NO_COLOR": "1"}, nil, false, true},
		"an empty one":    {map[string]string{"NO_COLOR": ""}, nil, true, true},
		"--no-color":      {nil, []string{"--no-color"}, false, true},
		"a dumb terminal": {map[string]string{"TERM": "dumb"}, nil, false, false},
		"JSON":            {nil, []string{"--json"}, false, false},
	} {
		master, slave := pty(t)
		told := make(chan string, 1)
		go func() {
			var b bytes.Buffer
			b.ReadFrom(master) // ends with EIO when the other end is shut
			told <- b.String()
		}()
		c0 := &cli{out: slave, err: slave, env: func(name string) (string, bool) { v, ok := c.env[name]; return v, ok }}
		root := c0.root()
		root.SetArgs(append([]string{"doctor", "--config", h.file}, c.args...))
		c0.exitCode(root.ExecuteContext(t.Context()))
		slave.Close()
		out := <-told
		if strings.Contains(out, colour) != c.colour || strings.Contains(out, line) != c.live {
			t.Errorf("%s: %q", name, out)
		}
		if i := strings.LastIndex(out, "\r\x1b[K"); c.live && (i < 0 || strings.Contains(out[i:], "looking at")) {
			t.Errorf("%s: the line stays: %q", name, out)
		}
		if name == "JSON" {
			continue
		}
		// Without what is for the eye they are the same lines.
		bare := regexp.MustCompile("\x1b\\[[0-9]*m|\r\x1b\\[K(looking at [^\r]* …)?").ReplaceAllString(strings.ReplaceAll(out, "\r\n", "\n"), "")
		if clock := regexp.MustCompile(`it shows [0-9: -]*`); clock.ReplaceAllString(bare, "") != clock.ReplaceAllString(plain.String(), "") {
			t.Errorf("%s:\n%s\nin a pipe:\n%s", name, bare, plain.String())
		}
	}
}
