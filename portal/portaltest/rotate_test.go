package portaltest

import (
	"bytes"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// Keys rotate as the README says at two nodes that have a file of their own, while people
// are in the middle of their cases at both: not one request fails.
func TestKeysRotateUnderPeopleAtTwoNodes(t *testing.T) {
	t.Parallel()
	const people, workers = 40, 4
	var ours, theirs string
	copied := func() {
		t.Helper()
		text, err := os.ReadFile(ours)
		if err == nil { // in one piece, as whoever copies a key must
			err = os.WriteFile(theirs+".new", text, 0o600)
		}
		if err == nil {
			err = os.Rename(theirs+".new", theirs)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	c := newCluster(t, "haproxy", 2, people, func(c *cluster) {
		ours, theirs = filepath.Join(c.dir, "keys.json"), filepath.Join(c.dir, "keys2.json")
		copied()
		text, err := os.ReadFile(c.files[1])
		if err == nil {
			err = os.WriteFile(c.files[1], bytes.Replace(text, []byte("\nkeys: keys.json\n"), []byte("\nkeys: keys2.json\n"), 1), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	})
	var over atomic.Bool
	var done atomic.Int64
	failed := make(chan error, workers)
	for w := range workers {
		go func() {
			failed <- func() error {
				for round := 0; !over.Load(); round++ {
					p := c.people[w*people/workers+round%(people/workers)]
					r := newRider(c.client, c.p.URL, &c.asked)
					err := changes.ours(c.mill, r, p, freshPassword())
					r.close()
					if err != nil {
						return err
					}
					done.Add(1)
				}
				return nil
			}()
		}()
	}
	// some waits until more of them are through.
	some := func(after string) {
		t.Helper()
		had := done.Load()
		for end := time.Now().Add(30 * time.Second); done.Load() < had+20; time.Sleep(20 * time.Millisecond) { // people's own pace
			if time.Now().After(end) {
				t.Fatalf("nobody gets through %s", after)
			}
		}
	}
	keys := func(args ...string) {
		t.Helper()
		if err := Command(t.Context(), c.bin, append([]string{"keys", "rotate", "--config", c.files[0]}, args...)...); err != nil {
			t.Error(err)
		}
	}
	before, err := os.ReadFile(ours)
	if err != nil {
		t.Fatal(err)
	}
	some("at first")
	keys("--prepare")
	some("with a key prepared at one node")
	copied()
	some("with a key prepared at both")
	keys()
	some("with the new key sealing at one node")
	copied()
	some("with the new key at both")
	over.Store(true)
	for range workers {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
	if after, err := os.ReadFile(theirs); err != nil || bytes.Equal(before, after) {
		t.Errorf("the keys are those of before: %v", err)
	}
	told, _ := c.told()
	if int64(told["password.changed"]) != done.Load() {
		t.Errorf("%d changes done, %d on record", done.Load(), told["password.changed"])
	}
	t.Logf("%d changes meanwhile", done.Load())
}
