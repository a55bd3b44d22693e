package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/portal/store"
	"postern/portal/store/storetest"
)

// From SQLite to PostgreSQL by the command: no portal starts on half of it, the doctor says
// why, and the same command makes it whole; then the portal goes on there as if nothing
// had been, and refuses the old database once it has.
func TestAPortalMovesToPostgreSQL(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: starts servers")
	}
	v := newVault(t, "sqlite")
	v.use(v.fill)
	dsn := filepath.Join(t.TempDir(), "dsn")
	writeFile(t, dsn, storetest.Postgres(t).Config.Postgres, 0o600)
	text, err := os.ReadFile(v.file)
	if err != nil {
		t.Fatal(err)
	}
	old, next := v.file, filepath.Join(v.dir, "next.yaml")
	writeFile(t, next, strings.Replace(string(text), "  path: data/postern.db", "  postgres: file:"+dsn+"\n  auto_migrate: true", 1), 0o600)

	ctx, cancel := context.WithCancel(t.Context())
	from := v.load()
	v.file = next
	to := v.load()
	a, keys, err := from.openStore(ctx, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	b, err := store.Open(ctx, to.Store.Config, keys)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := store.Copy(ctx, a, b, func(table string, _, _ int64) {
		if table == "credentials" {
			cancel()
		}
	}); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if err := errors.Join(a.Close(), b.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := v.open(io.Discard); !errors.Is(err, store.ErrHalfCopied) || !strings.Contains(err.Error(), "run postern store copy again") {
		t.Errorf("it starts on half a copy: %v", err)
	}
	if out, err := v.command("doctor"); err == nil || !strings.Contains(out, "not finished") {
		t.Errorf("the doctor: %v %s", err, out)
	}
	var out strings.Builder
	root := (&cli{out: &out, err: &out, env: noEnv}).root()
	root.SetArgs([]string{"store", "copy", "--from", old, "--to", next})
	if err := root.ExecuteContext(t.Context()); err != nil || !strings.Contains(out.String(), "9  credentials") || !strings.Contains(out.String(), "the same on both sides") {
		t.Fatal(out.String(), err)
	}
	v.use(v.happen)
	v.verifies()
	v.file = old
	v.refusedToStart()
}
