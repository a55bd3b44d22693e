package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"postern/portal/access"
	"postern/portal/enrol"
	"postern/portal/policy"
)

func (c *cli) report() *cobra.Command {
	return group(&cobra.Command{
		Use:   "report",
		Short: "Say how people stand",
	}, c.reportCoverage())
}

func (c *cli) reportCoverage() *cobra.Command {
	var path string
	var asCSV, asJSON bool
	cmd := &cobra.Command{
		Use:   "coverage",
		Short: "Say who could recover today, and by what",
		Long: "Says who could reset their password today at the web door, and by which factors: for\n" +
			"everybody in the directories, each read again. It changes nothing.\n\n" +
			"Accounts that the portal does not serve and that have nothing enrolled are counted and\n" +
			"not listed. Where a directory cannot be listed the report covers accounts with\n" +
			"something enrolled alone, and says so.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := c.load(path)
			if err != nil {
				return err
			}
			all, err := cfg.coverage(cmd.Context())
			if err != nil {
				return err
			}
			switch r := newCoverageReport(all); {
			case asCSV:
				return all.WriteCSV(c.out)
			case asJSON:
				e := json.NewEncoder(c.out)
				e.SetEscapeHTML(false)
				e.SetIndent("", "  ")
				return e.Encode(r)
			default:
				r.text(c.out)
			}
			return nil
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().BoolVar(&asCSV, "csv", false, "print CSV, a line for each person")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, one object with the counts and a list of people")
	cmd.MarkFlagsMutuallyExclusive("csv", "json")
	return cmd
}

// coverage asks by the same plans and means as policy explain does, so that the
// two never say different things of one person.
func (c Config) coverage(ctx context.Context) (enrol.Coverage, error) {
	s := &survey{door: access.Web, purpose: policy.Reset}
	if err := s.add(c); err != nil {
		return enrol.Coverage{}, err
	}
	done, err := s.open(ctx, c)
	if err != nil {
		return enrol.Coverage{}, err
	}
	defer done()
	inventory, ok := s.db.(enrol.Inventory)
	if !ok {
		return enrol.Coverage{}, fmt.Errorf("%T lists no enrolments", s.db)
	}
	return s.of(inventory).Coverage(ctx)
}

// of is the survey of the first policy asked.
func (s *survey) of(inventory enrol.Inventory) enrol.Survey {
	return enrol.Survey{
		Directory: s.people, Inventory: inventory, Judge: s.asked[0], Phone: s.asked[0].phone, Standing: s.db.Standing, Readers: readers, Now: s.now,
		Ended: ended(s.db),
	}
}

// coverageReport is the answer: its fields are the JSON.
type coverageReport struct {
	Note      string `json:"note"`
	Everybody bool   `json:"everybody"` // the directories were listed
	enrol.Figures
	List []enrol.Row `json:"list"`
}

// The notes say who is counted.
const (
	noteEverybody = "Everybody in the directories is counted, also who has nothing enrolled."
	noteEnrolled  = "Only accounts with something enrolled are counted: a directory cannot be listed."
)

func newCoverageReport(all enrol.Coverage) coverageReport {
	r := coverageReport{Note: noteEnrolled, Everybody: all.Everybody, Figures: all.Figures(), List: all.Lines()}
	if all.Everybody {
		r.Note = noteEverybody
	}
	return r
}

func (r coverageReport) text(w io.Writer) {
	fmt.Fprintf(w, "who could reset their password today, at the web door\n(%s)\n\n", r.Note)
	fmt.Fprintf(w, "  %6d people\n  %6d could recover\n", r.People, r.CanRecover)
	fmt.Fprintf(w, "         %d by a passkey alone, %d by two gates; some by either\n", r.ByPasskeyAlone, r.ByTwoGates)
	fmt.Fprintf(w, "         %d have only one way\n", r.OneWay)
	r.names(w, func(p enrol.Row) bool { return len(p.Ways) == 1 })
	fmt.Fprintf(w, "  %6d could not\n", r.CannotRecover)
	r.names(w, func(p enrol.Row) bool { return p.Status == enrol.CannotRecover })
	fmt.Fprintln(w, "\npeople who have")
	for _, k := range slices.Sorted(maps.Keys(r.Factors)) {
		fmt.Fprintf(w, "  %6d %s\n", r.Factors[k], k)
	}
	fmt.Fprintf(w, "\nrecovery codes left: %d; people with fewer than %d left: %d\n", r.CodesLeft, enrol.FewCodes, r.FewCodes)
	r.registered(w)
	if r.Gone > 0 || len(r.NotServed) > 0 {
		fmt.Fprintln(w, "\nnot counted above")
	}
	for _, why := range slices.Sorted(maps.Keys(r.NotServed)) {
		fmt.Fprintf(w, "  %6d not served: %s\n", r.NotServed[why], strings.ReplaceAll(why, "_", " "))
	}
	if r.Gone > 0 {
		fmt.Fprintf(w, "  %6d gone from the directory\n", r.Gone)
	}
}

// registered is what people have with a directory itself.
func (r coverageReport) registered(w io.Writer) {
	switch t := r.Registered; {
	case t == nil:
	case t.Failed != "":
		fmt.Fprintf(w, "\nregistered with the directory itself: its report could not be read\n  %s\n", oneLine(t.Failed))
	default:
		fmt.Fprintf(w, "\nregistered with the directory itself (its own report, which may be hours old)\n  %6d of %d can prove more than a password there\n", t.Ready, t.People)
		for _, k := range slices.Sorted(maps.Keys(t.Kinds)) {
			fmt.Fprintf(w, "  %6d %s\n", t.Kinds[k], oneLine(k))
		}
		if t.Others > 0 {
			fmt.Fprintf(w, "  %6d more in the report are not served as accounts of that directory\n", t.Others)
		}
	}
}

// names tells some logins; --csv and --json tell all.
func (r coverageReport) names(w io.Writer, is func(enrol.Row) bool) {
	var logins []string
	for _, p := range r.List {
		if is(p) {
			logins = append(logins, oneLine(p.Login))
		}
	}
	switch n := len(logins); {
	case n > named:
		fmt.Fprintf(w, "         %s and %d more (--csv names all)\n", strings.Join(logins[:named], ", "), n-named)
	case n > 0:
		fmt.Fprintf(w, "         %s\n", strings.Join(logins, ", "))
	}
}
