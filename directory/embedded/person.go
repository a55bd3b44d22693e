package embedded

import (
	"fmt"
	"io"
	"strings"
	"time"

	"postern/directory"
)

// Person is a sample account.
type Person struct {
	Login                string
	DN                   string // filled in by Start
	Name, Given, Surname string
	Mail, Phone          string
	Employee             string // number
	Language             string // BCP 47, or empty
	// Password is the one the account was made with; empty once the person has
	// chosen another, because then nobody but the hash knows it.
	Password directory.Secret
	Groups   []string // names of groups, made when missing
	Manager  string   // login

	// PrimaryGroup, when not empty, is the name of the group that is recorded
	// as primaryGroupID alone: memberOf does not show it (as in AD).
	PrimaryGroup string
	// Protected is adminCount=1: delegated rights do not hold, only a true change.
	Protected bool

	Disabled        bool
	Locked          bool // by wrong passwords, just now
	MustChange      bool
	NeverExpires    bool // the password
	PasswordExpired bool
	PasswordAge     time.Duration // since it was set; zero: an hour
	AccountExpired  bool
}

// Names of the groups that sample people are in.
const (
	Technicians  = "Postern Technicians"
	Operators    = "Postern Operators"
	DomainAdmins = "Domain Admins"
	DomainUsers  = "Domain Users"
)

// SamplePeople are the people of the demo: user1…user20, locked1, mustchange1,
// expired1, disabled1, admin1 (privileged), manager1 (manager of them all but
// admin1), tech1 and tech2 (technicians), operator1 (runs the portal), and director1
// (manager of manager1). admin1 and director1 have no manager. Names, addresses and numbers are invented; the
// passwords come from random and are readable.
func SamplePeople(random io.Reader) ([]Person, error) {
	names := []struct{ login, given, surname, language string }{
		{"user1", "Amara", "Okafor", "en"}, {"user2", "Jonas", "Lindqvist", "en"}, {"user3", "Layla", "Haddad", "ar"},
		{"user4", "Mateo", "Fernández", "en"}, {"user5", "Hannah", "Weber", "de"}, {"user6", "Priya", "Raman", "en"},
		{"user7", "Tomasz", "Wójcik", "en"}, {"user8", "Yuki", "Tanabe", "en"}, {"user9", "Omar", "Farouk", "ar"},
		{"user10", "Chloé", "Marchand", "en"}, {"user11", "Kwame", "Mensah", "en"}, {"user12", "Ingrid", "Solheim", "en"},
		{"user13", "Linh", "Nguyen", "en"}, {"user14", "Lukas", "Brandt", "de"}, {"user15", "Zeynep", "Aydın", "en"},
		{"user16", "Rosa", "Delgado", "en"}, {"user17", "Nikhil", "Deshmukh", "en"}, {"user18", "Aoife", "Gallagher", "en"},
		{"user19", "Samuel", "Tesfaye", "en"}, {"user20", "Mei", "Zhao", "en"},
		{"locked1", "Greta", "Holm", "en"}, {"mustchange1", "Dario", "Conti", "en"}, {"expired1", "Elif", "Demir", "en"},
		{"disabled1", "Viktor", "Petrov", "en"}, {"admin1", "Ruth", "Abebe", "en"}, {"manager1", "Helena", "Castellanos", "en"},
		{"tech1", "Idris", "Bello", "en"}, {"tech2", "Sanne", "de Vries", "en"}, {"director1", "Anneke", "Vos", "en"},
		{"operator1", "Marisol", "Quispe", "en"},
	}
	people := make([]Person, 0, len(names))
	for i, n := range names {
		password, err := readablePassword(random)
		if err != nil {
			return nil, err
		}
		p := Person{
			Login: n.login, Given: n.given, Surname: n.surname, Name: n.given + " " + n.surname, Language: n.language,
			Mail: n.login + "@" + domain, Phone: fmt.Sprintf("+1 555 01%02d", i+1), Password: directory.NewSecret(password),
			Manager: "manager1",
		}
		switch {
		case strings.HasPrefix(n.login, "tech"):
			p.Groups = []string{Technicians}
		case strings.HasPrefix(n.login, "operator"):
			p.Groups = []string{Operators}
		}
		switch n.login {
		case "user8":
			p.Employee = "104711"
		case "manager1":
			p.Manager = "director1"
		case "director1":
			p.Manager = ""
		case "locked1":
			p.Locked = true
		case "mustchange1":
			p.MustChange = true
		case "expired1":
			p.PasswordExpired = true
		case "user17", "user18":
			p.PasswordAge = domainPolicy(0).maxAge - time.Duration(i)*12*time.Hour // expires in eight days
		case "disabled1":
			p.Disabled = true
		case "admin1":
			p.Groups, p.Protected, p.Manager = []string{DomainAdmins}, true, ""
		}
		people = append(people, p)
	}
	return people, nil
}

// passwordWords hold no part of a sample name: such a password would be refused.
var passwordWords = [64]string{
	"amber", "anchor", "apple", "autumn", "basket", "beacon", "bottle", "breeze", "bridge", "bronze", "butter", "candle",
	"canyon", "carbon", "cedar", "cherry", "clover", "cobalt", "copper", "coral", "cotton", "desert", "dragon", "ember",
	"falcon", "feather", "forest", "garnet", "ginger", "glacier", "harbor", "hazel", "island", "ivory", "jasmine", "jungle",
	"kettle", "ladder", "lantern", "lemon", "marble", "meadow", "mirror", "nectar", "orchid", "oyster", "pebble", "pepper",
	"planet", "quartz", "rabbit", "ribbon", "saddle", "salmon", "silver", "spruce", "summit", "thunder", "timber", "tulip",
	"velvet", "walnut", "window", "winter",
}

// readablePassword is three words and two digits, 24.6 bits: enough for a
// sample account that a page shows to everybody anyway.
func readablePassword(random io.Reader) (string, error) {
	var b [4]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", fmt.Errorf("embedded: random: %w", err)
	}
	word := func(i byte) string {
		w := passwordWords[i%64]
		return strings.ToUpper(w[:1]) + w[1:]
	}
	return fmt.Sprintf("%s-%s-%s-%02d", word(b[0]), word(b[1]), word(b[2]), b[3]%100), nil
}
