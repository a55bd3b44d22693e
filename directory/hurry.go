package directory

import (
	"context"
	"time"
)

// Patience is how long somebody before a page waits for one question to what the portal
// rests on, before they are told that it cannot be answered now: all in all they hear it
// within two seconds.
const Patience = 1500 * time.Millisecond

type hurryKey struct{}

// Hurry marks ctx as that of somebody who waits for a page. Whatever asks a database or a
// service for them gives up after Patience; work that nobody waits for has its time.
func Hurry(ctx context.Context) context.Context { return context.WithValue(ctx, hurryKey{}, true) }

// Calm takes the mark away: for what was begun and must be brought to its end, such as
// writing down what came of a write.
func Calm(ctx context.Context) context.Context { return context.WithValue(ctx, hurryKey{}, false) }

// Hurried reports whether somebody waits.
func Hurried(ctx context.Context) bool {
	marked, _ := ctx.Value(hurryKey{}).(bool)
	return marked
}
