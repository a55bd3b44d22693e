package store

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// A new table or column makes this fail until copiedTables or notCopied has it.
func TestEveryTableIsCopiedOrSaidWhyNot(t *testing.T) {
	keys := t.TempDir() + "/keys.json"
	if err := CreateKeys(keys); err != nil {
		t.Fatal(err)
	}
	k, err := LoadKeys(keys)
	if err != nil {
		t.Fatal(err)
	}
	db, err := Open(t.Context(), Config{Path: t.TempDir() + "/x.db"}, k)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	there, err := db.tables(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]string{"TEXT": "text", "BIGINT": "int", "INTEGER": "int", "BLOB": "bytes"}
	for _, name := range there {
		i := slices.IndexFunc(copiedTables, func(c copied) bool { return c.name == name })
		if (i < 0) != isNotCopied(name) {
			t.Errorf("%s: is it copied? Decide in copytables.go", name)
		}
		if i < 0 {
			continue
		}
		c := copiedTables[i]
		var have, want, keyHave, keyWant []string
		rows, err := db.read.Query(`SELECT name, type, pk FROM pragma_table_info($1) ORDER BY pk`, name)
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			var column, kind string
			var pk int
			if err := rows.Scan(&column, &kind, &pk); err != nil {
				t.Fatal(err)
			}
			if !slices.Contains(c.left, column) {
				have = append(have, column+" "+kinds[kind])
			}
			if pk > 0 {
				keyHave = append(keyHave, column)
			}
		}
		for i, col := range c.columns {
			want = append(want, col.name+" "+col.kind)
			if i < c.key {
				keyWant = append(keyWant, col.name)
			}
		}
		slices.Sort(have)
		slices.Sort(want)
		if !slices.Equal(have, want) || !slices.Equal(keyHave, keyWant) {
			t.Errorf("%s has %v by %v, and is copied as %v by %v", name, have, keyHave, want, keyWant)
		}
		if c.grows != slices.Contains(appendOnly, name) {
			t.Errorf("%s: grows is %v", name, c.grows)
		}
	}
	for _, c := range copiedTables {
		if !slices.Contains(there, c.name) {
			t.Errorf("%s is copied and not there", c.name)
		}
	}
}

// What a column holds decides, and not what it was declared as: SQLite lets anything in.
func TestARowThatNoProgramWroteIsNotCopied(t *testing.T) {
	table := copied{name: "x", key: 1, columns: columns("id text, n int, body bytes")}
	for _, row := range [][]any{{"a\x00b", int64(1), []byte{}}, {"\xff", int64(1), []byte{}}, {"a", "1", []byte{}}, {"a", 1.5, []byte{}}, {"a", int64(1), "text"}} {
		if err := table.normal(row); err == nil || !strings.Contains(err.Error(), "x") {
			t.Errorf("%q: %v", fmt.Sprint(row...), err)
		}
	}
	row := []any{"a", int64(1), []byte(nil)}
	if err := table.normal(row); err != nil || row[2].([]byte) == nil {
		t.Errorf("%#v, %v", row, err)
	}
}

// Rows that are cut elsewhere are other rows.
func TestDigestsTellRowsApart(t *testing.T) {
	seen := map[string]int{}
	for i, rows := range [][][]any{{}, {{"ab", "c"}}, {{"a", "bc"}}, {{"ab"}, {"c"}}, {{[]byte("ab"), "c"}}, {{nil, "c"}}, {{[]byte{}, "c"}}, {{int64(0), "c"}}} {
		d := newDigest()
		for _, r := range rows {
			d.add(r)
		}
		sum := string(d.sum.Sum(nil))
		if j, twice := seen[sum]; twice {
			t.Errorf("%d and %d are the same", i, j)
		}
		seen[sum] = i
	}
}
