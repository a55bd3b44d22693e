// Package ad is the Active Directory dialect: unicodePwd, lockoutTime, computed
// account state, fine-grained policies and the texts Windows and Samba refuse with.
//
// People are found by a typed name and from then on addressed by objectGUID. The
// package owns the reading of Active Directory's answers; connections, TLS and
// fail-over are directory/internal/ldapconn's.
//
// Search asks for beginnings of attributes that Active Directory indexes as it
// comes: sAMAccountName, userPrincipalName, displayName, cn, givenName, sn, mail.
// Telephone and employee numbers it does not (searchFlags of mobile,
// telephoneNumber, employeeID and employeeNumber are 0): text that is a number costs a
// look at everybody below the base, unless an index is made. For numbers of employees
// that is searchFlags 1; a number with spaces in it no index finds.
//
// Watch asks every domain controller itself, since badPwdCount and badPasswordTime
// are not replicated. It reads pwdLastSet, lockoutTime, badPwdCount and badPasswordTime,
// which any authenticated account may unless somebody took that away. What it cannot
// show is the previous password itself in the first hour: it is still taken where a
// network logon is (OldPasswordAllowedPeriod), and what is taken counts for nothing, nor
// does one of the last two that is refused (the password history check, "N-2"). Samba
// 4.17 takes it in an LDAP bind, too (tried).
//
// It never decides whether somebody may be helped: it says what the account is
// (User.Privileged, User.State) and leaves the rest to the core. It never shows
// that an old password stopped working, because on Active Directory it does not
// at once.
package ad
