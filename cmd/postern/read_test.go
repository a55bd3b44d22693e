package main

import (
	"strings"
	"testing"
	"time"
)

type SampleInner struct {
	Host  string   `yaml:"host"`
	Ports []int    `yaml:"ports"`
	Names []string `yaml:"names"`
}

type trial struct {
	SampleInner `yaml:",inline"`
	Wait        time.Duration       `yaml:"wait"`
	On          bool                `yaml:"on"`
	Share       float64             `yaml:"share"`
	Items       []trialItem         `yaml:"items"`
	Table       map[string]trialRow `yaml:"table"`
	Hidden      string              `yaml:"-"`
}

type trialItem struct {
	Name string       `yaml:"name"`
	Sub  *SampleInner `yaml:"sub"`
}

type trialRow struct {
	Count int `yaml:"count"`
}

func readTrial(text string) (trial, Faults, *reader) {
	r := newReader(SampleInner{Host: "default"})
	s := trial{Wait: time.Minute, Table: map[string]trialRow{"old": {Count: 1}}}
	r.read([]byte(text), &s)
	return s, r.faults, r
}

func TestFileFillsTheStructAndKeepsDefaults(t *testing.T) {
	s, faults, r := readTrial(`
host: a
ports: [1, 2]
on: true
share: 0.5
items:
  - name: x
    sub:
      names: [n]
table:
  new:
    count: 3
`)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	if s.Host != "a" || len(s.Ports) != 2 || !s.On || s.Share != 0.5 || s.Wait != time.Minute {
		t.Errorf("%+v", s)
	}
	if s.Items[0].Sub.Host != "default" || s.Items[0].Sub.Names[0] != "n" {
		t.Errorf("the list's elements have no defaults: %+v", s.Items[0].Sub)
	}
	if s.Table["old"].Count != 1 || s.Table["new"].Count != 3 {
		t.Errorf("%+v", s.Table)
	}
	if l := r.line("items[0].sub.names"); l != 9 {
		t.Errorf("line %d", l)
	}
	if l := r.line("items[0].sub.absent"); l != 8 {
		t.Errorf("line of what holds a missing key: %d", l)
	}
}

// security case 118: what the file says is what is done, or nothing is.
func TestFileFaultsAreAllNamedWithTheirLine(t *testing.T) {
	_, faults, _ := readTrial(`hots: a
ports: [1, x]
wait: 5
on: yes
share: many
names: one
items:
  - {name: a, nmae: b}
  - name: [a]
host:
host: twice
Hidden: s3cret-value
table: [1]
share: 1
`)
	got := faults
	got.sort()
	want := []string{
		"line 1: hots: unknown key; did you mean host?",
		"line 2: ports[1]: must be a whole number",
		"line 3: wait: must be a length of time, like 30s, 15m or 24h",
		"line 4: on: must be true or false",
		"line 5: share: must be a number",
		"line 6: names: must be a list, like [a, b]",
		"line 8: items[0].nmae: unknown key; did you mean name?",
		"line 9: items[1].name: must be a single value",
		"line 10: host: has no value; leave the line out to keep the default",
		"line 11: host: is already set on line 10",
		"line 12: Hidden: unknown key",
		"line 13: table: must be a group of keys",
		"line 14: share: is already set on line 5",
	}
	if got.Error() != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
	if strings.Contains(got.Error(), "s3cret") {
		t.Error("a fault repeats a value")
	}
}

func TestFileTricksAreRefused(t *testing.T) {
	for name, text := range map[string]string{
		"anchor":        "host: &a x\n",
		"alias":         "host: &a x\nnames: [*a]\n",
		"merge":         "items:\n  - &a {name: x}\n  - <<: *a\n",
		"tag":           "host: !!str x\n",
		"two documents": "host: a\n---\nhost: b\n",
		"empty":         "",
		"only comments": "# nothing\n",
		"a list":        "- host\n",
		"broken":        "host: [a\n",
		"tab":           "items:\n\t- name: a\n",
		"complex key":   "? [a, b]\n: c\n",
		"alias bomb":    "names: &a [x,x]\nports: [*a,*a,*a]\n",
	} {
		t.Run(name, func(t *testing.T) {
			if _, faults, _ := readTrial(text); len(faults) == 0 {
				t.Error("accepted")
			}
		})
	}
}

func FuzzConfigurationFile(f *testing.F) {
	f.Add("host: a\nports: [1]\nitems:\n  - name: x\n")
	f.Add("a: &a [*a]")
	f.Add("? - x\n: y")
	f.Add("\xff\xfe")
	f.Fuzz(func(t *testing.T, text string) {
		s, faults, _ := readTrial(text)
		if len(faults) == 0 && s.Hidden != "" {
			t.Error("a key that does not exist was set")
		}
	})
}
