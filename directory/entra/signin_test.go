//go:build !noentra

package entra_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"postern/directory"
	"postern/directory/entra"
)

// certificate makes one for the application, and the file with it and its key.
func certificate(t *testing.T, ends time.Time) (*x509.Certificate, *rsa.PrivateKey, string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "postern"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: ends}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "app.pem")
	data := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})...)
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return cert, key, file
}

func TestSignInWithACertificate(t *testing.T) {
	cert, _, file := certificate(t, time.Now().Add(10*24*time.Hour))
	cfg := sample()
	cfg.Certificate = cert
	s := start(t, cfg)
	conf := config(s)
	conf.Secret, conf.Certificate = directory.Secret{}, file
	if _, err := open(t, conf).Find(t.Context(), "user1"+suffix); err != nil {
		t.Error(err)
	}
	if f := finding(t, open(t, conf), "credential", "more days"); f.Severity != directory.Warning {
		t.Errorf("ten days before the end: %+v", f)
	}
	_, _, conf.Certificate = certificate(t, time.Now().Add(time.Hour))
	if _, err := open(t, conf).Find(t.Context(), "user1"+suffix); !errors.Is(err, directory.ErrUnavailable) {
		t.Errorf("another's certificate: %v", err)
	}
	conf.Certificate, conf.Secret = "", directory.NewSecret(s.Secret())
	if _, err := open(t, conf).Find(t.Context(), "user1"+suffix); !errors.Is(err, directory.ErrUnavailable) {
		t.Errorf("a secret where there is none: %v", err)
	}
}

// A platform's federated token is an assertion like the one signed with the certificate.
func TestSignInWithAWorkloadsToken(t *testing.T) {
	cert, key, _ := certificate(t, time.Now().Add(time.Hour))
	cfg := sample()
	cfg.Certificate = cert
	s := start(t, cfg)
	sum := sha256.Sum256(cert.Raw)
	token := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.RegisteredClaims{Issuer: s.Client(), Subject: s.Client(),
		Audience: jwt.ClaimStrings{s.URL() + s.Tenant() + "/oauth2/v2.0/token"}, ExpiresAt: jwt.NewNumericDate(time.Now().Add(time.Minute))})
	token.Header["x5t#S256"] = base64.RawURLEncoding.EncodeToString(sum[:])
	signed, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	conf := config(s)
	conf.Secret, conf.WorkloadToken = directory.Secret{}, filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(conf.WorkloadToken, []byte(signed), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, conf).Find(t.Context(), "user1"+suffix); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(conf.WorkloadToken, []byte(signed+"x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, conf).Find(t.Context(), "user1"+suffix); !errors.Is(err, directory.ErrUnavailable) {
		t.Errorf("a token nobody signed: %v", err)
	}
}

// The identity of the machine, as App Service and Container Apps hand it out ("Connect
// to Azure services in app code", REST endpoint reference).
func TestSignInAsTheMachine(t *testing.T) {
	s := start(t, sample())
	platform := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-IDENTITY-HEADER") != "of this machine" || r.URL.Query().Get("client_id") != s.Client() || r.URL.Query().Get("resource") != s.Graph() {
			w.WriteHeader(400)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]string{"access_token": s.Issue(), "expires_on": "4102444800", "resource": s.Graph(), "token_type": "Bearer"})
	}))
	defer platform.Close()
	t.Setenv("IDENTITY_ENDPOINT", platform.URL)
	t.Setenv("IDENTITY_HEADER", "of this machine")
	conf := config(s)
	conf.Secret, conf.ManagedIdentity = directory.Secret{}, true
	if _, err := open(t, conf).Find(t.Context(), "user1"+suffix); err != nil {
		t.Error(err)
	}
}

// A tenant that answers in another's place, a wrong secret and an application that is
// not there are refusals, each with the code that tells.
func TestSignInThatIsRefused(t *testing.T) {
	s := start(t, sample())
	for name, tt := range map[string]struct {
		change func(*entra.Config)
		code   string
	}{
		"secret":      {func(c *entra.Config) { c.Secret = directory.NewSecret("another") }, "AADSTS7000215"},
		"application": {func(c *entra.Config) { c.ClientID = "99999999-aaaa-4aaa-8aaa-000000000001" }, "AADSTS700016"},
		"tenant":      {func(c *entra.Config) { c.Tenant = "99999999-aaaa-4aaa-8aaa-000000000002" }, ""},
		"certificate authority": {func(c *entra.Config) {
			other := start(t, sample())
			c.CAFile = other.CAFile()
		}, "certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			conf := config(s)
			tt.change(&conf)
			d := open(t, conf)
			_, err := d.Find(t.Context(), "user1"+suffix)
			if !errors.Is(err, directory.ErrUnavailable) || !strings.Contains(err.Error(), tt.code) || strings.Contains(err.Error(), "another") {
				t.Errorf("%v", err)
			}
			f := finding(t, d, "token", tt.code)
			if f.Severity != directory.Failure || f.Mend == "" || f.Why == "" {
				t.Errorf("the doctor says %+v", f)
			}
		})
	}
	// Signed in to one tenant, and answered by another.
	s.Intercept(func(w http.ResponseWriter, r *http.Request, on http.Handler) {
		if strings.HasSuffix(r.URL.Path, "/organization") {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(map[string]any{"value": []any{map[string]any{"id": "99999999-aaaa-4aaa-8aaa-000000000003", "displayName": "Elsewhere"}}})
			return
		}
		on.ServeHTTP(w, r)
	})
	d := open(t, config(s))
	if _, err := d.Find(t.Context(), "user1"+suffix); !errors.Is(err, directory.ErrUnavailable) {
		t.Errorf("another tenant: %v", err)
	}
	if f := finding(t, d, "tenant", "Elsewhere"); f.Severity != directory.Failure {
		t.Errorf("%+v", f)
	}
}

func TestConfigFaults(t *testing.T) {
	good := entra.DefaultConfig()
	good.Tenant, good.ClientID, good.ClientSecret = "8bc3f0d2-5f0e-4b7e-9d58-0a2f3d1c6e11", "8bc3f0d2-5f0e-4b7e-9d58-0a2f3d1c6e12", "env:X"
	if faults := good.Validate(); len(faults) > 0 {
		t.Errorf("%v", faults)
	}
	readable := filepath.Join(t.TempDir(), "app.pem")
	if err := os.WriteFile(readable, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*entra.Config){
		"tenant:": func(c *entra.Config) { c.Tenant = "corp.example" }, "client_id:": func(c *entra.Config) { c.ClientID = "" },
		"client_secret, certificate": func(c *entra.Config) { c.ManagedIdentity = true }, "client_secret: must be a reference": func(c *entra.Config) { c.ClientSecret = "hunter2" },
		"certificate:": func(c *entra.Config) { c.ClientSecret, c.Certificate = "", readable }, "cloud:": func(c *entra.Config) { c.Cloud = "moon" },
		"authority, graph:": func(c *entra.Config) { c.Graph = "https://graph.example" }, "graph:": func(c *entra.Config) { c.Graph, c.Authority = "http://graph.example", "https://x.example" },
		"login_attributes[0]:": func(c *entra.Config) { c.LoginAttributes = []string{"displayName"} }, "login_attributes:": func(c *entra.Config) { c.LoginAttributes = nil },
		"privileged_groups[0]:": func(c *entra.Config) { c.PrivilegedGroups = []string{"Admins"} }, "pass_minutes:": func(c *entra.Config) { c.PassMinutes = 5 },
		"request_timeout:": func(c *entra.Config) { c.RequestTimeout = 0 }, "ca_file:": func(c *entra.Config) { c.CAFile = "/nowhere" },
	} {
		c := good
		change(&c)
		faults := c.Validate()
		if len(faults) != 1 || !strings.HasPrefix(faults[0].Error(), want) || strings.Contains(faults[0].Error(), "hunter2") {
			t.Errorf("%q: %v", want, faults)
		}
	}
}
