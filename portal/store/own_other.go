//go:build !unix

package store

import (
	"errors"
	"syscall"
)

func unprivileged(string) (*syscall.SysProcAttr, error) {
	return nil, errors.New("store: a PostgreSQL of our own needs Unix")
}
