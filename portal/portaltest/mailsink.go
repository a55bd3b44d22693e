package portaltest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"regexp"
	"strings"
	"sync"
	"time"
)

// Mail is one message as it arrived.
type Mail struct {
	To, Subject string
	Text, HTML  string
	Raw         string
}

// MailSink is an SMTP server on loopback that keeps every message.
type MailSink struct {
	Addr  string
	l     net.Listener
	mu    sync.Mutex
	mails []Mail
	more  chan struct{} // closed and replaced at every arrival
	tap   func(to []string, raw string)
}

// NewMailSink listens on a free port.
func NewMailSink() (*MailSink, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &MailSink{Addr: l.Addr().String(), l: l, more: make(chan struct{})}
	go s.serve()
	return s, nil
}

// Close stops it.
func (s *MailSink) Close() error { return s.l.Close() }

// Divert hands every message from now on to f, unread, and keeps none: under
// load, parsing mail would cost more than what is measured.
func (s *MailSink) Divert(f func(to []string, raw string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tap = f
}

// Mails returns what has arrived.
func (s *MailSink) Mails() []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Mail(nil), s.mails...)
}

// Wait returns the newest message after the first `after` ones that goes to
// `to` and whose text matches re, waiting for it until ctx ends.
func (s *MailSink) Wait(ctx context.Context, after int, to string, re *regexp.Regexp) (Mail, []string, error) {
	for {
		s.mu.Lock()
		mails, more := s.mails, s.more
		s.mu.Unlock()
		for i := len(mails) - 1; i >= min(after, len(mails)); i-- {
			if m := re.FindStringSubmatch(mails[i].Text); m != nil && mails[i].To == to {
				return mails[i], m, nil
			}
		}
		select {
		case <-more:
		case <-ctx.Done():
			return Mail{}, nil, fmt.Errorf("portaltest: no mail to %s matching %s among %d: %w", to, re, len(mails), ctx.Err())
		}
	}
}

func (s *MailSink) serve() {
	for {
		c, err := s.l.Accept()
		if err != nil {
			return
		}
		go s.talk(c)
	}
}

func (s *MailSink) talk(c net.Conn) {
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Minute))
	r := bufio.NewReader(c)
	say := func(line string) { io.WriteString(c, line+"\r\n") }
	say("220 sink ESMTP")
	var to []string
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		switch verb := strings.ToUpper(strings.TrimSpace(line)); {
		case strings.HasPrefix(verb, "EHLO"):
			say("250-sink")
			say("250 8BITMIME")
		case strings.HasPrefix(verb, "RCPT TO:"):
			to = append(to, strings.Trim(strings.TrimSpace(line[8:]), "<>"))
			say("250 ok")
		case verb == "DATA":
			say("354 go on")
			var b strings.Builder
			for {
				l, err := r.ReadString('\n')
				if err != nil {
					return
				}
				if l == ".\r\n" {
					break
				}
				b.WriteString(strings.TrimPrefix(l, "."))
			}
			s.keep(to, b.String())
			to = nil
			say("250 kept")
		case verb == "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

func (s *MailSink) keep(to []string, raw string) {
	s.mu.Lock()
	tap := s.tap
	s.mu.Unlock()
	if tap != nil {
		tap(to, raw)
		return
	}
	m := Mail{Raw: raw}
	if msg, err := mail.ReadMessage(strings.NewReader(raw)); err == nil {
		m.Subject, _ = new(mime.WordDecoder).DecodeHeader(msg.Header.Get("Subject"))
		m.Text, m.HTML = bodies(msg.Header.Get("Content-Type"), msg.Header.Get("Content-Transfer-Encoding"), msg.Body)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range to {
		m.To = one
		s.mails = append(s.mails, m)
	}
	close(s.more)
	s.more = make(chan struct{})
}

func bodies(contentType, encoding string, body io.Reader) (text, html string) {
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return "", ""
	}
	if strings.HasPrefix(kind, "multipart/") {
		for parts := multipart.NewReader(body, params["boundary"]); ; {
			p, err := parts.NextRawPart()
			if err != nil {
				return text, html
			}
			t, h := bodies(p.Header.Get("Content-Type"), p.Header.Get("Content-Transfer-Encoding"), p)
			text, html = text+t, html+h
		}
	}
	if strings.EqualFold(encoding, "quoted-printable") {
		body = quotedprintable.NewReader(body)
	}
	b, err := io.ReadAll(body)
	if err != nil {
		return "", ""
	}
	if kind == "text/html" {
		return "", string(b)
	}
	return string(b), ""
}
