package main

import (
	"testing"

	"postern/directory"
	"postern/portal/limit/limittest"
)

// The Redis that nodes share is asked; what it forgets under pressure is told, and the
// printed command mends it.
func TestTheDoctorAsksRedis(t *testing.T) {
	s := limittest.Redis(t)
	cfg := DefaultConfig()
	cfg.Limits.Redis = s.URL()
	ask := func() directory.Finding {
		t.Helper()
		d := &examination{}
		d.redis(t.Context(), cfg)
		if len(d.findings) != 1 {
			t.Fatalf("%+v", d.findings)
		}
		return d.findings[0]
	}
	if f := ask(); f.Severity != directory.OK {
		t.Errorf("%+v", f)
	}
	s.Say("CONFIG SET maxmemory-policy allkeys-lru")
	if f := ask(); f.Severity != directory.Warning || f.Mend != "redis-cli config set maxmemory-policy noeviction, and the same in redis.conf" {
		t.Errorf("%+v", f)
	}
	s.Say("CONFIG SET maxmemory-policy noeviction")
	if f := ask(); f.Severity != directory.OK {
		t.Errorf("after the command: %+v", f)
	}
	s.Kill()
	if f := ask(); f.Severity != directory.Failure {
		t.Errorf("without it: %+v", f)
	}
}
