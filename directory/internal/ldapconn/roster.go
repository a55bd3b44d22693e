package ldapconn

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"postern/directory"
)

const (
	// lookEvery is how old a list from the DNS may become, lookPause how long it stays
	// although none of its servers is well, or although the DNS did not answer.
	lookEvery = 5 * time.Minute
	lookPause = 5 * time.Second
)

// roster is the list of servers there are now. From the configuration it never
// changes; from the DNS a list takes the place of the one before, and a server that
// is in both keeps its health and its connections.
type roster struct {
	mu      sync.Mutex
	servers []*server
	looked  time.Time     // when the last lookup ended
	failed  error         // why it told nothing; the list is an older one's
	running chan struct{} // closed when the lookup that is under way has ended; nil: none is
}

// current are the servers to ask, in order of preference. With discovery it waits for
// the DNS only where there is nobody else to ask, and never longer than connecting
// may take.
func (c *Client) current(ctx context.Context) ([]*server, error) {
	if !c.cfg.Discovery.on() {
		return c.servers, nil
	}
	servers, running := c.know()
	if running != nil && !slices.ContainsFunc(servers, (*server).well) {
		select {
		case <-running:
		case <-ctx.Done():
		}
		servers, _ = c.know()
	}
	if len(servers) == 0 {
		c.mu.Lock()
		defer c.mu.Unlock()
		return nil, fmt.Errorf("%w: no server of %s is known: %w", directory.ErrUnavailable, c.cfg.Discovery.Domain,
			cmp.Or(c.failed, ctx.Err(), errClosed))
	}
	return servers, nil
}

// know is the list, and the lookup that is under way, which it begins when it is time.
func (c *Client) know() ([]*server, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	age := c.now().Sub(c.looked)
	due := c.looked.IsZero() || age >= lookEvery ||
		age >= lookPause && (c.failed != nil || !slices.ContainsFunc(c.servers, (*server).well))
	if due && c.running == nil && !c.closed.Load() {
		done := make(chan struct{})
		c.running = done
		go func() {
			defer close(done)
			_, _ = c.discover(context.Background())
		}()
	}
	return c.servers, c.running
}

// discover looks the servers up and makes the list of what it finds. What cannot be
// asked changes nothing: the servers known last stay.
func (c *Client) discover(ctx context.Context) (found, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.DialTimeout)
	defer cancel()
	f, err := c.cfg.Discovery.look(ctx, c.resolver, c.cfg.StartTLS)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running, c.looked = nil, c.now()
	if c.failed = err; err == nil {
		c.failed = f.partial
	}
	// Half an answer is better than none, and worse than the list that was whole.
	if err == nil && (f.partial == nil || len(c.servers) == 0) && !c.closed.Load() {
		c.replace(f.endpoints)
	}
	return f, err
}

// replace makes endpoints the list; the caller holds mu. Connections to a server that
// is no longer there end when they come back.
func (c *Client) replace(endpoints []endpoint) {
	old := c.servers
	next := make([]*server, 0, len(endpoints))
	for _, e := range endpoints {
		i := slices.IndexFunc(old, func(s *server) bool { return s.endpoint == e })
		if i < 0 {
			next = append(next, c.server(e))
		} else {
			next = append(next, old[i])
		}
	}
	c.servers = next
	for _, s := range old {
		if !slices.Contains(next, s) {
			s.close()
		}
	}
}
