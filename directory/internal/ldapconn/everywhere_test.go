package ldapconn

import (
	"errors"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"postern/directory"
)

// Each server is asked itself, and what goes wrong on one stays there: a fault of ours
// too, which in a goroutine of its own would end the program.
func TestEveryServerIsAskedForItself(t *testing.T) {
	a := newAuthority(t)
	busy := func(_ *fake, nc net.Conn, op ber.Tag, id int64, _ *ber.Packet) (bool, bool) {
		if op == ldap.ApplicationSearchRequest {
			reply(nc, id, op, ldap.LDAPResultBusy, "")
			return true, true
		}
		return false, true
	}
	good, full, panics, absent := serve(t, a.issue(t, nil), nil), serve(t, a.issue(t, nil), busy), serve(t, a.issue(t, nil), nil), serve(t, a.issue(t, nil), nil)
	addrs := []string{panics.addr(), full.addr(), good.addr(), absent.addr()}
	c := newClient(t, testConfig(a, addrs...))
	var calls atomic.Int32
	ask := func(conn *Conn) (directory.Sighting, error) {
		calls.Add(1)
		switch conn.Server() {
		case panics.addr():
			panic("a fault of ours")
		case absent.addr():
			return directory.Sighting{BadPasswords: 9}, directory.ErrNotFound
		}
		return directory.Sighting{BadPasswords: 2}, look(conn)
	}
	all, err := c.Everywhere(t.Context(), ask)
	if err != nil || len(all) != len(addrs) {
		t.Fatalf("%+v, %v", all, err)
	}
	var got []string
	for _, s := range all {
		got = append(got, s.Server)
	}
	if !slices.Equal(got, addrs) {
		t.Errorf("in the order %v, want %v", got, addrs)
	}
	if !errors.Is(all[0].Err, directory.ErrUnavailable) || !strings.Contains(all[0].Err.Error(), "panic") || !errors.Is(all[1].Err, directory.ErrUnavailable) ||
		all[2].Err != nil || all[2].BadPasswords != 2 || !errors.Is(all[3].Err, directory.ErrNotFound) || all[3].BadPasswords != 0 {
		t.Errorf("%+v", all)
	}
	if n := calls.Load(); n != int32(len(addrs)) {
		t.Errorf("%d questions", n)
	}
	// The slots are given back, a panic or not.
	for range 2 * DefaultConfig().ServiceConnections {
		if all, err := c.Everywhere(t.Context(), ask); err != nil || all[2].Err != nil {
			t.Fatalf("%+v, %v", all, err)
		}
	}
	gone := newClient(t, testConfig(a, absent.addr()))
	if all, err := gone.Everywhere(t.Context(), ask); !errors.Is(err, directory.ErrNotFound) || all != nil {
		t.Errorf("on none of them: %+v, %v", all, err)
	}
}
