package journey

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// Departure is where she goes now: to an address, or into a line.
type Departure struct {
	Address string
	Place   int           // in line, from 1; 0 when she leaves
	Again   time.Duration // ask again after this
}

const (
	// askAgain is how often the page of a line asks.
	askAgain = 3 * time.Second
	// stillThere: who did not ask for so long is not counted in a line.
	stillThere = 15 * time.Second
	// stay is how long she may be at FranceConnect (franceconnect.md, 4).
	stay = 30 * time.Minute
)

// familyScopes are what a journey may ask, in their order. The address is not
// carried to communes: it is never asked (CRPA L114-8 I).
var familyScopes = []string{scopeQuotient, "cnaf_allocataires", "cnaf_enfants"}

const scopeQuotient = "cnaf_quotient_familial"

// covers gives what the commune's right lets ask, and the habilitation that gives it.
func (s *Service) covers(ctx context.Context, receiver int64) (scopes []string, habilitation int64, err error) {
	rights, err := s.Store.RightsOf(ctx, receiver)
	if err != nil {
		return nil, 0, err
	}
	if len(rights) == 0 {
		return nil, 0, ErrClosed
	}
	granted := rights[0].Scopes
	if len(granted) == 0 {
		granted = s.Settings.FormScopes
	}
	for _, scope := range familyScopes {
		if slices.Contains(granted, scope) {
			scopes = append(scopes, scope)
		}
	}
	if !slices.Contains(scopes, scopeQuotient) {
		return nil, 0, ErrClosed
	}
	return scopes, rights[0].HabilitationID, nil
}

// Restart takes a transaction back to its beginning, with nothing personal left.
func (s *Service) Restart(ctx context.Context, t Ticket) error {
	err := s.change(ctx, t, func(j *store.Journey, c *content) error {
		j.State, j.Failure, j.Reference, j.FetchBy = store.JourneyEntered, "", nil, nil
		*c = content{Entry: c.Entry, IDToken: c.IDToken}
		return nil
	}, store.JourneyEntered, store.JourneyAway, store.JourneyReview, store.JourneyFailed)
	s.count("restart", outcome(err))
	return err
}

// Depart sends her to FranceConnect when the partners' limits admit one more, so
// that her token's 60 s are not spent in a line; else it gives her place.
func (s *Service) Depart(ctx context.Context, t Ticket) (Departure, error) {
	d, err := s.depart(ctx, t)
	switch {
	case errors.Is(err, ErrClosed):
		if failed := s.fail(ctx, t, store.JourneyEntered, FailedClosed, nil, ""); failed != nil {
			return d, failed
		}
		s.count("depart", "closed")
		return d, ErrStep // the page says so
	case err == nil && d.Place > 0:
		s.count("depart", "waits")
	default:
		s.count("depart", outcome(err))
	}
	return d, err
}

func (s *Service) depart(ctx context.Context, t Ticket) (Departure, error) {
	j, err := s.find(ctx, t)
	if err != nil {
		return Departure{}, err
	}
	if j.State != store.JourneyEntered {
		return Departure{}, ErrStep
	}
	r, err := s.Store.Receiver(ctx, j.ReceiverID)
	if err != nil {
		return Departure{}, err
	}
	if !store.Receives(r) {
		return Departure{}, ErrClosed
	}
	scopes, habilitation, err := s.covers(ctx, r.ID)
	if err != nil {
		return Departure{}, err
	}
	place, err := s.admit(ctx, j, s.buckets(habilitation))
	if err != nil || place > 0 {
		return Departure{Place: place, Again: askAgain}, err
	}
	state, nonce := random(), random()
	address, err := s.Identity.Authorize(ctx, connectors.Authorization{State: state, Nonce: nonce, Scopes: scopes})
	if err != nil {
		s.Log.Warn().Err(err).Str("correlation", connectors.Correlation(ctx)).Msg("the identity provider has no address to go to")
		if err := s.fail(ctx, t, store.JourneyEntered, FailedIdentity, nil, ""); err != nil {
			return Departure{}, err
		}
		return Departure{}, ErrStep
	}
	err = s.change(ctx, t, func(j *store.Journey, c *content) error {
		now := s.Now()
		j.State, j.StateHash, j.LeftAt = store.JourneyAway, hashOf(state), &now
		j.Line, j.QueuedAt, j.SeenAt = nil, nil, nil
		c.Nonce, c.Scopes = nonce, scopes
		return nil
	}, store.JourneyEntered)
	return Departure{Address: address}, err
}

// buckets are the limits that one departure counts in, in the order in which
// they are taken.
func (s *Service) buckets(habilitation int64) []store.Bucket {
	var list []store.Bucket
	add := func(name string, n int, per time.Duration) {
		if n > 0 {
			list = append(list, store.Bucket{Name: name, Rate: float64(n) / per.Seconds(), Burst: n})
		}
	}
	add(fmt.Sprintf("journey/habilitation/%d", habilitation), s.Settings.PerHabilitation, time.Minute)
	add("journey/address/"+s.Settings.Egress+"/minute", s.Settings.PerMinute, time.Minute)
	add("journey/address/"+s.Settings.Egress+"/hour", s.Settings.PerHour, time.Hour)
	return list
}

// admit takes her turn: 0 when she may leave, else her place in line. Whoever
// waits goes before whoever comes; communes take turns.
func (s *Service) admit(ctx context.Context, j store.Journey, buckets []store.Bucket) (place int, err error) {
	if len(buckets) == 0 {
		return 0, nil
	}
	now := s.Now()
	for _, b := range buckets {
		ahead := 0
		if j.Line != nil && *j.Line == b.Name {
			ahead, err = s.Store.JourneysAhead(ctx, j.ID, b.Name, now.Add(-stillThere))
		} else if j.Line == nil {
			ahead, err = s.Store.JourneysWaiting(ctx, b.Name, now.Add(-stillThere))
		}
		if err != nil {
			return 0, err
		}
		// The first few ask side by side, as many as a bucket lets go meanwhile.
		if head := int(math.Ceil(b.Rate * askAgain.Seconds() * 2)); ahead >= max(head, 1) || j.Line == nil && ahead > 0 {
			return s.queue(ctx, j, b.Name)
		}
	}
	empty, wait, err := s.Store.TakeAll(ctx, buckets...)
	if err != nil || wait == 0 {
		return 0, err
	}
	return s.queue(ctx, j, empty)
}

// queue puts her into a line, or keeps her there, and gives her place.
func (s *Service) queue(ctx context.Context, j store.Journey, line string) (int, error) {
	now := s.Now()
	err := s.Store.ChangeJourney(ctx, j.ID, func(j *store.Journey) error {
		if j.State != store.JourneyEntered {
			return ErrStep
		}
		if j.QueuedAt == nil {
			j.QueuedAt = &now
		}
		j.Line, j.SeenAt = &line, &now
		return nil
	})
	if err != nil {
		return 0, err
	}
	ahead, err := s.Store.JourneysAhead(ctx, j.ID, line, now.Add(-stillThere))
	return ahead + 1, err
}

// Callback is what FranceConnect sent her back with (franceconnect.md, 3).
type Callback struct {
	State, Code, Issuer string
	Error               string // of OAuth
}

// Return takes her back. key gives the key that her browser holds for a
// transaction. The ticket has a new key (no fixation), or none with ErrStep: the
// transaction is known and its page says where it stands. What follows runs apart
// from her connection.
func (s *Service) Return(ctx context.Context, cb Callback, key func(uuid.UUID) (Key, bool)) (Ticket, error) {
	t, err := s.comeBack(ctx, cb, key)
	s.count("return", outcome(err))
	return t, err
}

func (s *Service) comeBack(ctx context.Context, cb Callback, key func(uuid.UUID) (Key, bool)) (Ticket, error) {
	id, err := s.Store.JourneyByState(ctx, hashOf(cb.State))
	if errors.Is(err, store.ErrNotFound) {
		return Ticket{}, ErrGone
	}
	if err != nil {
		return Ticket{}, err
	}
	old, ok := key(id)
	next := Ticket{id, newKey()}
	var nonce string
	var receiver int64
	err = s.Store.ChangeJourney(ctx, id, func(j *store.Journey) error {
		now := s.Now()
		switch {
		case j.State != store.JourneyAway: // seen already: a replay, or a reload
			return ErrStep
		case !ok || !old.opens(*j) || !j.ExpiresAt.After(now) || j.LeftAt == nil || now.After(j.LeftAt.Add(stay)):
			return ErrGone
		}
		c, err := open(old, *j)
		if err != nil {
			return err
		}
		nonce, receiver = c.Nonce, j.ReceiverID
		by := now.Add(s.Settings.Limits.Silence)
		j.State, j.FetchBy, j.KeyHash = store.JourneyFetching, &by, next.Key.hash()
		j.ExpiresAt = now.Add(s.Settings.Idle)
		c.Nonce = ""
		j.Body, err = c.seal(next.Key, id)
		return err
	})
	if errors.Is(err, ErrStep) {
		return Ticket{ID: id}, err
	}
	if err != nil {
		return Ticket{}, err
	}
	over := make(chan struct{})
	s.fetching.Store(id, over)
	s.running.Add(1)
	apart := context.WithoutCancel(ctx)
	go func() {
		defer s.running.Done()
		defer func() { s.fetching.Delete(id); close(over) }()
		s.fetch(apart, next, receiver, connectors.Callback{Code: connectors.NewSecret(cb.Code), Issuer: cb.Issuer, Error: cb.Error, Nonce: nonce})
	}()
	return next, nil
}

// Await waits a moment for the fetch of a transaction, where this process makes it.
func (s *Service) Await(ctx context.Context, id uuid.UUID, limit time.Duration) {
	over, ok := s.fetching.Load(id)
	if !ok {
		return
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-over.(chan struct{}): //nolint:forcetypeassert // the map holds nothing else
	case <-timer.C:
	case <-ctx.Done():
	}
}

// reviewed puts an answer before her, with the reference that it will have.
func (s *Service) reviewed(ctx context.Context, t Ticket, who connectors.Citizen, family connectors.Family, early bool) error {
	return s.change(ctx, t, func(j *store.Journey, c *content) error {
		reference := registry.NewReference()
		j.State, j.Failure, j.FetchBy, j.Reference = store.JourneyReview, "", nil, &reference
		c.Identity, c.Family, c.Early, c.IDToken = &who.Identity, &family, early, who.IDToken.Reveal()
		return nil
	}, store.JourneyFetching)
}

// fail records why it went wrong in a state, and wipes what she is not to see any
// more. A transaction that went on meanwhile stays as it is.
func (s *Service) fail(ctx context.Context, t Ticket, in string, why Failure, identity *connectors.PivotIdentity, idToken string) error {
	return s.change(ctx, t, func(j *store.Journey, c *content) error {
		j.State, j.Failure, j.FetchBy, j.Reference = store.JourneyFailed, string(why), nil, nil
		j.Line, j.QueuedAt, j.SeenAt = nil, nil, nil
		if idToken == "" {
			idToken = c.IDToken
		}
		*c = content{Entry: c.Entry, IDToken: idToken, Identity: identity}
		return nil
	}, in)
}
