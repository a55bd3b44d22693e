package directorytest

import (
	"fmt"
	"net"
	"os/exec"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// namespace is a network of its own with nothing but loopback in it. Samba's
// ports are fixed; where something already listens on *:389 (Debian starts slapd
// when it is installed) the domain controller runs in here and is reached
// through a relay. Needs CAP_SYS_ADMIN.
//
// The namespace belongs to one locked thread. Sockets and processes made on it
// stay in it, whoever uses them afterwards.
type namespace struct{ calls chan func() }

func newNamespace() (*namespace, error) {
	ns := &namespace{calls: make(chan func())}
	ready := make(chan error)
	go func() {
		// Never unlocked: the thread ends with the goroutine and no other
		// goroutine can ever run inside the namespace by accident.
		runtime.LockOSThread()
		if err := enterNamespace(); err != nil {
			ready <- err
			return
		}
		ready <- nil
		for call := range ns.calls {
			call()
		}
	}()
	if err := <-ready; err != nil {
		return nil, fmt.Errorf("directorytest: network namespace: %w", err)
	}
	return ns, nil
}

func enterNamespace() error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo)
}

func (ns *namespace) do(call func() error) error {
	var err error
	done := make(chan struct{})
	ns.calls <- func() { err = call(); close(done) }
	<-done
	return err
}

func (ns *namespace) start(cmd *exec.Cmd) error { return ns.do(cmd.Start) }

func (ns *namespace) dial(addr string) (conn net.Conn, err error) {
	err = ns.do(func() error {
		conn, err = net.DialTimeout("tcp", addr, 5*time.Second)
		return err
	})
	return conn, err
}

func (ns *namespace) close() { close(ns.calls) }
