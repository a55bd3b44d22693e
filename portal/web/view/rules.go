package view

// Rule is one line of the list above the new password.
type Rule struct {
	Code  string   // too_short, too_long, characters, complexity, own, common, breached, history, banned, quality
	Limit int      // the number in it
	Words []string // own: what must not be in the password
	Later bool     // only the server can tell, after saving
}
