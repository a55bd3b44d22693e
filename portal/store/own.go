package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// Own is a PostgreSQL of our own, for demos and tests: on a socket in a temporary folder,
// where only this user reaches it, and gone with us. It may lose what it holds.
type Own struct {
	dir  string
	life io.Closer // it dies when this closes, also when we are killed
}

// ErrNoPostgres: this machine has no PostgreSQL that could be started.
var ErrNoPostgres = errors.New("store: no PostgreSQL here: install the package postgresql")

// live runs the server until its standard input ends, then stops it and removes
// its folder. The folder's own user does all of it.
const live = `exec 3<&0; dir=$1; shift; cd /; "$@" </dev/null 3<&- & p=$!; cat <&3 >/dev/null; kill -INT $p; wait $p; rm -rf "$dir"`

// StartOwn starts one, empty.
func StartOwn() (_ *Own, err error) {
	initdb, postgres, err := programs()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "postern-postgres-")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	// PostgreSQL refuses to run as root.
	as, err := unprivileged(dir)
	if err != nil {
		return nil, err
	}
	data, log := filepath.Join(dir, "data"), filepath.Join(dir, "log")
	cmd := exec.Command(initdb, "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	cmd.Dir, cmd.SysProcAttr = dir, as
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("store: own PostgreSQL: initdb: %w\n%s", err, out)
	}
	cmd = exec.Command("sh", "-c", live+` 2>/dev/null`, "sh", dir, postgres, "-D", data, "-k", dir, "-h", "",
		"-c", "fsync=off", "-c", "full_page_writes=off", "-c", "synchronous_commit=off", "-c", "max_connections=300",
		"-c", "shared_buffers=32MB", "-c", "logging_collector=on", "-c", "log_directory="+dir, "-c", "log_filename="+filepath.Base(log))
	cmd.Dir, cmd.SysProcAttr = dir, as
	s := &Own{dir: dir}
	if s.life, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("store: own PostgreSQL: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	if err := s.await(ended); err != nil {
		said, _ := os.ReadFile(log)
		return nil, errors.Join(fmt.Errorf("store: own PostgreSQL: PostgreSQL does not come up: %w\n%s", err, said), s.life.Close())
	}
	return s, nil
}

// Close ends it and removes its folder.
func (s *Own) Close() error { return s.life.Close() }

// DSN is the address of one of its databases; "postgres" is always there.
func (s *Own) DSN(name string) string {
	return fmt.Sprintf("postgres://postgres@/%s?host=%s&sslmode=disable", name, s.dir)
}

// Dir is its folder.
func (s *Own) Dir() string { return s.dir }

// await returns as soon as it takes statements.
func (s *Own) await(ended <-chan error) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	db, err := sql.Open("pgx", s.DSN("postgres"))
	if err != nil {
		return err
	}
	defer db.Close()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := db.PingContext(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case how := <-ended:
			return errors.Join(errors.New("it ended"), how, err)
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		}
	}
}

// programs finds initdb and postgres: distributions keep them out of PATH.
func programs() (initdb, postgres string, err error) {
	dirs := []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/local/pgsql/bin", "/opt/homebrew/opt/postgresql*/bin", "/usr/local/bin", "/usr/bin"}
	for _, pattern := range dirs {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return "", "", err
		}
		for i := len(found) - 1; i >= 0; i-- { // the newest
			initdb, postgres = filepath.Join(found[i], "initdb"), filepath.Join(found[i], "postgres")
			if _, err := exec.LookPath(initdb); err != nil {
				continue
			}
			if _, err := exec.LookPath(postgres); err == nil {
				return initdb, postgres, nil
			}
		}
	}
	return "", "", ErrNoPostgres
}
