package sms

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"
)

// body is a gateway's template. What it may hold is so little that carrying it
// out always ends, and fails only if the values are not there.
type body struct {
	template *template.Template
	kind     string // content type, or query
	password bool   // whether it asks for the password
}

// query is the kind of a body that becomes the query of a GET.
const query = "query"

// kinds are how each content type is read back, as the values a gateway finds in it.
func kinds(kind string) func([]byte) ([]string, error) {
	switch kind {
	case "application/json":
		return jsonValues
	case "application/x-www-form-urlencoded", query:
		return formValues
	case "application/xml", "text/xml":
		return xmlValues
	case "text/plain":
		return func(b []byte) ([]string, error) { return []string{string(b)}, nil }
	}
	return nil
}

var functions = template.FuncMap{"json": asJSON, "xml": asXML}

// asJSON is s as a JSON string, with its quotation marks.
func asJSON(s string) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(s)
	return strings.TrimSuffix(b.String(), "\n"), err
}

// asXML is s as the text of an element or attribute.
func asXML(s string) (string, error) {
	var b bytes.Buffer
	err := xml.EscapeText(&b, []byte(s))
	return b.String(), err
}

func parseBody(g Gateway) (*body, error) {
	b := &body{kind: g.ContentType}
	if g.Method == "GET" {
		b.kind = query
	} else if kinds(b.kind) == nil {
		return nil, errors.New("content_type: is not one of application/json, application/x-www-form-urlencoded, application/xml, text/xml, text/plain")
	}
	t, err := template.New("body").Option("missingkey=error").Funcs(functions).Parse(g.Body)
	if err != nil {
		return nil, fmt.Errorf("body: %w", err)
	}
	if t.Tree == nil || len(t.Templates()) > 1 {
		return nil, errors.New("body: must be one template with {{.To}} and {{.Text}}")
	}
	used := map[string]bool{}
	if err := inspect(t.Root, used); err != nil {
		return nil, err
	}
	b.template, b.password = t, used["Password"]
	return b, nil
}

// inspect lets through values and the functions that quote them: no loops, no
// calls, nothing that text/template learns one day.
func inspect(list *parse.ListNode, used map[string]bool) error {
	for _, n := range list.Nodes {
		if n.Type() == parse.NodeText {
			continue
		}
		action, ok := n.(*parse.ActionNode)
		if !ok || len(action.Pipe.Decl) > 0 {
			return fmt.Errorf("body: %s is not allowed; only values through json, urlquery or xml", n)
		}
		for _, command := range action.Pipe.Cmds {
			for _, arg := range command.Args {
				switch a := arg.(type) {
				case *parse.FieldNode:
					name := strings.Join(a.Ident, ".")
					if !slices.Contains([]string{"To", "Digits", "Text", "ID", "Password"}, name) {
						return fmt.Errorf("body: there is no .%s, only .To, .Digits, .Text, .ID and .Password", name)
					}
					used[name] = true
				case *parse.IdentifierNode:
					if !slices.Contains([]string{"json", "urlquery", "xml"}, a.Ident) {
						return fmt.Errorf("body: there is no function %s, only json, urlquery and xml", a.Ident)
					}
				default:
					return fmt.Errorf("body: %s is not allowed; only values through json, urlquery or xml", n)
				}
			}
		}
	}
	return nil
}

func (b *body) render(id, to, text, password string) ([]byte, error) {
	var out bytes.Buffer
	err := b.template.Execute(&out, map[string]string{
		"To": to, "Digits": strings.TrimPrefix(to, "+"), "Text": text, "ID": id, "Password": password,
	})
	if err != nil {
		// Not its words: they may quote a value.
		return nil, errors.New("sms: the body's template failed")
	}
	return out.Bytes(), nil
}

// try renders a text full of everything that ends a string somewhere, and reads
// the result back as a gateway would. A template that forgets to quote would
// let a display name add a recipient.
func (b *body) try() error {
	const (
		to       = "+4917012345670"
		text     = "a\"b'c\\d<e>&f;g=h%41+i#j{k}]l,m\n\"}]n: \U0001f98a </x><!--é]]>"
		password = "p\"q'r\\s<t>&u;v=w%41+x#y{z}"
	)
	out, err := b.render("id-1", to, text, password)
	if err != nil {
		return err
	}
	values, err := kinds(b.kind)(out)
	if err != nil {
		return fmt.Errorf("body: is not %s once a text with special characters is in it; use %s", b.kind, b.quoting())
	}
	holds := func(s string) bool {
		return slices.ContainsFunc(values, func(v string) bool { return strings.Contains(v, s) })
	}
	switch {
	case !holds(text):
		return fmt.Errorf("body: a text with special characters does not arrive whole; it needs {{.Text}}, by %s", b.quoting())
	case !slices.ContainsFunc(values, func(v string) bool { return b.number(v, to[1:]) }):
		return fmt.Errorf("body: the number does not arrive whole; it needs {{.To}} or {{.Digits}}, by %s", b.quoting())
	case b.password && !holds(password):
		return fmt.Errorf("body: a password with special characters does not arrive whole; use %s", b.quoting())
	}
	return nil
}

// number reports whether v is a number with these digits, behind whatever means
// "abroad" to the gateway. A + that became a space does not.
func (b *body) number(v, digits string) bool {
	if b.kind == "text/plain" {
		return strings.Contains(v, digits)
	}
	before, ok := strings.CutSuffix(v, digits)
	return ok && !strings.ContainsAny(before, " \t\n")
}

func (b *body) quoting() string {
	switch b.kind {
	case "application/json":
		return "{{json .Text}} without quotation marks around it"
	case "application/xml", "text/xml":
		return "{{xml .Text}}"
	case "text/plain":
		return "{{.Text}}"
	}
	return "{{urlquery .Text}}"
}

func jsonValues(b []byte) ([]string, error) {
	v, err := readJSON(b)
	if err != nil {
		return nil, err
	}
	var all []string
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for _, key := range slices.Sorted(maps.Keys(v)) {
				walk(v[key])
			}
		case []any:
			for _, e := range v {
				walk(e)
			}
		default:
			if s, ok := scalar(v); ok {
				all = append(all, s)
			}
		}
	}
	walk(v)
	return all, nil
}

// readJSON takes exactly one value.
func readJSON(b []byte) (v any, err error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("more than one value")
	}
	return v, nil
}

// scalar is a JSON value as its own text, a string without its marks.
func scalar(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		return fmt.Sprint(v), true
	case nil:
		return "null", true
	}
	return "", false
}

func formValues(b []byte) ([]string, error) {
	for _, c := range b {
		if c <= ' ' || c >= 0x7f || c == '#' || c == '"' || c == '<' || c == '>' {
			return nil, errors.New("not encoded")
		}
	}
	fields, err := url.ParseQuery(string(b))
	if err != nil {
		return nil, err
	}
	return slices.Concat(slices.Collect(maps.Values(fields))...), nil
}

func xmlValues(b []byte) ([]string, error) {
	d := xml.NewDecoder(bytes.NewReader(b))
	var all []string
	open := -1 // index of the text being read
	for {
		t, err := d.Token()
		switch {
		case err == io.EOF && len(all) > 0:
			return all, nil
		case err != nil:
			return nil, err
		}
		if text, ok := t.(xml.CharData); ok {
			if open < 0 {
				open, all = len(all), append(all, "")
			}
			all[open] += string(text)
			continue
		}
		open = -1
		if start, ok := t.(xml.StartElement); ok {
			for _, a := range start.Attr {
				all = append(all, a.Value)
			}
		}
	}
}
