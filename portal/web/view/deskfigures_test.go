package view

import (
	"bytes"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"postern/directory"
)

func seerFrame(faults ...Fault) Frame {
	return Frame{CSRF: "tok", Person: "auditor1", Desk: Rooms{Open: true, Policy: true, Coverage: true, Figures: true, Lists: true}, Faults: faults}
}

func figuresSample(today bool) *Figures {
	f := &Figures{Today: today, From: at(-43200), At: sampleNow, Done: 672, Alone: 611, Refused: 155, Median: 72 * time.Second, Ninety: 170 * time.Second, Timeless: 1, LockedNow: 3,
		OtherReasons: 2, OtherTechnicians: 1, Coverage: countSample(0)}
	n := 30
	if today {
		n = 25
	}
	for i := range n {
		slot := Slot{At: sampleNow.AddDate(0, 0, i-n+1), N: []int{i % 7 * 5, i % 5, i % 3}}
		if today {
			slot.At = sampleNow.Truncate(24 * time.Hour).Add(time.Duration(i) * time.Hour)
		}
		f.Recoveries = append(f.Recoveries, slot)
		f.Lockouts = append(f.Lockouts, Slot{At: slot.At, N: []int{i % 4, i % 2}})
	}
	for i, from := range []time.Duration{0, 1, 2, 3, 5, 10, 15, 30} {
		s := Slot{Least: from * time.Minute, N: []int{(8 - i) * 12}}
		if to := []time.Duration{1, 2, 3, 5, 10, 15, 30, 0}[i]; to > 0 {
			s.Most = to * time.Minute
		}
		f.Times = append(f.Times, s)
	}
	for h := range 24 {
		f.Hours = append(f.Hours, Slot{Hour: h, N: []int{h % 5}})
	}
	for i, o := range []string{"done", "refused", "unknown", "left", "not_served"} {
		f.Outcomes = append(f.Outcomes, OutcomeRow{o, []int{i * 7, i, 1234}})
	}
	f.Refusals = []RefusalRow{{"proof", "wrong", 61}, {"start", "unknown_account", 34}, {"end", "too_many_tries", 11}, {"password", "too_short", 9}, {"desk", "velocity", 2},
		{"decoy", "not_enrolled", 2}, {"end", "never.heard.of<b>", 1}, {"proof", "other", 1}}
	f.Technicians = []TechnicianRow{{"tech1", 40, 31, 12, 1}, {`<img src=x onerror=alert(1)>`, 21, 20, 0, 0}}
	return f
}

func listed(id string) []ListedRow {
	return []ListedRow{{ID: id, Login: "user1", Name: "Ada <b>Lovelace</b>", Directory: "ad", At: at(30)}, {Login: "user2", Name: "Jonas", Directory: "ad"}}
}

func figureSamples() []sample {
	few := figuresSample(false)
	few.Cut, few.Coverage, few.Median, few.Timeless = at(-60), nil, 0, 0
	lists := []ListRow{{directory.Locked, 3}, {directory.Expiring, 0}, {directory.MustChange, 12}, {directory.Stranded, -1}}
	list := []sample{
		{"desk-figures", &DeskFigures{Frame: seerFrame(), Days: 30, Spans: []int{1, 30}, Shown: figuresSample(false)}, "figures", ""},
		{"desk-figures-today", &DeskFigures{Frame: seerFrame(), Days: 1, Spans: []int{1, 30}, Shown: figuresSample(true)}, "figures", ""},
		{"desk-figures-cut", &DeskFigures{Frame: seerFrame(), Days: 30, Spans: []int{1, 30}, Shown: few}, "figures", ""},
		{"desk-figures-nothing", &DeskFigures{Frame: seerFrame(), Days: 1, Spans: []int{1, 30}, Shown: &Figures{Today: true, From: sampleNow, At: sampleNow}}, "figures", ""},
		{"desk-figures-wrong", &DeskFigures{Frame: seerFrame(Fault{Field: "days", Code: "bad_days"}), Spans: []int{1, 30}}, "figures", "bad_days"},
		{"desk-lists", &DeskLists{Frame: seerFrame(), Lists: lists, At: at(-90), Everybody: true}, "lists", ""},
		{"desk-lists-never", &DeskLists{Frame: seerFrame(), Lists: lists}, "lists", ""},
		{"desk-lists-failed", &DeskLists{Frame: seerFrame(), Lists: lists, At: at(-90), Failed: true}, "lists", ""},
		{"desk-lists-counting", &DeskLists{Frame: seerFrame(), Lists: lists, At: at(-90), Running: true, Since: at(-1)}, "counting", ""},
		{"desk-lists-counting-still", &DeskLists{Frame: seerFrame(), Running: true, Since: at(-1), Still: true}, "counting", ""},
		{"desk-list-never", &DeskList{Frame: seerFrame(), List: directory.Locked}, "list", ""},
	}
	for _, l := range directory.Lists() {
		list = append(list, sample{"desk-list-" + string(l), &DeskList{Frame: seerFrame(), List: l, At: at(-90), Everybody: true, People: listed("ad:1"), Rest: 3}, "list", ""},
			sample{"desk-list-mine-" + string(l), &DeskList{Frame: techFrame(), List: l, At: at(-90), Mine: true, People: listed("ad:1"), Rest: -1}, "list", ""},
			sample{"desk-list-nobody-" + string(l), &DeskList{Frame: techFrame(), List: l, At: at(-90), Mine: true, Rest: -1}, "list", ""})
	}
	return list
}

var coordinates = regexp.MustCompile(`-?[0-9]+(\.[0-9]+)?`)

// However much there is, in both directions of writing: nothing leaves the drawing,
// no part that is not empty disappears, and the axis goes up to the highest.
func TestNothingLeavesAChart(t *testing.T) {
	r := renderer(t)
	for _, lang := range []string{"en", "ar"} {
		w := r.langs[lang].words
		for name, slots := range map[string][]Slot{
			"none": nil, "empty": {{N: []int{0}}}, "one": {{N: []int{1}}}, "many": {{N: []int{99_999, 1, 1}}, {N: []int{0, 0, 1}}}, "a month": figuresSample(false).Recoveries, "today": figuresSample(true).Recoveries,
		} {
			d := w.plot(days, slots)
			doors := 0
			for _, s := range d.Shapes {
				doors += strings.Count(s.Path, "M")
				for part := range strings.SplitSeq(s.Path, "M") {
					n := coordinates.FindAllString(part, 2)
					if len(n) < 2 {
						continue
					}
					x, errX := strconv.ParseFloat(n[0], 64)
					y, errY := strconv.ParseFloat(n[1], 64)
					if errX != nil || errY != nil || x < 0 || x > plotWidth || y > plotBase || y < plotTop || strings.Contains(part, "NaN") || strings.Contains(part, "V-") {
						t.Errorf("%s, %s: %s", lang, name, part)
					}
				}
			}
			want := 0
			for _, s := range slots {
				for _, n := range s.N {
					want += min(n, 1)
				}
			}
			if doors != want {
				t.Errorf("%s, %s: %d parts, want %d", lang, name, doors, want)
			}
			last := d.Grid[len(d.Grid)-1]
			if len(d.Grid) > 6 || last.Y < plotTop || d.Grid[0].Y != plotBase || math.IsNaN(last.Y) {
				t.Errorf("%s, %s: %+v", lang, name, d.Grid)
			}
		}
	}
}

func TestTheAxisHasRoundSteps(t *testing.T) {
	for most, want := range map[int][2]int{0: {1, 1}, 1: {1, 1}, 4: {1, 4}, 5: {2, 6}, 8: {2, 8}, 9: {5, 10}, 21: {10, 30}, 60: {20, 60}, 99_999: {50_000, 100_000}, 401: {200, 600}} {
		if step, top := scale(most); step != want[0] || top != want[1] {
			t.Errorf("%d: steps of %d up to %d, want %v", most, step, top, want)
		}
	}
}

func TestHowLongItTookIsSaidToTheSecond(t *testing.T) {
	w := renderer(t).langs["en"].words
	for took, want := range map[time.Duration]string{0: "0 s", 59*time.Second + 400*time.Millisecond: "59 s", 72 * time.Second: "1 min 12 s", time.Hour - time.Millisecond: "1 h 0 min",
		26*time.Hour + 5*time.Minute: "26 h 5 min"} {
		if got := w.took(took); got != want {
			t.Errorf("%v: %q, want %q", took, got, want)
		}
	}
}

// A month of the busiest house is still a page.
func TestFiguresAreAPage(t *testing.T) {
	r := renderer(t)
	f := figuresSample(false)
	for i := range 20 {
		f.Technicians = append(f.Technicians, TechnicianRow{Login: fmt.Sprint(strings.Repeat("n", 40), i), Begun: 10_000})
	}
	for _, lang := range []string{"en", "de", "ar"} {
		var b bytes.Buffer
		if err := r.Page(&b, lang, &DeskFigures{Frame: seerFrame(), Days: 30, Spans: []int{1, 30}, Shown: f}); err != nil {
			t.Fatal(err)
		}
		if b.Len() > 96<<10 {
			t.Errorf("%s: %d bytes", lang, b.Len())
		}
		// What is drawn stands in a table as well.
		if n := strings.Count(b.String(), `class="plot"`); n != 4 || strings.Count(b.String(), `class="more"`) != n+1 {
			t.Errorf("%s: %d charts", lang, n)
		}
	}
}

// Codes the record may have have sentences; the rest is shown as it is, inert.
func TestReasonsHaveSentences(t *testing.T) {
	w := renderer(t).langs["en"].words
	for _, reason := range []string{"wrong", "expired", "replayed", "limited", "not_enrolled", "locked", "disabled", "other", "fault", "directory_unavailable", "unknown_account", "privileged",
		"frozen", "too_many_tries", "too_often", "account_changed", "not_eligible", "directory_denied", "unsupported", "not_applied", "too_many_refused_passwords", "declined",
		"too_short", "too_long", "complexity", "history", "too_young", "banned", "quality", "history_or_filter", "cannot_change", "must_supply_old", "not_allowed",
		"self", "staff", "velocity", "second_technician", "out_of_scope", "unknown"} {
		if got := w.because(RefusalRow{Reason: reason}); got == "Code "+reason || strings.Contains(got, "⟦") {
			t.Errorf("%s: %s", reason, got)
		}
	}
	if got := w.because(RefusalRow{Reason: "new_one"}); got != "Code new_one" {
		t.Error(got)
	}
}
