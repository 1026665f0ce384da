package datapasstest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"slices"
)

// Subscription sends the events of one definition to one URL. It receives when
// it is enabled and validated (datapass.md, 2.1).
type Subscription struct {
	ID         int64       `json:"id"`
	Definition string      `json:"definition"`
	URL        string      `json:"url"`
	Events     []EventName `json:"events"`
	Secret     string      `json:"secret"` // its text is the HMAC key
	Enabled    bool        `json:"enabled"`
	Validated  bool        `json:"validated"`
}

func (s Subscription) receives(event EventName) bool {
	return s.Enabled && s.Validated && slices.Contains(s.Events, event)
}

// AddSubscription puts a subscription in place, enabled and validated, without
// the test that the web pages send. Without events it takes all of them; without
// a secret it gets one of 64 hexadecimal characters.
func (s *Server) AddSubscription(sub Subscription) Subscription {
	sub.Enabled, sub.Validated = true, true
	return s.keep(sub)
}

// Subscribe does what the web page does: a generated secret, a test, and
// validated when it passes; never enabled.
func (s *Server) Subscribe(ctx context.Context, definition, url string, events ...EventName) Subscription {
	sub := s.keep(Subscription{Definition: definition, URL: url, Events: events})
	passed := s.test(ctx, sub).Passed()
	return s.changed(sub.ID, func(sub *Subscription) { sub.Validated = passed })
}

// Enable needs a validated subscription, and a test that passes now.
func (s *Server) Enable(ctx context.Context, id int64) (Subscription, error) {
	sub, err := s.Subscription(id)
	if err != nil {
		return sub, err
	}
	if !sub.Validated {
		return sub, fmt.Errorf("enable of subscription %d, which is not validated: %w", id, ErrIllegal)
	}
	if probe := s.test(ctx, sub); !probe.Passed() {
		return sub, fmt.Errorf("enable of subscription %d: the test got status %d: %w", id, probe.Status, ErrIllegal)
	}
	return s.changed(id, func(sub *Subscription) { sub.Enabled = true }), nil
}

// Disable stops new deliveries; queued ones still leave (datapass.md, 2.1).
func (s *Server) Disable(id int64) (Subscription, error) {
	if _, err := s.Subscription(id); err != nil {
		return Subscription{}, err
	}
	return s.changed(id, func(sub *Subscription) { sub.Enabled = false }), nil
}

// ChangeURL tests the new URL: it passes and the subscription is validated and
// enabled, or nothing changes.
func (s *Server) ChangeURL(ctx context.Context, id int64, url string) (Subscription, error) {
	sub, err := s.Subscription(id)
	if err != nil {
		return sub, err
	}
	probed := sub
	probed.URL = url
	if probe := s.test(ctx, probed); !probe.Passed() {
		return sub, fmt.Errorf("new URL of subscription %d (invalid_new_webhook_url): %w", id, ErrIllegal)
	}
	return s.changed(id, func(sub *Subscription) { sub.URL, sub.Validated, sub.Enabled = url, true, true }), nil
}

// RegenerateSecret replaces the secret at once, without overlap and without test.
func (s *Server) RegenerateSecret(id int64) (Subscription, error) {
	if _, err := s.Subscription(id); err != nil {
		return Subscription{}, err
	}
	return s.changed(id, func(sub *Subscription) { sub.Secret = newSecret() }), nil
}

// Test sends the connection test (datapass.md, 2.6). It leaves no attempt.
func (s *Server) Test(ctx context.Context, id int64) (Exchange, error) {
	sub, err := s.Subscription(id)
	if err != nil {
		return Exchange{}, err
	}
	return s.test(ctx, sub), nil
}

func (s *Server) test(ctx context.Context, sub Subscription) Exchange {
	return s.post(ctx, sub, testBody(s.Now()), nil)
}

// Subscription gives one subscription.
func (s *Server) Subscription(id int64) (Subscription, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sub, ok := s.subscriptions[id]
	if !ok {
		return Subscription{}, fmt.Errorf("subscription %d: %w", id, ErrNotFound)
	}
	return *sub, nil
}

func (s *Server) keep(sub Subscription) Subscription {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sub.ID == 0 {
		s.ids.subscription++
		sub.ID = s.ids.subscription
	}
	if len(sub.Events) == 0 {
		sub.Events = Subscribable
	}
	if sub.Secret == "" {
		sub.Secret = newSecret()
	}
	s.subscriptions[sub.ID] = &sub
	return sub
}

func (s *Server) changed(id int64, change func(*Subscription)) Subscription {
	s.mu.Lock()
	defer s.mu.Unlock()
	sub := s.subscriptions[id]
	change(sub)
	return *sub
}

func newSecret() string {
	var key [32]byte
	_, _ = rand.Read(key[:]) // never fails (crypto/rand)
	return hex.EncodeToString(key[:])
}
