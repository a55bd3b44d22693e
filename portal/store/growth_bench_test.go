package store_test

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"postern/directory"
	"postern/portal/audit"
	"postern/portal/flow"
	"postern/portal/store"
	"postern/portal/store/storetest"
	"postern/verify"
)

// The events of a plain reset, in the transactions in which they are written.
var eventsOfAReset = []string{"case.started", "factor.chosen", "proof.ok", "factor.chosen", "proof.ok", "password.intent", "password.reset"}

// caseWork is what one reset asks of the store from the first page to the last, with its
// record or without. It returns the number of its receipt.
func caseWork(ctx context.Context, db *store.DB, who directory.ID, recorded bool) (string, error) {
	c := newCase(who)
	receipt := "P-" + c.ID
	event := func(i int) []audit.Event {
		if !recorded {
			return nil
		}
		e := audit.Event{Kind: eventsOfAReset[i], At: time.Now(), Case: c.ID, Subject: who, SubjectName: "somebody", Outcome: audit.OK, Factor: "totp",
			Purpose: "reset", Address: "192.0.2.7", Door: "web"}
		if i == len(eventsOfAReset)-1 {
			e.Detail = map[string]string{"receipt": receipt}
		}
		return []audit.Event{e}
	}
	if err := db.Create(ctx, c, flow.Effects{Events: event(0)}); err != nil {
		return "", err
	}
	for i := 1; i < len(eventsOfAReset); i++ {
		if _, err := db.Update(ctx, c.ID, func(ctx context.Context, c *flow.Case) (flow.Effects, error) {
			c.Misses++
			var err error
			if eventsOfAReset[i] == "proof.ok" {
				err = db.Strike(ctx, who, verify.TOTP, func(s flow.Strikes) flow.Strikes { s.Consecutive = 0; return s })
			}
			return flow.Effects{Events: event(i)}, err
		}); err != nil {
			return "", err
		}
		if _, err := db.Case(ctx, c.ID); err != nil { // the page after it
			return "", err
		}
	}
	return receipt, nil
}

// grow adds people, with what each has, and as many events.
func grow(t testing.TB, raw *sql.DB, from, to int) {
	t.Helper()
	const each = 100_000
	for ; from < to; from += each {
		rows := fmt.Sprintf("WITH RECURSIVE n(i) AS (SELECT %d UNION ALL SELECT i+1 FROM n WHERE i < %d) SELECT ", from, min(to, from+each)-1)
		for _, insert := range []string{
			`INSERT INTO credentials (id, owner, kind, handle, counter, created, used, body) ` + rows + `'c' || i, 'house:' || i, 'totp', NULL, 1, 1, 0, 'sealed' FROM n`,
			`INSERT INTO credentials (id, owner, kind, handle, counter, created, used, body) ` + rows + `'r' || i, 'house:' || i, 'recovery_code', NULL, 1, 1, 0, 'sealed' FROM n`,
			`INSERT INTO strikes (account, kind, consecutive, win, since, last) ` + rows + `'house:' || i, 'totp', 0, 1, 1, 1 FROM n`,
			`INSERT INTO person_keys (person, created, body) ` + rows + `'old:' || i, 1, 'sealed' FROM n`,
			`INSERT INTO audit_events (at, case_id, subject, event) ` + rows + `i, 'case' || i, 'house:' || i, '{"id":"e' || i || '","kind":"password.reset","outcome":"ok","detail":{"receipt":"P-' || i || '"}}' FROM n`,
		} {
			if _, err := raw.Exec(strings.ReplaceAll(insert, "'sealed'", sealedLiteral(raw))); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := raw.Exec("ANALYZE"); err != nil {
		t.Fatal(err)
	}
}

// sealedLiteral is some 60 bytes in the database's own way of writing them.
func sealedLiteral(db *sql.DB) string {
	hex := strings.Repeat("5a", 60)
	if strings.Contains(fmt.Sprintf("%T", db.Driver()), "sqlite") {
		return "x'" + hex + "'"
	}
	return `'\x` + hex + "'"
}

func millis(d time.Duration) string { return strconv.FormatFloat(float64(d)/1e6, 'f', 2, 64) }

func middleOf(list []time.Duration) time.Duration {
	slices.Sort(list)
	return list[len(list)/2]
}

// BenchmarkGrowth prints what one case asks of the store, what of that is its record, and
// what a proof takes, with ever more people and events: POSTERN_GROWTH says how many at
// the most (default 1000000).
func BenchmarkGrowth(b *testing.B) {
	most := 1_000_000
	if text := os.Getenv("POSTERN_GROWTH"); text != "" {
		var err error
		if most, err = strconv.Atoi(text); err != nil {
			b.Fatal(err)
		}
	}
	var rows strings.Builder
	for _, engine := range []struct {
		name string
		open func(testing.TB) storetest.Place
	}{{"SQLite", storetest.SQLite}, {"PostgreSQL", storetest.Postgres}} {
		b.Run(engine.name, func(b *testing.B) {
			p := engine.open(b)
			db, raw := p.Open(b), p.Raw(b)
			sign, _ := signer(b)
			have := 0
			for n := 10_000; n <= most; n *= 10 {
				began := time.Now()
				grow(b, raw, have+1, n+1)
				have = n
				filled := time.Since(began)
				began = time.Now()
				sealed := sealAll(b, db, sign)
				perEvent := time.Since(began) / time.Duration(max(1, sealed))
				rows.WriteString(measured(b, db, sign, engine.name, n, perEvent))
				b.Logf("%s, %d: filled in %s", engine.name, n, filled)
			}
			b.ReportMetric(0, "ns/op")
		})
	}
	fmt.Printf("\n**Growth**: people, and as many events besides theirs\n\n| database | people | a case's work ms | of that its record ms | CPU of it ms | its %d events sealed ms | the second's seal ms | a proof ms |\n|---|---|---|---|---|---|---|---|\n%s\n",
		len(eventsOfAReset), rows.String())
}

// measured is one row.
func measured(b *testing.B, db *store.DB, sign *audit.Signer, engine string, n int, perEvent time.Duration) string {
	b.Helper()
	const cases = 300
	var with, without []time.Duration
	var cpuWith, cpuWithout time.Duration
	var receipts []string
	for i := range 2*cases + 40 {
		who := directory.ID("house:" + strconv.Itoa(1+rand.IntN(n)))
		cpu, began := cpuTime(), time.Now()
		receipt, err := caseWork(b.Context(), db, who, i%2 == 0)
		if err != nil {
			b.Fatal(err)
		}
		took := time.Since(began)
		switch {
		case i < 40: // statements and caches get warm
		case i%2 == 0:
			with, cpuWith, receipts = append(with, took), cpuWith+cpuTime()-cpu, append(receipts, receipt)
		default:
			without, cpuWithout = append(without, took), cpuWithout+cpuTime()-cpu
		}
	}
	// What the job does each second, with one case in it.
	sealAll(b, db, sign)
	var seals []time.Duration
	for range 20 {
		who := directory.ID("house:" + strconv.Itoa(1+rand.IntN(n)))
		if _, err := caseWork(b.Context(), db, who, true); err != nil {
			b.Fatal(err)
		}
		began := time.Now()
		if _, err := db.Seal(b.Context(), sign); err != nil {
			b.Fatal(err)
		}
		seals = append(seals, time.Since(began))
	}
	sealAll(b, db, sign)
	var proofs []time.Duration
	for _, code := range receipts {
		began := time.Now()
		if _, err := db.Receipt(b.Context(), code); err != nil {
			b.Fatal(err)
		}
		proofs = append(proofs, time.Since(began))
	}
	whole, bare := middleOf(with), middleOf(without)
	return fmt.Sprintf("| %s | %d | %s | %s | %s | %s | %s | %s |\n", engine, n, millis(whole), millis(whole-bare), millis((cpuWith-cpuWithout)/cases),
		millis(perEvent*time.Duration(len(eventsOfAReset))), millis(middleOf(seals)), millis(middleOf(proofs)))
}
