// Package directorytest holds what tests and benchmarks need of real
// directories: launchers for a private Samba Active Directory domain controller
// (Samba, StartSamba) and a private OpenLDAP (Slapd, StartSlapd), both filled
// with sample people in every state, and Run, the conformance suite that every
// back end of package directory passes.
//
// What the servers taught, and the suite holds to (Samba 4.17, OpenLDAP 2.5):
//   - Samba has no "Who am I?"; ldapwhoami binds and is then told so.
//   - Samba's complexity looks at character classes alone, Windows' at names too.
//   - On both Active Directories only administrators may read fine-grained
//     policies until that is delegated (DC.delegate shows how).
//   - Samba does not end at the end of its input; slapd does not either.
//   - On OpenLDAP every new password deletes pwdAccountLockedTime, also the value
//     that means "until an administrator acts": a reset enables the account.
//   - On OpenLDAP pwdMinAge and pwdInHistory hold for a reset by a service account
//     that has `write`; in Active Directory neither does without policy hints.
//   - OpenLDAP takes full-width letters in a name for the ordinary ones; it does
//     not drop zero-width characters, whatever RFC 4518 says.
//
// Everything listens on loopback, lives in a temporary folder and goes away with
// the test. Nothing here is ever linked into the program.
package directorytest
