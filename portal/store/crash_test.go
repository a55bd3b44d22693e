package store_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"postern/portal/audit"
	"postern/portal/flow"
	"postern/portal/notify"
	"postern/portal/store"
	"postern/portal/store/storetest"
	"postern/verify"
)

// victim is a program that updates one case for as long as it lives.
type victim struct {
	Path, Postgres, Keys, Case string
	// Instead it copies from there, and waits to be killed at the call of that number.
	From  string
	After int
}

const victimEnv = "POSTERN_TEST_VICTIM"

func TestMain(m *testing.M) {
	if text := os.Getenv(victimEnv); text != "" {
		fmt.Fprintln(os.Stderr, beVictim(text))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func beVictim(text string) error {
	var v victim
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return err
	}
	keys, err := store.LoadKeys(v.Keys)
	if err != nil {
		return err
	}
	if v.From != "" {
		return beCopied(v, keys)
	}
	ctx := context.Background()
	db, err := store.Open(ctx, store.Config{Path: v.Path, Postgres: v.Postgres}, keys)
	if err != nil {
		return err
	}
	for {
		if _, err := db.Update(ctx, v.Case, func(ctx context.Context, c *flow.Case) (flow.Effects, error) {
			c.Misses++
			err := db.Strike(ctx, alice, verify.TOTP, func(s flow.Strikes) flow.Strikes { s.Consecutive++; return s })
			return flow.Effects{Events: []audit.Event{{Kind: "proof.failed", Subject: alice, Case: c.ID}}, Messages: []notify.Message{{Template: "x"}}}, err
		}); err != nil {
			return err
		}
		fmt.Println("committed")
	}
}

// Security case 114: killed at any moment, everything that belongs together is
// there or is not, and what was said to be done is.
func TestKilledInTheMiddle(t *testing.T) {
	storetest.Each(t, func(t *testing.T, p storetest.Place) {
		db := p.Open(t)
		c := create(t, db, newCase(alice), flow.Effects{})
		env, err := json.Marshal(victim{Path: p.Config.Path, Postgres: p.Config.Postgres, Keys: p.Keys, Case: c.ID})
		if err != nil {
			t.Fatal(err)
		}
		said := 0
		for round := range 4 {
			cmd := exec.Command(os.Args[0], "-test.run=^$")
			cmd.Env = append(os.Environ(), victimEnv+"="+string(env))
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(out)
			for n := 0; n < 5+7*round && lines.Scan(); n++ {
				said++
			}
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			for lines.Scan() { // what it had said before it died
				said++
			}
			if err := cmd.Wait(); err == nil {
				t.Fatal("it ended by itself")
			}
		}
		// The server may still be finishing the last commit of a dead client; an
		// update takes the row's lock after it.
		got := update(t, db, c.ID, func(context.Context, *flow.Case) (flow.Effects, error) { return flow.Effects{}, nil })
		s, err := db.Strikes(t.Context(), alice, verify.TOTP)
		if err != nil {
			t.Fatal(err)
		}
		events, err := db.Recent(t.Context(), alice, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		messages, err := db.Claim(t.Context(), 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if n := got.Misses; n < said || n > said+4 || s.Consecutive != n || len(events) != n || len(messages) != n {
			t.Errorf("said %d; %d misses, %d strikes, %d events, %d messages", said, n, s.Consecutive, len(events), len(messages))
		}
	})
}

// An export that remembers where it was must not pass an event that commits late.
func TestExportWaitsForSlowNeighbours(t *testing.T) {
	p := storetest.Postgres(t)
	db := p.Open(t)
	slow, err := p.Raw(t).Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Rollback()
	if _, err := slow.Exec(`INSERT INTO audit_events (at, case_id, subject, event) VALUES (1, '', '', '{"kind":"slow"}')`); err != nil {
		t.Fatal(err)
	}
	if err := db.Record(t.Context(), audit.Event{Kind: "fast", At: time.Now()}); err != nil {
		t.Fatal(err)
	}
	export := func() (kinds string) {
		if err := db.Export(t.Context(), audit.Query{}, func(e audit.Event) error { kinds += e.Kind + " "; return nil }); err != nil {
			t.Fatal(err)
		}
		return kinds
	}
	if got := export(); got != "" {
		t.Errorf("%q passed the one that is not there yet", got)
	}
	if err := slow.Commit(); err != nil {
		t.Fatal(err)
	}
	if got := export(); got != "slow fast " {
		t.Errorf("got %q", got)
	}
}
