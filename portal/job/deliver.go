package job

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
	"time"

	"postern/directory"
	"postern/portal/audit"
	"postern/portal/notify"
	"postern/portal/store"
)

const (
	senders = 8
	// sendTimeout is for one address; messageTimeout for a whole message, safely
	// within the lease on it, so that nobody else sends it meanwhile.
	sendTimeout    = 30 * time.Second
	messageTimeout = 75 * time.Second
	// A message is tried for about a day; a code is worth nothing long before.
	maxTries   = 30
	firstRetry = 5 * time.Second
	lastRetry  = time.Hour
	// overdue is when a message that still waits is worth an alarm: somebody may have
	// changed a password and its owner does not hear of it.
	overdue = 5 * time.Minute
)

// Outcome of an attempt to deliver.
type Outcome string

const (
	Sent    Outcome = "sent"
	Retry   Outcome = "retry"
	Failed  Outcome = "failed"  // given up
	Dropped Outcome = "dropped" // a decoy's
)

// Delivery is one attempt, for metrics.
type Delivery struct {
	Channel  notify.Channel
	Template string
	Outcome  Outcome
	Tries    int
	Waited   time.Duration // since the message was written
	Took     time.Duration
}

// take gets a message right after its commit, in the goroutine of a request. It
// never waits: what does not fit is found again when its lease is over.
func (r *Runner) take(o store.Outgoing) {
	select {
	case r.queue <- o:
	default:
		r.Log.Warn("the queue of messages is full; one has to wait", "message", o.ID)
	}
}

// send delivers messages until ctx ends.
func (r *Runner) send(ctx, sending context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case o := <-r.queue:
			r.Safe("delivery", func() { r.deliver(sending, o) })
		}
	}
}

// drain looks for messages that are due: to be tried again, or left behind.
func (r *Runner) drain(ctx context.Context) {
	tick := time.NewTicker(drainEvery)
	defer tick.Stop()
	for {
		var claimed []store.Outgoing
		var err error
		r.Safe("messages due", func() { claimed, err = r.Outbox.Claim(ctx, senders) })
		if err != nil && ctx.Err() == nil {
			r.Log.ErrorContext(ctx, "messages that are due could not be read", "error", err)
		}
		for _, o := range claimed {
			// Waits while all are busy; whatever gets too old by that is left alone.
			select {
			case r.queue <- o:
			case <-ctx.Done():
				if err := r.Outbox.Postpone(context.WithoutCancel(ctx), o, r.Now()); err != nil {
					r.Log.ErrorContext(ctx, "a message could not be given back", "message", o.ID, "error", err)
				}
			}
		}
		if len(claimed) == senders && ctx.Err() == nil {
			continue
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// deliver makes one attempt and writes down what came of it.
func (r *Runner) deliver(ctx context.Context, o store.Outgoing) {
	start := r.Now()
	if start.Add(messageTimeout).After(o.Until) {
		return // somebody else will have it before we are done
	}
	v := r.attempt(ctx, o)
	var err error
	switch {
	case v.outcome == Retry && (o.Tries >= maxTries || !o.NotAfter.IsZero() && start.Add(backoff(o.Tries)).After(o.NotAfter)):
		v.outcome = Failed
		v.events = append(v.events, failure(o, start, "not_delivered"))
		err = r.Outbox.Finish(ctx, o, v.events...)
	case v.outcome == Retry:
		o.To = v.rest
		err = r.Outbox.Postpone(ctx, o, start.Add(backoff(o.Tries)), v.events...)
	default:
		err = r.Outbox.Finish(ctx, o, v.events...)
	}
	if err != nil {
		// It may be sent twice now, but is not lost.
		r.Log.ErrorContext(ctx, "what came of a message could not be stored", "message", o.ID, "error", err)
	}
	switch {
	case v.outcome == Failed:
		r.Log.ErrorContext(ctx, "a message could not be delivered", "message", o.ID, "channel", o.Channel, "template", o.Template, "tries", o.Tries, "error", v.err)
	case v.err != nil:
		r.Log.WarnContext(ctx, "a message could not be delivered yet", "message", o.ID, "channel", o.Channel, "template", o.Template, "tries", o.Tries, "error", v.err)
	}
	if waits := v.outcome == Retry || v.outcome == Failed; waits && start.Sub(o.Created) >= overdue && r.Alarm != nil {
		r.Alarm("message")
	}
	if r.Deliveries != nil {
		r.Deliveries(Delivery{Channel: o.Channel, Template: o.Template, Outcome: v.outcome, Tries: o.Tries, Waited: start.Sub(o.Created), Took: r.Now().Sub(start)})
	}
}

// verdict is what came of an attempt.
type verdict struct {
	outcome Outcome
	rest    []string // addresses to try again; nil: ask the directory again
	events  []audit.Event
	err     error
}

// errPanicked is all that a message is told of a panic: what was thrown could
// hold its text.
var errPanicked = errors.New("job: it panicked")

// attempt: a template or a transport that panics takes one message down, and
// neither the others nor the portal.
func (r *Runner) attempt(ctx context.Context, o store.Outgoing) verdict {
	v := verdict{outcome: Retry, rest: o.To, err: errPanicked}
	r.Safe("message", func() { v = r.try(ctx, o) })
	return v
}

func (r *Runner) try(ctx context.Context, o store.Outgoing) (v verdict) {
	now := r.Now()
	// A message about nobody goes the same way up to the door, and then nowhere.
	decoy := o.Broken == nil && o.Who.ID == "" && len(o.To) == 0
	failed := func(reason string, err error) verdict {
		if decoy {
			return verdict{outcome: Dropped, err: err}
		}
		return verdict{outcome: Failed, events: []audit.Event{failure(o, now, reason)}, err: err}
	}
	if o.Broken != nil {
		// Perhaps a key is missing for now.
		return verdict{outcome: Retry, err: o.Broken}
	}
	if !o.NotAfter.IsZero() && !now.Before(o.NotAfter) {
		return failed("too_late", nil)
	}
	text, err := r.Renderer.Render(o.Message)
	if err != nil {
		return failed("not_rendered", err)
	}
	if decoy {
		return verdict{outcome: Dropped}
	}
	transport := r.Transports[o.Channel]
	if transport == nil {
		return failed("no_transport", nil)
	}
	ctx, cancel := context.WithTimeout(ctx, messageTimeout)
	defer cancel()
	to := o.To
	if len(to) == 0 {
		address, err := r.address(ctx, o.Message)
		switch {
		case errors.Is(err, directory.ErrNotFound):
			return failed("account_gone", err)
		case err != nil:
			return verdict{outcome: Retry, err: err}
		case address == "":
			return failed("no_address", nil)
		}
		to = []string{address}
	}
	v.outcome = Sent
	served := 0
	for _, address := range to {
		err := r.sendOne(ctx, transport, o.ID, address, text)
		if err == nil {
			served++
			continue
		}
		v.err = errors.Join(v.err, err)
		if _, permanent := errors.AsType[notify.Permanent](err); permanent {
			v.events = append(v.events, failure(o, now, "refused"))
			continue
		}
		v.outcome = Retry
		if len(o.To) > 0 {
			v.rest = append(v.rest, address)
		}
	}
	if v.outcome == Sent && len(v.events) == len(to) {
		v.outcome = Failed // nobody got it
	}
	if served > 0 {
		// That somebody was told is worth as much as that it was done (security case 106).
		sent := about(o, now, audit.MessageSent, audit.OK)
		sent.Detail["addresses"] = strconv.Itoa(served)
		v.events = append(v.events, sent)
	}
	return v
}

func (r *Runner) sendOne(ctx context.Context, t notify.Transport, id, to string, text notify.Rendered) error {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	// One id for each address, and the same at every attempt: a relay that knows
	// it already can drop the second one.
	return t.Send(ctx, fmt.Sprintf("%s.%x", id, sha256.Sum256([]byte(to)))[:len(id)+9], to, text)
}

// address reads where a code goes from the directory, now: nothing that came in
// with a request chooses it (security case 49).
func (r *Runner) address(ctx context.Context, m notify.Message) (string, error) {
	u, err := r.People.Read(ctx, m.Who)
	if err != nil {
		return "", err
	}
	list := u.Mail
	if m.Channel == notify.SMS {
		list = u.Phone
	}
	if len(list) == 0 {
		return "", nil
	}
	return list[0], nil
}

func failure(o store.Outgoing, at time.Time, reason string) audit.Event {
	e := about(o, at, audit.MessageFailed, audit.Failed)
	e.Reason = reason
	return e
}

// about says what became of a message, and never where it went.
func about(o store.Outgoing, at time.Time, kind string, how audit.Outcome) audit.Event {
	return audit.Event{At: at, Kind: kind, Case: o.Case, Subject: o.Who.ID, SubjectName: o.Who.Name, Door: "job",
		Outcome: how, Detail: map[string]string{"channel": string(o.Channel), "template": o.Template}}
}

// backoff doubles from 5 s to an hour.
func backoff(tries int) time.Duration {
	return min(lastRetry, firstRetry<<min(max(0, tries-1), 16))
}
