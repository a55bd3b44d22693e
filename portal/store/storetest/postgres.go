package storetest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"postern/portal/store"
)

// server is a PostgreSQL of our own, for as long as the test binary lives.
type server struct {
	own    *store.Own
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

func launch() (*server, error) {
	own, err := store.StartOwn()
	if err != nil {
		return nil, err
	}
	s := &server{own: own}
	if err := s.prepare(); err != nil {
		return nil, errors.Join(err, own.Close())
	}
	return s, nil
}

// prepare migrates the template once.
func (s *server) prepare() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	first, err := sql.Open("pgx", s.own.DSN("postgres"))
	if err != nil {
		return err
	}
	defer first.Close()
	if _, err := first.ExecContext(ctx, "CREATE DATABASE template"); err != nil {
		return err
	}
	keyFile := filepath.Join(s.own.Dir(), "template-keys.json")
	if err := store.CreateKeys(keyFile); err != nil {
		return err
	}
	keys, err := store.LoadKeys(keyFile)
	if err != nil {
		return err
	}
	db, err := store.Open(ctx, store.Config{Postgres: s.own.DSN("template")}, keys)
	if err != nil {
		return err
	}
	return errors.Join(db.Migrate(ctx), db.Close())
}

// clone copies the template and returns the address of the copy.
func (s *server) clone() (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	db, err := sql.Open("pgx", s.own.DSN("postgres"))
	if err != nil {
		return "", err
	}
	defer db.Close()
	name := fmt.Sprintf("t%d", s.clones.Add(1))
	if _, err := db.Exec("CREATE DATABASE " + name + " TEMPLATE template"); err != nil {
		return "", fmt.Errorf("storetest: %w", err)
	}
	return s.own.DSN(name), nil
}
