package policy

import (
	"slices"
	"strings"

	"postern/directory"
	"postern/portal/access"
)

// Purposes are all there are, in the order of the file.
func Purposes() []Purpose { return purposes() }

// Chapter is one plan and whom it is for, so that people can read the policy
// without its file.
type Chapter struct {
	// Members of one of Groups, below one of OUs, in one of Directories; all empty:
	// everybody left.
	Groups, OUs, Directories []string
	Plan                     Plan
	// Paths are the sets of proofs that are enough, the strongest first, as if
	// somebody had everything.
	Paths []Path
}

// Chapters returns the plans for a purpose at a door, in the order in which they
// are tried; the last is for everybody no rule before it matched.
func (p *Policy) Chapters(door access.Door, purpose Purpose) []Chapter {
	var list []Chapter
	for _, r := range p.rules {
		plan, covered := r.plans[purpose]
		if !covered || len(r.Doors) > 0 && !slices.Contains(r.Doors, door) {
			continue
		}
		list = append(list, chapter(r.persona(), plan))
		if r.persona().equal(persona{}) {
			return list // nobody gets past it
		}
	}
	return append(list, chapter(persona{}, p.defaults[purpose]))
}

func chapter(who persona, plan Plan) Chapter {
	everything := Means{Enrolled: plan.Allowed, Mail: true, Phone: true, Manager: true}
	return Chapter{Groups: slices.Clone(who.groups), OUs: slices.Clone(who.ous), Directories: slices.Clone(who.directories), Plan: plan.clone(), Paths: Explain(plan, everything).Paths}
}

// Groups are those that the scope and the rules name, in the order of the file,
// each once however it is spelt.
func (p *Policy) Groups() []string {
	var list []string
	seen := map[string]bool{}
	add := func(groups []string) {
		for _, g := range groups {
			key := strings.ToLower(strings.TrimSpace(g))
			if dn := directory.ParseDN(g); dn != nil {
				key = strings.Join(dn, "\x00")
			}
			if !seen[key] {
				seen[key] = true
				list = append(list, g)
			}
		}
	}
	add(p.scope.groups)
	for _, r := range p.rules {
		add(r.Groups)
	}
	return list
}
