package passkeytest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"testing"

	"postern/directory"
	"postern/verify"
)

// Handles keeps user handles in memory.
type Handles struct {
	mu    sync.Mutex
	of    map[directory.ID][]byte
	fault error
}

// NewHandles returns an empty keeper.
func NewHandles() *Handles { return &Handles{of: map[directory.ID][]byte{}} }

// Fail makes every call return err until Fail(nil).
func (h *Handles) Fail(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fault = err
}

// Handle returns the person's handle and makes it when there is none.
func (h *Handles) Handle(ctx context.Context, owner directory.ID) ([]byte, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := errors.Join(h.fault, ctx.Err()); err != nil {
		return nil, err
	}
	if h.of[owner] == nil {
		b := make([]byte, 64)
		if _, err := rand.Read(b); err != nil {
			return nil, err
		}
		h.of[owner] = b
	}
	return bytes.Clone(h.of[owner]), nil
}

// Owner is whose handle it is.
func (h *Handles) Owner(ctx context.Context, handle []byte) (directory.ID, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := errors.Join(h.fault, ctx.Err()); err != nil {
		return "", err
	}
	for id, b := range h.of {
		if bytes.Equal(b, handle) {
			return id, nil
		}
	}
	return "", verify.ErrNoCredential
}

// Keeper is passkey.Handles.
type Keeper interface {
	Handle(context.Context, directory.ID) ([]byte, error)
	Owner(context.Context, []byte) (directory.ID, error)
}

// RunHandles holds a keeper of user handles to its contract.
func RunHandles(t *testing.T, newKeeper func(*testing.T) Keeper) {
	t.Helper()
	t.Run("a handle is random, stable, of one person, and leads back", func(t *testing.T) {
		k := newKeeper(t)
		var handles [][]byte
		for i := range 5 {
			id := directory.ID(fmt.Sprintf("corp:%036d", i))
			first, err := k.Handle(t.Context(), id)
			if err != nil || len(first) != 64 {
				t.Fatalf("%d bytes, %v", len(first), err)
			}
			again, err := k.Handle(t.Context(), id)
			if err != nil || !bytes.Equal(first, again) {
				t.Errorf("another handle the second time, %v", err)
			}
			for _, other := range handles {
				if bytes.Equal(first[:8], other[:8]) {
					t.Error("two handles begin alike")
				}
			}
			handles = append(handles, first)
			if owner, err := k.Owner(t.Context(), first); err != nil || owner != id {
				t.Errorf("leads to %q, %v", owner, err)
			}
		}
	})
	t.Run("an unknown handle is nobody's", func(t *testing.T) {
		k := newKeeper(t)
		known, err := k.Handle(t.Context(), "corp:a")
		if err != nil {
			t.Fatal(err)
		}
		for _, handle := range [][]byte{nil, {}, {1}, known[:63], append(bytes.Clone(known), 0), make([]byte, 64), []byte("corp:a")} {
			if owner, err := k.Owner(t.Context(), handle); !errors.Is(err, verify.ErrNoCredential) {
				t.Errorf("%d bytes lead to %q, %v", len(handle), owner, err)
			}
		}
	})
	t.Run("20 first times at once give one handle", func(t *testing.T) {
		k := newKeeper(t)
		got := make([][]byte, 20)
		var all sync.WaitGroup
		for i := range got {
			all.Go(func() {
				b, err := k.Handle(t.Context(), "corp:a")
				if err != nil {
					t.Error(err)
				}
				got[i] = b
			})
		}
		all.Wait()
		for _, b := range got {
			if !bytes.Equal(b, got[0]) {
				t.Fatal("two handles for one person")
			}
		}
	})
	t.Run("an ended context is an error", func(t *testing.T) {
		k := newKeeper(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := k.Handle(ctx, "corp:a"); err == nil {
			t.Error("Handle said yes")
		}
		if _, err := k.Owner(ctx, []byte("x")); err == nil || errors.Is(err, verify.ErrNoCredential) {
			t.Errorf("Owner: %v", err)
		}
	})
}
