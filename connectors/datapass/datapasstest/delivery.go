package datapasstest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// DeliveryState says what DataPass does next with a delivery.
type DeliveryState string

// The states of a delivery.
const (
	// Queued is not sent yet (Hold).
	Queued DeliveryState = "queued"
	// Delivered was answered 200, 201 or 204.
	Delivered DeliveryState = "delivered"
	// Waiting was answered another status, and is sent again, without end.
	Waiting DeliveryState = "waiting"
	// Lost met a transport error (DNS, refused, TLS, timeout): not sent again, no
	// trace at DataPass (datapass.md, 2.10).
	Lost DeliveryState = "lost"
	// Broken was a success whose body is a JSON array or a bare number: the job dies
	// after its attempt is saved (datapass.md, 2.7).
	Broken DeliveryState = "broken"
)

// Delivery is one event owed to one subscription. Its body is frozen when the
// event happens.
type Delivery struct {
	ID             int64
	SubscriptionID int64
	RequestID      int64
	Event          EventName
	Body           []byte
	State          DeliveryState
	Failures       int       // answers that were no success
	NextAt         time.Time // when DataPass would send it again; zero unless Waiting
	Last           Exchange  // zero until sent
}

// Attempt is the row that a completed exchange leaves (datapass.md, 2.9).
type Attempt struct {
	ID             int64
	SubscriptionID int64
	RequestID      int64
	Event          EventName
	Status         int
	ResponseBody   string
	Payload        []byte
	CreatedAt      time.Time
}

// Hold keeps deliveries queued from now on (true) instead of sending each event
// when it happens. SendQueued sends them.
func (s *Server) Hold(held bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = held
}

// queue builds the body of an event and owes it to each subscription of the
// request's current definition. It needs the lock.
func (s *Server) queue(event EventName, r *Request) error {
	r.Reopening = reopening(r)
	return s.owe(event, r.Definition, r.ID, func() ([]byte, error) { return eventBody(event, s.Now(), r) })
}

// queueLinked owes the approve webhook of a linked FranceConnect habilitation to
// the subscribers of france_connect.
func (s *Server) queueLinked(r *Request, child *Habilitation) error {
	return s.owe(EventApprove, franceConnect, r.ID, func() ([]byte, error) { return linkedBody(s.Now(), r, child) })
}

func (s *Server) owe(event EventName, definition string, requestID int64, build func() ([]byte, error)) error {
	var body []byte
	for _, id := range sortedKeys(s.subscriptions) {
		sub := s.subscriptions[id]
		if sub.Definition != definition || !sub.receives(event) {
			continue
		}
		if body == nil {
			var err error
			if body, err = build(); err != nil {
				return err
			}
		}
		s.ids.delivery++
		s.deliveries = append(s.deliveries, &Delivery{
			ID: s.ids.delivery, SubscriptionID: id, RequestID: requestID, Event: event, Body: body, State: Queued,
		})
	}
	return nil
}

// Deliveries lists all deliveries since the start, by creation.
func (s *Server) Deliveries() []Delivery {
	s.mu.Lock()
	all := slices.Clone(s.deliveries)
	s.mu.Unlock()
	return s.snapshots(all)
}

// Send sends one delivery now, whatever its state: a queued one, a failed one,
// or one already delivered, as a worker lost after its POST does.
func (s *Server) Send(ctx context.Context, deliveryID int64) (Delivery, error) {
	s.mu.Lock()
	at := slices.IndexFunc(s.deliveries, func(d *Delivery) bool { return d.ID == deliveryID })
	if at < 0 {
		s.mu.Unlock()
		return Delivery{}, fmt.Errorf("delivery %d: %w", deliveryID, ErrNotFound)
	}
	d := s.deliveries[at]
	s.mu.Unlock()
	s.send(ctx, d)
	return s.snapshots([]*Delivery{d})[0], nil
}

// SendQueued sends what Hold kept back, oldest first, by the given number of
// workers (at least one).
func (s *Server) SendQueued(ctx context.Context, workers int) []Delivery {
	return s.sendAll(ctx, workers, func(d *Delivery) bool { return d.State == Queued })
}

// Retry sends once more every delivery that waits, without waiting for its time.
func (s *Server) Retry(ctx context.Context) []Delivery {
	return s.sendAll(ctx, 1, func(d *Delivery) bool { return d.State == Waiting })
}

// RetryDue is Retry for those whose time has come by the partner's clock.
func (s *Server) RetryDue(ctx context.Context) []Delivery {
	now := s.Now()
	return s.sendAll(ctx, 1, func(d *Delivery) bool { return d.State == Waiting && !d.NextAt.After(now) })
}

// RetryForEver sends again what is due, looking each period, until ctx ends: what
// a DataPass that runs as a process of its own does.
func (s *Server) RetryForEver(ctx context.Context, period time.Duration) {
	tick := time.NewTicker(period)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.RetryDue(ctx)
		case <-ctx.Done():
			return
		}
	}
}

func (s *Server) sendAll(ctx context.Context, workers int, want func(*Delivery) bool) []Delivery {
	s.mu.Lock()
	picked := slices.DeleteFunc(slices.Clone(s.deliveries), func(d *Delivery) bool { return !want(d) })
	s.mu.Unlock()
	next := make(chan *Delivery)
	var group sync.WaitGroup
	for range max(workers, 1) {
		group.Go(func() {
			for d := range next {
				s.send(ctx, d)
			}
		})
	}
	for _, d := range picked {
		next <- d
	}
	close(next)
	group.Wait()
	return s.snapshots(picked)
}

// send posts a delivery with the subscription's URL and secret of today, even
// when it was disabled since: DataPass looks at neither again.
func (s *Server) send(ctx context.Context, d *Delivery) {
	s.mu.Lock()
	sub, ok := s.subscriptions[d.SubscriptionID]
	if !ok {
		d.State = Lost
		s.mu.Unlock()
		return
	}
	target, body := *sub, d.Body
	s.mu.Unlock()

	exchange := s.post(ctx, target, body, nil)

	s.mu.Lock()
	defer s.mu.Unlock()
	d.Last, d.NextAt = exchange, time.Time{}
	if exchange.Err != nil {
		d.State = Lost
		return
	}
	s.saveAttempt(d.SubscriptionID, d.RequestID, d.Event, body, exchange)
	if !exchange.Passed() {
		d.State = Waiting
		d.Failures++
		d.NextAt = s.Now().Add(retryAfter(d.Failures))
		return
	}
	token, crash := tokenID(exchange.Body)
	if crash {
		d.State = Broken
		return
	}
	d.State = Delivered
	if r := s.requests[d.RequestID]; r != nil && token != "" {
		r.ExternalProviderID = token // any event, the last answer wins (datapass.md, 2.7)
	}
}

// retryAfter is the wait after the n-th failure, without the part that DataPass
// draws at random: up to 15 % of n^4 (datapass.md, 2.9).
func retryAfter(n int) time.Duration {
	return time.Duration(n*n*n*n+2) * time.Second
}

// saveAttempt needs the lock.
func (s *Server) saveAttempt(subscription, request int64, event EventName, payload []byte, e Exchange) {
	s.ids.attempt++
	s.attempts = append(s.attempts, &Attempt{
		ID: s.ids.attempt, SubscriptionID: subscription, RequestID: request, Event: event,
		Status: e.Status, ResponseBody: string(e.Body), Payload: payload, CreatedAt: s.Now(),
	})
}

// Attempts lists the attempts of a subscription, newest first.
func (s *Server) Attempts(subscriptionID int64) []Attempt {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Attempt
	for _, a := range slices.Backward(s.attempts) {
		if a.SubscriptionID == subscriptionID {
			out = append(out, *a)
		}
	}
	return out
}

// Replay sends the stored payload of an attempt once more, with the URL and the
// secret of today, even when the subscription is disabled: a new attempt unless
// the transport failed, and a token_id that is ignored (datapass.md, 2.1).
func (s *Server) Replay(ctx context.Context, attemptID int64) (Exchange, error) {
	s.mu.Lock()
	at := slices.IndexFunc(s.attempts, func(a *Attempt) bool { return a.ID == attemptID })
	if at < 0 {
		s.mu.Unlock()
		return Exchange{}, fmt.Errorf("attempt %d: %w", attemptID, ErrNotFound)
	}
	a := *s.attempts[at]
	s.mu.Unlock()
	sub, err := s.Subscription(a.SubscriptionID)
	if err != nil {
		return Exchange{}, err
	}
	exchange := s.post(ctx, sub, a.Payload, nil)
	if exchange.Err == nil {
		s.mu.Lock()
		s.saveAttempt(a.SubscriptionID, a.RequestID, a.Event, a.Payload, exchange)
		s.mu.Unlock()
	}
	return exchange, nil
}

// snapshots copies deliveries, so that who reads them races with nobody.
func (s *Server) snapshots(list []*Delivery) []Delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Delivery, len(list))
	for i, d := range list {
		out[i] = *d
	}
	return out
}
