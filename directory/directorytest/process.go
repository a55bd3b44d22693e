package directorytest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"sync"
	"time"
)

// process is a server that dies with us: its life hangs on a pipe, so that it
// goes away even when the test binary is killed and no clean-up runs.
type process struct {
	cmd  *exec.Cmd
	pipe io.Closer
	out  *tail
	done chan struct{}
	err  error // valid once done is closed
}

// keepAlive runs a program that does not itself stop at end of input (slapd; and
// Samba 4.17, which with -F does not either). A shell waits for the end of its
// input and then ends the child it started.
const keepAlive = `exec 3<&0; "$@" </dev/null & p=$!; trap 'kill $p 2>/dev/null' EXIT TERM; { cat <&3 >/dev/null; kill $p 2>/dev/null; } & c=$!; wait $p; r=$?; kill $c 2>/dev/null; exit $r`

// start runs cmd; launch is cmd.Start, possibly called on a special thread.
func start(cmd *exec.Cmd, launch func() error) (*process, error) {
	p := &process{cmd: cmd, out: &tail{}, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p.out, p.out
	// A child of the server may keep our end of the output open after its death.
	cmd.WaitDelay = 2 * time.Second
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	p.pipe = pipe
	if err := launch(); err != nil {
		return nil, fmt.Errorf("directorytest: %s: %w", cmd.Path, err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// stop ends it: kindly by closing the pipe, then by force.
func (p *process) stop() {
	p.pipe.Close()
	select {
	case <-p.done:
	case <-time.After(3 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// await calls ready until it says yes, the process dies or ctx ends.
func (p *process) await(ctx context.Context, ready func() error) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ready()
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("directorytest: %s ended: %v\n%s", p.cmd.Path, p.err, p.out)
		case <-ctx.Done():
			return fmt.Errorf("directorytest: %s is not ready: %w\n%s", p.cmd.Path, err, p.out)
		case <-tick.C:
		}
	}
}

// tail keeps the last few kilobytes of what a server says.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, b...)
	if over := len(t.buf) - 8<<10; over > 0 {
		t.buf = bytes.Clone(t.buf[over:])
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.buf)
}

// freePort asks the kernel for a port of ip that nobody uses.
func freePort(ip string) (int, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(ip, "0"))
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
