package portaltest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// told is what somebody knows when they go.
type told string

const (
	done        told = "done"
	refused     told = "refused"     // plainly: nothing was changed
	unknown     told = "unknown"     // the portal says that it cannot know
	unavailable told = "unavailable" // 503, before anything was written; or no mail came
	limited     told = "limited"     // 429
	lost        told = "no answer"   // 502, 504 or none at all, before anything was written
	left        told = "left"        // they walked away
	odd         told = "ODD"         // nothing that may ever happen
)

// ending is what came of a case.
type ending struct {
	told
	next     string // the password they asked for, if they got so far
	unlocks  bool   // it was about a lock
	checking time.Duration
	why      string
}

// walk is somebody at the portal, whose every answer is measured.
type walk struct {
	*rider
	s      *soak
	posted int  // status of the last POST; 0: none came
	silent bool // no answer came to the last request
}

func (s *soak) walk(client *fasthttp.HostClient) *walk {
	w := &walk{rider: newRider(client, s.p.URL, &s.asked), s: s}
	w.heard = func(took time.Duration, err error) {
		status := 0
		if err == nil {
			status = w.resp.StatusCode()
		}
		w.silent = err != nil
		if string(w.req.Header.Method()) == fasthttp.MethodPost {
			w.posted = status
		}
		s.answers.add(status, took, err, w.resp, client == s.client)
	}
	return w
}

func (w *walk) step() string { return between(w.resp.Body(), `data-step="`, `"`) }
func (w *walk) fault() string {
	return between(w.resp.Body(), `data-error="`, `"`)
}

// stop says why somebody got no further.
func (w *walk) stop(err error) ending {
	e := ending{told: odd, why: err.Error()}
	switch status := w.resp.StatusCode(); {
	case w.silent, status == 502, status == 504:
		e.told = lost
	case errors.Is(err, errNoMail), status == 503:
		e.told = unavailable
	case status == 429:
		e.told = limited
	}
	return e
}

// mailbox keeps every code that was mailed, by address, in the order of arrival.
type mailbox struct {
	mu    sync.Mutex
	codes map[string][]string
	more  chan struct{}
	all   atomic.Int64
}

func (b *mailbox) take(to []string, raw string) {
	b.all.Add(1)
	code := mailedCode(raw)
	if code == "" {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, a := range to {
		b.codes[a] = append(b.codes[a], code)
	}
	close(b.more)
	b.more = make(chan struct{})
}

// since returns the newest code after the first n, and how many there are.
func (b *mailbox) since(ctx context.Context, to string, n int) (string, int, bool) {
	for {
		b.mu.Lock()
		list, more := b.codes[to], b.more
		b.mu.Unlock()
		if len(list) > n {
			return list[len(list)-1], len(list), true
		}
		select {
		case <-more:
		case <-ctx.Done():
			return "", n, false
		}
	}
}

var errNoMail = fmt.Errorf("no code came in %s", mailTime)

const mailTime = 20 * time.Second

// proves chooses a factor and answers it. Where a mail of an earlier case comes late they
// take its code for the one they wait for, and then wait for the next.
func (w *walk) proves(m *member, factor string) error {
	if err := w.at("choose"); err != nil {
		return err
	}
	box := &w.s.box
	_, had, _ := box.since(expired, m.mail, 0)
	if err := w.post("/recover/choose", "factor", factor); err != nil {
		return err
	}
	if err := w.at("answer"); err != nil {
		return err
	}
	if factor != "email" {
		answer, err := m.answer(factor, nil)
		if err != nil {
			return err
		}
		return w.post("/recover/answer", "answer", answer)
	}
	ctx, cancel := context.WithTimeout(context.Background(), mailTime)
	defer cancel()
	for {
		code, n, came := box.since(ctx, m.mail, had)
		if !came {
			return errNoMail
		}
		had = n
		if err := w.post("/recover/answer", "answer", code); err == nil || w.fault() != "wrong_code" {
			return err
		}
		w.s.late.Add(1)
	}
}

var expired = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// saves asks for a new password, and again where that says to come back.
func (w *walk) saves() ending {
	if err := w.at("new-password"); err != nil {
		return w.stop(err)
	}
	thinks()
	next := freshPassword()
	var e ending
	for range 3 {
		err := w.post("/recover/password", "password", next, "confirm", next)
		if err != nil && w.posted == 422 {
			return ending{told: odd, next: next, why: err.Error()}
		}
		e = w.learns(err, "new-password")
		e.next = next
		if e.told != unavailable {
			return e
		}
		time.Sleep(time.Second) // a person's own pace
	}
	return e
}

// learns looks at the case's page until it says how it ended. Where the last answer was
// an error, the case may also be at one of the earlier steps: nothing was done then.
func (w *walk) learns(last error, earlier ...string) ending {
	var e ending
	from := time.Now()
	for end := from.Add(settleTime); ; time.Sleep(250 * time.Millisecond) { // a person's own pace
		err := w.get("/recover")
		switch step := w.step(); {
		case err != nil || w.resp.StatusCode() != 200:
			if status := w.resp.StatusCode(); err == nil && status < 429 {
				return ending{told: odd, why: w.what()}
			}
		case step == "done":
			e.told = done
			return e
		case step == "refused" && w.fault() == "outcome_unknown":
			e.told = unknown
			return e
		case step == "refused":
			e.told = refused
			return e
		case step == "applying":
			e.checking = time.Since(from)
		case last != nil && slices.Contains(earlier, step):
			e.told, e.why = unavailable, last.Error()
			return e
		default:
			return ending{told: odd, why: w.what()}
		}
		if time.Now().After(end) {
			return ending{told: odd, why: fmt.Sprintf("not settled in %s: %s", settleTime, w.what()), checking: time.Since(from)}
		}
	}
}
