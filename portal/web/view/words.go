package view

import (
	"fmt"
	"html"
	"html/template"
	"strconv"
	"strings"
	"time"

	"postern/portal/i18n"
	"postern/portal/policy"
	"postern/verify"
)

// words are the functions of the templates, in one language.
type words struct {
	lang   i18n.Language
	bundle *i18n.Bundle
	asset  func(string) string
	brands map[string]string
	icons  map[string]string
	menu   template.HTML // language links of a page that GETs itself
	rows   map[policy.Purpose]map[string]template.HTML
	langs  []i18n.Language
	ready  map[string]template.HTML // rows of choices, see readRows
}

func newWords(o Options, l i18n.Language, icons map[string]string) *words {
	w := &words{lang: l, bundle: o.Bundle, asset: o.Static, icons: icons, langs: o.Bundle.Languages(), brands: map[string]string{
		"name": o.Brand.Name, "organisation": o.Brand.Organisation, "support": o.Brand.Support, "support-url": o.Brand.SupportURL,
		"hours": o.Brand.Hours, "origin": o.PublicURL}}
	if o.Brand.Logo != "" {
		w.brands["logo"] = o.Static(o.Brand.Logo)
	}
	if o.Demo {
		w.brands["demo"] = "/demo"
	}
	w.menu = w.languageLinks("")
	w.rows = map[policy.Purpose]map[string]template.HTML{}
	for p, row := range map[policy.Purpose][]string{
		policy.Reset:  {"you", "proof", "password", "done"},
		policy.Change: {"you", "proof", "password", "done"},
		policy.Unlock: {"you", "proof", "done"},
		policy.SignIn: {"you", "proof"},
	} {
		w.rows[p] = map[string]template.HTML{}
		for _, at := range row {
			w.rows[p][at] = w.row(row, at)
		}
	}
	return w
}

func (w *words) funcs() template.FuncMap {
	return template.FuncMap{
		"t": w.t, "text": w.text, "fault": w.fault, "stray": stray, "kind": kindText, "kinds": w.kinds, "reason": w.reason,
		"icon": w.icon, "asset": w.asset, "brand": w.brand, "lang": func() string { return w.lang.Tag }, "dir": func() string { return w.lang.Dir },
		"languages": w.languages, "steps": w.steps, "join": join, "every": every,
		"when":    func(t time.Time) string { return w.bundle.When(w.lang.Tag, t) },
		"date":    func(t time.Time) string { return w.bundle.Date(w.lang.Tag, t) },
		"iso":     func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"choices": w.choices, "offers": w.offers, "shut": shut, "whys": verify.Whys, "vouching": vouching, "rule": w.rule, "resend": func(k verify.Kind) bool { return k.Class() == verify.Issued },
		"kindicon": kindIcon, "purposeicon": purposeIcon, "alsoicon": alsoIcon, "startpath": startPath, "again": again, "changes": changes, "changespassword": changesPassword,
		"stamped": func(t time.Time) bool { return !t.IsZero() }, "troubles": troubles, "wrongs": wrongs, "moves": moves, "running": running,
		"answerlead": w.answerLead, "refusal": refusal, "problem": problem, "problemlead": w.problemLead, "temporary": temporary,
		"methodname": w.methodName, "methodfacts": w.methodFacts, "cooling": func(m Method) bool { return !m.Cooling.IsZero() },
		"keptkind": w.keptKind, "keptname": w.keptName, "kepticon": keptIcon,
		"activity": w.activity, "where": w.where, "topics": Topics, "questions": w.questions,
		"unfit": unfit, "origin": w.origin, "names": w.names, "settles": func(p *Choose) bool { return !p.Settles.IsZero() }, "replaceable": replaceable,
		"phrases": func(p []string) string { return strings.Join(p, "|") }, "words": func(p []string) string { return strings.Join(p, "|") },
		"passwordrules": passwordRules, "groups": groups, "otpauth": otpauth,
		"plot": w.plot, "long": w.long, "took": w.took, "charted": charted, "over": over, "because": w.because, "most": most, "sum": sum, "listicon": listIcon,
		"percent": percent, "segments": segments, "plus": w.plus, "tone": strengthTone, "coded": w.coded,
		"still": still, "suspects": suspects, "noticename": w.noticeName,
		"complete": complete, "home": home, "linked": w.linked, "tiles": w.tiles, "clock": func(t time.Time) string { return w.bundle.Clock(w.lang.Tag, t) },
		"typing": typing, "keylayouts": w.keyLayouts, "keynames": w.keyNames, "kiosktone": kioskTone, "kioskicon": kioskIcon, "findingtone": findingTone, "findingicon": findingIcon, "daysecond": w.daySecond, "stays": stays,
		"zone": w.bundle.Zone,
		"full": func(t time.Time) string { return w.bundle.DateTime(w.lang.Tag, t) },
	}
}

// t is a sentence with arguments in pairs: {{t "ways.many" "N" .Ways}}.
func (w *words) t(key string, pairs ...any) (string, error) {
	var args i18n.Args
	if len(pairs) > 0 {
		args = make(i18n.Args, len(pairs)/2)
		for i := 0; i+1 < len(pairs); i += 2 {
			name, ok := pairs[i].(string)
			if !ok {
				return "", fmt.Errorf("t %q: argument %d is not a name", key, i)
			}
			args[name] = pairs[i+1]
		}
	}
	return w.bundle.T(w.lang.Tag, key, args), nil
}

func (w *words) text(t Text) string { return w.bundle.Text(w.lang.Tag, t) }

func (w *words) say(key string, args i18n.Args) string { return w.bundle.T(w.lang.Tag, key, args) }

func (w *words) icon(name string, classes ...string) template.HTML {
	body, ok := w.icons[name]
	if !ok {
		body = w.icons["info"]
	}
	class := "ic"
	for _, c := range classes {
		class += " " + c
	}
	return template.HTML(`<svg class="` + class + `" viewBox="0 0 24 24" aria-hidden="true" focusable="false">` + body + `</svg>`)
}

func (w *words) brand(what string) string { return w.brands[what] }

// languages are the rows of the language menu. here comes from a handler's
// literal, never from a request; it is escaped all the same.
func (w *words) languages(here string) template.HTML {
	if here == "" {
		return w.menu
	}
	return w.languageLinks(here)
}

func (w *words) languageLinks(here string) template.HTML {
	var b strings.Builder
	for _, l := range w.langs {
		tag := html.EscapeString(l.Tag)
		fmt.Fprintf(&b, `<li><a href="%s?lang=%s" lang="%s" hreflang="%s" dir="%s"`, html.EscapeString(here), tag, tag, tag, l.Dir)
		if l.Tag == w.lang.Tag {
			b.WriteString(` aria-current="true"`)
		}
		fmt.Fprintf(&b, `>%s</a></li>`, html.EscapeString(l.Name))
	}
	return template.HTML(b.String())
}

// steps is the row of small doors; empty for purposes that have none.
func (w *words) steps(p policy.Purpose, at string) template.HTML { return w.rows[p][at] }

func (w *words) row(row []string, at string) template.HTML {
	var b strings.Builder
	fmt.Fprintf(&b, `<ol class="steps" aria-label="%s">`, html.EscapeString(w.say("steps.label", nil)))
	past := true
	for _, s := range row {
		name := html.EscapeString(w.say("steps."+s, nil))
		switch {
		case s == at:
			past = false
			fmt.Fprintf(&b, `<li aria-current="step">%s</li>`, name)
		case past:
			fmt.Fprintf(&b, `<li class="past"><span class="vh">%s </span>%s</li>`, html.EscapeString(w.say("steps.past", nil)), name)
		default:
			fmt.Fprintf(&b, `<li>%s</li>`, name)
		}
	}
	b.WriteString("</ol>")
	return template.HTML(b.String())
}

// join makes a key of parts, so that "answer.title_" .Kind names a sentence.
func join(parts ...any) string {
	var b strings.Builder
	for _, p := range parts {
		switch p := p.(type) {
		case string:
			b.WriteString(p)
		case verify.Kind:
			b.WriteString(string(p))
		case policy.Purpose:
			b.WriteString(string(p))
		default:
			fmt.Fprint(&b, p)
		}
	}
	return b.String()
}

func every(n, usual int) int {
	if n <= 0 {
		return usual
	}
	return n
}

func groups(s string) string {
	var b strings.Builder
	for i, r := range s {
		if i > 0 && i%4 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// otpauth lets html/template pass a scheme it does not know.
func otpauth(uri string) template.URL {
	if !strings.HasPrefix(uri, "otpauth://totp/") {
		return "#"
	}
	return template.URL(uri)
}

// passwordRules is the passwordrules attribute WebKit and password managers
// read to make a password that fits.
func passwordRules(rules []Rule) string {
	var parts []string
	for _, r := range rules {
		switch r.Code {
		case "too_short":
			parts = append(parts, "minlength: "+strconv.Itoa(r.Limit))
		case "too_long":
			parts = append(parts, "maxlength: "+strconv.Itoa(r.Limit))
		case "complexity":
			parts = append(parts, "required: upper", "required: lower", "required: digit")
		}
	}
	return strings.Join(parts, "; ")
}
