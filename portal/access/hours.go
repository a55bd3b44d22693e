package access

import (
	"fmt"
	"slices"
	"time"
)

// Hours are when the desk is open. The zero value is always.
type Hours struct {
	Days []string `yaml:"days"` // mon to sun; empty: every day
	From string   `yaml:"from"` // HH:MM on the wall clock
	To   string   `yaml:"to"`   // until before it; earlier than From: on the day after
}

// weekdays are how the file writes them, by time.Weekday.
var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// wholeDay is a day in minutes of the wall clock.
const wholeDay = 24 * 60

// Open reports whether the desk is open at t, by the clocks of zone: opening
// hours are what people there read off the wall, whatever summer time does. A
// shift over midnight belongs to the day it begins on. What cannot be read is
// closed.
func (h Hours) Open(t time.Time, zone *time.Location) bool {
	if h.always() {
		return true
	}
	from, to, err := h.span()
	if err != nil || zone == nil {
		return false
	}
	t = t.In(zone)
	at, today := t.Hour()*60+t.Minute(), t.Weekday()
	if from < to {
		return from <= at && at < to && h.on(today)
	}
	return at >= from && h.on(today) || at < to && h.on((today+6)%7)
}

func (h Hours) always() bool { return len(h.Days) == 0 && h.From == "" && h.To == "" }

func (h Hours) on(day time.Weekday) bool {
	return len(h.Days) == 0 || slices.Contains(h.Days, weekdays[day])
}

// span is from and to in minutes; neither given: the whole day.
func (h Hours) span() (from, to int, err error) {
	if h.From == "" && h.To == "" {
		return 0, wholeDay, nil
	}
	if from, err = minutes(h.From); err != nil {
		return 0, 0, fmt.Errorf("from: %w", err)
	}
	if to, err = minutes(h.To); h.To == "24:00" {
		to, err = wholeDay, nil
	}
	switch {
	case err != nil:
		return 0, 0, fmt.Errorf("to: %w", err)
	case from == to:
		return 0, 0, fmt.Errorf("to: %q is from as well; leave both out for the whole day", h.To)
	}
	return from, to, nil
}

func minutes(clock string) (int, error) {
	t, err := time.Parse("15:04", clock)
	if err != nil || len(clock) != len("15:04") {
		return 0, fmt.Errorf("%q is no time of day, like 07:00", clock)
	}
	return t.Hour()*60 + t.Minute(), nil
}

func (h Hours) faults() (faults []error) {
	for i, d := range h.Days {
		switch {
		case !slices.Contains(weekdays, d):
			faults = append(faults, fmt.Errorf("hours.days[%d]: %q is not one of mon, tue, wed, thu, fri, sat, sun", i, d))
		case slices.Contains(h.Days[:i], d):
			faults = append(faults, fmt.Errorf("hours.days[%d]: %q is there twice", i, d))
		}
	}
	if _, _, err := h.span(); err != nil {
		faults = append(faults, fmt.Errorf("hours.%w", err))
	}
	return faults
}
