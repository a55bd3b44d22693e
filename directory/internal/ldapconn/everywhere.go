package ldapconn

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"postern/directory"
)

// lookTime bounds what one server may take when all are asked: whoever waits wants to
// hear of the others too.
const lookTime = 2 * time.Second

// Everywhere runs ask, which must change nothing, on a service connection to each
// server, side by side, and returns what they have in the order of the list.
// What ask returns is completed with the server and with why it told nothing. See
// directory.Watcher for the error.
func (c *Client) Everywhere(ctx context.Context, ask func(*Conn) (directory.Sighting, error)) ([]directory.Sighting, error) {
	servers, err := c.current(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]directory.Sighting, len(servers))
	var wg sync.WaitGroup
	for i, s := range servers {
		wg.Go(func() { all[i] = c.look(ctx, s, ask) })
	}
	wg.Wait()
	absent := 0
	for _, one := range all {
		switch {
		case one.Err == nil:
			return all, nil
		case errors.Is(one.Err, directory.ErrNotFound):
			absent++
		}
	}
	if absent == len(all) {
		return nil, directory.ErrNotFound
	}
	return all, fmt.Errorf("%w: no server tells anything of the account", directory.ErrUnavailable)
}

func (c *Client) look(ctx context.Context, s *server, ask func(*Conn) (directory.Sighting, error)) (seen directory.Sighting) {
	// A panic here would end the process: no handler's recovery reaches it.
	defer func() {
		if r := recover(); r != nil {
			seen = directory.Sighting{Server: s.addr, Err: fmt.Errorf("%w: %s: panic: %v", directory.ErrUnavailable, s.addr, r)}
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	err := c.each(ctx, []*server{s}, (*server).servicePool, func(conn *Conn) (err error) {
		seen, err = ask(conn)
		return err
	}, func(conn *Conn, err error) bool { return conn.broken != nil || isBusy(err) })
	if err = Wrap(err); err != nil {
		seen = directory.Sighting{Err: err}
	}
	seen.Server = s.addr
	return seen
}
