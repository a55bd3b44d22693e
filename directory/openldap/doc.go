// Package openldap is the dialect of OpenLDAP and servers like it: the password
// modify extended operation (RFC 3062), so that the server hashes, and the
// password policy of draft-behera-ldap-password-policy-10 as slapo-ppolicy has it.
//
// People are found by a typed name in one search and from then on keyed on
// entryUUID. Connections, TLS and fail-over are directory/internal/ldapconn's.
//
// What a reset obeys depends on the service account's rights. With write on
// userPassword every rule holds, quality, history and minimum age too, and nobody
// has to change twice. With manage, or as rootdn, slapd takes the caller for a
// password administrator and checks nothing; Examine says so.
package openldap
