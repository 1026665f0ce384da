package graviteetest

import (
	"slices"
	"time"
)

func (s *Server) subscriptionsOf(application string) []*Subscription {
	return s.subscriptionsByApplication[application]
}

// subscriptionOf finds a subscription below its API; another API's is not found.
func (s *Server) subscriptionOf(api, id string) (*Subscription, error) {
	if sub := s.subscriptions[id]; sub != nil && sub.API == api {
		return sub, nil
	}
	return nil, subscriptionNotFound(id)
}

// newSubscription is what a caller asks for.
type newSubscription struct {
	id, hrid          string // given by the Automation API only
	hridPath          string // "<API as named in the path>/<hrid>"
	plan, application string
	customKey         string
	keyMode           string
	metadata          map[string]string
}

// subscribe creates the subscription PENDING; a plan with automatic validation
// accepts it at once. A key that is refused at that point leaves the PENDING
// subscription behind, as the real server does.
func (s *Server) subscribe(n newSubscription) (*Subscription, error) {
	plan := s.plans[n.plan]
	if plan == nil {
		return nil, planNotFound(n.plan)
	}
	switch {
	case plan.Status == "DEPRECATED":
		return nil, bad("plan.notSubscribable", plan.ID)
	case plan.Status == "CLOSED":
		return nil, bad("plan.closed", "Plan "+plan.ID+" is already closed !", "plan", plan.ID)
	case plan.Status == "STAGING":
		return nil, bad("plan.notPublished", "Plan "+plan.ID+" is not yet published !", "plan", plan.ID)
	case plan.Security == "KEY_LESS":
		return nil, bad("plan.notSubscribable", "A keyless plan is not subscribable!")
	}
	app, err := s.application(n.application)
	if err != nil {
		return nil, err
	}
	if app.Status == StatusArchived {
		return nil, bad("application.archived", "Application ["+app.Name+"] is archived and cannot be modified.", "application", app.Name)
	}
	if err := s.checkNotSubscribed(app, plan); err != nil {
		return nil, err
	}
	s.settleKeyMode(app, plan, n.keyMode)
	if n.id == "" {
		n.id = s.newID()
	}
	sub := &Subscription{
		ID: n.id, HRID: n.hrid, API: plan.API, Plan: plan.ID, Application: app.ID,
		Status: StatusPending, Metadata: n.metadata, CreatedAt: s.now(), UpdatedAt: s.now(),
	}
	s.subscriptions[sub.ID] = sub
	if n.hridPath != "" {
		s.subscriptionsByHRID[n.hridPath] = sub
	}
	s.subscriptionOrder = append(s.subscriptionOrder, sub)
	s.subscriptionsByApplication[app.ID] = append(s.subscriptionsByApplication[app.ID], sub)
	if plan.Validation == ValidationAuto {
		return sub, s.accept(sub, acceptance{customKey: n.customKey})
	}
	return sub, nil
}

func (s *Server) checkNotSubscribed(app *Application, plan *Plan) error {
	for _, other := range s.subscriptionsOf(app.ID) {
		if other.API != plan.API || other.Status == StatusRejected || other.Status == StatusClosed {
			continue
		}
		if other.Plan == plan.ID {
			return planSubscribed(plan.ID)
		}
		if app.APIKeyMode == ModeShared && plan.Security == SecurityAPIKey && s.plans[other.Plan].Security == SecurityAPIKey {
			return bad("plan.notSubscribableWithSharedApiKey",
				"You cannot subscribe to a second API Key plan on the same API in shared API Key mode")
		}
	}
	return nil
}

// settleKeyMode chooses the mode of an application that has none yet. SHARED is
// possible from the second subscription on.
func (s *Server) settleKeyMode(app *Application, plan *Plan, asked string) {
	if plan.Security != SecurityAPIKey || app.APIKeyMode != ModeUnspecified {
		return
	}
	count := 0
	for _, sub := range s.subscriptionsOf(app.ID) {
		if s.plans[sub.Plan].Security == SecurityAPIKey && sub.Status != StatusClosed && sub.Status != StatusRejected {
			count++
		}
	}
	switch {
	case asked == ModeShared && count == 0:
		return
	case asked == ModeShared && count > 1, asked == "" && count > 0:
		asked = ModeExclusive
	}
	if asked != "" {
		app.APIKeyMode = asked
	}
}

// acceptance is what an API's owner adds when accepting.
type acceptance struct {
	startingAt, endingAt *time.Time
	reason, customKey    string
}

// accept makes the key first: when it is refused, the subscription stays PENDING.
func (s *Server) accept(sub *Subscription, a acceptance) error {
	if sub.Status != StatusPending {
		return illegalState("Cannot accept subscription")
	}
	if s.plans[sub.Plan].Status == "CLOSED" {
		return bad("plan.closed", "Plan "+sub.Plan+" is already closed !", "plan", sub.Plan)
	}
	now := s.now()
	accepted := *sub
	accepted.Status, accepted.EndingAt, accepted.Reason = StatusAccepted, a.endingAt, a.reason
	accepted.StartingAt, accepted.ProcessedAt, accepted.UpdatedAt = a.startingAt, &now, now
	if accepted.StartingAt == nil {
		accepted.StartingAt = &now
	}
	if s.plans[sub.Plan].Security == SecurityAPIKey {
		if err := s.generateKey(&accepted, a.customKey); err != nil {
			return err
		}
	}
	*sub = accepted
	s.subscriptionChanged(sub)
	return nil
}

func (s *Server) reject(sub *Subscription, reason string) error {
	if sub.Status != StatusPending {
		return illegalState("Cannot reject subscription")
	}
	now := s.now()
	sub.Status, sub.Reason, sub.ProcessedAt, sub.ClosedAt, sub.UpdatedAt = StatusRejected, reason, &now, &now, now
	return nil
}

// close ends the subscription and revokes its keys, unless the application
// shares them. Closing what is closed changes nothing.
func (s *Server) close(sub *Subscription) {
	now := s.now()
	switch sub.Status {
	case StatusPending:
		sub.Status, sub.Reason = StatusRejected, "Subscription has been closed."
		sub.ProcessedAt, sub.ClosedAt, sub.UpdatedAt = &now, &now, now
	case StatusAccepted, StatusPaused:
		sub.Status, sub.ClosedAt, sub.UpdatedAt = StatusClosed, &now, now
		if s.applications[sub.Application].APIKeyMode != ModeShared {
			for _, key := range s.keysBySubscription[sub.ID] {
				s.revoke(key)
			}
		}
		s.subscriptionChanged(sub)
	}
}

// reopen brings a closed or rejected subscription back to PENDING.
func (s *Server) reopen(sub *Subscription) {
	sub.Status, sub.PausedAt, sub.UpdatedAt = StatusPending, nil, s.now()
	s.subscriptionChanged(sub)
}

func (s *Server) pause(sub *Subscription) error {
	if sub.Status != StatusAccepted {
		return bad("subscription.notPausable",
			"Subscription ["+sub.ID+"] cannot be paused because of its status: "+sub.Status, "subscription", sub.ID)
	}
	now := s.now()
	sub.Status, sub.PausedAt, sub.UpdatedAt = StatusPaused, &now, now
	s.setPaused(sub, true)
	return nil
}

func (s *Server) resume(sub *Subscription) error {
	if sub.Status != StatusPaused {
		return bad("subscription.notPaused",
			"Subscription ["+sub.ID+"] cannot be resumed because currently not paused", "subscription", sub.ID)
	}
	sub.Status, sub.PausedAt, sub.UpdatedAt = StatusAccepted, nil, s.now()
	s.setPaused(sub, false)
	return nil
}

func (s *Server) setPaused(sub *Subscription, paused bool) {
	if s.applications[sub.Application].APIKeyMode != ModeShared {
		for _, key := range s.keysBySubscription[sub.ID] {
			if key.active(s.now()) {
				key.Paused, key.UpdatedAt = paused, s.now()
			}
		}
	}
	s.subscriptionChanged(sub)
}

func (s *Server) transfer(sub *Subscription, planID string) error {
	plan := s.plans[planID]
	if plan == nil {
		return planNotFound(planID)
	}
	if plan.API != sub.API || plan.Status != "PUBLISHED" || plan.Security != s.plans[sub.Plan].Security {
		return bad("plan.transferNotAllowed", "The plan ["+planID+"] cannot be transferred.", "plan", planID)
	}
	sub.Plan, sub.UpdatedAt = planID, s.now()
	for _, key := range s.keysBySubscription[sub.ID] {
		key.UpdatedAt = s.now()
	}
	s.subscriptionChanged(sub)
	return nil
}

// updateSubscription replaces dates and metadata; an end is passed on to the
// keys that still live.
func (s *Server) updateSubscription(sub *Subscription, startingAt, endingAt *time.Time, metadata map[string]string) error {
	if !slices.Contains([]string{StatusAccepted, StatusPending, StatusPaused}, sub.Status) {
		return bad("subscription.notUpdatable", "Subscription ["+sub.ID+"] cannot be updated because of its status.", "subscription", sub.ID)
	}
	sub.StartingAt, sub.EndingAt, sub.Metadata, sub.UpdatedAt = startingAt, endingAt, metadata, s.now()
	if endingAt != nil && s.plans[sub.Plan].Security == SecurityAPIKey && s.applications[sub.Application].APIKeyMode != ModeShared {
		for _, key := range s.keysBySubscription[sub.ID] {
			if key.active(s.now()) {
				s.setExpiry(key, endingAt)
			}
		}
	}
	s.subscriptionChanged(sub)
	return nil
}
