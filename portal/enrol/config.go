package enrol

import (
	"errors"
	"fmt"
	"time"
)

// Config is how people are brought to enrol something.
type Config struct {
	// RemindEvery is how often somebody who could not recover is asked to; 0: never.
	RemindEvery time.Duration `yaml:"remind_every"`
	// Snooze is for how long the link in a reminder keeps the next one away.
	Snooze time.Duration `yaml:"snooze"`
	// Deadline is the last day, YYYY-MM-DD; empty: there is none.
	Deadline string `yaml:"deadline"`
	// Invitation is how long the link of an invitation works.
	Invitation time.Duration `yaml:"invitation"`
}

// DefaultConfig reminds nobody.
func DefaultConfig() Config {
	return Config{Snooze: 14 * day, Invitation: 3 * day}
}

const day = 24 * time.Hour

// Validate returns every fault, each beginning with the name of its key.
func (c Config) Validate() (faults []error) {
	add := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if c.RemindEvery != 0 && (c.RemindEvery < day || c.RemindEvery > 365*day) {
		add("remind_every: %s is neither 0s nor between 24h and 8760h", c.RemindEvery)
	}
	if c.Snooze < time.Hour || c.Snooze > 90*day {
		add("snooze: %s is not between 1h and 2160h", c.Snooze)
	}
	if _, err := time.Parse(time.DateOnly, c.Deadline); c.Deadline != "" && err != nil {
		faults = append(faults, errors.New("deadline: is not a day like 2027-03-31"))
	}
	// It stands for a proof: a mail nobody opened must not be worth anything for ever.
	if c.Invitation < time.Hour || c.Invitation > 30*day {
		add("invitation: %s is not between 1h and 720h", c.Invitation)
	}
	return faults
}

// Campaign is a checked Config in a time zone.
type Campaign struct {
	RemindEvery, Snooze, Invitation time.Duration
	Deadline                        time.Time // the end of its day; zero: there is none
}

// Campaign of a Config without faults.
func (c Config) Campaign(zone *time.Location) Campaign {
	out := Campaign{RemindEvery: c.RemindEvery, Snooze: c.Snooze, Invitation: c.Invitation}
	if d, err := time.ParseInLocation(time.DateOnly, c.Deadline, zone); err == nil {
		out.Deadline = d.AddDate(0, 0, 1).Add(-time.Second) // a day may have 23 hours
	}
	return out
}

// until is when a snooze from now ends, never beyond the deadline; zero: none is
// to be had any more.
func (c Campaign) until(now time.Time) time.Time {
	end := now.Add(c.Snooze)
	if !c.Deadline.IsZero() && end.After(c.Deadline) {
		end = c.Deadline
	}
	if !end.After(now) {
		return time.Time{}
	}
	return end
}
