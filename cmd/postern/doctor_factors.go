package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"postern/directory"
	"postern/portal/notify/sms"
	"postern/verify/yubikey"
)

// sms reaches the gateway and sends nothing, so that it cannot tell whether the
// credentials are right.
func (d *examination) sms(ctx context.Context, cfg Config) {
	if !cfg.SMS.On() {
		return
	}
	gateway, err := sms.New(cfg.SMS, d.now)
	if err == nil {
		err = gateway.Check(ctx)
	}
	if err != nil {
		d.bad(directory.Failure, "sms", err.Error(), "no codes can be sent by SMS", "check sms, its address and its certificate (ca_file)")
		return
	}
	d.ok("sms", "%s is reached; nothing was sent, so its credentials were not tried", cfg.SMS.Provider)
}

// metadata looks at the list of authenticator models, where there is one.
func (d *examination) metadata(cfg Config) {
	state, there, err := cfg.Factors.Passkey.CheckMetadata(d.now())
	const fetch = "put the current file from https://mds3.fidoalliance.org there; a running portal takes it up"
	switch {
	case !there && err == nil:
	case err != nil:
		d.bad(directory.Failure, "passkeys", err.Error(), "no passkey can be enrolled", fetch)
	case state.Overdue:
		d.bad(directory.Warning, "passkeys", fmt.Sprintf("the list of models (number %d) was to be replaced on %s", state.Number, state.NextUpdate.Format(time.DateOnly)),
			"models that were broken since are not known", fetch)
	case state.Unread > 0:
		d.bad(directory.Warning, "passkeys", fmt.Sprintf("%d models of the list could not be read, %d could", state.Unread, state.Models),
			"those models cannot be enrolled", "update postern")
	default:
		d.ok("passkeys", "%d models known, next list on %s", state.Models, state.NextUpdate.Format(time.DateOnly))
	}
}

// yubikey asks the validation servers about a made-up password.
func (d *examination) yubikey(ctx context.Context, cfg Config) {
	if !cfg.Factors.YubiKey.On() {
		return
	}
	keys, err := openYubiKeys(cfg.Factors.YubiKey, nil, d.now)
	if err == nil && !cfg.Factors.YubiKey.Offline {
		err = keys.Probe(ctx)
	}
	switch {
	case errors.Is(err, yubikey.ErrRefused):
		d.bad(directory.Failure, "yubikey", err.Error(), "no YubiKey is accepted", "check factors.yubikey.client_id and secret")
	case err != nil:
		d.bad(directory.Failure, "yubikey", err.Error(), "no YubiKey is accepted", "check factors.yubikey and the way to its servers")
	default:
		d.ok("yubikey", "one-time passwords can be checked")
	}
}

// breached asks the service of leaked passwords about a word that everybody knows.
// Of a list on this machine the configuration's own check has spoken.
func (d *examination) breached(ctx context.Context, cfg Config) {
	if cfg.Password.BreachedURL == "" {
		return
	}
	if err := cfg.Password.ProbeBreached(ctx); err != nil {
		d.bad(directory.Failure, "leaked passwords", err.Error(), "no new password is accepted", "check password.breached_url, the way there, and who signs its certificate (breached_ca_file)")
		return
	}
	d.ok("leaked passwords", "%s answers, and knows a word that everybody knows", cfg.Password.BreachedURL)
}
