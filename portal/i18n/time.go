package i18n

import (
	"fmt"
	"strconv"
	"time"
)

// Clock is the time of day: "09:46".
func (b *Bundle) Clock(lang string, t time.Time) string {
	t = t.In(b.zone)
	return b.T(lang, "format.clock", Args{"Hour": raw(two(t.Hour())), "Minute": raw(two(t.Minute()))})
}

// Date is "12 March 2026".
func (b *Bundle) Date(lang string, t time.Time) string {
	t = t.In(b.zone)
	month, _ := b.Plain(lang, fmt.Sprintf("month.m%d", int(t.Month())))
	return b.T(lang, "format.date", Args{"Day": t.Day(), "Month": raw(month), "Year": t.Year()})
}

// When is the time of day, with the date unless it is today.
func (b *Bundle) When(lang string, t time.Time) string {
	t = t.In(b.zone)
	y, m, d := t.Date()
	ny, nm, nd := b.now().In(b.zone).Date()
	if y == ny && m == nm && d == nd {
		return b.Clock(lang, t)
	}
	return b.DateTime(lang, t)
}

// DateTime is date and time of day.
func (b *Bundle) DateTime(lang string, t time.Time) string {
	return b.T(lang, "format.datetime", Args{
		"Date": raw(b.Date(lang, t)),
		"Time": raw(b.Clock(lang, t)),
	})
}

// Span is a length of time in its largest fitting unit, rounded up: nobody who
// waits so long comes too early.
func (b *Bundle) Span(lang string, d time.Duration) string {
	key, unit := "span.seconds", time.Second
	switch {
	case d > 48*time.Hour:
		key, unit = "span.days", 24*time.Hour
	case d > 2*time.Hour:
		key, unit = "span.hours", time.Hour
	case d > 50*time.Second:
		key, unit = "span.minutes", time.Minute
	}
	n := max(1, int((d+unit-1)/unit))
	return b.T(lang, key, Args{"N": n})
}

// Zone is the name of the time zone times are shown in: this machine's own one
// by its abbreviation, because nobody knows where "Local" is.
func (b *Bundle) Zone() string {
	if b.zone == time.Local {
		name, _ := b.now().In(b.zone).Zone()
		return name
	}
	return b.zone.String()
}

func two(n int) string {
	if n < 10 {
		return "0" + strconv.Itoa(n)
	}
	return strconv.Itoa(n)
}
