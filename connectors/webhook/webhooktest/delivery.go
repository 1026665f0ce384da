package webhooktest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// Delivery is one POST that arrived.
type Delivery struct {
	Seq    int         `json:"seq"` // 1 for the first one
	At     time.Time   `json:"at"`
	Path   string      `json:"path"`
	Query  string      `json:"query,omitempty"`
	Header http.Header `json:"-"`
	Body   []byte      `json:"-"`
	// ID is the webhook-id; without one the SHA-256 of the body, by which
	// receivers of DataPass tell repeats (datapass.md, 2.10).
	ID      string `json:"id"`
	Attempt int    `json:"attempt"` // webhook-attempt; 0: none
	Event   string `json:"event"`   // "event" or "type" of the body
	Test    bool   `json:"test,omitempty"`
	// Subject and Order place the event among those of the same subject.
	Subject  string   `json:"subject,omitempty"`
	Order    int64    `json:"order,omitempty"`
	HasOrder bool     `json:"-"`
	Valid    bool     `json:"valid"`
	Faults   []string `json:"faults,omitempty"` // why it is not valid
	Repeat   bool     `json:"repeat"`           // a valid one with this ID came before
}

// Place says to which subject an event belongs and where it comes among its
// events; false when the body does not say.
type Place func(body []byte) (subject string, order int64, ok bool)

// PlaceOf reads both bodies of webhooks.md: the subject is "subject", else
// "model_id", at the top or in "data"; the order "seq" or "sequence" at either
// place, else "fired_at".
func PlaceOf(body []byte) (subject string, order int64, ok bool) {
	type place struct {
		Subject  json.RawMessage `json:"subject"`
		ModelID  json.RawMessage `json:"model_id"`
		Seq      *int64          `json:"seq"`
		Sequence *int64          `json:"sequence"`
		FiredAt  *int64          `json:"fired_at"`
	}
	var top struct {
		place
		Data json.RawMessage `json:"data"`
	}
	var data place
	if json.Unmarshal(body, &top) != nil {
		return "", 0, false
	}
	_ = json.Unmarshal(top.Data, &data) // data that is no object has no place
	for _, raw := range []json.RawMessage{top.Subject, top.ModelID, data.Subject, data.ModelID} {
		if len(raw) > 0 && string(raw) != "null" {
			subject = string(raw)
			if text, err := strconv.Unquote(subject); err == nil {
				subject = text
			}
			break
		}
	}
	for _, n := range []*int64{top.Seq, top.Sequence, data.Seq, data.Sequence, top.FiredAt} {
		if n != nil {
			return subject, *n, subject != ""
		}
	}
	return subject, 0, false
}

// record files what arrived.
func (s *Server) record(r *http.Request, body []byte) Delivery {
	now := s.Now()
	s.mu.Lock()
	check, place := s.verifier, s.place
	s.mu.Unlock()
	d := Delivery{
		At: now, Path: r.URL.Path, Query: r.URL.RawQuery, Header: r.Header.Clone(), Body: body,
		ID: r.Header.Get(idHeader), Faults: check.faults(r.Header, body, now),
	}
	d.Valid = len(d.Faults) == 0
	if d.ID == "" {
		digest := sha256.Sum256(body)
		d.ID = hex.EncodeToString(digest[:])
	}
	if n, err := strconv.Atoi(r.Header.Get(attemptHeader)); err == nil {
		d.Attempt = n
	}
	var kind struct {
		Event string `json:"event"`
		Type  string `json:"type"`
		Test  bool   `json:"test"`
	}
	if json.Unmarshal(body, &kind) == nil {
		d.Event, d.Test = kind.Event, kind.Test
		if d.Event == "" {
			d.Event = kind.Type
		}
	}
	d.Subject, d.Order, d.HasOrder = place(body)

	s.mu.Lock()
	defer s.mu.Unlock()
	s.received++
	d.Seq = s.received
	if d.Valid {
		_, d.Repeat = s.seen[d.ID]
		s.seen[d.ID] = struct{}{}
		if d.Repeat {
			s.repeats++
		}
	} else {
		s.invalid++
	}
	s.deliveries = append(s.deliveries, d)
	// Half of the log goes at once, so that dropping stays cheap.
	if len(s.deliveries) > s.keep {
		s.deliveries = slices.Clone(s.deliveries[(len(s.deliveries)+1)/2:])
	}
	close(s.arrived)
	s.arrived = make(chan struct{})
	return d
}

// Totals count what arrived since the start or the reset.
type Totals struct {
	Received int `json:"received"`
	Invalid  int `json:"invalid"`
	Unique   int `json:"unique"`  // ids of valid deliveries
	Repeats  int `json:"repeats"` // valid deliveries whose id came before
}

// Totals gives the counts; in lean mode every delivery counts as valid.
func (s *Server) Totals() Totals {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := Totals{Received: s.received, Invalid: s.invalid, Unique: len(s.seen), Repeats: s.repeats}
	received, unique := s.lean.counts()
	t.Received += received
	t.Unique += unique
	t.Repeats += received - unique
	return t
}

// Deliveries lists what arrived, oldest first (the newest Options.Keep at most).
func (s *Server) Deliveries() []Delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.deliveries)
}

// Invalid lists the deliveries that did not verify.
func (s *Server) Invalid() []Delivery {
	return slices.DeleteFunc(s.Deliveries(), func(d Delivery) bool { return d.Valid })
}

// ByID lists the deliveries with this webhook-id.
func (s *Server) ByID(id string) []Delivery {
	return slices.DeleteFunc(s.Deliveries(), func(d Delivery) bool { return d.ID != id })
}

// Of lists the valid deliveries of a subject, repeats left out, as they arrived.
func (s *Server) Of(subject string) []Delivery {
	return slices.DeleteFunc(s.Deliveries(), func(d Delivery) bool { return !d.Valid || d.Repeat || d.Subject != subject })
}

// Disorder says, one line a case, which events came after a later one of the
// same subject at the same path. Repeats do not count.
func (s *Server) Disorder() []string {
	type key struct{ path, subject string }
	last := map[key]Delivery{}
	var out []string
	for _, d := range s.Deliveries() {
		if !d.Valid || d.Repeat || !d.HasOrder {
			continue
		}
		at := key{d.Path, d.Subject}
		if before, ok := last[at]; ok && d.Order < before.Order {
			out = append(out, fmt.Sprintf("%s, subject %s: %s (%d) came after %s (%d)",
				d.Path, d.Subject, d.Event, d.Order, before.Event, before.Order))
			continue
		}
		last[at] = d
	}
	return out
}

// Wait waits until want is true of what has arrived.
func (s *Server) Wait(ctx context.Context, want func([]Delivery) bool) error {
	for {
		s.mu.Lock()
		arrived := s.arrived
		s.mu.Unlock()
		if want(s.Deliveries()) {
			return nil
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			return fmt.Errorf("webhooktest: %d deliveries and not what was waited for: %w", len(s.Deliveries()), ctx.Err())
		}
	}
}

// WaitUnique waits for n different valid ids, in lean mode too.
func (s *Server) WaitUnique(ctx context.Context, n int) error {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		got := s.Totals().Unique
		if got >= n {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("webhooktest: %d of %d different ids: %w", got, n, ctx.Err())
		}
	}
}
