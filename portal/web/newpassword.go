package web

import (
	"strings"

	"github.com/gofiber/fiber/v2"

	"postern/directory"
	"postern/portal/flow"
	"postern/portal/policy"
	"postern/portal/web/view"
)

// phrases is how many ready-made passphrases one page carries.
const phrases = 3

// passwordPage asks for the new password. The rules are read for it alone:
// nobody sees them before the last proof (security case 6).
func (s *Site) passwordPage(v *visit, d door, c *flow.Case, f view.Frame) (view.Page, error) {
	list, err := s.Flow.Checklist(v.ctx(), c)
	if err != nil {
		return nil, err
	}
	p := &view.NewPassword{Frame: f, Base: d.path, Purpose: c.Purpose, Login: c.Person.Login, Rules: rules(list, c.Purpose),
		Alone: v.Method() == fiber.MethodPost && v.FormValue(fieldAlso.name) == ""}
	for _, a := range list.Also {
		p.Also = append(p.Also, view.Account{Login: a.Login, Directory: a.Directory, State: string(a.Left)})
	}
	for range phrases {
		if s.Phrase == nil || v.device.ID != "" { // whoever stands behind would read it too
			break
		}
		pw, err := s.Phrase(list.Rules, list.Who)
		if err != nil {
			break // rules that leave no room for one: the page is whole without
		}
		p.Phrases = append(p.Phrases, pw.Reveal())
	}
	return p, nil
}

// rules lists what the page says beforehand. History is claimed only where it
// will hold: in a true change, and in a reset where the server says so.
func rules(list flow.Checklist, purpose policy.Purpose) []view.Rule {
	var shown []view.Rule
	for _, i := range list.Items {
		if onReset, said := i.Args["on_reset"].(bool); said && !onReset && purpose != policy.Change {
			continue
		}
		r := view.Rule{Code: i.Key, Later: string(i.When) == "later"}
		r.Limit, _ = i.Args["limit"].(int)
		r.Words, _ = i.Args["words"].([]string)
		switch i.Key {
		case "too_short", "too_long", "characters", "complexity", "own", "common", "breached", "history", "banned", "quality":
			shown = append(shown, r)
		}
	}
	return shown
}

// problems names what the portal itself found wrong with a password.
func problems(w *flow.Weak, who *directory.User) []view.Fault {
	faults := make([]view.Fault, 0, len(w.Problems))
	for _, p := range w.Problems {
		f := view.Fault{Field: "password", Code: p.Key}
		switch p.Key {
		case "not_text":
			f.Code = "bad_characters"
		case "own":
			word, _ := p.Args["word"].(string)
			f.Code = whose(word, who)
		default:
			f.Limit, _ = p.Args["limit"].(int)
		}
		faults = append(faults, f)
	}
	return faults
}

// whose says what of a person's own a word is.
func whose(word string, who *directory.User) string {
	word = strings.ToLower(word)
	has := func(all ...string) bool {
		for _, s := range all {
			if strings.Contains(strings.ToLower(s), word) {
				return true
			}
		}
		return false
	}
	switch {
	case who == nil || word == "":
		return "contains_name"
	case strings.EqualFold(word, who.Login):
		return "contains_login"
	case has(who.Name, who.GivenName, who.Surname):
		return "contains_name"
	case has(append(who.Mail, who.UPN)...):
		return "contains_mail"
	}
	return "contains_org"
}
