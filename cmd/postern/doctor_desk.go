package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/kiosk"
	"postern/portal/store"
)

// alerts says whether anybody hears of alarms.
func (d *examination) alerts(cfg Config) {
	if len(cfg.Alerts.Mail) > 0 {
		d.ok("alerts", "alarms go to %s", strings.Join(cfg.Alerts.Mail, ", "))
		return
	}
	d.bad(directory.Warning, "alerts", "alerts.mail is empty", "nobody hears when a kiosk is copied, when proofs fail by the hundred, or when an operator raises the level",
		"name somebody in alerts.mail")
}

// roles says which roles nobody has: a group that is misspelt, or empty.
func (d *examination) roles(ctx context.Context, cfg Config) {
	if !cfg.Access.Roles.On() {
		d.ok("roles", "no group has a role, so there is no desk")
		return
	}
	var members []directory.Named
	for _, dir := range cfg.Directories {
		opened, err := dir.open(d.now)
		if err != nil {
			return // said of the directory itself
		}
		defer opened.Close()
		members = append(members, directory.Named{Name: dir.Name, Directory: opened})
	}
	set, err := directory.NewSet(members...)
	if err != nil {
		return
	}
	nobody, looked, err := d.unfilled(ctx, set, cfg.Access.Roles)
	switch {
	case len(nobody) == 0:
		d.ok("roles", "somebody has each role that is given to a group")
	case err != nil:
		d.bad(directory.Warning, "roles", fmt.Sprintf("%s: whether somebody has it could not be told (%s read, then: %v)", strings.Join(nobody, ", "), count(looked, "account"), err),
			"a role that nobody has is not noticed", "see what is said of the directories")
	default:
		d.bad(directory.Warning, "roles", fmt.Sprintf("%s: none of %s has it", strings.Join(nobody, ", "), count(looked, "account")),
			"a group of access.roles is misspelt, is empty, or its members are not where people are looked for", "check the groups in the directory: postern policy explain LOGIN shows those of one account")
	}
}

// unfilled are the roles given to groups that nobody is in, as far as accounts could be
// read; err says why that was not everybody. It stops when somebody has each.
func (d *examination) unfilled(ctx context.Context, people *directory.Set, roles access.Roles) (nobody []string, looked int, err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var mu sync.Mutex
	missing := map[access.Role]bool{}
	order := []access.Role{access.Technician, access.Senior, access.Auditor, access.Operator}
	for i, groups := range [][]string{roles.Technician, roles.Senior, roles.Auditor, roles.Operator} {
		if len(groups) > 0 {
			missing[order[i]] = true
		}
	}
	var failed error
	see := func(id directory.ID) {
		u, err := people.Read(ctx, directory.User{ID: id})
		mu.Lock()
		defer mu.Unlock()
		switch {
		case errors.Is(err, directory.ErrNotFound): // gone meanwhile
		case err != nil && failed == nil:
			failed = err
		case err == nil:
			looked++
			for _, role := range roles.Of(u) {
				delete(missing, role)
			}
			if len(missing) == 0 {
				stop()
			}
		}
	}
	ids := make(chan directory.ID)
	var all sync.WaitGroup
	for range readers {
		all.Go(func() {
			whole := d.safe("doctor", func() {
				for id := range ids {
					see(id)
				}
			})
			if !whole {
				mu.Lock()
				failed = errPanicked
				mu.Unlock()
				stop() // or nobody might be left to take the next one
			}
		})
	}
	err = people.People(ctx, func(id directory.ID) error {
		select {
		case ids <- id:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	close(ids)
	all.Wait()
	for _, role := range order {
		if missing[role] {
			nobody = append(nobody, string(role))
		}
	}
	return nobody, looked, errors.Join(err, failed)
}

// kiosks says of each shared screen what somebody should look after. db is whole.
func (d *examination) kiosks(ctx context.Context, db *store.DB) {
	all, err := db.Kiosks(ctx)
	if err != nil {
		d.bad(directory.Failure, "kiosks", err.Error(), "no kiosk is served", "check the database")
		return
	}
	states := map[kiosk.State][]kiosk.Device{}
	for _, k := range all {
		s := k.State(d.now())
		states[s] = append(states[s], k)
	}
	if list := states[kiosk.Quiet]; len(list) > 0 {
		d.bad(directory.Warning, "kiosks", "not seen for a week or more: "+labels(list), "it is switched off, its browser has lost its key, or somebody has taken it away",
			"look after it; if it is gone: postern kiosk revoke "+list[0].ID)
	}
	if list := states[kiosk.Lapsed]; len(list) > 0 {
		d.bad(directory.Warning, "kiosks", "nobody entered the code in time: "+labels(list), "it opens nothing",
			"postern kiosk code "+list[0].ID+", or postern kiosk revoke "+list[0].ID)
	}
	for _, k := range states[kiosk.Waiting] {
		d.ok("kiosks", "%s waits for its one-time code until %s", k.Screen().Label(), k.Until.UTC().Format(time.RFC3339))
	}
	if n := len(states[kiosk.InUse]); n > 0 {
		d.ok("kiosks", "%s in use", count(n, "kiosk"))
	}
}

// labels are the first of them, and how many more there are.
func labels(list []kiosk.Device) string {
	const most = 5
	var names []string
	for _, k := range list[:min(most, len(list))] {
		names = append(names, k.Screen().Label()+" ("+k.ID+")")
	}
	if more := len(list) - most; more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(names, "; ")
}
