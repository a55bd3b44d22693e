package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/audit"
	"postern/portal/enrol"
	"postern/portal/policy"
	"postern/portal/store"
	"postern/verify"
)

func (c *cli) policy() *cobra.Command {
	return group(&cobra.Command{
		Use:   "policy",
		Short: "Say what the policy means for people",
	}, c.policyExplain())
}

func (c *cli) policyExplain() *cobra.Command {
	var path, with, login, groupName, purpose, door string
	var all, asJSON bool
	cmd := &cobra.Command{
		Use:   "explain",
		Short: "Say which ways in are open to somebody, how strong they are and what is missing",
		Long: "Says which sets of proofs would be enough for somebody, which of them are open to\n" +
			"them now, how strong each is and what is missing. For a group, or for all, it counts\n" +
			"who would be stranded. --with compares with the policy of another file, before it is\n" +
			"switched on. It changes nothing.\n\n" +
			"--group and --all cover everybody in the directories, and whoever enrolled or began\n" +
			"something here, by the record. Where a directory cannot be listed they cover the latter\n" +
			"alone, and the answer says so.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if login == "" && groupName == "" && !all {
				return errors.New("about whom? give --user LOGIN, --group NAME or --all")
			}
			cfg, err := c.load(path)
			if err != nil {
				return err
			}
			s := &survey{door: access.Door(door), purpose: policy.Purpose(purpose)}
			if err := s.add(cfg); err != nil {
				return err
			}
			if with != "" {
				proposed, err := c.loadPolicy(with)
				if err != nil {
					return err
				}
				if err := s.add(proposed); err != nil {
					return fmt.Errorf("%s: %w", with, err)
				}
			}
			done, err := s.open(cmd.Context(), cfg)
			if err != nil {
				return err
			}
			defer done()
			raised, err := s.heed(cmd.Context())
			if err != nil {
				return err
			}
			var r *report
			if login != "" {
				r, err = s.one(cmd.Context(), login)
			} else {
				r, err = s.many(cmd.Context(), groupName)
			}
			if err != nil {
				return err
			}
			r.Raised = raised
			if !asJSON {
				r.text(c.out)
				return nil
			}
			e := json.NewEncoder(c.out)
			e.SetEscapeHTML(false)
			e.SetIndent("", "  ")
			return e.Encode(r)
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().StringVar(&login, "user", "", "one person, by the `login` they type")
	cmd.Flags().StringVar(&groupName, "group", "", "the members of a group, by its `name` or DN")
	cmd.Flags().BoolVar(&all, "all", false, "everybody")
	cmd.Flags().StringVar(&with, "with", "", "compare with the policy of this configuration `file`")
	cmd.Flags().StringVar(&purpose, "purpose", string(policy.Reset), "reset, unlock, change, signin or stepup")
	cmd.Flags().StringVar(&door, "door", string(access.Web), "web, kiosk, desk or api")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, one object with a list of people and all their paths")
	cmd.MarkFlagsOneRequired("user", "group", "all")
	cmd.MarkFlagsMutuallyExclusive("user", "group", "all")
	return cmd
}

// loadPolicy reads a proposed file. It may be tried where its secrets are not to
// be had, so that only faults of the policy, and of the file as a whole, count.
func (c *cli) loadPolicy(path string) (Config, error) {
	data, err := readBounded(path, maxConfig)
	if err != nil {
		return Config{}, err
	}
	folder, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return Config{}, err
	}
	cfg, faults := parse(data, folder, c.env)
	faults = slices.DeleteFunc(faults, func(f Fault) bool {
		return f.Path != "" && f.Path != "policy" && !strings.HasPrefix(f.Path, "policy.")
	})
	faults.sort()
	if len(faults) > 0 {
		return Config{}, fmt.Errorf("%s:\n%w", path, faults)
	}
	return cfg, nil
}

// enrolments is what a survey asks of the store (*store.DB).
type enrolments interface {
	enrol.Credentials
	strikes
	access.Threats
	Standing(ctx context.Context, id directory.ID) (access.Standing, error)
	Export(ctx context.Context, q audit.Query, each func(audit.Event) error) error
}

// survey asks one policy, or two, about people.
type survey struct {
	door    access.Door
	purpose policy.Purpose
	// asked are the policy in force and, where there is one, the proposed.
	asked  []asked
	people directory.Directory
	db     enrolments
	names  []string // of the directories
	keys   *store.Keys
	now    func() time.Time
}

type asked struct {
	*policy.Simulator
	phone func(directory.User) bool // a code by SMS can be sent
}

func (s *survey) add(cfg Config) error {
	p, err := policy.New(cfg.Policy)
	if err != nil {
		return err
	}
	sim, err := p.Simulator(s.door, s.purpose)
	if err != nil {
		return fmt.Errorf("--%w", err)
	}
	phone, err := cfg.phone()
	if err != nil {
		return err
	}
	s.asked = append(s.asked, asked{sim, phone})
	return nil
}

// heed makes every answer one of a raised threat level where it is raised now, and
// reports whether that matters.
func (s *survey) heed(ctx context.Context) (bool, error) {
	t, err := s.db.Threat(ctx)
	raised := t.Raised(s.now()) && policy.Vouches(s.purpose)
	for _, a := range s.asked {
		a.Raised = raised
	}
	return raised, err
}

// open opens the store and the directories, and changes nothing in either: a
// database that is not there is not made, and an older one not migrated.
func (s *survey) open(ctx context.Context, cfg Config) (done func(), err error) {
	db, keys, err := cfg.openReady(ctx)
	if err != nil {
		return nil, err
	}
	opened := []func(){func() { db.Close() }}
	end := func() {
		for _, one := range slices.Backward(opened) {
			one()
		}
	}
	defer func() {
		if err != nil {
			end()
		}
	}()
	var members []directory.Named
	for _, d := range cfg.Directories {
		one, err := d.open(time.Now)
		if err != nil {
			return nil, fmt.Errorf("directory %s: %w", d.Name, err)
		}
		opened = append(opened, one.Close)
		members = append(members, directory.Named{Name: d.Name, Directory: one})
		s.names = append(s.names, d.Name)
	}
	s.db, s.keys, s.now = db, keys, time.Now
	if s.people, err = directory.NewSet(members...); err != nil {
		return nil, err
	}
	return end, nil
}

// openReady opens a store that is this program's, and changes nothing in it: one that
// is not there is not made, and an older one not migrated.
func (c *Config) openReady(ctx context.Context) (db *store.DB, keys *store.Keys, err error) {
	if c.Store.Postgres == "" {
		if _, err := os.Stat(c.Store.Path); errors.Is(err, fs.ErrNotExist) {
			return nil, nil, fmt.Errorf("there is no database %s yet: postern serve makes it", c.Store.Path)
		} else if err != nil {
			return nil, nil, err
		}
	}
	if db, keys, err = c.openStore(ctx, time.Now); err != nil {
		return nil, nil, err
	}
	if err := c.checkReady(ctx, db); err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return db, keys, nil
}

func (c *Config) checkReady(ctx context.Context, db *store.DB) error {
	switch have, want, err := db.Schema(ctx); {
	case err != nil:
		return err
	case have != want:
		return fmt.Errorf("the database has schema %d and this program's is %d: run the program that goes with it, or postern migrate", have, want)
	}
	err := db.CheckKeys(ctx)
	if errors.Is(err, store.ErrOtherKeys) {
		err = fmt.Errorf("%w: bring back the %s that was made for it", err, c.Keys)
	}
	return err
}

// subject is one person, and what they could prove with.
type subject struct {
	user   directory.User
	means  policy.Means
	since  map[verify.Kind]time.Time // as policy.Simulator.Cooling wants it
	frozen bool
}

// look reads what u has. Phones are each policy's to judge.
func (s *survey) look(ctx context.Context, u directory.User) (subject, error) {
	m, err := enrol.Lookup{Credentials: s.db, Ended: ended(s.db), Standing: s.db.Standing}.Means(ctx, u)
	if err != nil {
		return subject{}, fmt.Errorf("%s: %w", u.Login, err)
	}
	return subject{user: u, means: m.Means, since: m.Since, frozen: m.Frozen}, nil
}

func (s *survey) one(ctx context.Context, login string) (*report, error) {
	u, err := s.people.Find(ctx, login)
	if err != nil {
		return nil, fmt.Errorf("--user %s: %w", login, err)
	}
	one, err := s.look(ctx, u)
	if err != nil {
		return nil, err
	}
	r := s.report()
	r.single = true
	r.add(s, one)
	return r, nil
}

// readers is how many people are read at once: the directory has others to serve.
const readers = 8

// many asks about the members of a group, or about all when it is empty.
func (s *survey) many(ctx context.Context, groupName string) (*report, error) {
	known, everybody, err := s.known(ctx)
	if err != nil {
		return nil, err
	}
	type answer struct {
		subject
		gone, left bool // left: not in the group
		err        error
	}
	ids := slices.Sorted(maps.Keys(known))
	answers := make([]answer, len(ids))
	next := make(chan int)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	for range min(readers, len(ids)) {
		wg.Go(func() {
			for i := range next {
				a := &answers[i]
				u, err := s.people.Read(ctx, directory.User{ID: ids[i]})
				switch {
				case errors.Is(err, directory.ErrNotFound):
					a.gone = true
				case err != nil:
					a.err = fmt.Errorf("%s: %w", ids[i], err)
				case groupName != "" && !directory.MemberOf(u, groupName):
					a.left = true
				default:
					a.subject, a.err = s.look(ctx, u)
				}
				if a.err != nil {
					cancel() // half an answer is none
				}
			}
		})
	}
	for i := range ids {
		next <- i
	}
	close(next)
	wg.Wait()
	r := s.report()
	r.Group, r.Gone, r.Everybody = groupName, new(int), everybody
	var fault error
	for i, a := range answers {
		switch {
		case a.err != nil && (fault == nil || errors.Is(fault, context.Canceled)):
			fault = a.err // the first, not what it cut short
		case a.gone && known[ids[i]]:
			*r.Gone++
		case a.gone: // deleted since it was listed
		case !a.left && a.err == nil:
			r.add(s, a.subject)
		}
	}
	if fault != nil {
		return nil, fault
	}
	slices.SortFunc(r.People, func(a, b person) int { return cmp.Or(cmp.Compare(a.Login, b.Login), cmp.Compare(a.ID, b.ID)) })
	return r, nil
}

// known are the accounts in the record, which are true, and those that are in the
// directories alone, where they can be listed. Nobody can enrol without an event
// that is stored with it, so whoever has something enrolled is in the record.
func (s *survey) known(ctx context.Context) (seen map[directory.ID]bool, everybody bool, err error) {
	seen = map[directory.ID]bool{}
	if l, can := s.people.(directory.Lister); can {
		err = l.People(ctx, func(id directory.ID) error { seen[id] = false; return nil })
		if everybody = err == nil; !everybody && !errors.Is(err, directory.ErrUnsupported) {
			return nil, false, err
		}
	}
	err = s.db.Export(ctx, audit.Query{}, func(e audit.Event) error {
		if e.Kind == audit.PolicyExplained {
			return nil // asking about people must not make them some who came
		}
		// Names that belong to nobody are counted too, by no directory's name.
		if name, _, ok := strings.Cut(string(e.Subject), ":"); ok && slices.Contains(s.names, name) {
			seen[e.Subject] = true
		}
		return nil
	})
	return seen, everybody, err
}
