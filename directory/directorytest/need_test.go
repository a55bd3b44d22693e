package directorytest

import (
	"errors"
	"net"
	"os"
	"testing"
)

// verdict stands in for a test that is skipped or failed.
type verdict struct {
	testing.TB
	said string
}

func (*verdict) Helper()        {}
func (v *verdict) Skip(...any)  { v.said = "skip" }
func (v *verdict) Fatal(...any) { v.said = "fatal" }

func TestAMissingServiceFailsWhereCIIsSet(t *testing.T) {
	_, missing := program("postern-has-no-such-program")
	if !errors.Is(missing, ErrMissing) {
		t.Fatalf("got %v", missing)
	}
	for _, c := range []struct {
		ci   string
		err  error
		want string
	}{
		{"", nil, ""}, {"true", nil, ""}, {"", missing, "skip"}, {"true", missing, "fatal"},
		{"", errors.New("broken"), "fatal"}, {"true", errors.New("broken"), "fatal"},
	} {
		t.Setenv("CI", c.ci)
		v := &verdict{TB: t}
		Require(v, c.err)
		if v.said != c.want {
			t.Errorf("CI=%q, %v: %q, want %q", c.ci, c.err, v.said, c.want)
		}
	}
}

func TestRelayCarriesAndCloses(t *testing.T) {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	r, err := newRelay(func() (net.Conn, error) { return net.Dial("tcp", server.Addr().String()) })
	if err != nil {
		t.Fatal(err)
	}
	client, err := net.Dial("tcp", r.addr())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	far, err := server.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	for _, way := range [][2]net.Conn{{client, far}, {far, client}} {
		got := make([]byte, 4)
		if _, err := way[0].Write([]byte("ping")); err != nil {
			t.Fatal(err)
		}
		if _, err := way[1].Read(got); err != nil || string(got) != "ping" {
			t.Errorf("carried %q, %v", got, err)
		}
	}
	r.close()
	if _, err := client.Read(make([]byte, 1)); err == nil {
		t.Error("the client's connection outlives the relay")
	}
	if c, err := net.Dial("tcp", r.addr()); err == nil {
		c.Close()
		t.Error("the relay still listens")
	}
}

func TestCertificatesAreForTheirNamesAlone(t *testing.T) {
	dir := t.TempDir()
	ca, err := writeTLS(dir, "127.0.0.1", "localhost")
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(dir + "/key.pem")
	if err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("key: %v %v", info, err)
	}
	if !ca.Cert.IsCA || ca.Cert.SerialNumber.Sign() <= 0 {
		t.Error("not an authority Go accepts")
	}
}
