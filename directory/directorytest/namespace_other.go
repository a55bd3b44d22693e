//go:build !linux

package directorytest

import (
	"fmt"
	"net"
	"os/exec"
)

type namespace struct{}

func newNamespace() (*namespace, error) {
	return nil, fmt.Errorf("%w: Samba's ports are taken and this system has no network namespaces", ErrMissing)
}

func (*namespace) start(cmd *exec.Cmd) error          { return cmd.Start() }
func (*namespace) dial(addr string) (net.Conn, error) { return net.Dial("tcp", addr) }
func (*namespace) close()                             {}
