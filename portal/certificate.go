package portal

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"
)

// lookEvery is how often files are looked at.
const lookEvery = time.Minute

// watched is what files say. They are read again when they change, so that a renewal
// needs no restart. One that cannot be read is logged, and the old one stays.
type watched[T any] struct {
	what  string // for the log
	files []string
	load  func() (T, error)
	now   func() time.Time
	log   *slog.Logger

	mu      sync.Mutex
	current T
	seen    string // the files, when current was read
	looked  time.Time
}

func (w *watched[T]) read() error {
	seen, err := w.state()
	if err != nil || seen == w.seen {
		return err
	}
	current, err := w.load()
	if err != nil {
		return err
	}
	w.current, w.seen = current, seen
	return nil
}

// state names every file's own time and size: one that is put back from a copy is older.
func (w *watched[T]) state() (string, error) {
	var s strings.Builder
	for _, name := range w.files {
		info, err := os.Stat(name)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&s, "%d %d,", info.ModTime().UnixNano(), info.Size())
	}
	return s.String(), nil
}

// first reads them for the first time; then there is no old one to stay.
func (w *watched[T]) first() error {
	w.looked = w.now()
	return w.read()
}

func (w *watched[T]) get() T {
	w.mu.Lock()
	defer w.mu.Unlock()
	if now := w.now(); now.Sub(w.looked) >= lookEvery {
		w.looked = now
		if err := w.read(); err != nil {
			w.log.Error("what replaces "+w.what+" cannot be read; the old is still in use", "cause", err.Error())
		}
	}
	return w.current
}

// certificate is the portal's own.
type certificate struct{ watched[*tls.Certificate] }

func loadCertificate(files TLS, now func() time.Time, log *slog.Logger) (*certificate, error) {
	c := &certificate{watched[*tls.Certificate]{what: "the certificate", files: []string{files.CertFile, files.KeyFile}, now: now, log: log,
		load: func() (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(files.CertFile, files.KeyFile)
			return &pair, err
		}}}
	if err := c.first(); err != nil {
		return nil, fmt.Errorf("portal: tls: %w", err)
	}
	return c, nil
}

// get is tls.Config.GetCertificate.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return c.watched.get(), nil
}
