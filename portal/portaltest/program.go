package portaltest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Build compiles cmd/postern into dir and returns the program. race builds it
// with the race detector, as scenarios do; benchmarks do not.
func Build(dir string, race bool) (string, error) {
	bin := filepath.Join(dir, "postern")
	args := []string{"build", "-o", bin}
	if race {
		args = append(args, "-race")
	}
	cmd := exec.Command("go", append(args, "postern/cmd/postern")...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w: %s", err, out)
	}
	return bin, nil
}

// Portal is a running `postern serve`.
type Portal struct {
	URL   string
	Dir   string // keys, store, config
	Mail  *MailSink
	cmd   *exec.Cmd
	log   *logBuffer
	ended chan error
	// StartTook is from exec to the first answer.
	StartTook time.Duration
}

// FreePort finds a TCP port on loopback that nobody listens on now.
func FreePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// Run starts `postern ARGS…` and waits until url answers /readyz.
func Run(ctx context.Context, bin, dir, url string, args ...string) (*Portal, error) {
	p := &Portal{URL: url, Dir: dir, log: &logBuffer{}, ended: make(chan error, 1)}
	p.cmd = exec.Command(bin, args...)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	p.cmd.Env = append(os.Environ(), "GORACE=halt_on_error=1")
	began := time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { p.ended <- p.cmd.Wait() }()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	client := &http.Client{Timeout: 2 * time.Second}
	for {
		if resp, err := client.Get(url + "/readyz"); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				p.StartTook = time.Since(began)
				return p, nil
			}
		}
		select {
		case err := <-p.ended:
			return nil, fmt.Errorf("postern ended: %v\n%s", err, p.Log())
		case <-ctx.Done():
			p.Stop()
			return nil, fmt.Errorf("postern is not ready: %w\n%s", ctx.Err(), p.Log())
		case <-tick.C:
		}
	}
}

// Command runs `postern ARGS…` to its end.
func Command(ctx context.Context, bin string, args ...string) error {
	if out, err := exec.CommandContext(ctx, bin, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("postern %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

// Log is what the program has printed so far.
func (p *Portal) Log() string { return p.log.String() }

// PID of the running program.
func (p *Portal) PID() int { return p.cmd.Process.Pid }

// Stop asks it to end, as Ctrl-C does, and returns an error when it does not
// end cleanly.
func (p *Portal) Stop() error {
	p.cmd.Process.Signal(syscall.SIGINT)
	select {
	case err := <-p.ended:
		return err
	case <-time.After(20 * time.Second):
		p.cmd.Process.Kill()
		return errors.New("portaltest: postern did not stop within 20 s\n" + p.Log())
	}
}

// Kill ends it without warning, as kill -9 does.
func (p *Portal) Kill() {
	p.cmd.Process.Kill()
	<-p.ended
}

// Usage is what the operating system says of the program.
type Usage struct {
	CPU      time.Duration // user and system
	Resident int64         // bytes
	Threads  int
}

// Usage reads /proc; zero where there is none.
func (p *Portal) Usage() Usage { return usageOf(p.PID()) }

func usageOf(pid int) (u Usage) {
	if runtime.GOOS != "linux" {
		return u
	}
	proc := fmt.Sprintf("/proc/%d/", pid)
	if b, err := os.ReadFile(proc + "stat"); err == nil {
		f := bytes.Fields(b[bytes.LastIndexByte(b, ')')+2:])
		ut, _ := strconv.ParseInt(string(f[11]), 10, 64)
		st, _ := strconv.ParseInt(string(f[12]), 10, 64)
		u.CPU = time.Duration(ut+st) * (time.Second / 100) // USER_HZ is 100 on Linux
	}
	if b, err := os.ReadFile(proc + "status"); err == nil {
		for line := range strings.Lines(string(b)) {
			if kb, found := strings.CutPrefix(line, "VmRSS:"); found {
				n, _ := strconv.ParseInt(strings.Fields(kb)[0], 10, 64)
				u.Resident = n << 10
			}
			if n, found := strings.CutPrefix(line, "Threads:"); found {
				u.Threads, _ = strconv.Atoi(strings.TrimSpace(n))
			}
		}
	}
	return u
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
