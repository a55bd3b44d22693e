package storetest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"postern/portal/store"
)

// server is a PostgreSQL of our own, on a socket in a temporary folder.
type server struct {
	dir    string
	life   io.Closer // it dies when this closes, also when we are killed
	clones atomic.Int64
	mu     sync.Mutex // a template can be copied once at a time
}

// launcher starts the one server of a test binary when the first test asks.
type launcher struct {
	once sync.Once
	s    *server
	err  error
}

var private launcher

func (l *launcher) get() (*server, error) {
	l.once.Do(func() { l.s, l.err = launch() })
	return l.s, l.err
}

// live runs the server until its standard input ends, then stops it and removes
// its folder. The folder's own user does all of it.
const live = `exec 3<&0; dir=$1; shift; cd /; "$@" </dev/null 3<&- & p=$!; cat <&3 >/dev/null; kill -INT $p; wait $p; rm -rf "$dir"`

func launch() (_ *server, err error) {
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
		return nil, fmt.Errorf("storetest: initdb: %w\n%s", err, out)
	}
	cmd = exec.Command("sh", "-c", live+` 2>/dev/null`, "sh", dir, postgres, "-D", data, "-k", dir, "-h", "",
		"-c", "fsync=off", "-c", "full_page_writes=off", "-c", "synchronous_commit=off", "-c", "max_connections=300",
		"-c", "shared_buffers=32MB", "-c", "logging_collector=on", "-c", "log_directory="+dir, "-c", "log_filename="+filepath.Base(log))
	cmd.Dir, cmd.SysProcAttr = dir, as
	s := &server{dir: dir}
	if s.life, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("storetest: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	if err := s.prepare(ended); err != nil {
		said, _ := os.ReadFile(log)
		return nil, errors.Join(fmt.Errorf("storetest: PostgreSQL does not come up: %w\n%s", err, said), s.life.Close())
	}
	return s, nil
}

func (s *server) dsn(name string) string {
	return fmt.Sprintf("postgres://postgres@/%s?host=%s&sslmode=disable", name, s.dir)
}

// prepare waits for the server and migrates the template once.
func (s *server) prepare(ended <-chan error) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := s.run(ctx, ended, "CREATE DATABASE template"); err != nil {
		return err
	}
	keyFile := filepath.Join(s.dir, "template-keys.json")
	if err := store.CreateKeys(keyFile); err != nil {
		return err
	}
	keys, err := store.LoadKeys(keyFile)
	if err != nil {
		return err
	}
	db, err := store.Open(ctx, store.Config{Postgres: s.dsn("template")}, keys)
	if err != nil {
		return err
	}
	return errors.Join(db.Migrate(ctx), db.Close())
}

// run executes one statement as soon as the server takes it.
func (s *server) run(ctx context.Context, ended <-chan error, statement string) error {
	db, err := sql.Open("pgx", s.dsn("postgres"))
	if err != nil {
		return err
	}
	defer db.Close()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		_, err := db.ExecContext(ctx, statement)
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

// clone copies the template and returns the address of the copy.
func (s *server) clone() (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	db, err := sql.Open("pgx", s.dsn("postgres"))
	if err != nil {
		return "", err
	}
	defer db.Close()
	name := fmt.Sprintf("t%d", s.clones.Add(1))
	if _, err := db.Exec("CREATE DATABASE " + name + " TEMPLATE template"); err != nil {
		return "", fmt.Errorf("storetest: %w", err)
	}
	return s.dsn(name), nil
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
	return "", "", errors.New("storetest: no PostgreSQL here: install the package postgresql")
}
