package view

import (
	"slices"
	"time"

	"postern/portal/policy"
	"postern/verify"
)

var sampleNow = time.Date(2026, 3, 12, 8, 41, 0, 0, time.UTC)

// sample is one page with representative data, and what it must say.
type sample struct {
	name  string
	page  Page
	step  string
	error string // data-error that must be there
}

func at(minutes int) time.Time { return sampleNow.Add(time.Duration(minutes) * time.Minute) }

var requestJSON = `{"publicKey":{"challenge":"q83vEjRWeJA","rpId":"localhost","userVerification":"required","allowCredentials":[]}}`

var createJSON = `{"publicKey":{"rp":{"id":"localhost","name":"Postern"},"user":{"id":"AAAA","name":"user1","displayName":"Ada"},"challenge":"q83vEjRWeJAAAAAAAAAAAA","pubKeyCredParams":[{"type":"public-key","alg":-7},{"type":"public-key","alg":-257}],"authenticatorSelection":{"residentKey":"required","userVerification":"required"}}}`

func fault(field, code string) []Fault {
	return []Fault{{Field: field, Code: code, Left: 3, Limit: 14, Until: at(60), Retry: 5 * time.Minute}}
}

func methods() []Method {
	return []Method{
		{ID: "a1", Kind: verify.Passkey, Name: "Work laptop <1>", Created: at(-9000), Used: at(-60)},
		{ID: "a2", Kind: verify.TOTP, Name: "Phone app", Created: at(-120), Cooling: at(1300)},
		{Kind: verify.RecoveryCode, Created: at(-9000), Left: 2, Total: 10},
		{Kind: verify.Email, Masked: "u•••1@example.org"},
	}
}

func keptMethods() []KeptMethod {
	return []KeptMethod{{Kind: "password"}, {ID: "k1", Kind: "phone", Name: "••••90"}, {ID: "k2", Kind: "microsoftAuthenticator", Name: "Pixel <8>"}, {ID: "k3", Kind: "temporaryAccessPass"},
		{ID: "k4", Kind: "fido2", Name: "Blue key"}, {ID: "k5", Kind: "softwareOath"}, {ID: "k6", Kind: "windowsHelloForBusiness", Name: "LAPTOP-7"}, {ID: "k7", Kind: "email", Name: "a••••@example.org"}, {Kind: "neverHeardOf"}}
}

func options() []Option {
	return []Option{{Kind: verify.Passkey}, {Kind: verify.TOTP}, {Kind: verify.YubiKey}, {Kind: verify.Email}, {Kind: verify.SMS}, {Kind: verify.RecoveryCode}, {Kind: verify.Approval, Reason: "needs_other_first"}}
}

func activities() []Activity {
	var list []Activity
	for i, kind := range []string{"password.reset", "proof.failed", "proof.ok", "factor.added", "signin", "case.started", "never.heard.of"} {
		list = append(list, Activity{At: at(-i * 400), Kind: kind, Outcome: "ok", Factor: verify.TOTP, Purpose: policy.Reset, Address: "192.0.2.17", Door: "web"})
	}
	return append(list, Activity{At: at(-5000), Kind: "password.changed", Outcome: "refused"})
}

var places = []Place{{"corp", "Head office"}, {"cloud", "Microsoft 365"}, {"schule", "المدرسة"}}

func samples() []sample {
	f := Frame{CSRF: "tok<en"}
	in := Frame{CSRF: "tok", Person: "user1"}
	with := func(f Frame, faults []Fault) Frame { f.Faults = faults; f.Here = "/recover"; return f }
	said := in
	said.Notice = Text{Key: "event.factor_removed", Args: map[string]any{"Factor": kindText(verify.TOTP)}}
	rules := []Rule{{Code: "too_short", Limit: 14}, {Code: "too_long", Limit: 64}, {Code: "complexity", Limit: 3}, {Code: "own", Words: []string{"user1", "Ada", "Lovelace"}},
		{Code: "common", Later: true}, {Code: "history", Limit: 24, Later: true}, {Code: "quality", Later: true}}
	list := []sample{
		{"start", &Start{Frame: f, Offers: []policy.Purpose{policy.Reset, policy.Unlock, policy.Change, policy.SignIn}}, "start", ""},
		{"form-reset", &StartForm{Frame: f, Purpose: policy.Reset}, "start", ""},
		{"form-unlock", &StartForm{Frame: f, Purpose: policy.Unlock, Login: `"user1`}, "start", ""},
		{"form-change", &StartForm{Frame: f, Purpose: policy.Change}, "start", ""},
		{"form-change-wrong", &StartForm{Frame: with(f, fault("current", "wrong_password")), Purpose: policy.Change, Login: "user1"}, "start", "wrong_password"},
		{"form-required", &StartForm{Frame: with(f, []Fault{{Field: "login", Code: "required"}}), Purpose: policy.Reset}, "start", "required"},
		{"form-limited", &StartForm{Frame: with(f, []Fault{{Code: "limited", Retry: 90 * time.Second}}), Purpose: policy.Reset, Login: "user1"}, "start", "limited"},
		{"signin", &SignIn{Frame: f}, "start", ""},
		{"form-picker", &StartForm{Frame: with(f, []Fault{{Field: "login", Code: "required"}}), Purpose: policy.Reset, Picker: Picker{Places: places, Place: "cloud"}}, "start", "required"},
		{"signin-picker", &SignIn{Frame: f, Picker: Picker{Places: places}}, "start", ""},
		{"signin-some", &SignIn{Frame: f, Asked: AskSome}, "start", ""},
		{"signin-some-wrong", &SignIn{Frame: with(f, fault("current", "wrong_password")), Asked: AskSome, Login: "user1"}, "start", "wrong_password"},
		{"signin-none", &SignIn{Frame: f, Asked: AskNone}, "start", ""},
		{"signin-conditional", &SignIn{Frame: f, Options: requestJSON}, "start", ""},
		{"signin-wrong", &SignIn{Frame: with(f, fault("current", "wrong_password")), Login: "user1"}, "start", "wrong_password"},
		{"choose-first", &Choose{Frame: f, Base: "/recover", Purpose: policy.Reset, Options: options(), Need: 2, Alone: true}, "choose", ""},
		{"choose-second", &Choose{Frame: f, Base: "/recover", Purpose: policy.Reset, Need: 1, Proven: []Proven{{verify.Email, sampleNow}},
			Options: []Option{{Kind: verify.Passkey}, {Kind: verify.TOTP}, {Kind: verify.RecoveryCode}, {Kind: verify.Email, Reason: "same_class"}, {Kind: verify.SMS, Reason: "same_class"}, {Kind: verify.YubiKey, Reason: "not_enrolled"}}}, "choose", ""},
		{"choose-helped", &Choose{Frame: f, Base: "/recover", Purpose: policy.Unlock, Options: options()[:3], Need: 2, Helped: true}, "choose", ""},
		{"choose-signin", &Choose{Frame: f, Base: "/signin", Purpose: policy.SignIn, Options: options()[1:3], Need: 1}, "choose", ""},
		{"wait", &Wait{Frame: f, Base: "/recover", Purpose: policy.Reset, Who: []string{"Mary Manager"}, Number: "47", Since: at(-1), Until: at(14)}, "wait", ""},
		{"wait-phone", &Wait{Frame: f, Base: "/recover", Purpose: policy.Assist, Who: []string{"Tessa"}, Number: "47", Since: at(-1), Until: at(14), Phone: true, Ticket: "INC-<7>"}, "wait", ""},
		{"wait-still", &Wait{Frame: f, Base: "/recover", Purpose: policy.Reset, Who: []string{"Mary Manager"}, Since: at(-1), Until: at(14), Still: true}, "wait", ""},
		{"approve-first", &ApproveFirst{Frame: f, Token: "t"}, "start", ""},
		{"approve-weak", &ApproveFirst{Frame: in, Token: "t", Weak: true}, "start", ""},
		{"approve", &Approve{Frame: in, Token: "t", Name: "Ada Lovelace", Login: "user1", Purpose: policy.Reset, Asked: at(-2), Until: at(13), Door: "web", Address: "192.0.2.7",
			Proofs: []verify.Kind{verify.Email}, Passkey: requestJSON, TOTP: true, Open: true, Mine: true}, "answer", ""},
		{"approve-number", &Approve{Frame: with(in, fault("number", "wrong_number")), Token: "t", Name: "Ada Lovelace", Login: "user1", Purpose: policy.Unlock, Asked: at(-2), Until: at(13),
			Proofs: []verify.Kind{verify.TOTP}, Passkey: requestJSON, Open: true, Mine: true}, "answer", "wrong_number"},
		{"approve-code", &Approve{Frame: with(in, fault("answer", "wrong_code")), Token: "t", Name: "Ada Lovelace", Login: "user1", Purpose: policy.Reset, Asked: at(-2), Until: at(13), TOTP: true, Open: true, Mine: true}, "answer", "wrong_code"},
		{"approve-desk", &Approve{Frame: in, Token: "t", Name: "Ada Lovelace", Login: "user1", Purpose: policy.Assist, Helper: "Tessa & Co", Asked: at(-2), Until: at(13), Door: "desk",
			Proofs: []verify.Kind{verify.Handover}, Passkey: requestJSON, Open: true, Mine: true}, "answer", ""},
		{"approve-vouched", &Approve{Frame: in, Token: "t", Name: "Ada Lovelace", Login: "user1", Purpose: policy.Reset, Asked: at(-2), Vouched: true, Mine: true}, "done", ""},
		{"approve-declined", &Approve{Frame: in, Token: "t", Name: "Ada Lovelace", Login: "user1", Purpose: policy.Reset, Asked: at(-2), Declined: true}, "done", ""},
		{"approve-over", &Approve{Frame: in, Token: "t", Name: "Ada Lovelace", Login: "user1", Purpose: policy.Reset, Asked: at(-2)}, "done", ""},
		{"approve-unfit", &ApproveUnfit{Frame: in, Reason: "mutual"}, "refused", "mutual"},
		{"approve-unfit-any", &ApproveUnfit{Frame: in, Reason: "not_asked"}, "refused", "any"},
		{"notme", &NotMe{Frame: f, Token: "t", Login: "user1"}, "start", ""},
		{"welcome", &Welcome{Frame: f, Token: "t", Given: "Ada <1>"}, "start", ""},
		{"welcome-nobody", &Welcome{Frame: f, Token: "t"}, "start", ""},
		{"welcome-required", &Welcome{Frame: with(f, []Fault{{Field: "current", Code: "required"}}), Token: "t"}, "start", "required"},
		{"snooze", &Snooze{Frame: f, Token: "t", Until: at(20000)}, "start", ""},
		{"snooze-done", &Snooze{Frame: f, Until: at(20000), Done: true}, "done", ""},
		{"receipt", &Receipt{Frame: f}, "receipt", ""},
		{"receipt-none", &Receipt{Frame: with(f, []Fault{{Field: "code", Code: "no_receipt"}}), Typed: `"P-1`}, "receipt", "no_receipt"},
		{"receipt-soon", &Receipt{Frame: with(f, []Fault{{Field: "code", Code: "not_sealed"}}), Typed: "P-7QXM-29RT"}, "receipt", "not_sealed"},
		{"receipt-found", &Receipt{Frame: f, Typed: "P-7QXM-29RT", Found: true, Purpose: policy.Reset, At: at(5), Entry: 1234, File: "/receipt/P-7QXM-29RT",
			Checkpoint: "postern-audit-0123456789abcdef\n1240\nqWxG3m8u1pC0Zk4C4lq3b1Yv1m0u9r7o2k5n8t1w4z7=\ntime 2026-03-01T12:00:00Z\n\n— postern-audit-0123456789abcdef 8N1c0u5yq3b7\n"}, "receipt", ""},
		{"link", &Link{Frame: f}, "start", ""},
		{"link-wrong", &Link{Frame: with(f, []Fault{{Field: "code", Code: "wrong_link"}}), Typed: `"ABC`}, "start", "wrong_link"},
		{"done-assist", &Done{Frame: f, Purpose: policy.Assist, Login: "user1", At: sampleNow, Receipt: "P-7Q4K-29XM", Proofs: []verify.Kind{verify.TOTP, verify.Handover}}, "done", ""},
		{"notme-done", &NotMe{Frame: f, Done: true}, "done", ""},
		{"choose-cooling", &Choose{Frame: f, Base: "/recover", Purpose: policy.Reset, Need: 1, Settles: at(600), Proven: []Proven{{verify.Passkey, sampleNow}}, Options: []Option{{Kind: verify.RecoveryCode}}}, "choose", "cooling"},
		{"new-password", &NewPassword{Frame: f, Base: "/recover", Purpose: policy.Reset, Login: "user1", Rules: rules, Phrases: []string{"copper-lantern-orbit-vivid-47", "maple-river-stone-cloud-12"}}, "new-password", ""},
		{"new-password-short", &NewPassword{Frame: with(f, fault("password", "too_short")), Base: "/recover", Purpose: policy.Change, Login: "user1", Rules: rules}, "new-password", "too_short"},
		{"new-password-mismatch", &NewPassword{Frame: with(f, []Fault{{Field: "confirm", Code: "mismatch"}}), Base: "/recover", Purpose: policy.Change, Login: "user1"}, "new-password", "mismatch"},
		{"applying", &Applying{Frame: f, Base: "/recover", Purpose: policy.Reset}, "applying", ""},
		{"done-reset", &Done{Frame: f, Purpose: policy.Reset, Login: "user1", At: sampleNow, Unlocked: true, SignedOut: true, Notified: []string{"u•••1@example.org"}, Proofs: []verify.Kind{verify.Email, verify.TOTP}, Receipt: "P-7Q4K-29XM", AddPasskey: true}, "done", ""},
		{"new-password-also", &NewPassword{Frame: f, Base: "/recover", Purpose: policy.Reset, Login: "user1", Rules: rules, Also: []Account{{"user1@cloud.example", "cloud", ""}, {"root1", "lab", "more_proofs"}, {"", "branch", "unreached"}}}, "new-password", ""},
		{"done-also", &Done{Frame: with(f, fault("password", "too_short")), Purpose: policy.Reset, Login: "user1", At: sampleNow, Receipt: "P-7Q4K-29XM", Also: Also{Again: "/recover/password", Accounts: []Account{{"user1@cloud.example", "cloud", "done"},
			{"u1", "shop", "waits"}, {"u2", "store", "applying"}, {"u3", "lake", "outcome_unknown"}, {"u4", "hill", "over"}, {"root1", "lab", "more_proofs"}, {"", "branch", "unreached"}}}}, "done", "too_short"},
		{"refused-also", &Refused{Frame: f, Purpose: policy.Reset, Reason: "directory_denied", Proven: true, Receipt: "P-1", Also: Also{Accounts: []Account{{"user1@cloud.example", "cloud", "done"}}}}, "refused", "directory_denied"},
		{"done-change", &Done{Frame: f, Purpose: policy.Change, Login: "user1", At: sampleNow, StillLocked: true, ChangeAgain: true, Unconfirmed: true}, "done", ""},
		{"done-unlock", &Done{Frame: f, Purpose: policy.Unlock, Login: "user1", At: sampleNow, Unlocked: true, Receipt: "P-7Q4K-29XM"}, "done", ""},
		{"expired", &Expired{Frame: f, Purpose: policy.Reset, Life: 15 * time.Minute}, "expired", "expired"},
		{"me", &Me{Frame: in, Name: "Ada Lovelace", Login: "user1", Methods: methods(), Ways: 3, Recent: activities()[:4]}, "me", ""},
		{"me-empty", &Me{Frame: in, Name: "Ada Lovelace", Login: "user1"}, "me", ""},
		{"factors", &Factors{Frame: said, Methods: methods(), Ways: 1, Addable: []verify.Kind{verify.Passkey, verify.TOTP, verify.RecoveryCode}}, "factors", ""},
		{"factors-editing", &Factors{Frame: with(in, []Fault{{Field: "name", Code: "bad_name"}}), Methods: methods(), Ways: 2, Editing: "a2", Typed: "\u202e"}, "factors", "bad_name"},
		{"offer-totp", &OfferTOTP{Frame: in, URI: "otpauth://totp/Postern:user1?secret=JBSWY3DPEHPK3PXP", QRSize: 33, QRPath: "M4 4.5h7M14 4.5h3", Secret: "JBSWY3DPEHPK3PXP"}, "offer", ""},
		{"offer-totp-wrong", &OfferTOTP{Frame: with(in, fault("answer", "wrong_code")), URI: "otpauth://totp/x", QRSize: 33, QRPath: "M4 4.5h7", Secret: "JBSWY3DP", Name: "Phone"}, "offer", "wrong_code"},
		{"offer-passkey", &OfferPasskey{Frame: in, Options: createJSON}, "offer", ""},
		{"offer-passkey-wrong", &OfferPasskey{Frame: with(in, fault("answer", "wrong_passkey")), Options: requestJSON}, "offer", "wrong_passkey"},
		{"offer-yubikey", &OfferYubiKey{Frame: in}, "offer", ""},
		{"offer-yubikey-wrong", &OfferYubiKey{Frame: with(in, fault("answer", "wrong_code")), Name: "Blue key"}, "offer", "wrong_code"},
		{"offer-codes", &OfferCodes{Frame: in, Codes: []string{"A1B2-C3D4-E5F6-G7H8", "J1K2-M3N4-P5Q6-R7S8", "T1V2-W3X4-Y5Z6-0789"}, Login: "user1", Made: sampleNow, Replace: true}, "offer", ""},
		{"remove", &Remove{Frame: in, Method: methods()[0], Ways: 2}, "remove", ""},
		{"remove-wrong", &Remove{Frame: with(in, []Fault{{Code: "conflict"}}), Method: methods()[1]}, "remove", "conflict"},
		{"me-kept", &Me{Frame: in, Name: "Ada Lovelace", Login: "user1", Methods: methods(), Ways: 3, Kept: &KeptList{Methods: keptMethods(), Passes: true}}, "me", ""},
		{"me-kept-away", &Me{Frame: in, Name: "Ada Lovelace", Login: "user1", Ways: 3, Kept: &KeptList{Away: true}}, "me", ""},
		{"kept", &Kept{Frame: in, KeptList: KeptList{Methods: keptMethods(), Passes: true}, Once: "o"}, "methods", ""},
		{"kept-none", &Kept{Frame: in}, "methods", ""},
		{"kept-away", &Kept{Frame: in, KeptList: KeptList{Away: true}}, "methods", ""},
		{"kept-remove", &RemoveKept{Frame: in, Method: keptMethods()[1]}, "remove", ""},
		{"kept-remove-last", &RemoveKept{Frame: in, Method: keptMethods()[2], Last: true}, "remove", ""},
		{"pass", &Pass{Frame: in, Value: "r&B7<x9Q!", Until: at(60)}, "pass", ""},
		{"activity", &ActivityLog{Frame: in, Rows: activities(), Older: "/me/activity?before=7"}, "activity", ""},
		{"activity-none", &ActivityLog{Frame: in}, "activity", ""},
		{"demo", &Demo{Frame: f, LDAP: "ldaps://127.0.0.1:6360", CAFile: "/tmp/postern/ca.pem",
			People: []DemoPerson{{Login: "user1", Name: "Ada Lovelace", Password: "Correct-Horse-1", What: "user", TOTP: "123456", Seconds: 12, Codes: []string{"A1B2-C3D4-E5F6-G7H8"}},
				{Login: "locked1", Name: "Grace Hopper", Password: "Correct-Horse-2", What: "locked"}},
			Inbox: []DemoMessage{{At: sampleNow, Channel: "mail", To: "user1@example.org", Subject: "Your code", Text: "ABCD-EFGH\nonce"}, {At: sampleNow, Channel: "sms", To: "+49 555 0100", Text: "ABCD"}}}, "demo", ""},
		{"demo-empty", &Demo{Frame: f}, "demo", ""},
	}
	for _, c := range []string{"kept_denied", "kept_unsupported", "kept_gone", "kept_unavailable", "kept_uncertain", "pass_new", "pass_weak", "pass_spent"} {
		p := &Kept{Frame: with(in, []Fault{{Code: c, Until: at(60)}}), KeptList: KeptList{Methods: keptMethods()[:2], Passes: true}, Once: "o"}
		list = append(list, sample{"kept-" + c, p, "methods", c})
	}
	for _, k := range []verify.Kind{verify.Passkey, verify.TOTP, verify.YubiKey, verify.Email, verify.SMS, verify.RecoveryCode, verify.Password} {
		a := &Answer{Frame: f, Base: "/recover", Purpose: policy.Reset, Kind: k, Until: at(10), Others: options()}
		code := "wrong_code"
		if k == verify.Passkey {
			a.Options, code = requestJSON, "wrong_passkey"
		}
		wrong := *a
		wrong.Frame = with(f, fault("answer", code))
		list = append(list, sample{"answer-" + string(k), a, "answer", ""}, sample{"answer-" + string(k) + "-wrong", &wrong, "answer", code})
	}
	for _, r := range []string{"too_many_tries", "cancelled", "superseded", "too_often", "account_changed", "not_eligible", "directory_denied", "unsupported", "outcome_unknown", "not_applied", "too_many_refused_passwords", "declined", "frozen"} {
		p := &Refused{Frame: f, Purpose: policy.Reset, Reason: r, Proven: true, Receipt: "P-31TZ-80CN"}
		if r == "declined" {
			p.Note = "Not you <b>at all</b>"
		}
		list = append(list, sample{"refused-" + r, p, "refused", refusal(p)})
	}
	for _, c := range []string{"not_found", "conflict", "limited", "unavailable", "csrf", "bad_form", "host", "server"} {
		p := &ErrorPage{Frame: f, Code: c, Request: "9f2c-41d0"}
		if c == "limited" || c == "unavailable" {
			p.Retry, p.Again, p.Until = 3*time.Minute, "/recover", at(15)
		}
		list = append(list, sample{"error-" + c, p, "error", c})
	}
	for _, topic := range Topics() {
		list = append(list, sample{"help-" + topic, &Help{Frame: f, Topic: topic}, "help", ""})
	}
	return slices.Concat(list, deskSamples(), figureSamples(), kioskSamples())
}
