package portaltest

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Security case 2: how long a start takes does not tell who exists. Samples are
// taken in turn, so that whatever else the machine does falls on every class, and
// of the program without the race detector, as a stranger meets it. More are taken
// while the answer is not clear: a real difference stays, noise does not.
func TestTimeDoesNotTellWhoExists(t *testing.T) {
	const one, most = 120, 4
	limits := strings.Replace(roomyLimits, "limits:\n", "limits:\n  start_account: 100000/1m\n", 1)
	dir := t.TempDir()
	quick := sync.OnceValues(func() (string, error) { return Build(dir, false) })
	order := []string{"nobody", "user1", "admin1"} // unknown, enrolled, privileged
	for _, house := range []string{"slapd", "samba"} {
		t.Run(house, func(t *testing.T) {
			s := besiegeBuilt(t, quick, house, limits)
			s.enrols(t, "user1")
			took := map[string][]float64{}
			rng := rand.New(rand.NewPCG(2, 2))
			sample := func() {
				// In any order: what comes after a start is its work left behind.
				for _, i := range rng.Perm(len(order)) {
					login := order[i]
					w := s.walker(t)
					w.get("/recover/reset")
					began := time.Now()
					r := w.post("/recover/start", "purpose", "reset", "login", login)
					took[login] = append(took[login], time.Since(began).Seconds()*1000)
					if r.Status != 303 {
						t.Fatalf("%s: %d", login, r.Status)
					}
				}
			}
			for range 5 {
				sample()
			}
			clear(took)
			for set := 1; ; set++ {
				for range one {
					sample()
				}
				open := 0
				for _, login := range order[1:] {
					gap, a := middleOf(took[login])-middleOf(took["nobody"]), separation(took[login], took["nobody"])
					t.Logf("%-7s median %6.2f ms, %+.2f ms from nobody, AUC %.3f (n=%d)", login, middleOf(took[login]), gap, a, len(took[login]))
					if math.Abs(gap) < 10 && a < 0.55 {
						continue
					}
					open++
					// Half the width of a 68 % interval of an AUC near 0.5.
					if give := 1 / math.Sqrt(6*float64(len(took[login]))); set == most && (math.Abs(gap) >= 10 || a-give >= 0.55) {
						t.Errorf("%s can be told from nobody: medians %.2f ms apart, AUC %.3f over %d starts each", login, gap, a, len(took[login]))
					}
				}
				if open == 0 || set == most {
					return
				}
			}
		})
	}
}

func middleOf(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

// separation is how well one threshold tells a from b: 0.5 not at all, 1 always. The
// direction is the better one.
func separation(a, b []float64) float64 {
	wins := 0.0
	for _, x := range a {
		for _, y := range b {
			switch {
			case x > y:
				wins++
			case x == y:
				wins += 0.5
			}
		}
	}
	p := wins / float64(len(a)*len(b))
	return max(p, 1-p)
}
