package password

import "postern/directory"

// When says when a rule is known to be kept.
type When string

const (
	Live  When = "live"  // while typing, from what the page knows
	Later When = "later" // only when it is saved
)

// Item is one rule to show beforehand. Keys are those of Problem, and besides:
//
//	history   limit: remembered passwords; on_reset: whether a reset obeys it too
//	banned    the directory has a list of words that nobody can read
//	quality   the directory has a check of its own that nobody can read
type Item struct {
	Key  string
	Args map[string]any
	When When
}

// Checklist lists the rules in force for who, in the order to show them. Show
// it to nobody who has not proved to be who (security case 6).
func (j *Judge) Checklist(rules directory.Rules, who directory.User) []Item {
	items := []Item{{"too_short", map[string]any{"limit": j.least(rules)}, Live}}
	if most := j.most(rules); most < 64 || rules.MaxLength > 0 {
		items = append(items, Item{"too_long", map[string]any{"limit": most}, Live})
	}
	if rules.Complexity {
		items = append(items, Item{"complexity", map[string]any{"limit": 3}, Live})
	}
	if rules.PlainOnly {
		items = append(items, Item{"characters", nil, Live})
	}
	if own := j.ownWords(rules, who); len(own) > 0 {
		items = append(items, Item{"own", map[string]any{"words": own}, Live})
	}
	items = append(items, Item{"common", nil, Later})
	if j.leaks != nil || j.service != nil {
		items = append(items, Item{"breached", nil, Later})
	}
	if j.cfg.MinScore > 0 {
		items = append(items, Item{"weak", map[string]any{"limit": j.cfg.MinScore}, Later})
	}
	if rules.History > 0 {
		items = append(items, Item{"history", map[string]any{"limit": rules.History, "on_reset": rules.HistoryOnReset}, Later})
	}
	if rules.BannedList {
		items = append(items, Item{"banned", nil, Later})
	}
	if rules.QualityCheck {
		items = append(items, Item{"quality", nil, Later})
	}
	return items
}
