package telemetry

import (
	"bytes"
	"errors"
	"log/slog"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"postern/directory"
)

var clock = regexp.MustCompile(`"time":"[^"]*",`)

//go:noinline
func falls(code int, key [16]byte, pw directory.Secret) {
	if code > 0 {
		panic("the code is " + canary + string(key[:]) + pw.Reveal())
	}
}

// Security case 113, "also on panic": what was thrown and what was handed over
// are not in the log, and where it happened is.
func TestPanicTakesNothingDownAndTellsNothing(t *testing.T) {
	var none []byte
	for _, c := range []struct {
		name    string
		fn      func()
		cause   string
		stopped bool
	}{
		{"text", func() { falls(424242, [16]byte{0xde, 0xad, 0xbe, 0xef}, directory.NewSecret(canary)) }, `"panic":"string"`, true},
		{"error", func() { panic(errors.New(canary)) }, `"panic":"*errors.errorString"`, true},
		{"runtime", func() { falls(len(none), [16]byte{none[0]}, directory.Secret{}) }, "index out of range [0] with length 0", true},
		{"nil", func() { panic(nil) }, "nil", true},
		{"fine", func() {}, "", false},
	} {
		var b bytes.Buffer
		m := NewMetrics("")
		l := NewLauncher(NewLogger(&b, slog.LevelInfo), m)
		if whole := l.Safe(c.name, c.fn); whole == c.stopped {
			t.Errorf("%s: whole is %v", c.name, whole)
		}
		l.Go(c.name, c.fn)
		l.Wait()
		log := clock.ReplaceAllString(b.String(), "")                                           // its digits are any
		for _, trace := range []string{canary, "67932", "6793", "deadbeef", "efbeadde", "0x"} { // 424242 is 0x67932
			if strings.Contains(log, trace) {
				t.Errorf("%s: %q is in the log: %s", c.name, trace, log)
			}
		}
		if !c.stopped {
			if log != "" || strings.Contains(scrape(t, m), `panics_total{`) {
				t.Errorf("%s: %s", c.name, log)
			}
			continue
		}
		if strings.Count(log, c.cause) < 2 || strings.Count(log, "launcher_test.go:") < 2 || strings.Count(log, `"where":"`+c.name) != 2 {
			t.Errorf("%s: %s", c.name, log)
		}
		demand(t, scrape(t, m), `postern_panics_total{where="`+c.name+`"} 2`)
	}
}

func TestGoexitIsNoPanic(t *testing.T) {
	var b bytes.Buffer
	l := NewLauncher(NewLogger(&b, slog.LevelInfo), NewMetrics(""))
	l.Go("leaves", func() { runtime.Goexit() })
	l.Wait()
	if b.Len() > 0 {
		t.Error(b.String())
	}
}
