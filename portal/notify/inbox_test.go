package notify

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
)

// ticking is a clock that moves one second at every look.
func ticking() func() time.Time {
	var mu sync.Mutex
	t := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	return func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		t = t.Add(time.Second)
		return t
	}
}

func send(t *testing.T, i *Inbox, c Channel, id, to, text string) {
	t.Helper()
	if err := i.For(c).Send(t.Context(), id, to, Rendered{Subject: "s", Text: text, HTML: "<p>" + text}); err != nil {
		t.Fatal(err)
	}
}

func texts(i *Inbox) (list []string) {
	for _, m := range i.Messages() {
		list = append(list, m.Text)
	}
	return list
}

func TestInboxListsNewestFirstByChannel(t *testing.T) {
	i := NewInbox(ticking())
	send(t, i, Mail, "1", "a@example.org", "first")
	send(t, i, SMS, "2", "+49 555 0100", "second")
	send(t, i, Mail, "1", "a@example.org", "first again") // a second attempt
	send(t, i, Mail, "", "a@example.org", "nameless")
	send(t, i, Mail, "", "a@example.org", "nameless")
	got := i.Messages()
	if want := []string{"nameless", "nameless", "second", "first"}; !reflect.DeepEqual(texts(i), want) {
		t.Fatalf("%q, want %q", texts(i), want)
	}
	want := Received{ID: "2", Channel: SMS, To: "+49 555 0100", Subject: "s", Text: "second", HTML: "<p>second", At: time.Date(2026, 3, 1, 12, 0, 2, 0, time.UTC)}
	if got[2] != want || got[3].Channel != Mail {
		t.Errorf("%+v, want %+v", got[2], want)
	}
	got[0].Text = "changed by the reader"
	if texts(i)[0] != "nameless" {
		t.Error("readers share the list")
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := i.For(Mail).Send(gone, "9", "a@example.org", Rendered{}); !errors.Is(err, context.Canceled) {
		t.Errorf("sent after the deadline: %v", err)
	}
}

func TestInboxIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "inbox.jsonl")
	i, err := OpenInbox(path, ticking())
	if err != nil {
		t.Fatal(err)
	}
	for n := range 2*inboxSize + 7 {
		send(t, i, Mail, fmt.Sprint(n), "a@example.org", fmt.Sprint(n))
		if n%100 != 0 || n == 2*inboxSize {
			continue
		}
		if lines := fileLines(t, path); lines != n+1 {
			t.Fatalf("%d lines after %d messages", lines, n+1)
		}
	}
	got := texts(i)
	if len(got) != inboxSize || got[0] != fmt.Sprint(2*inboxSize+6) {
		t.Errorf("%d messages, the newest %s", len(got), got[0])
	}
	if lines := fileLines(t, path); lines != inboxSize+7 {
		t.Errorf("the file has %d lines", lines)
	}
}

func fileLines(t *testing.T, path string) int {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(b), "\n")
}

func TestInboxSurvivesARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "inbox.jsonl")
	open := func() *Inbox {
		t.Helper()
		i, err := OpenInbox(path, ticking())
		if err != nil {
			t.Fatal(err)
		}
		return i
	}
	i := open()
	send(t, i, Mail, "1", "a@example.org", "line\nbreak \u2028 <b> \x1b[31m")
	send(t, i, SMS, "2", "+49 555 0100", "two")
	before := i.Messages()
	if err := i.Close(); err != nil {
		t.Fatal(err)
	}
	if err := i.For(Mail).Send(t.Context(), "3", "a@example.org", Rendered{}); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("a closed inbox took a message: %v", err)
	}
	// A crash in the middle of a line, and a file anybody may read.
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(b, `{"id":"4","te`...), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	i = open()
	if !reflect.DeepEqual(i.Messages(), before) {
		t.Errorf("got %+v, want %+v", i.Messages(), before)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	send(t, i, Mail, "5", "a@example.org", "five")
	i.Close()
	if i = open(); !reflect.DeepEqual(texts(i), []string{"five", "two", before[1].Text}) {
		t.Errorf("%q", texts(i))
	}
	i.Close()
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestInboxRefusesAFileThatIsNone(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "inbox.jsonl")
	content := "{\"id\":\"1\"}\nCanary-113\n{\"id\":\"2\"}\n"
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := OpenInbox(path, ticking())
	if err == nil || !strings.Contains(err.Error(), "line 2") || strings.Contains(err.Error(), "Canary") {
		t.Errorf("%v", err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != content {
		t.Errorf("the file was changed: %q, %v", b, err)
	}
	if _, err := OpenInbox(filepath.Join(dir, "missing", "inbox.jsonl"), ticking()); err == nil {
		t.Error("opened in a folder that is not there")
	}
}

// A message that could not be written is not listed, and does not spoil the next.
func TestInboxListsOnlyWhatItKept(t *testing.T) {
	i, err := OpenInbox(filepath.Join(t.TempDir(), "inbox.jsonl"), ticking())
	if err != nil {
		t.Fatal(err)
	}
	send(t, i, Mail, "1", "a@example.org", "one")
	i.file.Close()
	if err := i.For(Mail).Send(t.Context(), "2", "a@example.org", Rendered{Text: "two"}); err == nil {
		t.Error("a message was taken that could not be written")
	}
	if got := texts(i); !reflect.DeepEqual(got, []string{"one"}) {
		t.Errorf("%q", got)
	}
}

func TestInboxTakesManyAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "inbox.jsonl")
	i, err := OpenInbox(path, ticking())
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			for k := range 25 {
				if err := i.For(SMS).Send(t.Context(), fmt.Sprint(n, k), "+49", Rendered{Text: "x"}); err != nil {
					t.Error(err)
				}
				i.Messages()
			}
		})
	}
	all.Wait()
	i.Close()
	again, err := OpenInbox(path, ticking())
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if n := len(again.Messages()); n != 200 {
		t.Errorf("%d messages of 200", n)
	}
}
