//go:build !noentra

package entra_test

import (
	"fmt"
	"sync"
	"testing"

	"postern/directory"
)

// Many at once: the SDK's builders share a map with every request made from them, which
// the race detector sees and which would end the program.
func TestManyAskAtOnce(t *testing.T) {
	s := start(t, sample())
	d := open(t, config(s))
	u, err := d.Find(t.Context(), "user1"+suffix)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for i := range 24 {
		all.Go(func() {
			var err error
			switch i % 4 {
			case 0:
				_, err = d.Find(t.Context(), "user1"+suffix)
			case 1:
				_, err = d.Read(t.Context(), u)
			case 2:
				_, err = d.Methods(t.Context(), u)
			case 3:
				err = d.SetPassword(t.Context(), u, directory.NewSecret(fmt.Sprintf("Walnut Harbor %d Drift", i)))
			}
			if err != nil {
				t.Errorf("%d: %v", i%4, err)
			}
		})
	}
	all.Wait()
}
