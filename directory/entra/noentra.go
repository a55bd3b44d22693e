//go:build noentra

package entra

import (
	"time"

	"postern/directory"
)

// Built says whether this program can talk to a tenant.
const Built = false

// Directory is a tenant; none can be made in this build.
type Directory struct{ directory.Directory }

// Option changes what a Directory is made with.
type Option func()

// WithClock does nothing here.
func WithClock(func() time.Time) Option { return func() {} }

// New refuses.
func New(string, Config, ...Option) (*Directory, error) { return nil, ErrNotBuilt }

// Close does nothing here.
func (*Directory) Close() {}
