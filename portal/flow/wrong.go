package flow

import (
	"errors"

	"postern/directory"
	"postern/verify"
)

// wrongCode is empty when the answer could not be checked at all.
func wrongCode(kind verify.Kind, err error) string {
	switch {
	case errors.Is(err, verify.ErrExpired):
		return "expired_code"
	case errors.Is(err, verify.ErrReplayed):
		return "replayed_code"
	case errors.Is(err, verify.ErrWrong), errors.Is(err, verify.ErrNoCredential), errors.Is(err, directory.ErrWrongPassword):
	default:
		return ""
	}
	switch kind {
	case verify.Password:
		return "wrong_password"
	case verify.Passkey:
		return "wrong_passkey"
	}
	return "wrong_code"
}

func auditReason(err error) string {
	var denied *directory.BindDenied
	switch {
	case errors.Is(err, errOver):
		return "limited"
	case errors.As(err, &denied):
		return denied.Reason
	case errors.Is(err, verify.ErrExpired):
		return "expired"
	case errors.Is(err, verify.ErrReplayed):
		return "replayed"
	case errors.Is(err, verify.ErrNoCredential):
		return "not_enrolled"
	case errors.Is(err, verify.ErrWrong), errors.Is(err, directory.ErrWrongPassword):
		return "wrong"
	case errors.Is(err, directory.ErrUnavailable):
		return "directory_unavailable"
	}
	return "fault"
}
