package main

import (
	"encoding/csv"
	"strconv"
	"strings"
	"testing"
	"time"

	"postern/portal/audit"
	"postern/portal/store"
)

// refuses: each of these is an unknown path.
func (w walk) refuses(paths ...string) {
	w.t.Helper()
	for _, path := range paths {
		if err := w.Get(path); err != nil || w.Page.Status != 404 {
			w.t.Errorf("%s: %d, %v", path, w.Page.Status, err)
		}
	}
}

// The whole program: who is locked is seen before they call, and not any more once
// they are back in, though the count is the same; what happened is in the figures;
// each role sees its own, and every look is in the record.
func TestTheListsAndFiguresOfTheWholeProgram(t *testing.T) {
	dir := t.TempDir()
	r := startDemo(t, dir)
	op, tech := r.visit(), r.visit()
	op.enter(r.person("operator1"))
	op.open("/desk/lists", "lists")
	op.says("Not counted yet.")
	op.open("/desk/lists/locked", "list")
	op.says("Not counted yet.")
	op.refuses("/desk/lists/locked.csv")
	op.open("/desk/lists", "lists")
	if err := op.Post("/desk/lists"); err != nil {
		t.Fatal(err)
	}
	op.until("/desk/lists", "lists")
	op.says("Everybody in the directory is counted.", "/desk/lists/stranded")
	for list, who := range map[string][]string{"locked": {"locked1", "Until"}, "expiring": {"user17", "user18", "Expires"}, "mustchange": {"mustchange1", "expired1", "Expired"}, "stranded": {"user19", "user20"}} {
		op.open("/desk/lists/"+list, "list")
		op.says(who...)
		if strings.Contains(op.Page.Body, "admin1") || strings.Contains(op.Page.Body, "/desk/people/") {
			t.Errorf("%s: somebody who is never touched, or a way that an operator has not:\n%s", list, op.Page.Body)
		}
	}

	tech.enter(r.person("tech1"))
	tech.open("/desk/lists", "lists")
	tech.refuses("/desk/lists/stranded", "/desk/lists/stranded.csv", "/desk/figures", "/desk/figures/hours.csv")
	tech.open("/desk/lists/locked", "list")
	tech.open(tech.find(idPath), "person")
	tech.says("locked1", "Locked")

	// locked1 gets back in.
	w, p := r.visit(), r.person("locked1")
	w.open("/recover/unlock", "start")
	w.send("/recover/start", "choose", "purpose", "unlock", "login", "locked1")
	w.send("/recover/choose", "answer", "factor", "totp")
	w.send("/recover/answer", "choose", "answer", p.code(t))
	w.send("/recover/choose", "answer", "factor", "recovery_code")
	w.send("/recover/answer", "done", "answer", p.RecoveryCodes[0])
	tech.open("/desk/lists/locked", "list")
	tech.says("Nobody who was locked then is locked now.")
	w.enter(r.person("user1"))
	w.refuses("/desk/lists", "/desk/lists/locked", "/desk/lists/locked.csv", "/desk/figures", "/desk/figures/recoveries.csv")

	op.open("/desk/figures?days=1", "figures")
	op.says("Recoveries", `role="img"`, "Refusals by reason")
	if err := op.Get("/desk/figures/lockouts.csv?days=1"); err != nil || op.Page.Status != 200 {
		t.Fatal(op.Page.Status, err)
	}
	rows, err := csv.NewReader(strings.NewReader(op.Page.Body)).ReadAll()
	if err != nil || len(rows) < 24 {
		t.Fatalf("%v %v", rows, err)
	}
	told, recorded := 0, 0
	for _, row := range rows[1:] {
		n, err := strconv.Atoi(row[1])
		if err != nil {
			t.Fatal(err)
		}
		told += n
	}
	if err := op.Get("/desk/figures?days=7"); err != nil || op.Page.Status != 422 || op.Page.Error() != "bad_days" {
		t.Errorf("%d %q %v", op.Page.Status, op.Page.Error(), err)
	}
	r.stop()

	looked := map[string]int{}
	each(t, dir, func(e audit.Event) {
		if e.Kind == "account.unlocked" && e.At.Local().YearDay() == time.Now().YearDay() {
			recorded++
		}
		if e.Detail["sample"] == "" && e.Actor != "" {
			looked[e.ActorName+" "+e.Kind+" "+e.Detail["list"]+e.Detail["chart"]]++
		}
	})
	for _, want := range []string{"operator1 count.started ", "operator1 list.viewed locked", "operator1 list.viewed stranded", "tech1 list.viewed locked", "operator1 figures.viewed ", "operator1 figures.exported lockouts"} {
		if looked[want] == 0 {
			t.Errorf("%s is not in the record: %v", want, looked)
		}
	}
	if told == 0 || told != recorded {
		t.Errorf("%d accounts were unlocked today, and the figures say %d", recorded, told)
	}
	if looked["tech1 list.viewed stranded"]+looked["user1 list.viewed locked"] != 0 {
		t.Errorf("%v", looked)
	}
}

// each reads the record of a demo that has stopped.
func each(t *testing.T, dir string, do func(audit.Event)) {
	t.Helper()
	keys, err := store.LoadKeys(dir + "/keys.json")
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), store.Config{Path: dir + "/postern.db"}, keys)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Export(t.Context(), audit.Query{}, func(e audit.Event) error { do(e); return nil }); err != nil {
		t.Fatal(err)
	}
}

// The demo's past is a sample and says so in every line, is all past, and is made
// up once. No other command has it.
func TestTheDemosPastIsMarkedAsMadeUp(t *testing.T) {
	dir := t.TempDir()
	count := func() (samples int) {
		began := time.Now()
		startDemo(t, dir).stop()
		each(t, dir, func(e audit.Event) {
			switch {
			case strings.HasPrefix(e.Case, "SAMPLE") != (e.Detail["sample"] == "demo"):
				t.Errorf("%+v", e)
			case e.Detail["sample"] == "demo":
				samples++
				if e.At.After(began.Add(time.Minute)) {
					t.Errorf("to come: %+v", e)
				}
			}
		})
		return samples
	}
	first := count()
	if again := count(); first < 200 || again != first {
		t.Errorf("%d lines, then %d", first, again)
	}
}
