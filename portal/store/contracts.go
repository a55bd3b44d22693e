package store

import (
	"postern/portal/access"
	"postern/portal/audit"
	"postern/portal/desk"
	"postern/portal/enrol"
	"postern/portal/flow"
	"postern/portal/kiosk"
	"postern/portal/session"
	"postern/verify"
)

// What DB is for the rooms that declare it.
var (
	_ flow.Store     = (*DB)(nil)
	_ flow.Counters  = (*DB)(nil)
	_ flow.Accounts  = (*DB)(nil)
	_ enrol.Store    = (*DB)(nil)
	_ enrol.Accounts = (*DB)(nil)
	_ enrol.Memory   = (*DB)(nil)
	_ session.Store  = (*DB)(nil)
	_ audit.Reader   = (*DB)(nil)
	_ verify.Vault   = (*DB)(nil)
	_ access.Threats = (*DB)(nil)
	_ desk.Levels    = (*DB)(nil)
	_ desk.Spent     = (*DB)(nil)

	_ kiosk.Store     = (*DB)(nil)
	_ kiosk.Errands   = (*DB)(nil)
	_ kiosk.Sightings = (*DB)(nil)
	_ kiosk.Spent     = (*DB)(nil)
)
