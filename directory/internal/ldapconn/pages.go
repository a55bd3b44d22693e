package ldapconn

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/go-ldap/ldap/v3"

	"postern/directory"
)

// PageSize is how many entries one page of a listing holds where nothing else is
// asked for: half of what Active Directory gives at most (MaxPageSize, MS-ADTS
// section 3.1.1.3.4.6).
const PageSize = 500

// Pages runs a search of any size in pages (RFC 2696) and calls each for every
// entry, in the server's order. It returns nil only when the server gave all of
// them; the first error of each ends it and is returned as it is. Everything else
// is ErrUnavailable: a list that stops short would be taken for the whole one.
//
// The connection is its own and not one of the pool's: a cookie is good on the
// connection it came on, and each may read accounts meanwhile, for which it would
// wait for ever where the pool has one connection. Another server is tried only
// while nothing was handed out, since it would begin at the beginning.
func (c *Client) Pages(ctx context.Context, req *ldap.SearchRequest, size int, each func(*ldap.Entry) error) error {
	var pools []*pool
	defer func() {
		for _, p := range pools {
			p.close()
		}
	}()
	alone := func(s *server) *pool {
		p := newPool(1, s.dialService, c.now)
		pools = append(pools, p)
		return p
	}
	servers, err := c.order(ctx, "", false)
	if err != nil {
		return err
	}
	begun := false
	var stopped error
	err = c.each(ctx, servers, alone, func(conn *Conn) error {
		conn.timeout = max(conn.timeout, writeTime) // a page is much, and nobody waits for it
		return conn.Pages(req, size, func(e *ldap.Entry) error {
			begun = true
			stopped = each(e)
			return stopped
		})
	}, func(conn *Conn, err error) bool {
		return !begun && (conn.broken != nil || isBusy(err))
	})
	switch {
	case stopped != nil:
		return stopped
	case err != nil && !errors.Is(err, directory.ErrUnavailable):
		return fmt.Errorf("%w: listing %s: %w", directory.ErrUnavailable, req.BaseDN, err)
	}
	return err
}

// Pages is Client.Pages on this connection. The server's answers come back as they
// are.
func (c *Conn) Pages(req *ldap.SearchRequest, size int, each func(*ldap.Entry) error) error {
	paging := ldap.NewControlPaging(uint32(size))
	page := *req
	page.Controls = append(slices.Clone(req.Controls), paging)
	for {
		res, err := c.Search(&page)
		if err != nil {
			return err
		}
		for _, e := range res.Entries {
			if err := c.ctx.Err(); err != nil {
				return fmt.Errorf("%w: %w", directory.ErrUnavailable, err)
			}
			if err := each(e); err != nil {
				return err
			}
		}
		next, _ := ldap.FindControl(res.Controls, ldap.ControlTypePaging).(*ldap.ControlPaging)
		if next == nil || len(next.Cookie) == 0 {
			return nil
		}
		paging.SetCookie(next.Cookie)
	}
}
