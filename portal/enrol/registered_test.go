package enrol_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"

	"postern/directory"
)

// tenancy is a directory with a report of its own.
type tenancy struct {
	*roll
	report []directory.Registration
	err    error
}

func (d tenancy) Registered(_ context.Context, each func(directory.Registration) error) error {
	for _, r := range d.report {
		if err := each(r); err != nil {
			return err
		}
	}
	return d.err
}

func TestCoverageTellsWhatPeopleRegisteredElsewhere(t *testing.T) {
	s, r := newSurvey(t, stock{{Owner: "test:ada", Kind: "totp", Count: 1}, {Owner: "test:bob", Kind: "totp", Count: 1}, {Owner: "test:cy", Kind: "totp", Count: 1}}, one("ada"), one("bob"), one("cy"))
	report := []directory.Registration{{ID: "test:ada", Kinds: []string{"mobilePhone", "fido2SecurityKey"}, Ready: true}, {ID: "test:bob", Kinds: []string{"mobilePhone"}}, {ID: "test:guest", Ready: true}}

	s.Directory = tenancy{roll: r, report: report}
	got, err := s.Coverage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f := got.Figures().Registered
	if f == nil || f.People != 2 || f.Ready != 1 || f.Others != 1 || f.Failed != "" || !reflect.DeepEqual(f.Kinds, map[string]int{"mobilePhone": 2, "fido2SecurityKey": 1}) {
		t.Errorf("%+v", f)
	}
	var csv strings.Builder
	if err := got.WriteCSV(&csv); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(csv.String(), ",mobilePhone fido2SecurityKey\n") {
		t.Error(csv.String())
	}

	// What was read before the fault is not shown as the whole.
	s.Directory = tenancy{roll: r, report: report, err: errors.New("403: AuditLog.Read.All")}
	if got, err = s.Coverage(t.Context()); err != nil {
		t.Fatal("a report that cannot be read spoils the count:", err)
	}
	if f = got.Figures().Registered; f == nil || f.Failed == "" || f.People != 0 || len(f.Kinds) != 0 || len(got.People) != 3 {
		t.Errorf("%+v", f)
	}

	s.Directory = tenancy{roll: r, err: directory.ErrUnsupported}
	if got, err = s.Coverage(t.Context()); err != nil || got.Figures().Registered != nil {
		t.Error(got.Figures().Registered, err)
	}
}
