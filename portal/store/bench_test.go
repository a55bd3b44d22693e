package store_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"postern/portal/audit"
	"postern/portal/flow"
	"postern/portal/notify"
	"postern/portal/store"
	"postern/portal/store/storetest"
	"postern/verify"
)

func BenchmarkStore(b *testing.B) {
	for name, open := range map[string]func(testing.TB) storetest.Place{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		b.Run(name, func(b *testing.B) { benchmark(b, open(b).Open(b)) })
	}
}

func benchmark(b *testing.B, db *store.DB) {
	noEffects := func(_ context.Context, c *flow.Case) (flow.Effects, error) { c.Misses++; return flow.Effects{}, nil }
	full := func(_ context.Context, c *flow.Case) (flow.Effects, error) {
		c.Misses++
		return flow.Effects{Events: []audit.Event{{Kind: "proof.failed", At: time.Now(), Case: c.ID, Subject: c.Key, Outcome: audit.Failed, Factor: "totp", Address: "192.0.2.7"}},
			Messages: []notify.Message{{Channel: notify.Mail, Template: "code", Args: map[string]string{"code": "12345678"}, Who: *c.Person}}}, nil
	}
	strike := func(ctx context.Context, c *flow.Case) (flow.Effects, error) {
		c.Misses++
		err := db.Strike(ctx, c.Key, verify.TOTP, func(s flow.Strikes) flow.Strikes { s.Consecutive++; return s })
		return flow.Effects{Events: []audit.Event{{Kind: "proof.failed", At: time.Now(), Case: c.ID, Subject: c.Key, Outcome: audit.Failed}}}, err
	}
	c := create(b, db, newCase(alice), flow.Effects{})
	run := func(name string, op func(context.Context) error) {
		b.Run(name, func(b *testing.B) {
			start := cpuTime()
			for b.Loop() {
				if err := op(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64((cpuTime()-start).Nanoseconds())/1e3/float64(b.N), "cpu-µs/op")
		})
	}
	run("Case", func(ctx context.Context) error { _, err := db.Case(ctx, c.ID); return err })
	run("Create", func(ctx context.Context) error { return db.Create(ctx, newCase(bob), flow.Effects{}) })
	run("Update", func(ctx context.Context) error { _, err := db.Update(ctx, c.ID, noEffects); return err })
	run("Update+event+strike", func(ctx context.Context) error { _, err := db.Update(ctx, c.ID, strike); return err })
	run("Update+event+message", func(ctx context.Context) error { _, err := db.Update(ctx, c.ID, full); return err })
	var n atomic.Int64
	b.Run("Update/32 at once", func(b *testing.B) {
		b.SetParallelism(16)
		ids := make([]string, 32)
		for i := range ids {
			ids[i] = create(b, db, newCase(alice), flow.Effects{}).ID
		}
		start := cpuTime()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			id := ids[n.Add(1)%32]
			for pb.Next() {
				if _, err := db.Update(b.Context(), id, strike); err != nil {
					b.Error(fmt.Errorf("lost: %w", err))
				}
			}
		})
		b.ReportMetric(float64((cpuTime()-start).Nanoseconds())/1e3/float64(b.N), "cpu-µs/op")
	})
}
