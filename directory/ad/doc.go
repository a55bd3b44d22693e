// Package ad is the Active Directory dialect: unicodePwd, lockoutTime, computed
// account state, fine-grained policies and the texts Windows and Samba refuse with.
//
// People are found by a typed name and from then on addressed by objectGUID. The
// package owns the reading of Active Directory's answers; connections, TLS and
// fail-over are directory/internal/ldapconn's.
//
// It never decides whether somebody may be helped: it says what the account is
// (User.Privileged, User.State) and leaves the rest to the core. It never shows
// that an old password stopped working, because on Active Directory it does not
// at once.
package ad
