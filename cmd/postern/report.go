package main

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/audit"
	"postern/portal/enrol"
	"postern/portal/flow"
	"postern/portal/policy"
	"postern/verify"
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
				return r.csv(c.out)
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
		Ended: func(ctx context.Context, id directory.ID, kind verify.Kind) (bool, error) {
			n, err := s.db.Strikes(ctx, id, kind)
			return n.Consecutive >= flow.DefaultStrikeRule.Hard, err
		},
	}
}

// coverageReport is the answer: its fields are the JSON.
type coverageReport struct {
	Note           string              `json:"note"`
	Everybody      bool                `json:"everybody"` // the directories were listed
	People         int                 `json:"people"`    // whom the portal serves
	CanRecover     int                 `json:"can_recover"`
	ByPasskeyAlone int                 `json:"by_passkey_alone"`
	ByTwoGates     int                 `json:"by_two_gates"`
	OneWay         int                 `json:"one_way"`
	CannotRecover  int                 `json:"cannot_recover"`
	Factors        map[verify.Kind]int `json:"factors"`    // people who have it
	CodesLeft      int                 `json:"codes_left"` // recovery codes of all
	FewCodes       int                 `json:"few_codes"`  // people who have some, and fewer than fewCodes
	NotServed      map[string]int      `json:"not_served"` // by why
	Gone           int                 `json:"gone"`
	List           []coveredPerson     `json:"list"`
}

type coveredPerson struct {
	ID        directory.ID        `json:"id"`
	Login     string              `json:"login"`
	Name      string              `json:"name"`
	Status    string              `json:"status"`
	Factors   map[verify.Kind]int `json:"factors"`
	Ways      [][]verify.Kind     `json:"ways"`
	CodesLeft int                 `json:"codes_left"`
	Oldest    time.Time           `json:"oldest,omitzero"`
	Newest    time.Time           `json:"newest,omitzero"`
	Reminded  time.Time           `json:"reminded,omitzero"`
	Snoozed   time.Time           `json:"snoozed_until,omitzero"`
}

// What a person's status is; whom the portal does not act on has the policy's
// reason behind not_served.
const (
	canRecover    = "can_recover"
	cannotRecover = "cannot_recover"
	notServed     = "not_served"
	goneAway      = "gone"
)

// fewCodes is when somebody should make new ones.
const fewCodes = 3

// The notes say who is counted.
const (
	noteEverybody = "Everybody in the directories is counted, also who has nothing enrolled."
	noteEnrolled  = "Only accounts with something enrolled are counted: a directory cannot be listed."
)

func newCoverageReport(all enrol.Coverage) coverageReport {
	r := coverageReport{Note: noteEnrolled, Everybody: all.Everybody, Factors: map[verify.Kind]int{}, NotServed: map[string]int{}, Gone: len(all.Gone), List: []coveredPerson{}}
	if all.Everybody {
		r.Note = noteEverybody
	}
	maps.Copy(r.NotServed, all.Outside)
	for _, p := range all.People {
		one := newCovered(p, cannotRecover)
		r.People++
		for k := range one.Factors {
			r.Factors[k]++
		}
		r.CodesLeft += one.CodesLeft
		if one.CodesLeft > 0 && one.CodesLeft < fewCodes {
			r.FewCodes++
		}
		if len(p.Ways) == 0 {
			r.CannotRecover++
		} else {
			one.Status = canRecover
			r.CanRecover++
		}
		if len(p.Ways) == 1 {
			r.OneWay++
		}
		if p.ByPasskeyAlone() {
			r.ByPasskeyAlone++
		}
		if p.ByTwoGates() {
			r.ByTwoGates++
		}
		r.List = append(r.List, one)
	}
	for _, p := range all.Unserved {
		r.NotServed[p.Unserved]++
		r.List = append(r.List, newCovered(p, notServed+":"+p.Unserved))
	}
	for _, id := range all.Gone {
		r.List = append(r.List, coveredPerson{ID: id, Status: goneAway, Factors: map[verify.Kind]int{}, Ways: [][]verify.Kind{}})
	}
	return r
}

func newCovered(p enrol.Covered, status string) coveredPerson {
	one := coveredPerson{ID: p.ID, Login: p.Login, Name: p.Name, Status: status, Factors: map[verify.Kind]int{},
		Ways: append([][]verify.Kind{}, p.Ways...), CodesLeft: p.Count(verify.RecoveryCode)}
	for _, h := range p.Holdings {
		one.Factors[h.Kind] = h.Count
	}
	one.Oldest, one.Newest = p.Span()
	one.Reminded, one.Snoozed = p.Standing.Reminded, p.Standing.Snoozed
	return one
}

// waysText is "passkey; totp + email".
func waysText(ways [][]verify.Kind) string {
	texts := make([]string, len(ways))
	for i, w := range ways {
		texts[i] = join(w, " + ")
	}
	return strings.Join(texts, "; ")
}

func (r coverageReport) csv(w io.Writer) error {
	out := csv.NewWriter(w)
	if err := out.Write([]string{"login", "name", "status", "factors", "ways", "codes_left", "oldest", "newest", "id", "reminded", "snoozed_until"}); err != nil {
		return err
	}
	at := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.UTC().Format(time.RFC3339)
	}
	for _, p := range r.List {
		record := []string{p.Login, p.Name, p.Status, join(slices.Sorted(maps.Keys(p.Factors)), " "), waysText(p.Ways),
			strconv.Itoa(p.CodesLeft), at(p.Oldest), at(p.Newest), string(p.ID), at(p.Reminded), at(p.Snoozed)}
		for i, field := range record {
			record[i] = audit.Field(field)
		}
		if err := out.Write(record); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

func (r coverageReport) text(w io.Writer) {
	fmt.Fprintf(w, "who could reset their password today, at the web door\n(%s)\n\n", r.Note)
	fmt.Fprintf(w, "  %6d people\n  %6d could recover\n", r.People, r.CanRecover)
	fmt.Fprintf(w, "         %d by a passkey alone, %d by two gates; some by either\n", r.ByPasskeyAlone, r.ByTwoGates)
	fmt.Fprintf(w, "         %d have only one way\n", r.OneWay)
	r.names(w, func(p coveredPerson) bool { return len(p.Ways) == 1 })
	fmt.Fprintf(w, "  %6d could not\n", r.CannotRecover)
	r.names(w, func(p coveredPerson) bool { return p.Status == cannotRecover })
	fmt.Fprintln(w, "\npeople who have")
	for _, k := range slices.Sorted(maps.Keys(r.Factors)) {
		fmt.Fprintf(w, "  %6d %s\n", r.Factors[k], k)
	}
	fmt.Fprintf(w, "\nrecovery codes left: %d; people with fewer than %d left: %d\n", r.CodesLeft, fewCodes, r.FewCodes)
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

// names tells some logins; --csv and --json tell all.
func (r coverageReport) names(w io.Writer, is func(coveredPerson) bool) {
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
