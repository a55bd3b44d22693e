//go:build !noentra

package entra_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"postern/directory"
	"postern/directory/entra"
	"postern/directory/graphstub"
)

const next = "Fresh-Harvest-2291"

// clock is a clock that a wait moves on, so that nobody really waits.
type clock struct {
	at    atomic.Int64
	waits atomic.Int64
}

func newClock() *clock {
	c := &clock{}
	c.at.Store(time.Date(2026, 11, 26, 9, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *clock) now() time.Time { return time.Unix(0, c.at.Load()).UTC() }

func (c *clock) pass(d time.Duration) { c.at.Add(int64(d)) }

func (c *clock) wait(_ context.Context, d time.Duration) error {
	c.waits.Add(1)
	c.pass(d)
	return nil
}

func (c *clock) options() []entra.Option {
	return []entra.Option{entra.WithClock(c.now), entra.WithWait(c.wait)}
}

// count is how often a method came to Graph since the last time.
func count(s *graphstub.Server, method string) (n int) {
	for _, r := range s.Requests() {
		if r.Method == method {
			n++
		}
	}
	return n
}

func password(s *graphstub.Server, upn string) string {
	for _, p := range s.People() {
		if p.UPN == upn {
			return p.Password
		}
	}
	return ""
}

// A throttle is waited for where there is time, fails at once where there is none, and
// meanwhile nothing more is sent: a storm of questions does not become one on Graph.
func TestAStormIsNotPassedOn(t *testing.T) {
	c := newClock()
	cfg := sample()
	cfg.Now = c.now
	cfg.Requests, cfg.Window = 30, 20*time.Second
	s := start(t, cfg)
	conf := config(s)
	conf.RequestTimeout = time.Minute // longer than the throttle: it is waited for
	d := open(t, conf, c.options()...)
	for i := range 40 {
		if _, err := d.Find(t.Context(), fmt.Sprintf("user%d%s", i%20+1, suffix)); err != nil {
			t.Fatalf("question %d: %v", i, err)
		}
	}
	if c.waits.Load() == 0 {
		t.Error("nothing was waited for: the throttle was never met")
	}
	s.Requests()

	conf.RequestTimeout = 2 * time.Second // shorter: no waiting
	d = open(t, conf, c.options()...)
	c.pass(time.Minute)
	failed := 0
	for range 200 {
		if _, err := d.Find(t.Context(), "user1"+suffix); errors.Is(err, directory.ErrUnavailable) {
			failed++
		} else if err != nil {
			t.Fatal(err)
		}
	}
	var refused int
	all := s.Requests()
	for _, r := range all {
		if r.Status == 429 {
			refused++
		}
	}
	// One question asks four things, of which three go side by side.
	if failed == 0 || refused > 4 || len(all) > 40 {
		t.Errorf("%d of 200 failed, with %d requests of which %d were refused", failed, len(all), refused)
	}
	c.pass(time.Minute)
	if _, err := d.Find(t.Context(), "user1"+suffix); err != nil {
		t.Errorf("when it is over: %v", err)
	}
}

// Questions are asked again; what changes something never is.
func TestOnlyQuestionsAreAskedAgain(t *testing.T) {
	c := newClock()
	s := start(t, sample())
	d := open(t, config(s), c.options()...)
	u, err := d.Find(t.Context(), "user2"+suffix)
	if err != nil {
		t.Fatal(err)
	}
	for _, status := range []int{500, 502, 503, 504} {
		var left atomic.Int64
		left.Store(2)
		s.Intercept(func(w http.ResponseWriter, r *http.Request, on http.Handler) {
			if left.Add(-1) >= 0 {
				w.WriteHeader(status)
				return
			}
			on.ServeHTTP(w, r)
		})
		if _, err := d.Read(t.Context(), u); err != nil {
			t.Errorf("%d twice, then an answer: %v", status, err)
		}
		s.Requests()
		left.Store(1)
		if err := d.SetPassword(t.Context(), u, directory.NewSecret(next)); !errors.Is(err, directory.ErrUncertain) {
			t.Errorf("a write answered %d: %v", status, err)
		}
		if n := count(s, "PATCH"); n != 1 {
			t.Errorf("a write answered %d was sent %d times", status, n)
		}
	}
	s.Intercept(func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { w.WriteHeader(503) })
	s.Requests()
	if _, err := d.Read(t.Context(), u); !errors.Is(err, directory.ErrUnavailable) || count(s, "GET") > 4*3 {
		t.Errorf("when nothing helps: %v", err)
	}
	s.Intercept(nil)
	if got := password(s, "user2"+suffix); got == next {
		t.Error("a write that Graph refused was done")
	}
}

// 429 says that nothing was done, so the person may press again; a connection that
// breaks says nothing, and the account tells what became of it.
func TestAWriteIsToldAsItWas(t *testing.T) {
	s := start(t, sample())
	d := open(t, config(s))
	u, err := d.Find(t.Context(), "user3"+suffix)
	if err != nil {
		t.Fatal(err)
	}
	only := func(method string, f func(w http.ResponseWriter, r *http.Request, on http.Handler)) {
		s.Intercept(func(w http.ResponseWriter, r *http.Request, on http.Handler) {
			if r.Method == method && strings.HasPrefix(r.URL.Path, "/v1.0/") {
				f(w, r, on)
				return
			}
			on.ServeHTTP(w, r)
		})
	}
	only("PATCH", func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Retry-After", "0")
		w.WriteHeader(429)
	})
	if err := d.SetPassword(t.Context(), u, directory.NewSecret(next)); !errors.Is(err, directory.ErrUnavailable) || errors.Is(err, directory.ErrUncertain) {
		t.Errorf("throttled: %v", err)
	}
	only("PATCH", func(w http.ResponseWriter, r *http.Request, on http.Handler) {
		on.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	})
	if err := d.SetPassword(t.Context(), u, directory.NewSecret(next)); !errors.Is(err, directory.ErrUncertain) {
		t.Errorf("done, and the answer lost: %v", err)
	}
	s.Intercept(nil)
	now, err := d.Read(t.Context(), u)
	if err != nil || !now.State.PasswordSet.After(u.State.PasswordSet) {
		t.Errorf("the account does not tell: %v, %v before", now.State.PasswordSet, u.State.PasswordSet)
	}
}

// What is no answer of Graph is none, whatever it says.
func TestWhatIsNotGraphIsNotBelieved(t *testing.T) {
	elsewhere := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("the token went to another server")
		}
	}))
	defer elsewhere.Close()
	for name, lie := range map[string]http.HandlerFunc{
		"HTML": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, "<html><body>Sign in to the hotel's Wi-Fi</body></html>")
		},
		"HTML that says it is JSON": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, "<html>")
		},
		"half of it": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"value":[{"id":"`)
		},
		"less than announced": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", "500")
			fmt.Fprint(w, `{"value":[]}`)
		},
		"nothing": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200) },
		"null": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, "null")
		},
		"a list": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, "[1,2]")
		},
		"an object": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, "{}")
		},
		"other types": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"value":{"id":7}}`)
		},
		"too much": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			flood(w)
		},
		"a redirect": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", elsewhere.URL)
			w.WriteHeader(302)
		},
		"a broken challenge": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", "Bearer claims=eyJ")
			w.WriteHeader(401)
		},
		"a page elsewhere": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"value":[],"@odata.nextLink":"%s/v1.0/users"}`, elsewhere.URL)
		},
		"a circle": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"value":[],"@odata.nextLink":"https://%s/v1.0/users?$skiptoken=x"}`, r.Host)
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			s := start(t, sample())
			d := open(t, config(s), c.options()...)
			u, err := d.Find(t.Context(), "user4"+suffix)
			if err != nil {
				t.Fatal(err)
			}
			s.Intercept(func(w http.ResponseWriter, r *http.Request, on http.Handler) {
				if strings.HasPrefix(r.URL.Path, "/v1.0/") {
					lie(w, r)
					return
				}
				on.ServeHTTP(w, r)
			})
			if name != "a page elsewhere" && name != "a circle" {
				if _, err := d.Read(t.Context(), u); !errors.Is(err, directory.ErrUnavailable) || errors.Is(err, directory.ErrNotFound) {
					t.Errorf("Read: %v", err)
				}
				if _, err := d.Find(t.Context(), "user4"+suffix); !errors.Is(err, directory.ErrUnavailable) || errors.Is(err, directory.ErrNotFound) {
					t.Errorf("Find: %v", err)
				}
				if _, err := d.IssuePass(t.Context(), u); err == nil {
					t.Error("a pass")
				}
			}
			if err := d.People(t.Context(), func(directory.ID) error { return nil }); !errors.Is(err, directory.ErrUnavailable) {
				t.Errorf("People: %v", err)
			}
			if err := d.RevokeSessions(t.Context(), u); err == nil && name != "a page elsewhere" && name != "a circle" {
				t.Error("sessions were ended by something that is not Graph")
			}
		})
	}
}

// flood writes more than any answer is long.
func flood(w http.ResponseWriter) {
	fmt.Fprint(w, `{"value":["`)
	line := []byte(strings.Repeat("a", 1<<20))
	for range 20 {
		if _, err := w.Write(line); err != nil {
			return
		}
	}
	fmt.Fprint(w, `"]}`)
}

// A server that takes the question and says nothing keeps nobody longer than the
// deadline.
func TestAHangEnds(t *testing.T) {
	s := start(t, sample())
	conf := config(s)
	conf.RequestTimeout = 300 * time.Millisecond
	d := open(t, conf)
	u, err := d.Find(t.Context(), "user5"+suffix)
	if err != nil {
		t.Fatal(err)
	}
	s.Intercept(func(_ http.ResponseWriter, r *http.Request, _ http.Handler) { <-r.Context().Done() })
	began := time.Now()
	if _, err := d.Read(t.Context(), u); !errors.Is(err, directory.ErrUnavailable) {
		t.Errorf("Read: %v", err)
	}
	if err := d.SetPassword(t.Context(), u, directory.NewSecret(next)); !errors.Is(err, directory.ErrUncertain) {
		t.Errorf("SetPassword: %v", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}

// A token that was ended before its time is exchanged, once; one that runs out is too.
func TestATokenIsRenewed(t *testing.T) {
	s := start(t, sample())
	d := open(t, config(s))
	u, err := d.Find(t.Context(), "user6"+suffix)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		s.Forget()
		if _, err := d.Read(t.Context(), u); err != nil {
			t.Errorf("after the tokens were ended: %v", err)
		}
	}
	s.Forget()
	if err := d.SetPassword(t.Context(), u, directory.NewSecret(next)); err != nil || password(s, "user6"+suffix) != next {
		t.Errorf("a write after the tokens were ended: %v", err)
	}
	s.Intercept(func(w http.ResponseWriter, r *http.Request, on http.Handler) {
		if strings.HasPrefix(r.URL.Path, "/v1.0/") {
			s.Forget()
		}
		on.ServeHTTP(w, r)
	})
	s.Requests()
	if _, err := d.Read(t.Context(), u); !errors.Is(err, directory.ErrUnavailable) || count(s, "GET") > 2*4 {
		t.Errorf("when every token is ended: %v", err)
	}
}

// What is not granted is refused, and nobody is helped without knowing who has a role.
func TestMissingPermissionsRefuse(t *testing.T) {
	for permission, broken := range map[string]string{
		"Directory.Read.All": "find", "RoleManagement.Read.Directory": "find", "User-PasswordProfile.ReadWrite.All": "set",
		"User.RevokeSessions.All": "revoke", "UserAuthenticationMethod.ReadWrite.All": "pass",
	} {
		t.Run(permission, func(t *testing.T) {
			s := start(t, sample())
			d := open(t, config(s))
			before, err := d.Find(t.Context(), "user7"+suffix)
			if err != nil {
				t.Fatal(err)
			}
			s.Consent(slices.DeleteFunc(slices.Clone(graphstub.Needed), func(p string) bool { return p == permission })...)
			u, err := d.Find(t.Context(), "user7"+suffix)
			if (err != nil) != (broken == "find") || err != nil && !errors.Is(err, directory.ErrUnavailable) {
				t.Errorf("Find: %v", err)
			}
			if u.ID == "" {
				u = before
			}
			if err := d.SetPassword(t.Context(), u, directory.NewSecret(next)); (err != nil) != (broken == "set") || err != nil && !errors.Is(err, directory.ErrDenied) {
				t.Errorf("SetPassword: %v", err)
			}
			if err := d.RevokeSessions(t.Context(), u); (err != nil) != (broken == "revoke") || err != nil && !errors.Is(err, directory.ErrDenied) {
				t.Errorf("RevokeSessions: %v", err)
			}
			if _, err := d.IssuePass(t.Context(), u); (err != nil) != (broken == "pass") || err != nil && !errors.Is(err, directory.ErrDenied) {
				t.Errorf("IssuePass: %v", err)
			}
		})
	}
}

// Replicas show a write late; nothing is concluded from that.
func TestAReplicaMayLag(t *testing.T) {
	c := newClock()
	cfg := sample()
	cfg.Now, cfg.Delay = c.now, 30*time.Second
	s := start(t, cfg)
	d := open(t, config(s), c.options()...)
	u, err := d.Find(t.Context(), "user8"+suffix)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.SetPassword(t.Context(), u, directory.NewSecret(next)); err != nil {
		t.Fatal(err)
	}
	if now, err := d.Read(t.Context(), u); err != nil || !now.State.PasswordSet.Equal(u.State.PasswordSet) {
		t.Errorf("at once: %+v, %v", now.State, err)
	}
	c.pass(31 * time.Second)
	if now, err := d.Read(t.Context(), u); err != nil || !now.State.PasswordSet.After(u.State.PasswordSet) {
		t.Errorf("after the delay: %+v, %v", now.State, err)
	}
}

// An operation that was only taken is no success until it says so.
func TestAnOperationIsFollowedToItsEnd(t *testing.T) {
	for name, tt := range map[string]struct {
		location string // %s is the host
		statuses []string
		want     error
	}{
		"succeeds":        {"https://%s/v1.0/users/x/authentication/operations/1", []string{"notStarted", "running", "succeeded"}, nil},
		"fails":           {"https://%s/v1.0/users/x/authentication/operations/1", []string{"running", "failed"}, directory.ErrDenied},
		"never ends":      {"https://%s/v1.0/users/x/authentication/operations/1", []string{"running"}, directory.ErrUncertain},
		"leads elsewhere": {"https://elsewhere.example/operations/1", []string{"succeeded"}, directory.ErrUncertain},
		"leads nowhere":   {"", nil, directory.ErrUncertain},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			s := start(t, sample())
			d := open(t, config(s), c.options()...)
			u, err := d.Find(t.Context(), "user9"+suffix)
			if err != nil {
				t.Fatal(err)
			}
			asked := 0
			s.Intercept(func(w http.ResponseWriter, r *http.Request, on http.Handler) {
				switch {
				case r.Method == "PATCH":
					if tt.location != "" {
						w.Header().Set("Location", strings.ReplaceAll(tt.location, "%s", r.Host))
					}
					w.WriteHeader(202)
				case strings.Contains(r.URL.Path, "/operations/"):
					status := tt.statuses[min(asked, len(tt.statuses)-1)]
					asked++
					w.Header().Set("Content-Type", "application/json")
					fmt.Fprintf(w, `{"id":"1","status":%q,"statusDetail":"the operation %s"}`, status, status)
				default:
					on.ServeHTTP(w, r)
				}
			})
			if err := d.SetPassword(t.Context(), u, directory.NewSecret(next)); !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if asked > 25 {
				t.Errorf("asked %d times", asked)
			}
		})
	}
}

// A part that is missing is not an empty part: nobody is cleared of a role by it.
func TestAPartThatIsMissingClearsNobody(t *testing.T) {
	for _, part := range []string{"/transitiveMemberOf", "/roleAssignments", "/roleEligibilityScheduleInstances", "/domains"} {
		for _, answer := range []string{"{}", `{"value":null}`, `{"value":[{}],"@odata.nextLink":"https://elsewhere.example/v1.0/x"}`} {
			s := start(t, sample())
			s.Intercept(func(w http.ResponseWriter, r *http.Request, on http.Handler) {
				if strings.HasSuffix(r.URL.Path, part) {
					w.Header().Set("Content-Type", "application/json")
					fmt.Fprint(w, answer)
					return
				}
				on.ServeHTTP(w, r)
			})
			c := newClock()
			if u, err := open(t, config(s), c.options()...).Find(t.Context(), "user1"+suffix); !errors.Is(err, directory.ErrUnavailable) {
				t.Errorf("%s of %s: %+v, %v", answer, part, u, err)
			}
		}
	}
}
