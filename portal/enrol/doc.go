// Package enrol is a person managing their own factors: add, name, replace,
// remove, each with a fresh proof, an audit event and a notice.
//
// It never signs anybody in and never touches a password.
package enrol
