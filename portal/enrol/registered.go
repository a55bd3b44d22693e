package enrol

import (
	"context"
	"errors"

	"postern/directory"
)

// registry has a report of what people registered with a directory itself, which the
// portal has no hand in (directory.MethodKeeper).
type registry interface {
	Registered(ctx context.Context, each func(directory.Registration) error) error
}

// Report is what the directories' own reports have. They may be hours old, and
// nothing of the portal's rests on them.
type Report struct {
	Of map[directory.ID]directory.Registration
	// Failed is why there is none although a directory has one. It does not spoil the
	// count: a tenant may keep the report from whoever has not paid for it.
	Failed error
}

// report reads them; it is empty where no directory has one.
func (s Survey) report(ctx context.Context) (r Report) {
	d, can := s.Directory.(registry)
	if !can {
		return r
	}
	r.Of = map[directory.ID]directory.Registration{}
	err := d.Registered(ctx, func(one directory.Registration) error {
		r.Of[one.ID] = one
		return ctx.Err()
	})
	switch {
	case errors.Is(err, directory.ErrUnsupported):
		return Report{}
	case err != nil:
		return Report{Failed: err} // half a report would be taken for the whole
	}
	return r
}

// Registered counts a Report.
type Registered struct {
	People int `json:"people"` // whom the portal serves and the report knows
	// Ready are those of them who can prove more there than a password.
	Ready  int            `json:"ready"`
	Kinds  map[string]int `json:"kinds"`  // people who have it, by the directory's own names
	Others int            `json:"others"` // in the report and not served here: guests, copies of accounts kept elsewhere
	Failed string         `json:"failed,omitempty"`
}

// registered is nil where no directory has a report.
func (c Coverage) registered() *Registered {
	if c.Report.Of == nil && c.Report.Failed == nil {
		return nil
	}
	r := &Registered{Kinds: map[string]int{}}
	if c.Report.Failed != nil {
		r.Failed = c.Report.Failed.Error()
		return r
	}
	for _, p := range c.People {
		one, known := c.Report.Of[p.ID]
		if !known {
			continue
		}
		r.People++
		if one.Ready {
			r.Ready++
		}
		for _, k := range one.Kinds {
			r.Kinds[k]++
		}
	}
	r.Others = len(c.Report.Of) - r.People
	return r
}
