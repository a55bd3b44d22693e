package limit

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// Rate is so many in a period, written 5/15m. The period begins with the first.
type Rate struct {
	Limit  int64
	Period time.Duration
}

var ratePattern = regexp.MustCompile(`^([1-9][0-9]{0,8})/([1-9][0-9]{0,4})([smhd])$`)

var errRate = errors.New("must be a rate, like 5/15m: how many, a slash, a period in s, m, h or d")

// UnmarshalText reads 5/15m and nothing looser.
func (r *Rate) UnmarshalText(text []byte) error {
	m := ratePattern.FindSubmatch(text)
	if m == nil {
		return errRate
	}
	limit, err := strconv.ParseInt(string(m[1]), 10, 64)
	n, err2 := strconv.Atoi(string(m[2]))
	if err != nil || err2 != nil {
		return errRate
	}
	unit := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}[string(m[3])]
	*r = Rate{Limit: limit, Period: time.Duration(n) * unit}
	return nil
}

// MarshalText writes what UnmarshalText reads.
func (r Rate) MarshalText() ([]byte, error) {
	n, unit := int64(r.Period/time.Second), "s"
	for _, u := range []struct {
		name string
		of   int64
	}{{"m", 60}, {"h", 60}, {"d", 24}} {
		if n == 0 || n%u.of != 0 {
			break
		}
		n, unit = n/u.of, u.name
	}
	return fmt.Appendf(nil, "%d/%d%s", r.Limit, n, unit), nil
}

func (r Rate) String() string {
	text, _ := r.MarshalText() // never fails
	return string(text)
}

// Config is the whole table. Sources of the numbers: NIST SP 800-63B-4 section
// 3.2.2 (guessing), OWASP ASVS 5.0 sections 6.3 and 6.6 (sending codes).
type Config struct {
	Address      Rate `yaml:"address"`       // POSTs per client address
	Page         Rate `yaml:"page"`          // pages read per client address
	Start        Rate `yaml:"start"`         // cases begun per client address
	StartAccount Rate `yaml:"start_account"` // cases begun per account and client address
	Answer       Rate `yaml:"answer"`        // answers per account and factor
	Send         Rate `yaml:"send"`          // codes sent per account
	SendDay      Rate `yaml:"send_day"`      // the same, over a day
	Destination  Rate `yaml:"destination"`   // codes sent to one address or number
	SendGlobal   Rate `yaml:"send_global"`   // codes sent by the whole portal, per channel
	Ask          Rate `yaml:"ask"`           // approvals one person asks for
	Asked        Rate `yaml:"asked"`         // approvals one person is asked for
	DeskSearch   Rate `yaml:"desk_search"`   // searches of one technician, each pause in typing counts
	Pass         Rate `yaml:"pass"`          // temporary passes one person asks for
	Method       Rate `yaml:"method"`        // sign-in methods of a tenant that one person takes away
	// Accounts is a tripwire: failures on more different accounts than this
	// close the door to a client address until the period is over.
	Accounts Rate `yaml:"accounts"`
	// Failures is an alarm: more failures than this in the whole portal are
	// told to the operators. Nobody is stopped by it.
	Failures Rate `yaml:"failures"`
	// Remember bounds the counters kept in memory. Beyond it newcomers share
	// counters, which is stricter and never laxer.
	Remember int `yaml:"remember"`
	// Redis is the address of a Redis that several nodes count in together. It may hold a
	// password: the file gives a reference. Empty: each node counts by itself.
	Redis string `yaml:"redis"`
}

// DefaultConfig suits some thousand people behind a few addresses.
func DefaultConfig() Config {
	return Config{
		Address:      Rate{600, 5 * time.Minute},
		Page:         Rate{3000, time.Minute},
		Start:        Rate{100, 15 * time.Minute},
		StartAccount: Rate{10, 15 * time.Minute},
		Answer:       Rate{10, 15 * time.Minute},
		Send:         Rate{3, 10 * time.Minute},
		SendDay:      Rate{10, 24 * time.Hour},
		Destination:  Rate{5, time.Hour},
		SendGlobal:   Rate{2000, time.Hour},
		Ask:          Rate{2, time.Hour},
		Asked:        Rate{10, 24 * time.Hour},
		DeskSearch:   Rate{120, time.Minute},
		Pass:         Rate{3, time.Hour},
		Method:       Rate{20, time.Hour},
		Accounts:     Rate{50, time.Hour},
		Failures:     Rate{300, 10 * time.Minute},
		Remember:     100_000,
	}
}

type entry struct {
	name Name
	rate Rate
}

func (c Config) table() []entry {
	return []entry{{Address, c.Address}, {Page, c.Page}, {Start, c.Start}, {StartAccount, c.StartAccount}, {Answer, c.Answer},
		{Send, c.Send}, {SendDay, c.SendDay}, {Destination, c.Destination}, {SendGlobal, c.SendGlobal}, {Ask, c.Ask}, {Asked, c.Asked}, {DeskSearch, c.DeskSearch},
		{Pass, c.Pass}, {Method, c.Method},
		{Accounts, c.Accounts}, {Failures, c.Failures}}
}

// Validate returns every fault, each beginning with the name of its key. A
// limit cannot be switched off, only made generous.
func (c Config) Validate() []error {
	var faults []error
	for _, e := range c.table() {
		switch {
		case e.rate.Limit < 1:
			faults = append(faults, fmt.Errorf("%s: must allow at least 1", e.name))
		case e.rate.Period < time.Second || e.rate.Period > 31*24*time.Hour:
			faults = append(faults, fmt.Errorf("%s: the period must be between 1s and 31d", e.name))
		}
	}
	if c.Redis != "" {
		if _, err := parseRedis(c.Redis); err != nil {
			faults = append(faults, fmt.Errorf("redis: %w", err))
		}
	}
	if c.Remember < 1000 || c.Remember > 10_000_000 {
		faults = append(faults, errors.New("remember: must be between 1000 and 10000000"))
	}
	return faults
}
