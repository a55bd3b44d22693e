package embedded

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
)

// Matching rules of AD (MS-ADTS 3.1.1.3.4.4).
const (
	ruleBitAnd = "1.2.840.113556.1.4.803"
	ruleBitOr  = "1.2.840.113556.1.4.804"
)

// matcher says whether an entry fits a filter.
type matcher func(*entry) bool

// compile reads an RFC 4515 filter. Ordering filters are refused: Postern sends none,
// and a wrong answer would be worse.
func compile(filter string) (matcher, error) {
	p, err := ldap.CompileFilter(filter)
	if err != nil {
		return nil, err
	}
	return compilePacket(p)
}

func compilePacket(p *ber.Packet) (matcher, error) {
	switch p.Tag {
	case ldap.FilterAnd, ldap.FilterOr:
		parts := make([]matcher, 0, len(p.Children))
		for _, c := range p.Children {
			m, err := compilePacket(c)
			if err != nil {
				return nil, err
			}
			parts = append(parts, m)
		}
		if p.Tag == ldap.FilterAnd {
			return func(e *entry) bool { return !slices.ContainsFunc(parts, func(m matcher) bool { return !m(e) }) }, nil
		}
		return func(e *entry) bool { return slices.ContainsFunc(parts, func(m matcher) bool { return m(e) }) }, nil
	case ldap.FilterNot:
		m, err := compilePacket(p.Children[0])
		if err != nil {
			return nil, err
		}
		return func(e *entry) bool { return !m(e) }, nil
	case ldap.FilterPresent:
		name := p.Data.String()
		return func(e *entry) bool { return len(e.get(name)) > 0 }, nil
	case ldap.FilterEqualityMatch:
		name, value := p.Children[0].Data.String(), p.Children[1].Data.String()
		same := equals(name, value)
		return func(e *entry) bool { return slices.ContainsFunc(e.get(name), same) }, nil
	case ldap.FilterSubstrings:
		return compileSubstrings(p)
	case ldap.FilterExtensibleMatch:
		return compileExtensible(p)
	}
	return nil, fmt.Errorf("embedded: filter kind %d is not supported", p.Tag)
}

// compileSubstrings compares text as equals does. What is bytes or a DN has no parts.
func compileSubstrings(p *ber.Packet) (matcher, error) {
	name := p.Children[0].Data.String()
	if key := strings.ToLower(name); byteValued[key] || dnValued[key] || key == "objectcategory" {
		return nil, fmt.Errorf("embedded: parts of %q are not supported", name)
	}
	var initial, final string
	var within []string
	for _, c := range p.Children[1].Children {
		switch part := strings.ToLower(c.Data.String()); c.Tag {
		case ldap.FilterSubstringsInitial:
			initial = strings.TrimLeft(part, " ")
		case ldap.FilterSubstringsAny:
			within = append(within, part)
		case ldap.FilterSubstringsFinal:
			final = strings.TrimRight(part, " ")
		}
	}
	return func(e *entry) bool {
		return slices.ContainsFunc(e.get(name), func(have string) bool {
			rest, ok := strings.CutPrefix(strings.ToLower(squeeze(have)), initial)
			for _, part := range within {
				if ok {
					_, rest, ok = strings.Cut(rest, part)
				}
			}
			return ok && strings.HasSuffix(rest, final)
		})
	}, nil
}

func compileExtensible(p *ber.Packet) (matcher, error) {
	var rule, name, value string
	for _, c := range p.Children {
		switch c.Tag {
		case ldap.MatchingRuleAssertionMatchingRule:
			rule = c.Data.String()
		case ldap.MatchingRuleAssertionType:
			name = c.Data.String()
		case ldap.MatchingRuleAssertionMatchValue:
			value = c.Data.String()
		}
	}
	want, err := strconv.ParseInt(value, 10, 64)
	if err != nil || rule != ruleBitAnd && rule != ruleBitOr {
		return nil, fmt.Errorf("embedded: matching rule %q is not supported", rule)
	}
	return func(e *entry) bool {
		return slices.ContainsFunc(e.get(name), func(v string) bool {
			have, err := strconv.ParseInt(v, 10, 64)
			if rule == ruleBitOr {
				return err == nil && have&want != 0
			}
			return err == nil && have&want == want
		})
	}, nil
}

// equals compares as AD does: bytes exactly, DNs by their parts, text without
// regard to case and to spaces around it (tried on Samba 4.17: "Alice ",
// " alice" and "ALICE" are one).
func equals(name, want string) func(string) bool {
	name = strings.ToLower(name)
	switch {
	case byteValued[name]:
		return func(have string) bool { return have == want }
	case name == "objectcategory":
		// AD takes the class's short name for its DN here.
		return func(have string) bool {
			return sameDN(have, want) || sameDN(have, "CN="+want+",CN=Schema,CN=Configuration,"+baseDN)
		}
	case dnValued[name]:
		return func(have string) bool { return sameDN(have, want) }
	}
	return func(have string) bool { return foldEqual(have, want) }
}

func foldEqual(a, b string) bool {
	return strings.EqualFold(squeeze(a), squeeze(b))
}

// squeeze is the insignificant-space handling of RFC 4518 section 2.6.1.
func squeeze(s string) string {
	if !strings.Contains(s, " ") {
		return s
	}
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == ' ' }), " ")
}

func sameDN(a, b string) bool {
	if strings.EqualFold(a, b) {
		return true
	}
	pa, err := ldap.ParseDN(a)
	if err != nil {
		return false
	}
	pb, err := ldap.ParseDN(b)
	return err == nil && pa.EqualFold(pb)
}

// atOrBelow reports whether dn lies at or anywhere under base.
func atOrBelow(dn, base *ldap.DN) bool { return base.AncestorOfFold(dn) || base.EqualFold(dn) }

// childOf reports whether dn lies directly under base.
func childOf(dn, base *ldap.DN) bool {
	return len(dn.RDNs) > 0 && (&ldap.DN{RDNs: dn.RDNs[1:]}).EqualFold(base)
}

func escapeDN(value string) string { return ldap.EscapeDN(value) }
