package flow

import (
	"context"
	"crypto/rand"
	"testing"
	"testing/synctest"
	"time"
)

// security case 2: whatever it took, the answer comes at a whole multiple, blurred.
func TestPaceIsEven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Service{parts: parts{Pace: 25 * time.Millisecond, Now: time.Now, Rand: rand.Reader}}
		for took, want := range map[time.Duration]time.Duration{0: 25, time.Millisecond: 25, 24 * time.Millisecond: 25, 26 * time.Millisecond: 50, 120 * time.Millisecond: 125} {
			began := time.Now()
			time.Sleep(took) // a bubble's clock: nobody waits
			s.pace(context.Background(), began)
			if got := time.Since(began); got < want*time.Millisecond || got >= want*time.Millisecond+s.Pace/4 {
				t.Errorf("what took %s was answered after %s", took, got)
			}
		}
	})
}
