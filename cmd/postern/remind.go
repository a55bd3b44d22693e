package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/audit"
	"postern/portal/enrol"
	"postern/portal/flow"
	"postern/portal/policy"
	"postern/portal/store"
)

const (
	// remindMost bounds one round: a mail server need not take everybody's in an hour.
	remindMost = 2000
	// byHandEvery is how often somebody is reminded at most where no round is made by
	// itself.
	byHandEvery = 7 * 24 * time.Hour
)

func (c *cli) remind() *cobra.Command {
	var path string
	var dry bool
	cmd := &cobra.Command{
		Use:   "remind",
		Short: "Ask everybody who could not recover to enrol something",
		Long: "Mails everybody who could not reset their password today, unless they were reminded\n" +
			"within enrolment.remind_every or asked not to be for a while. serve does the same by\n" +
			"itself once a day, unless that is 0s; then this reminds nobody twice within a week.\n" +
			fmt.Sprintf("One round reminds at most %d, those who have waited longest first.", remindMost),
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := c.load(path)
			if err != nil {
				return err
			}
			s := &survey{door: access.Web, purpose: policy.Reset}
			if err := s.add(cfg); err != nil {
				return err
			}
			done, err := s.open(cmd.Context(), cfg)
			if err != nil {
				return err
			}
			defer done()
			db, ok := s.db.(*store.DB)
			if !ok {
				return fmt.Errorf("%T reminds nobody", s.db)
			}
			return c.remindAll(cmd.Context(), s.reminder(cfg, db), dry)
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().BoolVar(&dry, "dry-run", false, "say who would be reminded and change nothing")
	return cmd
}

func (c *cli) remindAll(ctx context.Context, r enrol.Reminder, dry bool) error {
	if dry {
		r.Survey.Observe = nil
		due, err := r.Due(ctx)
		if err != nil {
			return err
		}
		for _, p := range due {
			fmt.Fprintf(c.out, "would remind %s%s\n", oneLine(p.Login), last(p.Standing.Reminded))
		}
		fmt.Fprintf(c.out, "%s would be reminded; nothing was changed\n", count(len(due), "account"))
		return nil
	}
	n := 0
	err := r.Remind(ctx, operator(), func(p enrol.Covered) {
		n++
		fmt.Fprintf(c.out, "reminded %s\n", oneLine(p.Login))
	})
	fmt.Fprintf(c.out, "%s reminded\n", count(n, "account"))
	return err
}

func last(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return ", last on " + t.UTC().Format(time.DateOnly)
}

// reminder is what serve and the command do alike.
func (s *survey) reminder(cfg Config, db *store.DB) enrol.Reminder {
	r := enrol.Reminder{Survey: s.of(db), Memory: db, Campaign: cfg.Enrolment.Campaign(cfg.zone), Now: s.now, Most: remindMost}
	if r.RemindEvery == 0 {
		r.RemindEvery = byHandEvery
	}
	watch := flow.Watch{Memory: db, Key: s.keys.Derive(keyContacts), Now: s.now}
	r.Survey.Observe = func(ctx context.Context, u directory.User) error {
		_, err := watch.Observe(ctx, u)
		return err
	}
	return r
}

// reminders is the daily round of serve; nil: there is none.
func (p *program) reminders() (func(context.Context) error, error) {
	if p.cfg.Enrolment.RemindEvery == 0 {
		return nil, nil
	}
	s := &survey{door: access.Web, purpose: policy.Reset, people: p.people, db: p.db, keys: p.keys, now: p.now}
	if err := s.add(p.cfg); err != nil {
		return nil, err
	}
	r := s.reminder(p.cfg, p.db)
	return func(ctx context.Context) error {
		n := 0
		err := r.Remind(ctx, audit.Event{Door: "job"}, func(enrol.Covered) { n++ })
		p.log.InfoContext(ctx, "reminded people who could not recover", "people", n)
		return err
	}, nil
}
