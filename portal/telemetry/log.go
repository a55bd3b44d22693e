// Package telemetry is what operators see of the portal: a log in JSON, metrics
// for Prometheus, and a handler for the admin listener that shows them and the
// profiles of the Go runtime. It also runs work that takes nothing down with it
// when it panics.
//
// It is told things and asks nothing: it knows no page, no case and no store.
// It is the last net under secrets, not the first: what is named like one is
// struck out, and a panic shows no values, but whoever logs a code under an
// innocent name has logged it.
package telemetry

import (
	"io"
	"log/slog"
)

const (
	// maxText is how many bytes of a text are logged. A name of 1 MB must not
	// make the log a way to fill the disk (security case 113).
	maxText = 4 << 10
	// maxStack is the same for stack traces.
	maxStack = 16 << 10
)

const redacted = "[redacted]"

// NewLogger writes one line of JSON for each record at level or above.
//
// Attributes whose key says that they are secret (see secretKey), and all that
// is in a group called like that, are "[redacted]". Bytes are never shown, only
// their number. Text is cut at 4 KiB, and characters that are not printed are
// escaped; in structs, maps and lists the same holds for what is in them. The
// attribute "stack" loses the arguments of its functions.
func NewLogger(w io.Writer, level slog.Level) *slog.Logger {
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: replace}))
}

// replace is called by slog for everything that is not a group, the record's own
// time, level and message among it, with values already resolved.
func replace(groups []string, a slog.Attr) slog.Attr {
	key := shown(a.Key)
	for _, g := range groups {
		if secretKey(g) {
			return slog.String(key, redacted)
		}
	}
	if secretKey(a.Key) {
		return slog.String(key, redacted)
	}
	switch a.Value.Kind() {
	case slog.KindString:
		if a.Key == "stack" {
			return slog.String(key, bounded(withoutArguments(a.Value.String()), maxStack))
		}
		return slog.String(key, shown(a.Value.String()))
	case slog.KindAny:
		if _, level := a.Value.Any().(slog.Level); level {
			return a
		}
		return slog.Any(key, plain(a.Value.Any()))
	}
	a.Key = key
	return a
}
