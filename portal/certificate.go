package portal

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// certificate reads its files again when they change, so that a renewal needs
// no restart. A renewal that cannot be read is logged, and the old one stays.
type certificate struct {
	files TLS
	now   func() time.Time
	log   *slog.Logger

	mu      sync.Mutex
	current *tls.Certificate
	changed time.Time // of the files, when current was read
	looked  time.Time
}

// lookEvery is how often the files are looked at.
const lookEvery = time.Minute

func loadCertificate(files TLS, now func() time.Time, log *slog.Logger) (*certificate, error) {
	c := &certificate{files: files, now: now, log: log}
	if err := c.read(); err != nil {
		return nil, fmt.Errorf("portal: tls: %w", err)
	}
	c.looked = now()
	return c, nil
}

func (c *certificate) read() error {
	changed, err := c.lastChange()
	if err != nil || changed.Equal(c.changed) {
		return err
	}
	pair, err := tls.LoadX509KeyPair(c.files.CertFile, c.files.KeyFile)
	if err != nil {
		return err
	}
	c.current, c.changed = &pair, changed
	return nil
}

func (c *certificate) lastChange() (last time.Time, err error) {
	for _, name := range []string{c.files.CertFile, c.files.KeyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return last, err
		}
		if info.ModTime().After(last) {
			last = info.ModTime()
		}
	}
	return last, nil
}

// get is tls.Config.GetCertificate.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.now(); now.Sub(c.looked) >= lookEvery {
		c.looked = now
		if err := c.read(); err != nil {
			c.log.Error("the renewed certificate cannot be read; the old one is still in use", "cause", err.Error())
		}
	}
	return c.current, nil
}
