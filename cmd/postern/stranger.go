package main

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"postern/directory"
)

// stranger makes somebody who does not exist, for the password factor to be
// wrong about at the price of a real person: the same directory is asked, for
// an account that is nowhere. The same decoy is always the same stranger.
func stranger(directories []Directory) func(directory.ID) directory.User {
	if able := slices.DeleteFunc(slices.Clone(directories), func(d Directory) bool { return !d.checksPasswords() }); len(able) > 0 {
		directories = able
	}
	return func(id directory.ID) directory.User {
		h := sha256.Sum256([]byte("stranger\x00" + id))
		d := directories[binary.BigEndian.Uint64(h[24:])%uint64(len(directories))]
		name := fmt.Sprintf("%x", h[:10])
		u := directory.User{
			ID:        directory.ID(fmt.Sprintf("%s:%x-%x-%x-%x-%x", d.Name, h[:4], h[4:6], h[6:8], h[8:10], h[10:16])),
			Directory: d.Name, Login: name,
		}
		switch {
		case d.AD != nil:
			u.DN, u.UPN = "CN="+name+","+d.AD.BaseDN, name+"@"+dnsDomain(d.AD.BaseDN)
		case d.OpenLDAP != nil:
			u.DN = "uid=" + name + "," + d.OpenLDAP.BaseDN
		}
		return u
	}
}

// dnsDomain is the DNS name of the domain a DN is in.
func dnsDomain(dn string) string {
	var labels []string
	for part := range strings.SplitSeq(dn, ",") {
		key, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		if strings.EqualFold(strings.TrimSpace(key), "dc") {
			labels = append(labels, strings.ToLower(strings.TrimSpace(value)))
		}
	}
	return strings.Join(labels, ".")
}
