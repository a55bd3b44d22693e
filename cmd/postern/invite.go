package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os/user"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/audit"
	"postern/portal/enrol"
	"postern/portal/policy"
	"postern/portal/store"
)

// maxInvite bounds a file of logins.
const maxInvite = 1 << 20

func (c *cli) invite() *cobra.Command {
	var path, file string
	var hand, dry bool
	cmd := &cobra.Command{
		Use:   "invite LOGIN…",
		Short: "Invite people who have nothing enrolled to set up their first factor",
		Long: "Mails a link that, with the person's current password, signs them in once to set up\n" +
			"their first factor. It takes the place of the code by mail; without the password it\n" +
			"opens nothing. A new invitation ends the earlier ones of that person.\n\n" +
			"Whoever has something enrolled, is not served or is frozen is not invited, and the\n" +
			"exit code is 1; the others are. With --print the links are printed, to be handed over\n" +
			"in person, and not mailed.",
		RunE: func(cmd *cobra.Command, logins []string) error {
			if file != "" {
				more, err := readLogins(file)
				if err != nil {
					return fmt.Errorf("--file: %w", err)
				}
				logins = append(logins, more...)
			}
			if len(logins) == 0 {
				return errors.New("invite whom? give logins, or --file")
			}
			cfg, err := c.load(path)
			if err != nil {
				return err
			}
			s := &survey{door: access.Web, purpose: policy.SignIn}
			done, err := s.open(cmd.Context(), cfg)
			if err != nil {
				return err
			}
			defer done()
			i, err := s.inviter(cfg)
			if err != nil {
				return err
			}
			return c.inviteAll(cmd.Context(), i, strings.TrimSuffix(cfg.Portal.PublicURL, "/"), logins, hand, dry)
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().StringVar(&file, "file", "", "CSV `file` with a column login, such as report coverage --csv writes")
	cmd.Flags().BoolVar(&hand, "print", false, "print the links, to be handed over, and mail nothing")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "check everybody, say who would be invited and change nothing")
	return cmd
}

func (s *survey) inviter(cfg Config) (enrol.Inviter, error) {
	rules, err := policy.New(cfg.Policy)
	if err != nil {
		return enrol.Inviter{}, err
	}
	db, ok := s.db.(*store.DB)
	if !ok {
		return enrol.Inviter{}, fmt.Errorf("%T keeps no links", s.db)
	}
	return enrol.Inviter{Directory: s.people, Rules: rules, Store: db, Accounts: db, Life: cfg.Enrolment.Invitation, Now: s.now}, nil
}

// inviteAll invites one after the other. Whoever must not be is told by name and
// stops nobody else; a directory or store that does not answer stops all.
func (c *cli) inviteAll(ctx context.Context, i enrol.Inviter, origin string, logins []string, hand, dry bool) error {
	invited, refused := map[directory.ID]bool{}, 0
	for _, login := range logins {
		u, why, err := i.Invitee(ctx, login, hand)
		if err != nil {
			return fmt.Errorf("%s: %w", oneLine(login), err)
		}
		if why == "" && invited[u.ID] {
			continue // by another of their names: the second link would end the first
		}
		var link string
		if why == "" && !dry {
			if link, why, err = i.Invite(ctx, u, hand, operator()); err != nil {
				return fmt.Errorf("%s: %w", oneLine(login), err)
			}
		}
		switch {
		case why != "":
			refused++
			fmt.Fprintf(c.out, "%s: not invited: %s\n", oneLine(login), why)
			continue
		case dry:
			fmt.Fprintf(c.out, "%s: would be invited\n", oneLine(login))
		case hand:
			fmt.Fprintf(c.out, "%s: %s%s (until %s)\n", oneLine(login), origin, link, i.Now().Add(i.Life).UTC().Format(time.RFC3339))
		default:
			fmt.Fprintf(c.out, "%s: invited by mail\n", oneLine(login))
		}
		invited[u.ID] = true
	}
	if dry {
		fmt.Fprintf(c.out, "%s would be invited, %d not; nothing was changed\n", count(len(invited), "account"), refused)
	} else {
		fmt.Fprintf(c.out, "%s invited, %d not\n", count(len(invited), "account"), refused)
	}
	if refused > 0 {
		return exit(1)
	}
	return nil
}

// operator is who works at the command line, for the record.
func operator() audit.Event {
	by := audit.Event{Actor: "operator", ActorName: "operator", Door: "cli"}
	if u, err := user.Current(); err == nil {
		by.ActorName = u.Username
	}
	return by
}

// readLogins reads the column login of a CSV file.
func readLogins(path string) ([]string, error) {
	data, err := readBounded(path, maxInvite)
	if err != nil {
		return nil, err
	}
	r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(data, []byte("\ufeff")))) // as spreadsheets write it
	head, err := r.Read()
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	at := slices.Index(head, "login")
	if at < 0 {
		return nil, errors.New("line 1: there is no column login")
	}
	var logins []string
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			return logins, nil
		} else if err != nil {
			return nil, err
		}
		if row[at] == "" {
			line, _ := r.FieldPos(at)
			return nil, fmt.Errorf("line %d: the login is empty", line)
		}
		logins = append(logins, row[at])
	}
}
