//go:build !unix

package storetest

import (
	"errors"
	"syscall"
)

func unprivileged(string) (*syscall.SysProcAttr, error) {
	return nil, errors.New("storetest: the private PostgreSQL is for Unix")
}
