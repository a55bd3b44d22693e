package store_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"postern/portal/audit"
	"postern/portal/store"
	"postern/portal/store/storetest"
)

// Killed as by kill -9, a copy goes on.
func TestAKilledCopyGoesOn(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: starts programs")
	}
	storetest.Each(t, func(t *testing.T, to storetest.Place) {
		from := storetest.SQLite(t)
		to.Keys = from.Keys
		s, k := signer(t)
		old := from.Open(t)
		live(t, old, 6000)
		sealAll(t, old, s)
		for _, after := range []int{3, 9, 20} {
			env, err := json.Marshal(victim{Path: to.Config.Path, Postgres: to.Config.Postgres, Keys: to.Keys, From: from.Config.Path, After: after})
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(os.Args[0], "-test.run=^$")
			cmd.Env = append(os.Environ(), victimEnv+"="+string(env))
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if _, err := out.Read(make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
			if err := opened(t, to, false).MarkKeys(t.Context()); err == nil {
				t.Fatal("a portal starts on half a copy")
			}
		}
		db := opened(t, to, false)
		if _, again, err := store.Copy(t.Context(), opened(t, from, true), db, nil); err != nil || again {
			t.Fatal(again, err)
		}
		if _, err := audit.Verify(exported(t, db, k), k, nil, []string{exported(t, old, k)}); err != nil {
			t.Error(err)
		}
	})
}

func beCopied(v victim, keys *store.Keys) error {
	from, err := store.Open(context.Background(), store.Config{Path: v.From, ReadOnly: true}, keys)
	if err != nil {
		return err
	}
	to, err := store.Open(context.Background(), store.Config{Path: v.Path, Postgres: v.Postgres}, keys)
	if err != nil {
		return err
	}
	calls := 0
	_, _, err = store.Copy(context.Background(), from, to, func(string, int64, int64) {
		if calls++; calls == v.After {
			fmt.Println("kill me")
			select {}
		}
	})
	return err
}

// What 20,000 events and all that is sealed of them take.
func BenchmarkCopy(b *testing.B) {
	for name, target := range map[string]func(testing.TB) storetest.Place{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		b.Run(name, func(b *testing.B) {
			from := storetest.SQLite(b)
			old := from.Open(b)
			s, _ := signer(b)
			live(b, old, 20_000)
			sealAll(b, old, s)
			for b.Loop() {
				b.StopTimer()
				to := target(b)
				to.Keys = from.Keys
				source, db := opened(b, from, true), opened(b, to, false)
				b.StartTimer()
				if _, _, err := store.Copy(b.Context(), source, db, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
