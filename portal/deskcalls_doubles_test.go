package portal

import (
	"context"

	helpdesk "postern/portal/desk"
	"postern/portal/kiosk"
)

// No screen calls this desk.

func (*helper) Ringing(context.Context, helpdesk.Who) ([]kiosk.Errand, error) { return nil, nil }

func (*helper) Answer(context.Context, helpdesk.Who, string, string) error {
	return helpdesk.ErrUnknown
}

func (*helper) HangUp(context.Context, helpdesk.Who, string) error { return helpdesk.ErrUnknown }
