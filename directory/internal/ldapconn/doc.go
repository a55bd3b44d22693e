// Package ldapconn carries LDAP requests to one of several servers: it dials,
// verifies TLS, keeps connections, puts a deadline on every request and changes
// the server when one is down.
//
// There are two pools for each server. The service pool is bound as the service
// account when a connection is made and is never bound again. The user pool sees
// nothing but binds with a person's password. A connection never moves between
// them (otherwise a request could run with the rights of whoever signed in last).
//
// A connection is used by one goroutine at a time. go-ldap could interleave
// requests, but its timeout belongs to the connection and not to the request,
// and only an exclusive connection can say for certain whether a request's bytes
// left the machine: that decides whether a write may be tried elsewhere.
//
// It never sends anything in the clear, never follows a referral, never repeats
// a write that was sent, and knows no dialect: result codes go to the caller.
package ldapconn
