package enrol_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/enrol"
	"postern/verify"
)

// A count reads everybody anyway: who will need help is kept from the same
// reading. Whom the portal leaves alone is on no list, and a frozen account is not
// stranded by what it lacks.
func TestACountKeepsWhoWillNeedHelp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		state := func(login string, s directory.State) directory.User {
			u := one(login, login+"@example.org")
			u.State, u.Directory = s, "test"
			return u
		}
		people := []directory.User{
			state("app", directory.State{}),
			state("locked", directory.State{Locked: true, LockedUntil: now.Add(time.Hour)}),
			state("soon", directory.State{PasswordExpires: now.Add(2 * 24 * time.Hour)}),
			state("sooner", directory.State{PasswordExpires: now.Add(24 * time.Hour)}),
			state("late", directory.State{PasswordExpires: now.Add(15 * 24 * time.Hour)}),
			state("must", directory.State{MustChange: true}),
			state("off", directory.State{Disabled: true, Locked: true, MustChange: true}),
			state("ice", directory.State{Locked: true}),
		}
		root := state("root", directory.State{Locked: true})
		root.Privileged = "Domain Admins"
		people = append(people, root)
		s, r := newSurvey(t, stock{{Owner: "test:app", Kind: verify.TOTP, Count: 1}}, people...)
		s.Standing = func(_ context.Context, id directory.ID) (access.Standing, error) {
			if id == "test:ice" {
				return access.Standing{Frozen: now}, nil
			}
			return access.Standing{}, nil
		}
		s.Directory, s.Now = listed{roll: r}, time.Now
		got, err := s.Coverage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for l, want := range map[directory.List]string{
			directory.Locked: "[ice locked]", directory.Expiring: "[sooner soon]", directory.MustChange: "[must]",
			directory.Stranded: "[late locked must soon sooner]",
		} {
			var on []string
			for _, e := range got.Rolls[l].List {
				if e.Directory != "test" {
					t.Errorf("%+v", e)
				}
				on = append(on, e.Login)
			}
			if fmt.Sprint(on) != want {
				t.Errorf("%s: %v, want %s", l, on, want)
			}
		}
	})
}

// The census hands out the lists with their time, so that nobody takes them for now.
func TestTheListsSayWhenTheyWereMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		census, _ := newCensus(t, &counter{may: make(chan struct{}, 1)})
		if r, at, _ := census.Rolls(); r != nil || !at.IsZero() {
			t.Errorf("before any count: %v %v", r, at)
		}
		census.Count = func(context.Context) (enrol.Coverage, error) {
			return enrol.Coverage{Everybody: true, Rolls: directory.Rolls{directory.Locked: {More: 3}}}, nil
		}
		ctx, stop := context.WithCancel(t.Context())
		go census.Run(ctx)
		if err := census.Start(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if r, at, everybody := census.Rolls(); r[directory.Locked].More != 3 || !at.Equal(time.Now()) || !everybody {
			t.Errorf("%v %v %v", r, at, everybody)
		}
		stop()
		synctest.Wait()
	})
}
