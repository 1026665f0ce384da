package mailtest

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// keep files a mail and wakes who waits for one.
func (s *Server) keep(m Message, raw []byte) Message {
	m.parse(raw)
	m.ReceivedAt = s.web.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seq++
	m.ID = s.seq
	s.messages = append(s.messages, m)
	close(s.arrived)
	s.arrived = make(chan struct{})
	return m
}

// Messages lists the mails, oldest first.
func (s *Server) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.messages)
}

// To lists the mails whose envelope names the address, oldest first.
func (s *Server) To(address string) []Message {
	return slices.DeleteFunc(s.Messages(), func(m Message) bool { return !m.isTo(address) })
}

// ByMessageID lists the mails with that Message-ID: more than one when it was sent again.
func (s *Server) ByMessageID(id string) []Message {
	return slices.DeleteFunc(s.Messages(), func(m Message) bool { return m.MessageID != id })
}

// Message gives one mail by its number.
func (s *Server) Message(id int) (Message, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := slices.IndexFunc(s.messages, func(m Message) bool { return m.ID == id })
	if at < 0 {
		return Message{}, false
	}
	return s.messages[at], true
}

// Wait gives the first mail to the address that want picks (nil: any), once it
// is there.
func (s *Server) Wait(ctx context.Context, address string, want func(Message) bool) (Message, error) {
	for {
		s.mu.Lock()
		arrived := s.arrived
		s.mu.Unlock()
		for _, m := range s.To(address) {
			if want == nil || want(m) {
				return m, nil
			}
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			return Message{}, fmt.Errorf("mailtest: no such mail: %w", ctx.Err())
		}
	}
}

// Empty forgets the mails.
func (s *Server) Empty() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages = nil
}

func (m Message) isTo(address string) bool {
	return slices.ContainsFunc(m.EnvelopeTo, func(to string) bool { return strings.EqualFold(to, address) })
}
