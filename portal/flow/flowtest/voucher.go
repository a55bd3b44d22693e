package flowtest

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"postern/directory"
	"postern/verify"
)

// Voucher is an approval that those of Voters can give, with number 47 and the
// proof "signed".
type Voucher struct {
	Voters []directory.User
	Now    func() time.Time
	Unfit  error // Stands, Ballot and Vote return it when set
	mu     sync.Mutex
	Voted  int
	Begun  int
	// Subject is whom it was begun for last.
	Subject verify.Subject
}

func (v *Voucher) count(n *int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	*n++
}

func (*Voucher) Kind() verify.Kind { return verify.Approval }

func (v *Voucher) Begin(_ context.Context, s verify.Subject) (verify.Challenge, error) {
	v.count(&v.Begun)
	v.mu.Lock()
	v.Subject = s
	v.mu.Unlock()
	ch := verify.Challenge{Kind: verify.Approval, State: []byte(s.Case), Expires: v.Now().Add(10 * time.Minute)}
	if s.User == nil {
		return ch, nil
	}
	if len(v.Voters) == 0 {
		return ch, verify.ErrNobody
	}
	for i := range v.Voters {
		ch.Deliver = append(ch.Deliver, verify.Delivery{Channel: "mail", Template: "approval_request", Args: map[string]string{"login": s.User.Login}, To: &v.Voters[i]})
	}
	return v.Without(ch, nil)
}

func (*Voucher) Without(ch verify.Challenge, those []directory.ID) (verify.Challenge, error) {
	ch.Deliver = slices.DeleteFunc(ch.Deliver, func(d verify.Delivery) bool { return slices.Contains(those, d.To.ID) })
	who := []string{}
	for _, d := range ch.Deliver {
		who = append(who, d.To.Name)
	}
	public, err := json.Marshal(map[string]any{"number": "47", "who": who})
	ch.Public = public
	return ch, err
}

func (*Voucher) Check(context.Context, verify.Subject, verify.Challenge, []byte) (verify.Evidence, error) {
	return verify.Evidence{}, verify.ErrPending
}

func (*Voucher) Asked(ch verify.Challenge) []directory.ID {
	var ids []directory.ID
	for _, d := range ch.Deliver {
		ids = append(ids, d.To.ID)
	}
	return ids
}

func (v *Voucher) Ballot(_ context.Context, s verify.Subject, c verify.Challenge, by directory.User) (verify.Ballot, error) {
	return verify.Ballot{Passkey: []byte(`{}`)}, v.fit(s, c, by.ID)
}

func (v *Voucher) Vote(_ context.Context, s verify.Subject, c verify.Challenge, vote verify.Vote) (verify.Evidence, error) {
	v.count(&v.Voted)
	if err := v.fit(s, c, vote.By.ID); err != nil {
		return verify.Evidence{}, err
	}
	if vote.Number != "47" {
		return verify.Evidence{}, verify.ErrWrongNumber
	}
	if string(vote.Proof) != "signed" {
		return verify.Evidence{}, verify.ErrWrong
	}
	return verify.Evidence{By: vote.By.ID, Record: json.RawMessage(`{"statement":"e30="}`)}, nil
}

func (v *Voucher) Stands(_ context.Context, s verify.Subject, ev verify.Evidence) error {
	return v.fit(s, verify.Challenge{State: []byte(s.Case)}, ev.By)
}

func (v *Voucher) fit(s verify.Subject, c verify.Challenge, by directory.ID) error {
	switch {
	case v.Unfit != nil:
		return v.Unfit
	case s.User == nil || string(c.State) != s.Case:
		return errors.New("flowtest: a request of another case")
	case !slices.ContainsFunc(v.Voters, func(u directory.User) bool { return u.ID == by }):
		return &verify.Unfit{Reason: "not_asked"}
	}
	return nil
}
