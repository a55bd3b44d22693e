package sms

import (
	"errors"
	"strings"
	"testing"
)

func numbers(t testing.TB, region string, countries ...string) Numbers {
	t.Helper()
	n, err := NewNumbers(region, countries)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestANumberIsReadAsPeopleWriteIt(t *testing.T) {
	de := numbers(t, "DE")
	for _, raw := range []string{
		"+491701234567", "0170 1234567", "0170/1234567", "+49 (0)170 1234567", "+49 (170) 123-45-67", "0049 170 1234567",
		" 0170.123.4567 ", "(+49) 170 1234567", "+49\u00a0170\u20111234567", "٠١٧٠١٢٣٤٥٦٧",
	} {
		if got, err := de.Normalize(raw); err != nil || got != "+491701234567" {
			t.Errorf("%q: %q, %v", raw, got, err)
		}
	}
}

// security case 16: what SMS to bought-up numbers costs is somebody's income.
func TestNumbersThatAreNotWrittenTo(t *testing.T) {
	de, us := numbers(t, "DE"), numbers(t, "US", "US", "CA")
	tests := map[string]struct {
		n    Numbers
		raw  string
		want error
	}{
		"nothing":                   {de, "", ErrNotNumber},
		"words":                     {de, "none", ErrNotNumber},
		"too short":                 {de, "0170 12", ErrNotNumber},
		"too long":                  {de, "0170 1234567 0171 7654321", ErrNotNumber},
		"emergency":                 {de, "112", ErrNotNumber},
		"landline":                  {de, "+49 30 123456", ErrKind},
		"premium":                   {de, "0900 1 234567", ErrKind},
		"shared cost":               {de, "0180 5 123456", ErrKind},
		"freephone":                 {de, "0800 1234567", ErrKind},
		"another country":           {de, "+41 78 123 45 67", ErrCountry},
		"a country of the same +1":  {us, "+1 876 210 1234", ErrCountry},
		"premium in America":        {us, "+1 900 234 5678", ErrKind},
		"satellite":                 {us, "+881 612345678", ErrCountry},
		"extension":                 {de, "0170 1234567 ext. 5", ErrNotNumber},
		"extension, RFC 3966":       {de, "tel:+491701234567;ext=5", ErrNotNumber},
		"another country's context": {de, "tel:1701234567;phone-context=+44", ErrNotNumber},
		"letters for digits":        {us, "+1 212 FLOWERS", ErrNotNumber},
		"two plus":                  {de, "0900 +491701234567", ErrNotNumber},
		"a line end":                {de, "+491701234567\n+491707654321", ErrNotNumber},
		"a list":                    {de, "+491701234567,+491707654321", ErrNotNumber},
		"long":                      {de, strings.Repeat(" ", 80) + "+491701234567", ErrNotNumber},
		"nobody may":                {Numbers{}, "+491701234567", ErrNotNumber},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := tt.n.Normalize(tt.raw)
			if got != "" || !errors.Is(err, tt.want) {
				t.Errorf("%q: %q, %v; want %v", tt.raw, got, err, tt.want)
			}
		})
	}
	for raw, want := range map[string]string{"(212) 555-2368": "+12125552368", "+1 416 234 5678": "+14162345678"} {
		if got, err := us.Normalize(raw); err != nil || got != want {
			t.Errorf("%q: %q, %v", raw, got, err)
		}
	}
}

func TestCountriesAreNamed(t *testing.T) {
	for _, tt := range []struct {
		region    string
		countries []string
		want      string
	}{{"", nil, "region:"}, {"de", nil, "region:"}, {"49", nil, "region:"}, {"ZZ", nil, "region:"}, {"DE", []string{"DE", "+43"}, "countries[1]:"}} {
		if _, err := NewNumbers(tt.region, tt.countries); err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%v: %v", tt, err)
		}
	}
}

func FuzzNormalize(f *testing.F) {
	for _, s := range []string{"+491701234567", "0170/1234567", "+49 (0)170 1234567", "tel:+49170;ext=1", "٠١٧٠١٢٣٤٥٦٧", "+1 876 210 1234", "((((+", "0\u00a0", "１７０"} {
		f.Add(s)
	}
	n, err := NewNumbers("DE", []string{"DE", "US", "AR", "MX", "IT", "GB"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		got, err := n.Normalize(raw)
		if err != nil {
			if got != "" {
				t.Fatalf("%q: both %q and %v", raw, got, err)
			}
			return
		}
		if !e164.MatchString(got) {
			t.Fatalf("%q: %q is not E.164", raw, got)
		}
		if again, err := n.Normalize(got); err != nil || again != got {
			t.Fatalf("%q: %q, and then %q, %v", raw, got, again, err)
		}
	})
}
