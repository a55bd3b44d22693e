// Package openldap is the dialect of OpenLDAP and servers like it: the password
// modify extended operation (RFC 3062), so that the server hashes, and the
// password policy of draft-behera-ldap-password-policy-10 as slapo-ppolicy has it.
//
// People are found by a typed name in one search and from then on keyed on
// entryUUID. Connections, TLS and fail-over are directory/internal/ldapconn's.
//
// Search is fast where slapd has an index of what it looks at, and a look at
// everybody where it lacks one of these:
//
//	index uid,cn,displayName,givenName,sn,mail eq,sub
//	index telephoneNumber,mobile eq,sub
//	index employeeNumber eq
//
// with whatever else login_attributes, mail_attributes and phone_attributes name.
// "sub" and not "subinitial": beyond its first four characters a beginning is found
// by what is inside, and logins often begin alike.
//
// Watch asks every server itself for pwdChangedTime, pwdReset, pwdAccountLockedTime and
// pwdFailureTime, which the service account must be able to read there.
//
// What a reset obeys depends on the service account's rights. With write on
// userPassword every rule holds, quality, history and minimum age too, and nobody
// has to change twice. With manage, or as rootdn, slapd takes the caller for a
// password administrator and checks nothing; Examine says so.
package openldap
