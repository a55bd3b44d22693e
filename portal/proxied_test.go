package portal

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"
)

// v2 is a binary header that names a client.
func v2(t *testing.T, source string) string {
	t.Helper()
	from, err := net.ResolveTCPAddr("tcp", source)
	if err != nil {
		t.Fatal(err)
	}
	to := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 443}
	if from.IP.To4() == nil {
		to.IP = net.ParseIP("2001:db8::1")
	}
	b, err := proxyproto.HeaderProxyFromAddrs(2, from, to).Format()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Security case 11 with the PROXY protocol: who the client is says the header of a trusted
// proxy's connection, and nothing a client can send.
func TestOnlyATrustedProxySaysWhoTheClientIs(t *testing.T) {
	t.Parallel()
	on := func(o *Options) { o.Config.ProxyProtocol = true }
	stranger := func(o *Options) { o.Config.ProxyProtocol, o.Config.TrustedProxies = true, []string{"192.0.2.0/24"} }
	get := "GET / HTTP/1.1\r\nHost: " + publicHost + "\r\nX-Real-Ip: 9.9.9.9\r\nX-Forwarded-For: 9.9.9.9\r\nSec-Fetch-Site: none\r\n\r\n"
	const v1 = "PROXY TCP4 203.0.113.9 192.0.2.1 5000 443\r\n"
	for _, c := range []struct {
		name   string
		change func(*Options)
		sent   string
		want   string // empty: no page
	}{
		{"v1", on, v1 + get, "203.0.113.9"},
		{"v1 of IPv6", on, "PROXY TCP6 2001:db8:1:2:3::9 2001:db8::1 5000 443\r\n" + get, "2001:db8:1:2::"},
		{"v1 that does not know", on, "PROXY UNKNOWN\r\n" + get, "127.0.0.1"},
		{"v2", on, v2(t, "203.0.113.9:5000") + get, "203.0.113.9"},
		{"v2 of IPv6", on, v2(t, "[2001:db8:1:2:3::9]:5000") + get, "2001:db8:1:2::"},
		{"v2 local", on, "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00" + get, "127.0.0.1"},
		{"a second header", on, v1 + "PROXY TCP4 9.9.9.9 192.0.2.1 5000 443\r\n" + get, ""},
		{"none", on, get, ""},
		{"nonsense", on, "PROXY TCP4 203.0.113.9\r\n" + get, ""},
		{"a name", on, "PROXY TCP4 localhost 192.0.2.1 5000 443\r\n" + get, ""},
		{"too long", on, "PROXY TCP4 " + strings.Repeat("1", 5000) + "\r\n" + get, ""},
		{"v2 of a path", on, "\r\n\r\n\x00\r\nQUIT\n\x21\x31\x00\xd8" + strings.Repeat("a", 216) + get, ""},
		{"v2 cut short", on, v2(t, "203.0.113.9:5000")[:20], ""},
		{"from a stranger v1", stranger, v1 + get, ""},
		{"from a stranger v2", stranger, v2(t, "203.0.113.9:5000") + get, ""},
		{"a stranger without", stranger, get, "127.0.0.1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := open(t, c.change)
			got := statuses(t, h.raw(c.sent))
			if c.want == "" {
				if len(h.limits.keys) != 0 || len(got) > 0 && got[0] != 400 {
					t.Errorf("%v, counted as %q", got, h.limits.keys)
				}
				return
			}
			if len(got) != 1 || got[0] != 200 || len(h.limits.keys) != 1 || !strings.HasPrefix(h.limits.keys[0], "page "+c.want) {
				t.Errorf("%v, counted as %q, want %q", got, h.limits.keys, c.want)
			}
		})
	}
}

// Whoever waits with the header keeps nobody else waiting, and is cut off.
func TestASlowPROXYHeaderKeepsNobodyWaiting(t *testing.T) {
	t.Parallel()
	h := open(t, func(o *Options) { o.Config.ProxyProtocol = true })
	var slow []net.Conn
	for range 20 {
		c, err := net.Dial("tcp", h.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, "PROXY TCP4 203."); err != nil {
			t.Fatal(err)
		}
		slow = append(slow, c)
	}
	began := time.Now()
	got := statuses(t, h.raw("PROXY TCP4 203.0.113.9 192.0.2.1 5000 443\r\nGET / HTTP/1.1\r\nHost: "+publicHost+"\r\nSec-Fetch-Site: none\r\n\r\n"))
	if took := time.Since(began); len(got) != 1 || got[0] != 200 || took > 2*time.Second {
		t.Errorf("%v after %v", got, took)
	}
	for _, c := range slow {
		if err := c.SetReadDeadline(time.Now().Add(proxyHeaderTime + 5*time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal("it was never cut off")
		}
	}
}

// What the README shows for HAProxy passes the client's address on.
func TestHAProxyPassesTheAddressOn(t *testing.T) {
	t.Parallel()
	path, err := exec.LookPath("haproxy")
	if err != nil {
		if path = "/usr/sbin/haproxy"; testing.Short() {
			t.Skip("-short: no services")
		}
		if _, err := os.Stat(path); err != nil && os.Getenv("CI") == "" {
			t.Skip(err)
		}
	}
	h := open(t, func(o *Options) { o.Config.ProxyProtocol = true })
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, sample, _ := strings.Cut(string(text), "```haproxy-tcp\n")
	sample, _, found := strings.Cut(sample, "```")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	front := l.Addr().String()
	l.Close()
	for from, to := range map[string]string{"bind :443\n": "bind " + front + "\n", "10.0.0.11:443": h.addr, "    server node2 10.0.0.12:443\n": ""} {
		if !found || strings.Count(sample, from) < 1 {
			t.Fatalf("the README's sample has no %q", from)
		}
		sample = strings.Replace(sample, from, to, 1)
	}
	file := filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(file, []byte(sample), 0o600); err != nil {
		t.Fatal(err)
	}
	proxy := exec.CommandContext(t.Context(), path, "-f", file, "-db")
	if err := proxy.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		proxy.Process.Kill()
		proxy.Wait()
	}()
	from := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9)}, Timeout: time.Second}
	var line string
	for deadline := time.Now().Add(15 * time.Second); time.Now().Before(deadline) && !strings.Contains(line, "200"); time.Sleep(20 * time.Millisecond) {
		c, err := from.Dial("tcp", front)
		if err != nil {
			continue
		}
		fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: %s\r\nX-Real-Ip: 9.9.9.9\r\nSec-Fetch-Site: none\r\n\r\n", publicHost)
		line, _ = bufio.NewReader(c).ReadString('\n')
		c.Close()
	}
	if !strings.Contains(line, "200") || len(h.limits.keys) == 0 || !strings.HasPrefix(h.limits.keys[0], "page 127.0.0.9") {
		t.Errorf("%q, counted as %q", line, h.limits.keys)
	}
}
