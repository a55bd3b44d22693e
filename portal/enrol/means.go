package enrol

import (
	"context"
	"fmt"
	"slices"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/policy"
	"postern/verify"
)

// Ended says whether too many wrong answers have ended kind for id.
type Ended func(ctx context.Context, id directory.ID, kind verify.Kind) (bool, error)

// Credentials lists what one person has enrolled (*store.DB).
type Credentials interface {
	Methods(ctx context.Context, owner directory.ID) ([]verify.Credential, error)
}

// Lookup finds out what one person could prove with, and changes nothing.
type Lookup struct {
	Credentials Credentials
	Ended       Ended
	// Phone says whether a code can be sent to a number of u; nil: to nobody's.
	Phone func(u directory.User) bool
	// Standing is what is remembered of an account.
	Standing func(ctx context.Context, id directory.ID) (access.Standing, error)
}

// Looked is what somebody could prove with.
type Looked struct {
	policy.Means                           // without Cooling, which a plan decides
	Since        map[verify.Kind]time.Time // as policy.Simulator.Cooling wants it
	Frozen       bool                      // the portal does nothing for the account
}

// Means returns what u, as just read, could prove with. Everything unknown is an
// error: a guess would strand people, or count some as stranded who are not.
func (l Lookup) Means(ctx context.Context, u directory.User) (m Looked, err error) {
	m.Means = policy.Means{Mail: len(u.Mail) > 0, Phone: l.Phone != nil && l.Phone(u), Manager: u.Manager != ""}
	known, err := l.Standing(ctx, u.ID)
	if err != nil {
		return m, unavailable(err)
	}
	m.Frozen = !known.Frozen.IsZero()
	m.Since = map[verify.Kind]time.Time{verify.Email: known.MailAt, verify.SMS: known.PhoneAt}
	methods, err := l.Credentials.Methods(ctx, u.ID)
	if err != nil {
		return m, unavailable(err)
	}
	for _, c := range methods {
		if !slices.Contains(m.Enrolled, c.Kind) {
			m.Enrolled = append(m.Enrolled, c.Kind)
			m.Since[c.Kind] = c.Created // the oldest comes first
		}
	}
	m.Ended, err = l.Ended.among(ctx, u.ID, m.Enrolled)
	return m, err
}

// among are those kinds that are ended, of what somebody has enrolled and of what
// needs no enrolment.
func (e Ended) among(ctx context.Context, id directory.ID, enrolled []verify.Kind) (kinds []verify.Kind, err error) {
	for _, k := range append(slices.Clone(enrolled), verify.Email, verify.SMS, verify.Password) {
		if !k.Guessable() {
			continue
		}
		over, err := e(ctx, id, k)
		if err != nil {
			return nil, unavailable(err)
		}
		if over {
			kinds = append(kinds, k)
		}
	}
	return kinds, nil
}

// Simulators make what is asked about people (*policy.Policy).
type Simulators interface {
	Simulator(door access.Door, purpose policy.Purpose) (*policy.Simulator, error)
}

// Explainer says what the policy means for one person. All parts are required.
// It is safe for concurrent use.
type Explainer struct {
	Directory directory.Directory
	Rules     Simulators
	Lookup    Lookup
	Threats   access.Threats
	Now       func() time.Time
}

// Explained is one person, what they could prove with, and what that opens.
type Explained struct {
	User  directory.User
	Means policy.Means
	policy.Verdict
	// Raised: it is what holds while the threat level is raised, as it is now.
	Raised bool
}

// Explain asks about whom login names: by the same plans and means as a case
// would, so that the two never say different things of one person. It changes
// nothing. directory.ErrNotFound when nobody, or more than one, has that name.
func (e Explainer) Explain(ctx context.Context, login string, door access.Door, purpose policy.Purpose) (Explained, error) {
	sim, err := e.Rules.Simulator(door, purpose)
	if err != nil {
		return Explained{}, err
	}
	t, err := e.Threats.Threat(ctx)
	if err != nil {
		return Explained{}, unavailable(err)
	}
	sim.Raised = t.Raised(e.Now())
	u, err := e.Directory.Find(ctx, login)
	if err != nil {
		return Explained{}, fmt.Errorf("enrol: %w", err)
	}
	m, err := e.Lookup.Means(ctx, u)
	if err != nil {
		return Explained{}, err
	}
	m.Cooling = sim.Cooling(u, m.Since, e.Now())
	v := sim.Explain(u, m.Means)
	if m.Frozen && v.Unserved == "" {
		v = policy.Verdict{Unserved: frozen, Explanation: policy.Explanation{Plan: v.Plan, Paths: []policy.Path{}}}
	}
	return Explained{User: u, Means: m.Means, Verdict: v, Raised: sim.Raised && policy.Vouches(purpose)}, nil
}
