package directorytest

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strings"
)

// Crowd is n people with names as a large firm has them, the same for the same n:
// a few given names that many share, some two thousand surnames, addresses made of
// both, and logins that all begin alike, which is the hard case for an index.
func Crowd(n int) []Person {
	r := rand.New(rand.NewPCG(50_000, 7))
	onsets := []string{"B", "Br", "D", "F", "Gr", "H", "K", "L", "M", "N", "P", "R", "S", "Sch", "St", "T", "V", "W"}
	middles := []string{"all", "ar", "ein", "el", "erm", "ick", "ol", "ond", "ug", "yr"}
	ends := []string{"a", "berg", "dahl", "er", "ez", "ford", "in", "man", "ova", "sen", "son", "wick"}
	one := func(of []string) string { return of[r.IntN(len(of))] }
	people := make([]Person, n)
	for i := range people {
		given := givenNames[min(r.IntN(len(givenNames)), r.IntN(len(givenNames)))]
		surname := one(onsets) + one(middles) + one(ends)
		people[i] = Person{
			Login: fmt.Sprintf("person%05d", i), Given: given, Surname: surname, Name: given + " " + surname,
			Mail:     fmt.Sprintf("%s.%s%d@example.org", strings.ToLower(ascii(given)), strings.ToLower(surname), i),
			Phone:    fmt.Sprintf("+1 555 %03d %04d", i/10_000, i%10_000),
			Employee: fmt.Sprintf("%07d", 4_000_000+i),
		}
	}
	return people
}

// ascii drops what an address cannot hold.
func ascii(s string) string {
	return strings.Map(func(r rune) rune {
		if r > 0x7f {
			return -1
		}
		return r
	}, s)
}

// Load puts many people without passwords in at once with slapadd, 50,000 in some
// seven seconds. That may not run beside slapd, so the server is stopped meanwhile and
// has another address afterwards: what was configured for the old one is of no use.
func (s *Server) Load(ctx context.Context, people []Person) error {
	slapadd, err := program("slapadd")
	if err != nil {
		return err
	}
	slapd, err := program("slapd")
	if err != nil {
		return err
	}
	s.proc.stop()
	var ldif bytes.Buffer
	for _, p := range people {
		writeLDIF(&ldif, "uid="+escapeRDN(p.Login)+","+s.PeopleDN, p)
	}
	cmd := exec.CommandContext(ctx, slapadd, "-q", "-f", filepath.Join(s.dir, "slapd.conf"), "-b", s.BaseDN)
	cmd.Stdin = &ldif
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("directorytest: slapadd: %w: %s", err, out)
	}
	return s.launch(ctx, slapd)
}

// writeLDIF writes a person as an entry (RFC 2849), every value in base64.
func writeLDIF(w io.Writer, dn string, p Person) {
	line := func(attribute, value string) {
		if value != "" {
			fmt.Fprintf(w, "%s:: %s\n", attribute, base64.StdEncoding.EncodeToString([]byte(value)))
		}
	}
	line("dn", dn)
	line("objectClass", "inetOrgPerson")
	line("uid", p.Login)
	line("cn", p.Name)
	line("displayName", p.Name)
	line("givenName", p.Given)
	line("sn", p.Surname)
	line("mail", p.Mail)
	line("mobile", p.Phone)
	line("employeeNumber", p.Employee)
	fmt.Fprintln(w)
}
