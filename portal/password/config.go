package password

import (
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	// longest is what the portal takes, in code points. Active Directory takes no more.
	longest = 256
	// alone is the least length where the password is the only proof, and
	// withMFA where it is one of two (NIST SP 800-63B-4 section 3.1.1.2).
	alone, withMFA = 15, 8
)

// Config is the portal's own rules. The directory's hold besides, whichever is stricter.
type Config struct {
	// MinLength in code points.
	MinLength int `yaml:"min_length"`
	// Alone says that somewhere this password opens something by itself: then
	// at least 15 characters.
	Alone bool `yaml:"alone"`
	// MinScore is how hard it must be to guess, 0 (no matter) to 4.
	MinScore int `yaml:"min_score"`
	// Words must not be in a password: names of the organisation, its products
	// and places.
	Words []string `yaml:"words"`
	// Breached is a local list of leaked passwords' hashes: a folder of Pwned
	// Passwords range files, or one file of lines HASH:COUNT in the order of the
	// hashes, SHA-1 or NTLM. Empty: none. Nothing is asked over a network for it.
	Breached string `yaml:"breached"`
	// BreachedURL is a service with the Pwned Passwords range API, asked about what
	// nothing else speaks against. Empty: none. It ends with / and is https, or http
	// on this machine. It is told the first five hexadecimal digits of the
	// password's SHA-1, and nothing else.
	BreachedURL string `yaml:"breached_url"`
	// BreachedCAFile is a PEM file of those who sign that service's certificate;
	// empty: whom the system trusts.
	BreachedCAFile string `yaml:"breached_ca_file"`
	// BreachedCount is how often a password must have leaked to be refused.
	BreachedCount int `yaml:"breached_count"`

	// Log is told when a list cannot be read and when it can again, and never
	// anything of a password. nil: slog.Default.
	Log *slog.Logger `yaml:"-"`
	// Now is the clock. nil: time.Now.
	Now func() time.Time `yaml:"-"`
}

// DefaultConfig: 8 characters and more than a million guesses; with a list of
// leaked passwords, everything on it is refused.
func DefaultConfig() Config { return Config{MinLength: withMFA, MinScore: 2, BreachedCount: 1} }

// Validate returns every fault, each beginning with the name of its key. It
// looks into Breached and BreachedCAFile, and asks BreachedURL nothing.
func (c Config) Validate() []error {
	var faults []error
	if c.MinLength < withMFA || c.MinLength > 64 {
		faults = append(faults, fmt.Errorf("min_length: %d is not between %d and 64", c.MinLength, withMFA))
	}
	if c.MinScore < 0 || c.MinScore > 4 {
		faults = append(faults, fmt.Errorf("min_score: %d is not between 0 and 4", c.MinScore))
	}
	for i, w := range c.Words {
		if utf8.RuneCountInString(strings.TrimSpace(w)) < 3 {
			faults = append(faults, fmt.Errorf("words[%d]: %q is shorter than 3 characters", i, w))
		}
	}
	if (c.Breached != "" || c.BreachedURL != "") && c.BreachedCount < 1 {
		// With 0 everything would be on the list: API answers are padded with it.
		faults = append(faults, fmt.Errorf("breached_count: %d is not at least 1", c.BreachedCount))
	}
	if c.Breached != "" {
		if _, err := openBreaches(c.Breached, c.BreachedCount); err != nil {
			faults = append(faults, fmt.Errorf("breached: %s: %w", c.Breached, err))
		}
	}
	return append(faults, c.validateURL()...)
}

func (c Config) validateURL() []error {
	var faults []error
	u, err := c.service()
	if c.BreachedURL != "" && err != nil {
		faults = append(faults, fmt.Errorf("breached_url: %w", err))
	}
	if c.BreachedCAFile == "" {
		return faults
	}
	if _, bad := authorities(c.BreachedCAFile); bad != nil {
		faults = append(faults, fmt.Errorf("breached_ca_file: %w", bad))
	}
	if c.BreachedURL == "" || err == nil && u.Scheme != "https" {
		faults = append(faults, errors.New("breached_ca_file: there is no https:// address in breached_url that it would be for"))
	}
	return faults
}

// service is BreachedURL taken apart.
func (c Config) service() (*url.URL, error) {
	u, err := url.Parse(c.BreachedURL)
	if err != nil || u.Hostname() == "" || u.Opaque != "" {
		return nil, errors.New("is not an address like https://api.pwnedpasswords.com/range/") // without the error, which quotes
	}
	if u.User != nil || strings.ContainsAny(c.BreachedURL, "?#") {
		return nil, errors.New("must be an address without a user, ? or #")
	}
	if !strings.HasSuffix(u.Path, "/") {
		return nil, errors.New("must end with /: five digits are put behind it")
	}
	ip, _ := netip.ParseAddr(u.Hostname())
	if local := u.Hostname() == "localhost" || ip.IsLoopback(); u.Scheme != "https" && (u.Scheme != "http" || !local) {
		return nil, errors.New("must begin with https:// (http:// only on this machine)")
	}
	return u, nil
}

// authorities reads a PEM file of certificates; nil for no file, which is whom
// the system trusts.
func authorities(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate in PEM form", file)
	}
	return pool, nil
}
