package notify

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// inboxSize is how many messages an Inbox remembers.
const inboxSize = 500

// Received is a message as an Inbox got it.
type Received struct {
	ID      string    `json:"id"`
	Channel Channel   `json:"channel"`
	To      string    `json:"to"`
	Subject string    `json:"subject"`
	Text    string    `json:"text"`
	HTML    string    `json:"html,omitempty"`
	At      time.Time `json:"at"`
}

// Inbox keeps the last 500 messages instead of sending them, for the demo and
// for tests. It shows codes to whoever looks and must never carry anybody's
// real mail. It is safe for concurrent use.
type Inbox struct {
	now func() time.Time

	mu   sync.Mutex
	list []Received // oldest first
	path string     // empty: in memory alone
	file *os.File
	// size and lines of the file: what an append that failed is cut back to, and
	// when it is time to drop the lines of messages that are forgotten.
	size  int64
	lines int
}

// NewInbox returns an inbox that forgets everything when the process ends.
func NewInbox(now func() time.Time) *Inbox { return &Inbox{now: now} }

// OpenInbox returns an inbox that also lives in a file of JSON lines, oldest
// first, which only the owner may read. It is made when missing. A last line
// that a crash cut short is dropped; any other line that cannot be read is an
// error. One process at a time may have it open.
func OpenInbox(path string, now func() time.Time) (*Inbox, error) {
	i := &Inbox{now: now, path: path}
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("notify: inbox: %w", err)
	}
	for n := 1; len(text) > 0; n++ {
		line, rest, whole := bytes.Cut(text, []byte("\n"))
		if text = rest; !whole {
			break
		}
		var r Received
		if err := json.Unmarshal(line, &r); err != nil {
			return nil, fmt.Errorf("notify: inbox: %s: line %d is not a message", path, n) // not its own words: they quote it
		}
		i.remember(r)
	}
	if err := i.rewrite(); err != nil {
		return nil, fmt.Errorf("notify: inbox: %w", err)
	}
	return i, nil
}

// For returns the transport of one channel into the inbox. A message whose id
// is already there is not kept twice: that is a second attempt at one delivery.
func (i *Inbox) For(c Channel) Transport { return inboxDoor{i, c} }

// inboxDoor is an Inbox for one channel; what is sent does not say by which.
type inboxDoor struct {
	inbox   *Inbox
	channel Channel
}

// Send implements Transport.
func (d inboxDoor) Send(ctx context.Context, id, to string, r Rendered) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return d.inbox.keep(Received{ID: id, Channel: d.channel, To: to, Subject: r.Subject, Text: r.Text, HTML: r.HTML})
}

// Messages returns what came, newest first.
func (i *Inbox) Messages() []Received {
	i.mu.Lock()
	defer i.mu.Unlock()
	list := slices.Clone(i.list)
	slices.Reverse(list)
	return list
}

// Close closes the file. What is sent afterwards is refused if there was one.
func (i *Inbox) Close() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.file == nil {
		return nil
	}
	err := i.file.Close()
	i.file = nil
	return err
}

func (i *Inbox) keep(r Received) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if r.ID != "" && slices.ContainsFunc(i.list, func(have Received) bool { return have.ID == r.ID }) {
		return nil
	}
	r.At = i.now()
	if err := i.append(r); err != nil {
		return fmt.Errorf("notify: inbox: %w", err)
	}
	i.remember(r)
	return nil
}

func (i *Inbox) remember(r Received) {
	if i.list = append(i.list, r); len(i.list) > inboxSize {
		i.list = slices.Delete(i.list, 0, len(i.list)-inboxSize)
	}
}

func (i *Inbox) append(r Received) error {
	if i.path == "" {
		return nil
	}
	if i.file == nil {
		return fs.ErrClosed
	}
	if i.lines >= 2*inboxSize {
		if err := i.rewrite(); err != nil {
			return err
		}
	}
	line, err := encodeLine(r)
	if err != nil {
		return err
	}
	n, err := i.file.Write(line)
	if err != nil {
		// Half a line (the disk is full) would spoil the next one as well.
		return errors.Join(err, i.file.Truncate(i.size))
	}
	i.size, i.lines = i.size+int64(n), i.lines+1
	return nil
}

// rewrite replaces the file by what is remembered, in one step, and leaves it
// open for more.
func (i *Inbox) rewrite() error {
	// CreateTemp makes it 0600, whatever the file had before.
	f, err := os.CreateTemp(filepath.Dir(i.path), filepath.Base(i.path)+".*")
	if err != nil {
		return err
	}
	var size int64
	err = func() error {
		w := bufio.NewWriter(f)
		for _, r := range i.list {
			line, err := encodeLine(r)
			if err != nil {
				return err
			}
			size += int64(len(line))
			if _, err := w.Write(line); err != nil {
				return err
			}
		}
		return w.Flush()
	}()
	// Opened again so that it is at its end even after a Truncate.
	var again *os.File
	if err == nil {
		again, err = os.OpenFile(f.Name(), os.O_WRONLY|os.O_APPEND, 0)
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), i.path)
	}
	if err != nil {
		if again != nil {
			again.Close()
		}
		return errors.Join(err, os.Remove(f.Name()))
	}
	if i.file != nil {
		i.file.Close() // of the file that was replaced
	}
	i.file, i.size, i.lines = again, size, len(i.list)
	return nil
}

func encodeLine(r Received) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(r) // ends the line; newlines within are escaped
	return b.Bytes(), err
}
