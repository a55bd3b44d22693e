package ship

import (
	"context"
	"errors"

	"postern/portal/audit"
)

// letters carry checkpoints to people who keep them: their mailbox is the witness.
type letters struct {
	to   []string
	send func(ctx context.Context, to, subject, text string) error
}

func (l letters) Ship(context.Context, []audit.Filed) error {
	return errors.New("ship: mail carries no events")
}

func (l letters) Witness(ctx context.Context, signed string) error {
	text := "This is what the record of the portal held at the time below, signed.\n" +
		"Keep this message: with it, anybody can show later whether the record was rewritten or\n" +
		"cut off (postern audit verify DIR --key KEY --witness this-message).\n\n" + signed
	var errs []error
	for _, to := range l.to {
		errs = append(errs, l.send(ctx, to, "Checkpoint of the record", text))
	}
	return errors.Join(errs...)
}

// open makes the place of a target.
func (t *Target) open(o Options) (Place, error) {
	switch {
	case t.Syslog != nil:
		return newSyslog(*t.Syslog, o.Log, o.Version)
	case t.File != nil:
		return &file{*t.File, o.Log, o.Now}, nil
	case t.Webhook != nil:
		return newWebhook(*t.Webhook, o.Log, o.Now)
	case o.Mail == nil:
		return nil, errors.New("there is no mail")
	}
	t.CheckpointsOnly = true
	return letters{t.Mail, o.Mail}, nil
}
