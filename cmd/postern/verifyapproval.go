package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"postern/directory"
	"postern/portal/audit"
	"postern/verify"
	"postern/verify/approval"
	"postern/verify/passkey"
)

func (c *cli) verifyApproval() *cobra.Command {
	var id string
	cmd := &cobra.Command{
		Use:   "verify-approval FILE",
		Short: "Check the signed approvals in an export, without the portal",
		Long: "Reads JSON Lines as audit export writes them (- is standard input) and checks every\n" +
			"approval in them: that the approver's passkey signed this very statement, that the\n" +
			"statement is about the account, case and purpose it stands with, and that the key was\n" +
			"enrolled by that approver, as far as the enrolment is in the same file. It needs\n" +
			"neither configuration, database nor network.\n\n" +
			"Exit code: 0 all good, 1 something could not be told (an approval by code, an\n" +
			"enrolment that is not in the file), 2 an approval that does not verify.",
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			in := io.Reader(os.Stdin)
			if args[0] != "-" {
				f, err := os.Open(args[0])
				if err != nil {
					return err
				}
				defer f.Close()
				in = f
			}
			return c.checkApprovals(in, args[0], id)
		},
	}
	cmd.Flags().StringVar(&id, "case", "", "only approvals of this `case`; it is an error when there is none")
	return cmd
}

// maxEventLine bounds one line of an export, in bytes.
const maxEventLine = 1 << 20

// enrolment is a key as the record saw it come, and go.
type enrolment struct {
	owner      directory.ID
	credential string
	at, gone   time.Time
}

// ledger is what the file said so far.
type ledger struct {
	keys map[string]enrolment // by fingerprint
	used map[string]bool      // statements
}

// note takes a key that came or went.
func (l ledger) note(e audit.Event) {
	switch key, id := e.Detail["key"], e.Detail["credential"]; {
	case e.Kind == "factor.added" && key != "":
		l.keys[key] = enrolment{owner: e.Subject, credential: id, at: e.At}
	case e.Kind == "factor.removed" && id != "":
		for key, k := range l.keys {
			if k.owner == e.Subject && k.credential == id {
				k.gone = e.At
				l.keys[key] = k
			}
		}
	}
}

func (c *cli) checkApprovals(in io.Reader, name, only string) error {
	known := ledger{map[string]enrolment{}, map[string]bool{}}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxEventLine)
	n, seen, unsure, bad := 0, 0, 0, 0
	for lines.Scan() {
		n++
		var e audit.Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return fmt.Errorf("%s: line %d is not an event of the record", name, n)
		}
		known.note(e)
		if e.Kind == "approval.given" && (only == "" || e.Case == only) {
			seen++
			verdict, level := known.judge(e)
			unsure, bad = unsure+level&1, bad+level>>1
			fmt.Fprintf(c.out, "%s  case %s  %s for %s: %s\n", e.At.UTC().Format(time.RFC3339), oneLine(e.Case), oneLine(e.ActorName), oneLine(e.SubjectName), oneLine(verdict))
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%s: line %d: %w", name, n+1, err)
	}
	if only != "" && seen == 0 {
		return fmt.Errorf("%s: there is no approval of case %s in it", name, only)
	}
	fmt.Fprintf(c.out, "%s: %d good, %d not certain, %d bad\n", count(seen, "approval"), seen-unsure-bad, unsure, bad)
	switch {
	case bad > 0:
		return exit(2)
	case unsure > 0:
		return exit(1)
	}
	return nil
}

// judge says what one approval is worth: 0 good, 1 not certain, 2 bad.
func (l ledger) judge(e audit.Event) (verdict string, level int) {
	var r approval.Record
	if err := json.Unmarshal(e.Proof, &r); err != nil {
		return "BAD: there is no statement with it", 2
	}
	said, err := r.Verify(passkey.VerifySignature)
	switch {
	case errors.Is(err, approval.ErrUnsigned) && r.By == verify.TOTP:
		if about := mismatch(e, said); about != "" {
			return "BAD: " + about, 2
		}
		return "not signed: answered with a code, for which there is the portal's word alone", 1
	case err != nil:
		return "BAD: " + err.Error(), 2
	}
	if about := mismatch(e, said); about != "" {
		return "BAD: " + about, 2
	}
	if l.used[string(r.Statement)] {
		return "BAD: the same statement stands with another approval", 2
	}
	l.used[string(r.Statement)] = true
	key := passkey.Fingerprint(r.Signature.PublicKey)
	k, known := l.keys[key]
	switch {
	case known && k.owner != said.Approver:
		return "BAD: signed with a key that was enrolled for " + string(k.owner), 2
	case known && k.at.After(e.At):
		return "BAD: signed with a key that was enrolled later", 2
	case known && !k.gone.IsZero() && k.gone.Before(e.At):
		return "BAD: signed with a key that had been removed", 2
	case !known:
		return "signed; whose key it is cannot be told: its enrolment is not in this file (SHA-256 of the key: " + key + ")", 1
	}
	return "good: signed for " + said.Purpose + " until " + said.Expires.UTC().Format(time.RFC3339) + ", with a key enrolled " + k.at.UTC().Format(time.RFC3339), 0
}

// mismatch says what a statement says otherwise than the event it stands with.
func mismatch(e audit.Event, s approval.Statement) string {
	switch {
	case s.Case != e.Case:
		return "the statement is about another case"
	case s.Requester != e.Subject:
		return "the statement is about another account"
	case s.Approver != e.Actor:
		return "the statement is another approver's"
	case s.Purpose != e.Purpose:
		return "the statement is for another purpose"
	case e.At.Before(s.Asked.Add(-time.Minute)):
		return "given before it was asked for"
	case e.At.After(s.Expires.Add(time.Minute)):
		return "given after the request was over"
	}
	return ""
}
