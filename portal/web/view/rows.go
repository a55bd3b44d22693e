package view

import (
	"html/template"
	"strings"

	"postern/portal/policy"
	"postern/verify"
)

// readRows renders the rows people choose from, once: they are the same on
// every page of a language, and the bulk of the busiest ones.
func (s *set) readRows(shared trees, funcs template.FuncMap) error {
	factor, err := shared.template("choice", funcs)
	if err != nil {
		return err
	}
	purpose, err := shared.template("start-choice", funcs)
	if err != nil {
		return err
	}
	s.ready = map[string]template.HTML{}
	render := func(key string, t *template.Template, data any) error {
		var b strings.Builder
		if err := t.Execute(&b, data); err != nil {
			return err
		}
		s.ready[key] = template.HTML(b.String())
		return nil
	}
	for _, first := range []bool{false, true} {
		for _, k := range []verify.Kind{verify.Passkey, verify.TOTP, verify.YubiKey, verify.Email, verify.SMS, verify.RecoveryCode, verify.Handover, verify.Approval, verify.Password} {
			if err := render(rowKey(string(k), first), factor, struct {
				Kind          verify.Kind
				First, Shared bool
			}{k, first, false}); err != nil {
				return err
			}
		}
		// A shared screen has nobody's passkey.
		if err := render(rowKey(string(verify.Passkey)+sharedRow, first), factor, struct {
			Kind          verify.Kind
			First, Shared bool
		}{verify.Passkey, first, true}); err != nil {
			return err
		}
		for _, p := range []policy.Purpose{policy.Reset, policy.Unlock, policy.Change, policy.SignIn} {
			if err := render(rowKey("start."+string(p), first), purpose, struct {
				Purpose policy.Purpose
				First   bool
			}{p, first}); err != nil {
				return err
			}
		}
	}
	return nil
}

func rowKey(name string, first bool) string {
	if first {
		return name + "!"
	}
	return name
}

// sharedRow marks a row as it is at a shared screen.
const sharedRow = "@"

// choices are the rows of what can be chosen now; the first may be the green one.
func (w *words) choices(all []Option, green bool, at *Kiosk) template.HTML {
	var b strings.Builder
	for _, o := range all {
		if o.Reason != "" {
			continue
		}
		key := string(o.Kind)
		if at != nil && o.Kind == verify.Passkey {
			key += sharedRow
		}
		b.WriteString(string(w.ready[rowKey(key, green)]))
		green = false
	}
	return template.HTML(b.String())
}

func (w *words) offers(all []policy.Purpose) template.HTML {
	var b strings.Builder
	for i, p := range all {
		b.WriteString(string(w.ready[rowKey("start."+string(p), i == 0)]))
	}
	return template.HTML(b.String())
}
