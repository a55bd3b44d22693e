package ship

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"postern/portal/audit"
)

// entry is one event as JSON: the log and its place there, the hash of what was sealed,
// and what happened.
type entry struct {
	Log   string          `json:"log"`
	Index int64           `json:"index"`
	Hash  string          `json:"hash"`
	Event json.RawMessage `json:"event"`
}

// statement is one checkpoint as JSON. audit.FindCheckpoints finds it in any text.
type statement struct {
	Log        string `json:"log"`
	Checkpoint string `json:"checkpoint"`
}

func lineOf(log string, f audit.Filed) ([]byte, error) {
	var b bytes.Buffer
	w := audit.NewJSONLines(&b)
	if err := w.Write(f.Event); err != nil {
		return nil, err
	}
	if err := w.Flush(); err != nil {
		return nil, err
	}
	return plainJSON(entry{log, f.Index, f.Hash.String(), json.RawMessage(bytes.TrimSpace(b.Bytes()))})
}

func lineOfCheckpoint(log, signed string) ([]byte, error) { return plainJSON(statement{log, signed}) }

// plainJSON is one line without its end, with < and > as they are.
func plainJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("ship: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// shortened leaves out what may be long: first what proves, then the details. The hash
// still says which entry it is, and the portal's export has the whole.
func shortened(f audit.Filed, most int, write func(audit.Filed) ([]byte, error)) ([]byte, error) {
	line, err := write(f)
	if err == nil && len(line) > most {
		f.Event.Proof = nil
		line, err = write(f)
	}
	if err == nil && len(line) > most {
		f.Event.Detail = map[string]string{"left_out": "too long to send"}
		line, err = write(f)
	}
	return line, err
}

// asCEF is one event in ArcSight's Common Event Format, version 0 (Micro Focus Security
// ArcSight Common Event Format, version 25).
func asCEF(log, version string, f audit.Filed) ([]byte, error) {
	e := f.Event
	severity := map[audit.Outcome]int{audit.OK: 3, audit.Intent: 3, audit.Failed: 5, audit.Refused: 6, audit.Unknown: 7}[e.Outcome]
	if e.Kind == "account.frozen" {
		severity = 9
	}
	var b strings.Builder
	fmt.Fprintf(&b, "CEF:0|Postern|Postern|%s|%s|%s|%d|", cefHead(version), cefHead(e.Kind), cefHead(strings.ReplaceAll(e.Kind, ".", " ")), severity)
	put := func(key, value string) {
		if value != "" {
			b.WriteString(key + "=" + cefValue(value) + " ")
		}
	}
	labelled := func(n int, label, value string) {
		if value != "" {
			put(fmt.Sprintf("cs%dLabel", n), label)
			put(fmt.Sprintf("cs%d", n), value)
		}
	}
	put("rt", fmt.Sprint(e.At.UnixMilli()))
	put("externalId", e.ID)
	put("outcome", string(e.Outcome))
	put("reason", e.Reason)
	put("src", e.Address)
	put("suid", string(e.Actor))
	put("suser", e.ActorName)
	put("duid", string(e.Subject))
	put("duser", e.SubjectName)
	labelled(1, "case", e.Case)
	labelled(2, "purpose", e.Purpose)
	labelled(3, "factor", e.Factor)
	labelled(4, "door", e.Door)
	labelled(5, "entry", fmt.Sprintf("%s %d %s", log, f.Index, f.Hash))
	if len(e.Detail) > 0 {
		detail, err := plainJSON(e.Detail)
		if err != nil {
			return nil, err
		}
		labelled(6, "detail", string(detail))
	}
	return []byte(strings.TrimSuffix(b.String(), " ")), nil
}

// cefHead and cefValue escape as the two parts of CEF need it; what could move a cursor
// or turn text around is escaped before that.
func cefHead(s string) string {
	return strings.NewReplacer(`\`, `\\`, `|`, `\|`).Replace(audit.Escaped(s))
}

func cefValue(s string) string {
	return strings.NewReplacer(`\`, `\\`, `=`, `\=`).Replace(audit.Escaped(s))
}
