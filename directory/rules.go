package directory

import (
	"fmt"
	"time"
)

// Rules is the password policy in force for one account. Zero values mean
// "no such rule".
type Rules struct {
	MinLength int // in characters as the server counts them
	MaxLength int
	// Complexity is Active Directory's rule: 3 of 5 character classes, not the
	// account name, no part of 3 or more characters of the display name.
	Complexity bool
	// PlainOnly: nothing but what PlainCharacters allows (Entra ID).
	PlainOnly bool
	History   int // how many old passwords are refused
	// HistoryOnReset says whether an administrative reset obeys History. Never
	// claim it where the server does not advertise it.
	HistoryOnReset bool
	// QualityCheck says that the server has a check of its own that nobody can read
	// beforehand (pwdCheckQuality, an installed filter).
	QualityCheck bool
	// BannedList: the server has a list of words that no password may be built on, and
	// nobody can read it beforehand (Entra ID Password Protection).
	BannedList bool
	MinAge     time.Duration // between changes
	MaxAge     time.Duration
	// LockoutThreshold is how many wrong passwords lock the account; 0 never.
	LockoutThreshold int
	LockoutDuration  time.Duration // 0: until somebody acts
	LockoutWindow    time.Duration
	// ResetUnlocks: a reset by itself ends a lockout here. Where false the core
	// calls Unlock after it.
	ResetUnlocks bool
	// ResetForcesChange: after a reset the server asks for yet another change.
	ResetForcesChange bool
	// Unreadable names a policy that applies and that the service account may
	// not read: the rules above are then the domain's, and may be too lax.
	Unreadable string
	Source     string // "PSO Strong", "domain", "ppolicy cn=default,…": for people
}

// Rule names which rule a password broke.
type Rule string

const (
	RuleTooShort        Rule = "too_short"
	RuleTooLong         Rule = "too_long"
	RuleComplexity      Rule = "complexity"
	RuleCharacters      Rule = "characters" // some character is not taken
	RuleHistory         Rule = "history"
	RuleTooYoung        Rule = "too_young"
	RuleQuality         Rule = "quality"           // an installed check said no and does not say why
	RuleBanned          Rule = "banned"            // built on a word of a list that nobody can read
	RuleHistoryOrFilter Rule = "history_or_filter" // what remains when length, classes and age are fine
	RuleCannotChange    Rule = "cannot_change"
	RuleMustSupplyOld   Rule = "must_supply_old"
	RuleNotAllowed      Rule = "not_allowed"
)

// Refusal is a password the directory did not take, and the rule as exactly as
// its answer allows.
type Refusal struct {
	Rule  Rule
	Limit int       // the number in the rule: characters, remembered passwords
	Until time.Time // for too_young: when it may be changed
	Text  string    // the server's own words, for the log; never shown to a person
}

func (r *Refusal) Error() string {
	if r.Limit > 0 {
		return fmt.Sprintf("directory: password refused: %s (%d)", r.Rule, r.Limit)
	}
	return "directory: password refused: " + string(r.Rule)
}
