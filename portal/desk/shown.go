package desk

import (
	"sync"
	"time"

	"postern/directory"
)

const (
	// recorded is for how long the line of a search stands for the next ones of the
	// same technician that show the same person.
	recorded = 5 * time.Minute
	// mostShown bounds what is remembered. Beyond it more is recorded, never less.
	mostShown = 20_000
)

// sightings is whom a technician was shown by a search lately. It only ever spares a
// line that stands already: what it has forgotten is recorded anew.
type sightings struct {
	mu sync.Mutex
	at map[sighting]time.Time
}

type sighting struct{ by, of directory.ID }

func newSightings() *sightings { return &sightings{at: map[sighting]time.Time{}} }

// lately reports whether a line of this stands.
func (s *sightings) lately(by, of directory.ID, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.at[sighting{by, of}]
	return ok && now.Sub(at) < recorded && !now.Before(at)
}

// note remembers a line that has been written.
func (s *sightings) note(by, of directory.ID, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.at) >= mostShown {
		for k, at := range s.at {
			if now.Sub(at) >= recorded {
				delete(s.at, k)
			}
		}
	}
	if len(s.at) >= mostShown {
		clear(s.at)
	}
	s.at[sighting{by, of}] = now
}
