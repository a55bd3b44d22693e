package telemetry

import (
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
)

// Launcher runs what must not take the portal down when it panics: a panic in
// any goroutine ends the process, and portal/web's own recovery (which reports
// to Metrics.Panic) reaches handlers alone. Whoever needs the work done again
// has to ask for it again.
type Launcher struct {
	log     *slog.Logger
	metrics *Metrics
	running sync.WaitGroup
}

// NewLauncher tells log and metrics of every panic.
func NewLauncher(log *slog.Logger, metrics *Metrics) *Launcher {
	return &Launcher{log: log, metrics: metrics}
}

// Safe runs fn now and returns false when it panicked. name is a label in the
// metrics, so it is one of a few.
func (l *Launcher) Safe(name string, fn func()) (whole bool) {
	defer func() {
		if whole {
			return
		}
		p := recover()
		if p == nil {
			return // runtime.Goexit, which is no fault
		}
		l.metrics.Panic(name)
		l.log.Error("panic", "where", name, "panic", cause(p), "stack", stack())
	}()
	fn()
	return true
}

// Go is Safe in a goroutine of its own.
func (l *Launcher) Go(name string, fn func()) {
	l.running.Go(func() { l.Safe(name, fn) })
}

// Wait returns when everything that Go started has ended.
func (l *Launcher) Wait() { l.running.Wait() }

// cause shows what the runtime itself says. Anything else that was thrown may be
// made of what a person typed, and is named by its type alone.
func cause(p any) string {
	if e, ok := p.(runtime.Error); ok {
		return e.Error()
	}
	return fmt.Sprintf("%T", p)
}

// stack is where the panic was: functions and lines. Unlike debug.Stack it has
// no arguments; numbers, and arrays handed over by value, are readable there.
func stack() string {
	var pcs [64]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs[:])]) // not this, its caller, nor runtime.Callers
	var b strings.Builder
	for {
		f, more := frames.Next()
		fmt.Fprintf(&b, "%s\n\t%s:%d\n", f.Function, f.File, f.Line)
		if !more {
			return b.String()
		}
	}
}
