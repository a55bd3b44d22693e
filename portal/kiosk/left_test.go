package kiosk

import (
	"context"
	"testing"
	"time"

	"postern/portal/access"
	"postern/portal/audit"
)

// What the power failed on is ended once its device has not been heard of for a while, and
// only then.
func TestACaseLeftByALostDeviceEnds(t *testing.T) {
	r := newRig(t)
	_, d := r.registered("ABCDE-FGHJK")
	if _, err := r.Enter(t.Context(), d, "CASE1"); err != nil {
		t.Fatal(err)
	}
	if !r.opens(r.Pass(d)) { // seen now
		t.Fatal("not there")
	}
	var left []string
	leave := func(_ context.Context, id string, at access.Screen) error {
		left = append(left, id+" "+at.ID)
		return nil
	}
	for _, step := range []struct {
		pass time.Duration
		want int
	}{{0, 0}, {time.Minute, 0}, {2 * time.Minute, 1}, {time.Hour, 1}} {
		r.clock = r.clock.Add(step.pass)
		if err := r.Left(t.Context(), 150*time.Second, leave); err != nil || len(left) != step.want {
			t.Errorf("after %s more: %v, %v", step.pass, left, err)
		}
	}
	if left[0] != "CASE1 DEVICE1" {
		t.Errorf("%v", left)
	}
	// A call that was taken, and the case begun for it, end as well.
	e, err := r.AskDesk(t.Context(), d, "en", "")
	if err != nil {
		t.Fatal(err)
	}
	by := audit.Event{Actor: "tech", ActorName: "tech", Door: "desk"}
	if _, err := r.TakeCall(t.Context(), e.ID, e.Number, "Tech", by); err != nil {
		t.Fatal(err)
	}
	if err := r.Attach(t.Context(), e.ID, "tech", "CASE2"); err != nil {
		t.Fatal(err)
	}
	if err := r.Left(t.Context(), 150*time.Second, leave); err != nil || len(left) != 2 || left[1] != "CASE2 DEVICE1" || !r.shelf.errands[e.ID].Ended {
		t.Errorf("%v, %v", left, err)
	}
}

// Revoked it needs not be waited for: what was going on there ends at the next look.
func TestARevokedDeviceLeavesNoCase(t *testing.T) {
	r := newRig(t)
	_, d := r.registered("ABCDE-FGHJK")
	if _, err := r.Enter(t.Context(), d, "CASE1"); err != nil {
		t.Fatal(err)
	}
	r.opens(r.Pass(d))
	var left []string
	leave := func(_ context.Context, id string, _ access.Screen) error { left = append(left, id); return nil }
	if err := r.Left(t.Context(), time.Hour, leave); err != nil || len(left) > 0 {
		t.Fatalf("in use: %v, %v", left, err)
	}
	now := r.shelf.devices[d.ID]
	now.Revoked = r.clock
	r.shelf.devices[d.ID] = now
	if err := r.Left(t.Context(), time.Hour, leave); err != nil || len(left) != 1 || r.shelf.devices[d.ID].Case != "" {
		t.Errorf("revoked: %v, %v", left, err)
	}
}
