package telemetry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"postern/directory"
)

const canary = "c4nary-Zx81"

// logged is the one line that one record makes.
func logged(t *testing.T, write func(*slog.Logger)) (line string, got map[string]any) {
	t.Helper()
	var b bytes.Buffer
	write(NewLogger(&b, slog.LevelInfo))
	line = b.String()
	if strings.Count(line, "\n") != 1 || !strings.HasSuffix(line, "\n") {
		t.Fatalf("%d lines: %.300q", strings.Count(line, "\n"), line)
	}
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatalf("%v: %.300q", err, line)
	}
	return line, got
}

type account struct {
	Login    string
	Password string
	Seed     []byte
	Key      [8]byte
	Next     *account
	hidden   string
}

type talks struct{ v slog.Value }

func (t talks) LogValue() slog.Value { return t.v }

// Security case 113: whichever way a secret comes into the log, it is not in it.
func TestNoSecretIsLogged(t *testing.T) {
	secret := directory.NewSecret(canary)
	raw := []byte(canary)
	for name, args := range map[string][]any{
		"password": {"password", canary}, "new password": {"new_password", canary}, "camel": {"userPassword", canary}, "header": {"Set-Cookie", canary},
		"token": {"x-csrf-token", canary}, "authorization": {"Authorization", "Bearer " + canary}, "code": {"code", canary}, "codes": {"recovery_codes", []string{canary}},
		"camel code": {"smsCode", canary}, "answer": {"answer", canary}, "otp": {"TOTP", canary}, "confirm": {"confirm", canary}, "current": {"current", canary},
		"hold": {"hold", raw}, "pin": {"PIN", canary}, "api key": {"api_key", canary}, "link": {"link", canary}, "session": {"session", canary},
		"group":        {slog.Group("secret", "inner", canary)},
		"deep group":   {slog.Group("outer", slog.Group("answer", slog.Group("more", "v", canary)))},
		"in a group":   {slog.Group("outer", slog.Group("more", "otp", canary))},
		"secret value": {"x", secret}, "secrets": {"x", []any{secret, &secret}}, "bytes": {"x", raw}, "array": {"x", [4]byte{'c', '4'}, "y", canary[:0]},
		"map": {"x", map[string]any{"deep": map[string]string{"client_secret": canary}}}, "struct": {"x", account{Login: "ada", Password: canary, Seed: raw, hidden: canary}},
		"pointer": {"x", &account{Next: &account{Password: canary}}}, "http header": {"x", http.Header{"Authorization": {canary}, "Cookie": {canary}}},
		"speaks a group": {"x", talks{slog.GroupValue(slog.String("pw", canary), slog.Group("token", "v", canary))}},
		"group in list":  {"x", []any{talks{slog.GroupValue(slog.Group("inner", "token", canary))}}},
		"list of attrs":  {"x", []slog.Attr{slog.String("pw", canary)}},
	} {
		line, _ := logged(t, func(l *slog.Logger) { l.Info("m", args...) })
		// base64 of the canary; and its letters as numbers
		for _, trace := range []string{canary, "YzRuYXJ5", "99,52", "[99 52"} {
			if strings.Contains(line, trace) {
				t.Errorf("%s: %s", name, line)
			}
		}
		if !strings.Contains(line, redacted) && !strings.Contains(line, "bytes]") {
			t.Errorf("%s: lost instead of redacted: %s", name, line)
		}
	}
	line, _ := logged(t, func(l *slog.Logger) {
		l.With("api_key", canary).WithGroup("a").WithGroup("cookie").With("v", canary).Info("m", "w", canary)
	})
	if strings.Contains(line, canary) || strings.Count(line, redacted) != 3 {
		t.Errorf("with: %s", line)
	}
}

func TestWhatIsNoSecretIsLogged(t *testing.T) {
	at := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	_, got := logged(t, func(l *slog.Logger) {
		l.Warn("a request", "status_code", 200, "reason_code", "too_short", "errorCode", "x", "spin", "no pin", "took", time.Second, "error", errors.New("dial: no"),
			"id", directory.ID("ad:1"), "at", at, "addr", netip.MustParseAddr("192.0.2.1"), "list", []any{"a", 2, time.Minute, at}, "name", "Jürgen أمين", "nothing", nil,
			"who", account{Login: "ada", Seed: []byte("123")}, "m", map[int]bool{1: true}, "f", 1.5, "fs", []float64{1.5}, "said", talks{slog.IntValue(7)})
	})
	for key, want := range map[string]string{"msg": "a request", "level": "WARN", "status_code": "200", "reason_code": "too_short", "errorCode": "x", "spin": "no pin",
		"took": "1e+09", "error": "dial: no", "id": "ad:1", "at": "2026-03-01T09:00:00Z", "addr": "192.0.2.1", "list": "[a 2 1m0s 2026-03-01T09:00:00Z]",
		"name": "Jürgen أمين", "nothing": "<nil>", "m": "map[1:true]", "f": "1.5", "fs": "[1.5]", "said": "7",
		"who": "map[Key:[8 bytes] Login:ada Next:<nil> Password:[redacted] Seed:[redacted]]"} {
		if fmt.Sprint(got[key]) != want {
			t.Errorf("%s: %v, want %s", key, got[key], want)
		}
	}
	if got["time"] == nil {
		t.Error("no time")
	}
	var b bytes.Buffer
	NewLogger(&b, slog.LevelWarn).Info("below the level")
	if b.Len() > 0 {
		t.Error(b.String())
	}
}

// Security case 113: nothing that was sent begins a line of its own, moves the
// cursor of whoever reads, or fills the disk.
func TestOneRecordIsOneBoundedLine(t *testing.T) {
	big := strings.Repeat("é", 1<<19)
	wide := make([]string, 100_000)
	tree := map[string]any{}
	for i := range wide {
		wide[i] = "x"
		tree[fmt.Sprint(i)] = map[string]any{"a": big, "b": []string{big, big}}
	}
	loop := &account{Login: big}
	loop.Next = loop
	for name, v := range map[string]any{
		"line": "x\n{\"ok\":true}\r\n", "ansi": "\x1b[31mred\x00\x07", "c1": "\u009b31mred", "turned": "\u202egnp.exe\u2066\u200b", "separators": "\u2028\u2029",
		"no utf-8": "\xff\xfe", "1 MB": big, "bytes": []byte(big), "list": wide, "tree": tree, "loop": loop, "error": errors.New("bad: \u009b" + big),
		"chan": make(chan int), "func": func() {}, "nil error": (*fault)(nil), "nan": []any{nan()},
	} {
		line, got := logged(t, func(l *slog.Logger) { l.Info(fmt.Sprint("m ", name, v == nil), "user", v, "list", []any{v}) })
		if len(line) > 64<<10 {
			t.Errorf("%s: %d bytes", name, len(line))
		}
		if strings.ContainsAny(line, "\x00\x07\x1b\r\u009b\u202e\u2066\u200b\u2028\u2029") || !utf8.ValidString(line) {
			t.Errorf("%s: %.300q", name, line)
		}
		if got["user"] == nil {
			t.Errorf("%s was lost: %.300s", name, line)
		}
	}
	_, got := logged(t, func(l *slog.Logger) { l.Info(big, "n", "x\u009by"+big, big, 1) })
	if s := got["n"].(string); !strings.HasPrefix(s, "x<U+009B>yé") || !strings.HasSuffix(s, "é… [1044484 bytes more]") {
		t.Errorf("%.30s … %s", s, s[len(s)-40:])
	}
	if len(got["msg"].(string)) > maxText+64 {
		t.Errorf("a message of %d bytes", len(got["msg"].(string)))
	}
}

type fault struct{ text string }

func (f *fault) Error() string { return f.text }

func nan() float64 { zero := 0.0; return zero / zero }

func TestStackLosesItsArguments(t *testing.T) {
	const trace = "goroutine 7 [running]:\nruntime/debug.Stack()\n\t/go/stack.go:26 +0x5e\npanic({0x7a31, 0x1e240?})\n\t/go/panic.go:787 (0x1)\n" +
		"postern/portal/web.(*Site).start(0xc000123456, {0x1e240, 0x2})\n\t/x/recover.go:40 +0x1\ncreated by postern/portal.(*Server).Run in goroutine 1\n\t/x/server.go:129 +0x2"
	_, got := logged(t, func(l *slog.Logger) { l.Error("panic", "stack", trace) })
	want := "goroutine 7 [running]:\nruntime/debug.Stack(…)\n\t/go/stack.go:26 +0x5e\npanic(…)\n\t/go/panic.go:787 (0x1)\n" +
		"postern/portal/web.(*Site).start(…)\n\t/x/recover.go:40 +0x1\ncreated by postern/portal.(*Server).Run in goroutine 1\n\t/x/server.go:129 +0x2"
	if got["stack"] != want {
		t.Errorf("%s", got["stack"])
	}
}

func FuzzLog(f *testing.F) {
	f.Add("key", "value")
	f.Add("pass word", "\xff\x1b\u202e\n")
	f.Fuzz(func(t *testing.T, key, value string) {
		line, _ := logged(t, func(l *slog.Logger) {
			l.WithGroup(key).Info(value, key, value, "m", map[string]any{key: []any{value}})
		})
		if len(line) > 256<<10 || strings.ContainsAny(line, "\x1b\u009b\u202e") {
			t.Errorf("%.300q", line)
		}
	})
}

func BenchmarkLog(b *testing.B) {
	log := NewLogger(new(discard), slog.LevelInfo)
	b.ReportAllocs()
	for b.Loop() {
		log.Info("request", "request", "01J", "route", "/recover", "status", 200, "took", time.Millisecond, "client", "192.0.2.1")
	}
}

type discard struct{}

func (*discard) Write(p []byte) (int, error) { return len(p), nil }
