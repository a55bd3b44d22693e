package access

import (
	"slices"

	"postern/directory"
)

// Part is a part of the people like a Reach, but of nobody where nothing is given:
// what it names is an exception, and an exception left out is none.
type Part Reach

// Holds reports whether u, who has just been read, is one of them.
func (p Part) Holds(u directory.User) bool {
	return len(p.OUs)+len(p.Groups)+len(p.Directories) > 0 && Reach(p).holds(u)
}

// Crosses reports whether somebody with these roles may help u, who is beyond
// their own scope, together with a second technician. Whether u is within that
// one's scope is Scope.Of their roles.
func (c Config) Crosses(roles []Role, u directory.User) bool {
	helps := slices.Contains(roles, Technician) || slices.Contains(roles, Senior)
	return helps && !c.Scope.Of(roles, u) && c.Crossing.Holds(u)
}
