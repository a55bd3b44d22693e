package web

import (
	"slices"
	"strings"

	"postern/portal/web/view"
)

// naming are the fields of a form that asks who somebody is: with a picker, where there
// is one.
func (s *Site) naming(fields ...field) []field {
	if len(s.Places) == 0 {
		return fields
	}
	return append(fields, fieldPlace)
}

// login is who a form says somebody is: what was typed, behind the directory that was
// picked, as directory.Set takes it. Whoever typed one in front themselves meant that one.
func (s *Site) login(f form) (string, error) {
	typed, picked := f["login"], f["directory"]
	if picked == "" {
		return typed, nil
	}
	if !slices.ContainsFunc(s.Places, func(p view.Place) bool { return p.Name == picked }) {
		return "", &errForm{"no such directory"}
	}
	if strings.TrimSpace(typed) == "" || strings.Contains(typed, `\`) {
		return typed, nil
	}
	return picked + `\` + strings.TrimSpace(typed), nil
}

// picker is what a form shows of it, and what was picked before.
func (s *Site) picker(f form) view.Picker {
	return view.Picker{Places: s.Places, Place: f["directory"]}
}
