package sms

import (
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"postern/portal/notify"
)

// security cases 61 and 115.
func TestWithoutTheRightServerNothingIsSaid(t *testing.T) {
	tests := map[string]func(*server, *Config){
		"unknown authority": func(_ *server, c *Config) { c.CAFile = "" },
		"another name": func(s *server, c *Config) {
			c.Gateway.URL = strings.Replace(s.URL, "127.0.0.1", "localhost", 1)
		},
		"nobody there": func(s *server, _ *Config) { s.Listener.Close() },
	}
	check := func(t *testing.T, s *server, c Config) {
		tr := transport(t, c)
		for what, err := range map[string]error{"Send": tr.Send(t.Context(), "id", number, hello), "Check": tr.Check(t.Context())} {
			quiet(t, err)
			if errors.As(err, new(notify.Permanent)) {
				t.Errorf("%s: given up for ever: %v", what, err)
			}
		}
		if n := len(s.requests()); n != 0 {
			t.Errorf("%d requests", n)
		}
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			s := serve(t, true, says(200, yes))
			c := config(s)
			change(s, &c)
			check(t, s, c)
		})
	}
	t.Run("plain where TLS was", func(t *testing.T) {
		s := serve(t, false, says(200, yes))
		c := config(s)
		c.Gateway.URL = strings.Replace(s.URL, "http:", "https:", 1)
		check(t, s, c)
	})
}

func TestPlainHTTPStaysOnThisMachine(t *testing.T) {
	s := serve(t, false, says(200, yes))
	tr := transport(t, config(s))
	if err := tr.Send(t.Context(), "id", number, hello); err != nil {
		t.Error(err)
	}
	// Whatever localhost is said to be.
	for _, address := range []string{"10.0.0.5:80", "203.0.113.5:80", "93.184.216.34:80", "[fd00::1]:80", "[64:ff9b::7f00:1]:80"} {
		if err := tr.asker.dialer.Control("tcp", address, nil); err == nil {
			t.Errorf("%s: no error", address)
		}
	}
}

// security case 115: a name means another address the second time.
func TestANameThatChangesItsMindGetsNowhere(t *testing.T) {
	s := serve(t, true, says(200, yes))
	_, port, err := net.SplitHostPort(s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	n := name("127.0.0.1")
	c := config(s)
	c.Gateway.URL = "https://example.com:" + port + "/send" // as its certificate says
	tr, err := open(c, time.Now, n.resolver())
	if err != nil {
		t.Fatal(err)
	}
	quiet(t, tr.Send(t.Context(), "id", number, hello))
	if got := s.connections(); got != 0 {
		t.Fatalf("a name led to this machine: %d connections", got)
	}
	// From here on this machine stands for a server in the internet.
	guarded := tr.asker.dialer.Control
	tr.asker.dialer.Control = func(network, address string, c syscall.RawConn) error {
		if address == "127.0.0.1:"+port {
			return nil
		}
		return guarded(network, address, c)
	}
	if err := errors.Join(tr.Send(t.Context(), "id", number, hello), tr.Check(t.Context())); err != nil {
		t.Fatal(err)
	}
	before := s.connections()
	for _, address := range []string{"169.254.169.254", "10.0.0.5", "::1", "::ffff:127.0.0.2", "fd00:ec2::254", "0.0.0.0"} {
		n.set(address)
		for _, err := range []error{tr.Send(t.Context(), "id", number, hello), tr.Check(t.Context())} {
			quiet(t, err)
			if !errors.As(err, new(*notify.AddressError)) {
				t.Errorf("%s: %v", address, err)
			}
		}
	}
	if got := s.connections(); got != before {
		t.Errorf("%d connections more", got-before)
	}
}

// security case 115.
func TestWhichAddressesAreConnectedTo(t *testing.T) {
	const local, lan, internet = 1, 2, 4
	for address, want := range map[string]int{
		"127.0.0.1": local, "127.9.9.9": local, "::1": local, "::ffff:127.0.0.1": local,
		"93.184.216.34": lan | internet, "2606:2800:220:1::1": lan | internet, "64:ff9b::5db8:d822": lan | internet, "::ffff:93.184.216.34": lan | internet,
		"10.0.0.5": lan, "172.16.0.1": lan, "172.31.255.255": lan, "192.168.1.1": lan, "100.64.0.1": lan, "fd12::1": lan, "64:ff9b::a00:5": lan, "203.0.113.1": lan,
		"172.32.0.1":      lan | internet,
		"169.254.169.254": 0, "169.254.0.1": 0, "::ffff:169.254.169.254": 0, "64:ff9b::a9fe:a9fe": 0, "64:ff9b::7f00:1": 0, "64:ff9b:1::a00:5": 0,
		"fe80::1": 0, "fe80::1%eth0": 0, "fec0::1": 0, "fd00:ec2::254": 0, "fd20:ce::254": 0, "100.100.100.200": 0, "168.63.129.16": 0, "192.0.0.192": 0,
		"0.0.0.0": 0, "0.1.2.3": 0, "::": 0, "::a00:5": 0, "2002:a00:5::1": 0, "2001::1": 0, "224.0.0.1": 0, "239.1.1.1": 0, "ff02::1": 0, "240.0.0.1": 0, "255.255.255.255": 0,
	} {
		got := 0
		for bit, g := range map[int]notify.Guard{local: {Local: true, Private: true}, lan: {Private: true}, internet: {}} {
			if strings.Contains(address, ":") {
				if g.Control("tcp6", "["+address+"]:443", nil) == nil {
					got |= bit
				}
			} else if g.Control("tcp4", address+":443", nil) == nil {
				got |= bit
			}
		}
		if got != want {
			t.Errorf("%s: %03b, want %03b", address, got, want)
		}
	}
	if err := (notify.Guard{}).Control("tcp", "example.com:443", nil); err == nil {
		t.Error("a name passed for an address")
	}
}

func TestProxiesOfTheEnvironmentAreNotUsed(t *testing.T) {
	proxy := serve(t, false, says(200, yes))
	t.Setenv("HTTPS_PROXY", proxy.URL)
	t.Setenv("HTTP_PROXY", proxy.URL)
	s := serve(t, true, says(200, yes))
	tr := transport(t, config(s))
	if tr.asker.transport.Proxy != nil {
		t.Error("there is a proxy")
	}
	if err := tr.Send(t.Context(), "id", number, hello); err != nil || proxy.connections() != 0 {
		t.Errorf("%v, %d connections to the proxy", err, proxy.connections())
	}
}
