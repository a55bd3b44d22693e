// Package embedded is a small LDAP directory with sample people, so that
// `postern demo` and tests run the real Active Directory connector without
// anything installed. It speaks the part of Active Directory's dialect that
// Postern uses, with AD's own result codes and texts, over LDAPS on a loopback
// address, and keeps its people in one file.
//
// It never listens anywhere but on loopback, never without TLS, and is reachable
// from no sub-command but demo. It is no directory for real people: no
// replication, no Kerberos, no access control beyond "the service account may
// reset, unlock and expire; nobody else may write".
//
// Known differences from a Windows domain controller:
//   - an empty password in a bind is refused (53) instead of being an anonymous
//     success (RFC 4513 section 5.1.2 recommends the refusal);
//   - names compare without regard to case and to spaces around them, but
//     letters with diacritics and full-width letters stay different;
//   - the old password stops working at once;
//   - extended operations return no value (a limit of the gldap library), so
//     "Who am I?" succeeds and names nobody.
package embedded
