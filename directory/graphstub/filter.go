package graphstub

import (
	"fmt"
	"slices"
	"strings"
)

// predicate is a parsed $filter.
type predicate func(properties map[string]any) bool

// parser reads the part of OData's filter language (OData URL Conventions 4.01
// section 5.1.1) that Graph supports for users: eq, ne, and, or, not, startswith,
// endswith and any.
type parser struct {
	rest     string
	known    map[string]any
	advanced bool // something in it needs ConsistencyLevel: eventual and $count=true
}

func badFilter(format string, args ...any) error {
	return &fault{400, "Request_UnsupportedQuery", fmt.Sprintf(format, args...)}
}

func parseFilter(text string, known map[string]any) (p predicate, advanced bool, err error) {
	r := &parser{rest: text, known: known}
	p, err = r.or()
	if err == nil && strings.TrimSpace(r.rest) != "" {
		err = badFilter("Invalid filter clause: Syntax error at position %d in '%s'.", len(text)-len(r.rest), text)
	}
	return p, r.advanced, err
}

func (r *parser) word(w string) bool {
	t := strings.TrimLeft(r.rest, " ")
	if !strings.HasPrefix(t, w+" ") && !strings.HasPrefix(t, w+"(") {
		return false
	}
	r.rest = t[len(w):]
	return true
}

func (r *parser) or() (predicate, error) {
	left, err := r.and()
	for err == nil && r.word("or") {
		var right predicate
		l := left
		if right, err = r.and(); err == nil {
			left = func(m map[string]any) bool { return l(m) || right(m) }
		}
	}
	return left, err
}

func (r *parser) and() (predicate, error) {
	left, err := r.one()
	for err == nil && r.word("and") {
		var right predicate
		l := left
		if right, err = r.one(); err == nil {
			left = func(m map[string]any) bool { return l(m) && right(m) }
		}
	}
	return left, err
}

func (r *parser) one() (predicate, error) {
	t := strings.TrimLeft(r.rest, " ")
	if inner, ok := strings.CutPrefix(t, "("); ok {
		r.rest = inner
		p, err := r.or()
		if err != nil {
			return nil, err
		}
		return p, r.expect(")")
	}
	if r.word("not") {
		r.advanced = true
		p, err := r.one()
		return func(m map[string]any) bool { return !p(m) }, err
	}
	for _, f := range []struct {
		name string
		is   func(s, with string) bool
	}{{"startswith", strings.HasPrefix}, {"endswith", strings.HasSuffix}} {
		if !strings.HasPrefix(strings.ToLower(t), f.name+"(") {
			continue
		}
		r.advanced = r.advanced || f.name == "endswith"
		r.rest = t[len(f.name)+1:]
		name, err := r.property()
		if err != nil {
			return nil, err
		}
		if err := r.expect(","); err != nil {
			return nil, err
		}
		v, err := r.text()
		if err != nil {
			return nil, err
		}
		return func(m map[string]any) bool {
			have, _ := m[name].(string)
			return f.is(strings.ToLower(have), strings.ToLower(v))
		}, r.expect(")")
	}
	return r.comparison()
}

func (r *parser) comparison() (predicate, error) {
	name, err := r.property()
	if err != nil {
		return nil, err
	}
	if after, ok := strings.CutPrefix(r.rest, "/any("); ok {
		v, rest, ok := strings.Cut(after, ":")
		if !ok || !strings.HasPrefix(rest, v+" eq ") {
			return nil, badFilter("Unsupported lambda in filter.")
		}
		if name != "otherMails" && name != "proxyAddresses" && name != "businessPhones" {
			return nil, badFilter("Unsupported or invalid query filter clause specified for property '%s' of resource 'User'.", name)
		}
		r.rest = rest[len(v)+4:]
		want, err := r.text()
		if err != nil {
			return nil, err
		}
		return func(m map[string]any) bool {
			list, _ := m[name].([]string)
			return slices.ContainsFunc(list, func(s string) bool { return strings.EqualFold(s, want) })
		}, r.expect(")")
	}
	if name == "otherMails" || name == "proxyAddresses" || name == "businessPhones" {
		return nil, badFilter("Unsupported or invalid query filter clause specified for property '%s' of resource 'User'.", name)
	}
	// "Advanced query capabilities on Microsoft Entra ID objects": these are in the index alone.
	if name == "onPremisesSamAccountName" {
		r.advanced = true
	}
	not := r.word("ne")
	if not {
		r.advanced = true
	} else if !r.word("eq") {
		return nil, badFilter("Invalid filter clause: an operator is missing after '%s'.", name)
	}
	want, err := r.literal()
	if err != nil {
		return nil, err
	}
	return func(m map[string]any) bool {
		have, isText := m[name].(string)
		same := m[name] == want
		if w, ok := want.(string); ok && isText {
			same = strings.EqualFold(have, w)
		}
		return same != not
	}, nil
}

func (r *parser) property() (string, error) {
	r.rest = strings.TrimLeft(r.rest, " ")
	n := strings.IndexAny(r.rest, " ,/)(")
	if n < 0 {
		n = len(r.rest)
	}
	name := r.rest[:n]
	if _, known := r.known[name]; !known {
		return "", &fault{400, "Request_BadRequest", fmt.Sprintf("Could not find a property named '%s' on type 'microsoft.graph.user'.", name)}
	}
	r.rest = r.rest[n:]
	return name, nil
}

func (r *parser) literal() (any, error) {
	t := strings.TrimLeft(r.rest, " ")
	for word, v := range map[string]any{"true": true, "false": false, "null": nil} {
		if rest, ok := strings.CutPrefix(t, word); ok {
			r.rest = rest
			return v, nil
		}
	}
	return r.text()
}

func (r *parser) text() (string, error) {
	t := strings.TrimLeft(r.rest, " ")
	if !strings.HasPrefix(t, "'") {
		return "", badFilter("Invalid filter clause: a string literal was expected at '%s'.", t)
	}
	var out strings.Builder
	for i := 1; i < len(t); i++ {
		switch {
		case t[i] != '\'':
			out.WriteByte(t[i])
		case i+1 < len(t) && t[i+1] == '\'':
			out.WriteByte('\'')
			i++
		default:
			r.rest = t[i+1:]
			return out.String(), nil
		}
	}
	return "", badFilter("Invalid filter clause: There is an unterminated string literal.")
}

func (r *parser) expect(s string) error {
	t := strings.TrimLeft(r.rest, " ")
	if !strings.HasPrefix(t, s) {
		return badFilter("Invalid filter clause: '%s' was expected at '%s'.", s, t)
	}
	r.rest = t[len(s):]
	return nil
}
