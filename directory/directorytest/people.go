package directorytest

import (
	"errors"
	"fmt"
)

// Person is a sample account as it was made.
type Person struct {
	Login, DN, UPN       string
	Name, Given, Surname string
	Mail, Phone          string
	Employee             string // number
	Password             string
	Manager              string // DN
}

// Policy is the password policy a launched directory enforces for everybody.
type Policy struct {
	MinLength  int
	History    int
	Lockout    int  // wrong passwords until locked
	MinAgeDays int  // between changes
	Complexity bool // Active Directory, Entra ID
	PlainOnly  bool // Entra ID only
	ListLimit  int  // entries of one listing by the service account, OpenLDAP only; 0: all
	OpenConfig bool // the service account may read cn=config, OpenLDAP only
	Manage     bool // the service account has manage on userPassword, OpenLDAP only
}

// DefaultPolicy is what the launchers use unless told otherwise.
func DefaultPolicy() Policy {
	return Policy{MinLength: 10, History: 5, Lockout: 5, Complexity: true}
}

// Logins of the sample people, the same on every launched directory.
//
//	user1…user20  ordinary people, user1…user10 managed by manager1
//	manager1      managed by director1, whom nobody manages
//	locked1       locked by wrong passwords
//	disabled1     disabled by an administrator
//	expired1      the password has expired
//	mustchange1   must change at next sign-in
//	left1         the account itself has expired (AD only)
//	admin1        member of the administrators' group
//	nested1       administrator through three nested groups
//	primary1      administrator through primaryGroupID alone (AD only)
//	stale1        not an administrator any more, adminCount left at 1 (AD only)
//	twin1, twin2  share the mail address twins@example.org
//	victim1, mallory1  mallory1's mail is victim1's UPN (AD) or mail
//	odd1          a display name with comma, quote, parentheses and non-Latin letters
//	strong1       under a stricter policy of its own (minimum length 14)
//	tech1, tech2
const (
	TwinsMail    = "twins@example.org"
	StrongLength = 14
	TechGroup    = "Postern Technicians"
	AdminGroup   = "Domain Admins"
)

var (
	givenNames = []string{"Amara", "Björn", "Chiara", "Dmitri", "Esra", "Fatima", "Giorgos", "Hana", "Ines", "Jamal",
		"Kenji", "Linh", "Mateo", "Ngozi", "Oksana", "Priya", "Quentin", "Rania", "Sofia", "Tomasz"}
	surnames = []string{"Okafor", "Lindqvist", "Romano", "Volkov", "Yıldız", "Haddad", "Papadakis", "Nováková", "Carvalho", "Brooks",
		"Watanabe", "Nguyễn", "Fernández", "Eze", "Kovalenko", "Raman", "Dubois", "Saleh", "Moreau", "Wójcik"}
	specialLogins = []string{"manager1", "tech1", "tech2", "locked1", "disabled1", "expired1", "mustchange1", "left1",
		"admin1", "nested1", "primary1", "stale1", "twin1", "twin2", "victim1", "mallory1", "odd1", "strong1", "director1"}
)

// samplePassword satisfies Active Directory's complexity and contains no part of a name.
func samplePassword(n int) string { return fmt.Sprintf("Quay-Lantern-%04d", 1000+n) }

// samplePeople is everybody, without DNs: those are the dialect's, and place puts
// them in. Until then Manager is a login.
func samplePeople(domain string) []Person {
	var people []Person
	add := func(login, given, surname string) {
		n := len(people)
		people = append(people, Person{
			Login: login, UPN: login + "@" + domain, Given: given, Surname: surname, Name: given + " " + surname,
			Mail: login + "@example.org", Phone: fmt.Sprintf("+1 555 01%02d", n), Password: samplePassword(n),
		})
	}
	for i, g := range givenNames {
		add(fmt.Sprintf("user%d", i+1), g, surnames[i])
	}
	for i, login := range specialLogins {
		add(login, givenNames[(i+7)%len(givenNames)], surnames[(i+12)%len(surnames)])
	}
	for i := range people {
		if i < 10 {
			people[i].Manager = "manager1"
		}
		switch p := &people[i]; p.Login {
		case "manager1":
			p.Manager = "director1"
		case "twin1", "twin2":
			p.Mail = TwinsMail
		case "mallory1":
			p.Mail = "victim1@" + domain
		case "victim1":
			p.Mail = p.UPN // OpenLDAP has no UPN: there the mail itself is taken twice
		case "odd1":
			p.Name = `O'Hara, Zoë "Zo" (QA) \ 山田 عمر`
		}
	}
	return people
}

// place gives everybody a DN and makes the managers' logins theirs.
func place(people []Person, dn func(Person) string) {
	at := map[string]string{}
	for i := range people {
		people[i].DN = dn(people[i])
		at[people[i].Login] = people[i].DN
	}
	for i := range people {
		people[i].Manager = at[people[i].Manager]
	}
}

// find returns the person of that login.
func find(people []Person, login string) (Person, error) {
	for _, p := range people {
		if p.Login == login {
			return p, nil
		}
	}
	return Person{}, fmt.Errorf("directorytest: no sample person %q", login)
}

var errNoPerson = errors.New("directorytest: a person needs a login and a password")
