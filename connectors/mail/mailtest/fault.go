package mailtest

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
)

// Kind names what goes wrong with a mail or a connection.
type Kind string

// What can go wrong, in the order of a session.
const (
	// Busy greets with 421 and closes.
	Busy Kind = "busy"
	// RefuseRecipient answers RCPT with 550 5.1.1: refused for ever.
	RefuseRecipient Kind = "refuse_recipient"
	// DeferRecipient answers RCPT with 451 4.3.0: refused for now.
	DeferRecipient Kind = "defer_recipient"
	// RefuseMessage answers the end of DATA with 554 5.6.0.
	RefuseMessage Kind = "refuse_message"
	// DeferMessage answers the end of DATA with 451 4.3.0.
	DeferMessage Kind = "defer_message"
	// Drop closes the connection at the end of DATA; the mail is not kept.
	Drop Kind = "drop"
	// LoseAnswer keeps the mail, then closes the connection instead of answering.
	LoseAnswer Kind = "lose_answer"
	// Hang never answers the end of DATA; the mail is not kept.
	Hang Kind = "hang"
	// Slow answers the end of DATA after Fault.Delay; the mail is kept before.
	Slow Kind = "slow"
)

// Fault goes wrong with the mails to some recipients.
type Fault struct {
	Kind Kind `json:"kind" yaml:"kind"`
	// Recipient is an address, or a pattern of path.Match over one; "" is all.
	Recipient string `json:"recipient,omitempty" yaml:"recipient"`
	Skip      int    `json:"skip,omitempty" yaml:"skip"`   // cases that pass before the first one is struck
	Times     int    `json:"times,omitempty" yaml:"times"` // cases struck; 0: all of them until the fault is cleared
	// Delay is Slow's.
	Delay time.Duration `json:"delay_ns,omitempty" yaml:"delay"`
}

// Valid says what is wrong with the fault.
func (f Fault) Valid() error {
	if err := validPattern(f.Recipient); err != nil {
		return err
	}
	if f.Skip < 0 || f.Times < 0 {
		return fmt.Errorf("mailtest: fault %s: skip and times must not be negative", f.Kind)
	}
	switch f.Kind {
	case Busy, RefuseRecipient, DeferRecipient, RefuseMessage, DeferMessage, Drop, LoseAnswer, Hang:
	case Slow:
		if f.Delay <= 0 {
			return errors.New("mailtest: fault slow: delay must be positive")
		}
	default:
		return fmt.Errorf("mailtest: unknown fault kind %q", f.Kind)
	}
	return nil
}

func (f Fault) picks(recipients []string) bool {
	return f.Recipient == "" || slices.ContainsFunc(recipients, func(to string) bool { return picks(f.Recipient, to) })
}

func validPattern(pattern string) error {
	if _, err := path.Match(pattern, ""); err != nil {
		return fmt.Errorf("mailtest: recipient %q: %w", pattern, err)
	}
	return nil
}

// picks compares an address with a pattern, letters of any case; "" picks all.
func picks(pattern, address string) bool {
	if pattern == "" {
		return true
	}
	ok, err := path.Match(strings.ToLower(pattern), strings.ToLower(address))
	return err == nil && ok
}

type faultSlot struct {
	Fault
	seen, struck int
}

// Fail puts faults in place. One that is not valid panics: it is a mistake in
// the test that wrote it.
func (s *Server) Fail(list ...Fault) {
	for _, fault := range list {
		if err := fault.Valid(); err != nil {
			panic(err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, fault := range list {
		s.faults = append(s.faults, &faultSlot{Fault: fault})
	}
}

// ClearFaults removes all faults.
func (s *Server) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// Struck counts the cases that a kind of fault has struck since it was put in place.
func (s *Server) Struck(kind Kind) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, slot := range s.faults {
		if slot.Kind == kind {
			n += slot.struck
		}
	}
	return n
}

// strike gives the first fault of these kinds that picks one of the recipients.
func (s *Server) strike(recipients []string, kinds ...Kind) (Fault, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, slot := range s.faults {
		if !slices.Contains(kinds, slot.Kind) || !slot.picks(recipients) || (slot.Times > 0 && slot.struck >= slot.Times) {
			continue
		}
		if slot.seen < slot.Skip {
			slot.seen++
			continue
		}
		slot.struck++
		return slot.Fault, true
	}
	return Fault{}, false
}
