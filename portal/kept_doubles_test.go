package portal

import (
	"context"
	"slices"
	"time"

	"postern/directory"
	"postern/portal/enrol"
)

// keeping gives the house a directory that keeps methods and gives passes.
func (o *own) keeping() {
	o.kept = &enrol.Kept{Passes: true, Methods: []directory.Method{{ID: "pw", Kind: "password"}, {ID: "tel", Kind: "phone", Name: "+49 555 0190", Removable: true},
		{ID: "a/../b", Kind: "fido2", Name: "Key", Removable: true}}}
	o.spent = map[string]bool{}
}

func (o *own) Kept(context.Context, enrol.Who) (enrol.Kept, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.kept == nil || o.away != nil {
		return enrol.Kept{}, cause(o.away)
	}
	k := *o.kept
	k.Methods = slices.Clone(k.Methods)
	return k, nil
}

func cause(err error) error {
	if err == nil {
		return directory.ErrUnsupported
	}
	return err
}

func (o *own) RemoveKept(_ context.Context, w enrol.Who, id string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.allow(w, "remove kept"); err != nil {
		return err
	}
	if o.kept == nil || o.refused != nil {
		return cause(o.refused)
	}
	i := slices.IndexFunc(o.kept.Methods, func(m directory.Method) bool { return m.ID == id && m.Removable })
	if i < 0 {
		return enrol.ErrNoMethod
	}
	o.kept.Methods = slices.Delete(o.kept.Methods, i, i+1)
	return nil
}

// passCanary is every pass.
const passCanary = "C4nary-TAP"

func (o *own) Pass(_ context.Context, w enrol.Who, once string) (directory.Pass, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.allow(w, "pass"); err != nil {
		return directory.Pass{}, err
	}
	switch {
	case o.kept == nil || o.refused != nil:
		return directory.Pass{}, cause(o.refused)
	case o.spent[once]:
		return directory.Pass{}, enrol.ErrSpent
	}
	o.spent[once] = true
	return directory.Pass{Value: directory.NewSecret(passCanary), Until: o.now().Add(time.Hour)}, nil
}
