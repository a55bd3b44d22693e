package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"postern/directory"
	"postern/portal/store"
)

const (
	// examineTime bounds one part of the examination.
	examineTime = 30 * time.Second
	// examineGrace is how long a part whose time is over may take to say so.
	examineGrace = 2 * time.Second
)

// part is one stretch of the examination: it needs no other and waits for none.
type part struct {
	name string // on the way, and as the check of what cut it short
	look func(ctx context.Context, d *examination)
}

// examiner runs parts side by side. postern doctor and the operators' page have one each.
type examiner struct {
	now func() time.Time
	// own is the database of the portal that examines itself; nil: there is none.
	own *store.DB
	// inbox: messages go to the demo's own, and no mail server is asked.
	inbox bool
	// safe runs fn and returns false when it panicked (telemetry.Launcher.Safe).
	safe func(name string, fn func()) (whole bool)
	// progress is told the parts that are still looked at, whenever that changes;
	// may be nil.
	progress func(names []string)
}

// again reads the configuration of a running portal as its next start will.
func (d *examination) again(path string) {
	_, err := (&cli{env: os.LookupEnv}).load(path)
	var faults Faults
	switch {
	case err == nil:
		d.ok("config", "%s has no faults; what was changed since the start is not looked at", path)
	case errors.As(err, &faults):
		for _, f := range faults {
			d.bad(directory.Warning, "config", f.String(), "the portal runs with what it had at its start, and will not start again", "postern config check --config "+quoted(path))
		}
	default:
		d.bad(directory.Warning, "config", err.Error(), "the portal runs with what it had at its start, and will not start again", "ls -l "+quoted(path))
	}
}

// run returns the findings in the order of the parts. A part that panics, or takes
// longer than its time, is a Failure, and the others go on.
func (e *examiner) run(ctx context.Context, parts []part) []directory.Finding {
	found := make([][]directory.Finding, len(parts))
	var mu sync.Mutex
	open := make([]string, len(parts))
	for i, p := range parts {
		open[i] = p.name
	}
	tell := func() {
		if e.progress != nil {
			e.progress(open)
		}
	}
	tell()
	var all sync.WaitGroup
	for i, p := range parts {
		all.Go(func() {
			found[i] = e.part(ctx, p)
			mu.Lock()
			defer mu.Unlock()
			open = slices.Delete(open, slices.Index(open, p.name), slices.Index(open, p.name)+1)
			tell()
		})
	}
	all.Wait()
	return slices.Concat(found...)
}

func (e *examiner) part(ctx context.Context, p part) []directory.Finding {
	ctx, cancel := context.WithTimeout(ctx, examineTime)
	defer cancel()
	done := make(chan []directory.Finding, 1)
	go func() {
		d := &examination{now: e.now, safe: e.safe, own: e.own, inbox: e.inbox}
		if !e.safe("doctor", func() { p.look(ctx, d) }) {
			d.bad(directory.Failure, p.name, "the program failed while it looked at this", "what is wrong here is not known", "report it, with what the log says of it")
		}
		done <- d.findings
	}()
	select {
	case found := <-done:
		return found
	case <-ctx.Done():
	}
	late := time.NewTimer(examineGrace)
	defer late.Stop()
	select {
	case found := <-done:
		return found
	case <-late.C:
		return []directory.Finding{{Severity: directory.Failure, Check: p.name, What: fmt.Sprintf("was not looked at to the end: %v", context.Cause(ctx)),
			Why: "what is wrong here is not known", Mend: "run postern doctor again"}}
	}
}
