package passkeytest

import "testing"

func TestMemoryHandlesKeepTheContract(t *testing.T) {
	RunHandles(t, func(*testing.T) Keeper { return NewHandles() })
}
