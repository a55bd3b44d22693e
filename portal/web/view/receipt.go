package view

import (
	"time"

	"postern/portal/policy"
)

// Receipt is GET /receipt; posts code to it, which answers with Found. It says what was
// done and when, and never to whom.
type Receipt struct {
	Frame
	Typed      string
	Found      bool
	Purpose    policy.Purpose
	At         time.Time
	Entry      int // of the record, from 1
	File       string
	Checkpoint string // signed
}

func (*Receipt) file() string { return "receipt" }
