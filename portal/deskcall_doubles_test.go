package portal

import (
	"context"
	"time"

	"postern/directory"
	helpdesk "postern/portal/desk"
	"postern/portal/flow"
	"postern/portal/policy"
	"postern/verify"
)

// helper is what technicians ask, with one person to help.
type helper struct {
	asked []string
	fail  error
	row   *flow.Case
	held  *flow.Case // another technician's, that waits
	blind error      // of what became of it
}

var bob = directory.User{ID: "ad:bob", Directory: "ad", Login: "bob", Name: `<img src=x onerror=alert(1)>`, Mail: []string{"bob@example.org"}}

// callID is of the one case there is.
const callID = "ABCDEFGHJKMNPQRSTVWXYZ0123456789"

func (h *helper) note(call string) error {
	h.asked = append(h.asked, call)
	return h.fail
}

func (h *helper) Find(_ context.Context, _ helpdesk.Who, text string) (helpdesk.Found, error) {
	if text != "bob" {
		return helpdesk.Found{}, h.note("find")
	}
	return helpdesk.Found{People: []helpdesk.Person{{ID: bob.ID, Directory: bob.Directory, Login: bob.Login, Name: bob.Name}, {Name: "Carl", Refused: "staff"}}}, h.note("find")
}

func (h *helper) See(_ context.Context, _ helpdesk.Who, id directory.ID) (helpdesk.Account, error) {
	switch id {
	case bob.ID:
		return helpdesk.Account{User: bob}, h.note("see")
	case alice.ID:
		return helpdesk.Account{User: directory.User{ID: alice.ID, Login: "alice"}, Refused: "self"}, h.note("see")
	}
	return helpdesk.Account{}, helpdesk.ErrUnknown
}

func (h *helper) Case(_ context.Context, _ helpdesk.Who, id string) (*flow.Case, error) {
	if h.row == nil || id != callID {
		return nil, helpdesk.ErrUnknown
	}
	return h.row, h.note("case")
}

func (h *helper) Open(_ context.Context, _ helpdesk.Who, id directory.ID, o helpdesk.Order) (*flow.Case, error) {
	if id == alice.ID {
		return nil, &helpdesk.Refused{Reason: "self"}
	}
	if o.Cause == "" {
		return nil, &flow.Invalid{Field: "cause", Code: "bad_cause"}
	}
	return &flow.Case{ID: callID}, h.note("open")
}

func (h *helper) Match(_ context.Context, _ helpdesk.Who, id, number, _ string) (*flow.Case, error) {
	if number != "47" {
		return h.row, &flow.Wrong{Code: "wrong_number", Left: 2}
	}
	return h.row, h.note("match")
}

func (h *helper) Hear(_ context.Context, _ helpdesk.Who, _ string, k verify.Kind, _ []byte) (*flow.Case, error) {
	return h.row, h.note("hear " + string(k))
}

func (h *helper) Waiting(context.Context, helpdesk.Who) ([]*flow.Case, error) {
	if h.held == nil {
		return nil, h.fail
	}
	return []*flow.Case{h.held}, h.fail
}

func (h *helper) Held(_ context.Context, _ helpdesk.Who, id string) (*flow.Case, error) {
	if h.held == nil || id != callID {
		return nil, helpdesk.ErrUnknown
	}
	return h.held, h.note("held")
}

func (h *helper) Agree(context.Context, helpdesk.Who, string) error { return h.note("agree") }

func (h *helper) Disagree(context.Context, helpdesk.Who, string) error { return h.note("disagree") }

func (h *helper) Cancel(context.Context, helpdesk.Who, string) error { return h.note("cancel") }

func (h *helper) Choices(context.Context, *flow.Case) (helpdesk.Choices, error) {
	return helpdesk.Choices{}, nil
}

func (h *helper) Do(_ context.Context, _ helpdesk.Who, _ string, act helpdesk.Act, _, _ string) error {
	return h.note("do " + string(act))
}

// called is the case, at the number.
func called(now time.Time) *flow.Case {
	u := bob
	return &flow.Case{ID: callID, Key: bob.ID, Named: "bob", Person: &u, Purpose: policy.Reset, Door: "desk", Cause: "lost", Ticket: "INC-7", Expires: now.Add(time.Hour),
		Code: "ABC-234-XYZ", Plan: plan(policy.Reset)}
}
