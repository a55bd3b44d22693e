package policy

import (
	"slices"
	"time"

	"postern/portal/access"
	"postern/verify"
)

// Config is the policy's part of the configuration file.
type Config struct {
	// Scope says which accounts the portal serves at all.
	Scope Scope `yaml:"scope"`
	// CoolingOff is for how long after it was added, or after the address it goes
	// to changed, a factor cannot be the only proof of a reset or an unlock.
	CoolingOff time.Duration `yaml:"cooling_off"`
	// Approval says whom an approval is asked of, where a plan allows one.
	Approval Approval `yaml:"approval"`
	// Spoken are factors whose code may be read to a technician, who types it: totp,
	// yubikey. See Plan.Heard. None is the default.
	Spoken []verify.Kind `yaml:"spoken"`
	// Plans are what holds where no rule says otherwise.
	Plans Plans `yaml:"plans"`
	// Rules make it differ by door, purpose, group and place in the directory;
	// the first that matches wins.
	Rules []Rule `yaml:"rules"`
}

// Scope limits whom the portal acts on. Groups are DNs or common names, OUs are
// DNs of the entries above the account; both ignore case.
type Scope struct {
	Groups     []string `yaml:"groups"`      // members only; empty: everybody
	OUs        []string `yaml:"ous"`         // below one of these only; empty: everywhere
	DenyGroups []string `yaml:"deny_groups"` // never members of these, whatever stands above
	DenyOUs    []string `yaml:"deny_ous"`    // never below one of these
}

// Plans is one plan for every purpose.
type Plans struct {
	Reset  PlanConfig `yaml:"reset"`
	Unlock PlanConfig `yaml:"unlock"`
	Change PlanConfig `yaml:"change"`
	SignIn PlanConfig `yaml:"signin"`
	StepUp PlanConfig `yaml:"stepup"`
	// Assist holds for everything that a technician began for somebody: a reset, an
	// unlock, or to act on the account.
	Assist PlanConfig `yaml:"assist"`
}

// Approval is verify.Ask in the file.
type Approval struct {
	// Levels is how far up the directory's managers are looked for; the first who
	// can answer is asked. 0: only those of Approvers are.
	Levels int `yaml:"levels"`
	// Approvers are logins of those who are asked where no manager can be.
	Approvers []string `yaml:"approvers"`
	TOTP      bool     `yaml:"totp"`   // an approver may answer with a code instead of a passkey; nothing is signed then
	Synced    bool     `yaml:"synced"` // a passkey that is synced between devices may sign
	SMS       bool     `yaml:"sms"`    // approvers are told by text message too
}

// PlanConfig is a Plan in the file. In a rule, what is left out is as in the
// plan of that purpose; an empty list is a list.
type PlanConfig struct {
	Allowed []verify.Kind  `yaml:"allowed"` // in the order the page offers them
	First   *verify.Kind   `yaml:"first"`   // must come first; "": any
	Alone   []verify.Kind  `yaml:"alone"`   // enough by itself
	Gates   int            `yaml:"gates"`   // otherwise, so many different classes
	Anchor  []verify.Class `yaml:"anchor"`  // one of them of these classes
	Life    time.Duration  `yaml:"life"`    // of the whole case
	Tries   int            `yaml:"tries"`   // wrong answers before it ends
	PerDay  *int           `yaml:"per_day"` // so often a day and person; 0: no limit of its own
}

// RulePlan is a PlanConfig with what else may differ. CoolingOff holds for a
// reset and an unlock, as the one at the top does.
type RulePlan struct {
	PlanConfig `yaml:",inline"`
	CoolingOff *time.Duration `yaml:"cooling_off"`
	Approval   *Approval      `yaml:"approval"` // whole, instead of the one at the top
	Spoken     []verify.Kind  `yaml:"spoken"`   // at the desk, instead of those at the top
}

// Rule says what differs, and for whom. A list that is empty matches everything.
type Rule struct {
	Name     string        `yaml:"name"` // for the audit log
	Doors    []access.Door `yaml:"doors"`
	Purposes []Purpose     `yaml:"purposes"`
	Groups   []string      `yaml:"groups"`
	OUs      []string      `yaml:"ous"`
	// Directories are names of directories of this file.
	Directories []string `yaml:"directories"`
	Plan        RulePlan `yaml:"plan"`
}

// DefaultConfig: one passkey, or two proofs of different classes of which one
// is bound or saved. SMS, YubiKey and approvals are allowed once an operator
// has set them up and says so.
func DefaultConfig() Config {
	recover := func() PlanConfig {
		return PlanConfig{
			Allowed: []verify.Kind{verify.Passkey, verify.TOTP, verify.Email, verify.RecoveryCode},
			First:   new(verify.Kind), Alone: []verify.Kind{verify.Passkey}, Gates: 2,
			Anchor: []verify.Class{verify.Possession, verify.Saved},
			Life:   15 * time.Minute, Tries: 5, PerDay: ptr(5),
		}
	}
	change := recover()
	change.Allowed, change.First, change.Alone = []verify.Kind{verify.Password}, ptr(verify.Password), []verify.Kind{verify.Password}
	change.Gates, change.Anchor, change.PerDay = 1, []verify.Class{}, ptr(0)

	signin := recover()
	signin.Allowed = []verify.Kind{verify.Passkey, verify.Password, verify.TOTP, verify.Email, verify.RecoveryCode}
	signin.First, signin.Anchor, signin.PerDay = ptr(verify.Password), []verify.Class{}, ptr(0)

	stepup := recover()
	stepup.Allowed = []verify.Kind{verify.Passkey, verify.TOTP, verify.RecoveryCode, verify.Password, verify.Email}
	stepup.Alone = []verify.Kind{verify.Passkey, verify.TOTP, verify.RecoveryCode}
	stepup.Anchor, stepup.PerDay = []verify.Class{}, ptr(0)

	desk := recover()
	// Nobody is helped over the telephone on less than a number that both read, and
	// a proof of the caller's own; or, with nothing left, a manager's signature.
	desk.Allowed = []verify.Kind{verify.Passkey, verify.TOTP, verify.RecoveryCode, verify.Handover}
	desk.Alone, desk.Anchor = []verify.Kind{}, []verify.Class{verify.Possession, verify.Saved, verify.Contact}

	return Config{CoolingOff: 24 * time.Hour, Approval: Approval{Levels: 1, Approvers: []string{}}, Spoken: []verify.Kind{}, Plans: Plans{Reset: recover(), Unlock: recover(), Change: change, SignIn: signin, StepUp: stepup, Assist: desk}}
}

func ptr[T any](v T) *T { return &v }

// purposes in the order of the file.
func purposes() []Purpose { return []Purpose{Reset, Unlock, Change, SignIn, StepUp, Assist} }

func (p *Plans) of(purpose Purpose) PlanConfig {
	switch purpose {
	case Reset:
		return p.Reset
	case Unlock:
		return p.Unlock
	case Change:
		return p.Change
	case SignIn:
		return p.SignIn
	case StepUp:
		return p.StepUp
	case Assist:
		return p.Assist
	}
	return PlanConfig{}
}

// plan is the plan of a purpose under a rule; the zero Rule is none.
func (c Config) plan(purpose Purpose, r Rule) Plan {
	name := r.Name
	if name == "" {
		name = "default"
	}
	p := r.Plan.over(c.Plans.of(purpose)).plan(name)
	if p.Match = purpose == Assist; p.Match {
		p.Spoken = slices.Clone(c.Spoken)
		if r.Plan.Spoken != nil {
			p.Spoken = slices.Clone(r.Plan.Spoken)
		}
	}
	if purpose == Reset || purpose == Unlock || purpose == Assist {
		p.CoolingOff = c.CoolingOff
		if r.Plan.CoolingOff != nil {
			p.CoolingOff = *r.Plan.CoolingOff
		}
	}
	a := c.Approval
	if r.Plan.Approval != nil {
		a = *r.Plan.Approval
	}
	p.Ask = verify.Ask{Levels: a.Levels, Approvers: slices.Clone(a.Approvers), TOTP: a.TOTP, Synced: a.Synced, SMS: a.SMS, Settled: p.CoolingOff}
	return p
}

// over lays what c says over base.
func (c PlanConfig) over(base PlanConfig) PlanConfig {
	if c.Allowed != nil {
		base.Allowed = c.Allowed
	}
	if c.First != nil {
		base.First = c.First
	}
	if c.Alone != nil {
		base.Alone = c.Alone
	}
	if c.Gates != 0 {
		base.Gates = c.Gates
	}
	if c.Anchor != nil {
		base.Anchor = c.Anchor
	}
	if c.Life != 0 {
		base.Life = c.Life
	}
	if c.Tries != 0 {
		base.Tries = c.Tries
	}
	if c.PerDay != nil {
		base.PerDay = c.PerDay
	}
	return base
}

func (c PlanConfig) plan(name string) Plan {
	p := Plan{Name: name, Allowed: slices.Clone(c.Allowed), Alone: slices.Clone(c.Alone), Gates: c.Gates,
		Anchor: slices.Clone(c.Anchor), Life: c.Life, Tries: c.Tries}
	if c.First != nil {
		p.First = *c.First
	}
	if c.PerDay != nil {
		p.PerDay = *c.PerDay
	}
	return p
}

func (r Rule) purposes() []Purpose {
	if len(r.Purposes) == 0 {
		return purposes()
	}
	return r.Purposes
}
