package access

import (
	"slices"
	"strings"
	"testing"
	"time"
	_ "time/tzdata"
)

var office = Hours{Days: []string{"mon", "tue", "wed", "thu", "fri"}, From: "07:00", To: "19:00"}

func TestTheDeskIsOpenByTheClockOnTheWall(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	night := Hours{Days: []string{"fri", "sat"}, From: "22:00", To: "06:00"}
	for name, c := range map[string]struct {
		h    Hours
		utc  string
		want bool
	}{
		"always":                           {Hours{}, "2026-01-03T03:00:00Z", true},
		"winter, a minute early":           {office, "2026-01-05T05:59:59Z", false},
		"winter, at seven":                 {office, "2026-01-05T06:00:00Z", true},
		"summer, the same hour there":      {office, "2026-07-06T05:00:00Z", true},
		"summer, a minute early":           {office, "2026-07-06T04:59:59Z", false},
		"the last minute":                  {office, "2026-07-06T16:59:59Z", true},
		"at seven in the evening":          {office, "2026-07-06T17:00:00Z", false},
		"Saturday":                         {office, "2026-07-04T10:00:00Z", false},
		"Sunday there, Saturday elsewhere": {Hours{Days: []string{"sun"}}, "2026-07-04T22:30:00Z", true},
		"every day":                        {Hours{From: "07:00", To: "19:00"}, "2026-07-04T10:00:00Z", true},
		"until midnight":                   {Hours{From: "07:00", To: "24:00"}, "2026-07-04T21:59:59Z", true},
		"after midnight":                   {Hours{From: "07:00", To: "24:00"}, "2026-07-04T22:00:00Z", false},
		"a night's beginning":              {night, "2026-01-02T21:00:00Z", true},
		"its end":                          {night, "2026-01-03T04:59:00Z", true},
		"after its end":                    {night, "2026-01-03T05:00:00Z", false},
		"the night before its first":       {night, "2026-01-02T03:00:00Z", false},
		"Sunday morning is Saturday's":     {night, "2026-01-04T03:00:00Z", true},
		"Sunday night":                     {night, "2026-01-04T22:00:00Z", false},
		// 2026-03-29: 02:00 becomes 03:00. 2026-10-25: 03:00 becomes 02:00.
		"the hour that is left out":  {Hours{From: "02:00", To: "03:00"}, "2026-03-29T01:00:00Z", false},
		"the minute before it":       {Hours{From: "01:00", To: "03:00"}, "2026-03-29T00:59:00Z", true},
		"right after it":             {Hours{From: "02:30", To: "04:00"}, "2026-03-29T01:00:00Z", true},
		"that morning at seven":      {Hours{From: "07:00", To: "19:00"}, "2026-03-29T05:00:00Z", true},
		"an hour that comes, first":  {Hours{From: "02:00", To: "03:00"}, "2026-10-25T00:30:00Z", true},
		"an hour that comes, again":  {Hours{From: "02:00", To: "03:00"}, "2026-10-25T01:30:00Z", true},
		"and then it is three":       {Hours{From: "02:00", To: "03:00"}, "2026-10-25T02:00:00Z", false},
		"a night of nine hours":      {Hours{From: "22:00", To: "06:00"}, "2026-10-25T04:59:00Z", true},
		"what cannot be read":        {Hours{From: "7", To: "19:00"}, "2026-01-05T10:00:00Z", false},
		"half of it is not there":    {Hours{From: "07:00"}, "2026-01-05T10:00:00Z", false},
		"days that nobody knows":     {Hours{Days: []string{"Monday"}}, "2026-01-05T10:00:00Z", false},
		"no span of time to be open": {Hours{From: "07:00", To: "07:00"}, "2026-01-05T06:00:00Z", false},
	} {
		at, err := time.Parse(time.RFC3339, c.utc)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.h.Open(at, berlin); got != c.want {
			t.Errorf("%s: %v at %s", name, got, at.In(berlin))
		}
	}
	if office.Open(time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC), nil) {
		t.Error("open on the clocks of nowhere")
	}
}

func TestHoursThatMeanNothingAreFaults(t *testing.T) {
	for name, c := range map[string]struct {
		h    Hours
		want string
	}{
		"nothing":       {Hours{}, ""},
		"office":        {office, ""},
		"whole days":    {Hours{Days: []string{"sat", "sun"}}, ""},
		"over midnight": {Hours{From: "22:00", To: "06:00"}, ""},
		"to the end":    {Hours{From: "00:00", To: "24:00"}, ""},
		"bad days":      {Hours{Days: []string{"mon", "Tue", "mon", ""}}, "hours.days[1] hours.days[2] hours.days[3]"},
		"no end":        {Hours{From: "07:00"}, "hours.to"},
		"no beginning":  {Hours{To: "07:00"}, "hours.from"},
		"bad clocks":    {Hours{From: "25:00", To: "19:00"}, "hours.from"},
		"short clocks":  {Hours{From: "07:00", To: "9:00"}, "hours.to"},
		"begins at 24":  {Hours{From: "24:00", To: "09:00"}, "hours.from"},
		"no time":       {Hours{From: "09:00", To: "09:00"}, "hours.to"},
	} {
		var told []string
		for _, err := range (Config{Hours: c.h}).Validate() {
			key, _, _ := strings.Cut(err.Error(), ":")
			told = append(told, key)
		}
		if !slices.Equal(told, strings.Fields(c.want)) {
			t.Errorf("%s: %q", name, told)
		}
	}
}
