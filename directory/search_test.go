package directory

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// seeker is a directory of hits by base; of none it gives what is under "".
type seeker struct {
	plain
	at    map[string][]string // names by base
	more  bool
	fault error
	boom  bool
}

func (s *seeker) Search(_ context.Context, q Query) (Found, error) {
	if s.boom {
		panic("boom")
	}
	bases := q.Scope.Bases
	if len(bases) == 0 {
		bases = []string{""}
	}
	var hits []Hit
	for _, b := range bases {
		names, ok := s.at[b]
		if !ok {
			return Found{}, fmt.Errorf("%w: %q", ErrOutside, b)
		}
		for _, n := range names {
			hits = append(hits, Hit{ID: ID(s.name + ":" + n), Name: n})
		}
	}
	return q.Gather(hits, s.more), s.fault
}

func TestSetSearchesAllOfItsDirectoriesOrFails(t *testing.T) {
	a := &seeker{plain: plain{name: "a"}, at: map[string][]string{"": {"Zoe", "ada"}, "ou=x,dc=a": {"ada"}, "dc=a": {"Zoe", "ada"}}}
	b := &seeker{plain: plain{name: "b"}, at: map[string][]string{"": {"Bea", "ada"}, "ou=x,dc=b": {"Bea"}, "ou=none,dc=b": nil}}
	full := &seeker{plain: plain{name: "full"}, at: map[string][]string{"": {"Cy"}}, more: true}
	down := &seeker{plain: plain{name: "down"}, at: map[string][]string{"": {"Dee"}}, fault: errors.New("gone")}
	boom := &seeker{boom: true}
	for _, tt := range []struct {
		name    string
		members []Directory
		bases   []string
		most    int
		want    string
		more    bool
		err     error
	}{
		{"merged by name", []Directory{a, b}, nil, 0, "a:ada b:ada b:Bea a:Zoe", false, nil},
		{"cut after merging", []Directory{a, b}, nil, 3, "a:ada b:ada b:Bea", true, nil},
		{"one has more", []Directory{a, full}, nil, 0, "a:ada full:Cy a:Zoe", true, nil},
		{"alone", []Directory{b}, nil, 0, "b:ada b:Bea", false, nil},
		{"one is down", []Directory{a, down}, nil, 0, "", false, ErrUnavailable},
		{"a panic is no answer", []Directory{a, boom}, nil, 0, "", false, ErrUnavailable},
		{"one cannot", []Directory{a, &plain{name: "p"}}, nil, 0, "", false, ErrUnsupported},
		{"a base of one", []Directory{a, b}, []string{"ou=x,dc=b"}, 0, "b:Bea", false, nil},
		{"a base of each", []Directory{a, b}, []string{"ou=x,dc=b", "ou=x,dc=a"}, 0, "a:ada b:Bea", false, nil},
		{"a base inside another", []Directory{a, b}, []string{"ou=x,dc=a", "dc=a"}, 0, "a:ada a:Zoe", false, nil},
		{"a base that holds nobody", []Directory{a, b}, []string{"ou=none,dc=b"}, 0, "", false, nil},
		{"a base of none", []Directory{a, b}, []string{"ou=x,dc=b", "dc=c"}, 0, "", false, ErrOutside},
		{"a base of none, alone", []Directory{a}, []string{"dc=c"}, 0, "", false, ErrOutside},
		{"an empty base is not everywhere", []Directory{&seeker{at: map[string][]string{}}, &seeker{at: map[string][]string{}}}, []string{""}, 0, "", false, ErrOutside},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var named []Named
			for i, m := range tt.members {
				named = append(named, Named{Name: string(rune('a' + i)), Directory: m})
			}
			s, err := NewSet(named...)
			if err != nil {
				t.Fatal(err)
			}
			found, err := s.Search(t.Context(), Query{Text: "x", Most: tt.most, Scope: Scope{Bases: tt.bases}})
			var got []string
			for _, h := range found.Hits {
				got = append(got, string(h.ID))
			}
			if err != nil && len(got) > 0 || !errors.Is(err, tt.err) || !slices.Equal(got, strings.Fields(tt.want)) || found.More != tt.more {
				t.Errorf("%q, more %v, %v; want %q, %v, %v", got, found.More, err, tt.want, tt.more, tt.err)
			}
		})
	}
}
