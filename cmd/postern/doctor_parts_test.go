package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"postern/directory"
	"postern/portal/telemetry"
)

func newExaminer(log io.Writer) *examiner {
	return &examiner{now: time.Now, safe: telemetry.NewLauncher(slog.New(slog.NewTextHandler(log, nil)), telemetry.NewMetrics("test")).Safe}
}

func saying(name string) part {
	return part{name, func(_ context.Context, d *examination) { d.ok(name, "is there") }}
}

func checksOf(found []directory.Finding) (names []string) {
	for _, f := range found {
		names = append(names, f.Check)
	}
	return names
}

// What waits holds nobody up, and what is told stays in the order of the file.
func TestDoctorLooksAtEverythingAtOnceAndTellsItInOrder(t *testing.T) {
	both := make(chan struct{})
	meet := func(name string, here, there chan struct{}) part {
		return part{name, func(ctx context.Context, d *examination) {
			close(here)
			select {
			case <-there:
				d.ok(name, "met the other")
			case <-ctx.Done():
				d.bad(directory.Failure, name, "is alone", "they run one after another", "-")
			}
		}}
	}
	second := make(chan struct{})
	found := newExaminer(io.Discard).run(t.Context(), []part{meet("one", both, second), meet("two", second, both), saying("three")})
	if got := checksOf(found); !slices.Equal(got, []string{"one", "two", "three"}) || worstOf(found) != directory.OK {
		t.Errorf("%+v", found)
	}
}

func TestAPartThatPanicsIsAFailureAndTheOthersGoOn(t *testing.T) {
	var log bytes.Buffer
	found := newExaminer(&log).run(t.Context(), []part{saying("one"), {"corp", func(_ context.Context, d *examination) {
		d.ok("corp: bind", "went well")
		var nothing *Config
		_ = nothing.Keys
	}}, saying("three")})
	if got := checksOf(found); !slices.Equal(got, []string{"one", "corp: bind", "corp", "three"}) || found[2].Severity != directory.Failure || found[2].Why == "" || found[2].Mend == "" {
		t.Errorf("%+v", found)
	}
	if !strings.Contains(log.String(), "doctor_parts_test.go") {
		t.Errorf("the log does not say where: %s", &log)
	}
}

// A part that does not even notice that its time is over is left behind.
func TestAPartThatNeverEndsIsAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		never := make(chan struct{})
		defer close(never)
		from := time.Now()
		found := newExaminer(io.Discard).run(t.Context(), []part{{"mail", func(context.Context, *examination) { <-never }}, saying("two"),
			{"sms", func(ctx context.Context, d *examination) {
				<-ctx.Done()
				d.bad(directory.Failure, "sms", ctx.Err().Error(), "-", "-")
			}}})
		if took := time.Since(from); took != examineTime+examineGrace {
			t.Errorf("took %s", took)
		}
		if got := checksOf(found); !slices.Equal(got, []string{"mail", "two", "sms"}) || found[0].Severity != directory.Failure || !strings.Contains(found[0].What, "not looked at to the end") || !strings.Contains(found[2].What, "deadline") {
			t.Errorf("%+v", found)
		}
	})
}

func TestProgressNamesWhatIsWaitedForAndThenNothing(t *testing.T) {
	var mu sync.Mutex
	var told []string
	e := newExaminer(io.Discard)
	seen, gone := make(chan struct{}), false
	e.progress = func(names []string) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, fmt.Sprint(names))
		if len(names) == 1 && !gone {
			gone = true
			close(seen) // "two" has ended
		}
	}
	e.run(t.Context(), []part{{"one", func(context.Context, *examination) { <-seen }}, saying("two")})
	if want := []string{"[one two]", "[one]", "[]"}; !slices.Equal(told, want) {
		t.Errorf("%v, want %v", told, want)
	}
	for names, want := range map[string]string{
		"corp":      "corp",
		"corp,mail": "corp, mail",
		strings.Repeat("corporation,", 9) + "mail": "corporation, corporation, corporation, corporation and 6 more",
		strings.Repeat("é", 70):                    strings.Repeat("é", 60),
		"a\x1b[2Jb":                                "a[2Jb",
	} {
		if got := shortList(strings.Split(names, ","), 60); got != want {
			t.Errorf("%q: %q", names, got)
		}
	}
}
