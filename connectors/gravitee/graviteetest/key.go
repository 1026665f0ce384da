package graviteetest

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"slices"
	"time"

	"github.com/google/uuid"
)

// renewOverlap is what _renew gives to old keys, counted from the creation of
// the new one. It is fixed.
const renewOverlap = 2 * time.Hour

var customKeyCharset = regexp.MustCompile(`^[^#%@/;=?|^~, \\]*$`)

// checkCustomKey is v1's and v2's rule; the Automation API has one of its own.
func checkCustomKey(location, value string) error {
	if value == "" {
		return nil
	}
	var found []violation
	if n := len([]rune(value)); n < 8 || n > 128 {
		found = append(found, violation{"Should have length between 8 and 128 characters", location, value})
	}
	if !customKeyCharset.MatchString(value) {
		found = append(found, violation{`Should not contain: ^ # % @ \ / ; = ? | ~ , (space)`, location, value})
	}
	if found == nil {
		return nil
	}
	r := bad("", "Validation error")
	r.violations = found
	return r
}

// generateKey gives the subscription its first key. In SHARED mode the
// application's keys are reused, whatever key was asked for.
func (s *Server) generateKey(sub *Subscription, custom string) error {
	if s.applications[sub.Application].APIKeyMode == ModeShared {
		if shared := s.keysOfApplication(sub.Application); len(shared) > 0 {
			for _, key := range shared {
				s.link(key, sub.ID)
			}
			return nil
		}
	}
	if custom != "" && s.keyOnAPI(custom, sub.API) {
		return keyExisting()
	}
	s.insertKey(sub, custom)
	return nil
}

// insertKey stores a key that ends with its subscription.
func (s *Server) insertKey(sub *Subscription, value string) *Key {
	if value == "" {
		value = uuid.NewString()
	}
	s.RegisterSecret(value)
	sum := sha256.Sum256([]byte(value))
	key := &Key{
		ID: s.newID(), Value: value, Fingerprint: hex.EncodeToString(sum[:6]), Application: sub.Application,
		CreatedAt: s.now(), UpdatedAt: s.now(), ExpireAt: sub.EndingAt,
	}
	s.keys[key.ID] = key
	s.keyOrder = append(s.keyOrder, key)
	s.keysByValue[value] = append(s.keysByValue[value], key)
	s.link(key, sub.ID)
	return key
}

func (s *Server) link(key *Key, subscription string) {
	if !slices.Contains(key.Subscriptions, subscription) {
		key.Subscriptions = append(key.Subscriptions, subscription)
		s.keysBySubscription[subscription] = append(s.keysBySubscription[subscription], key)
	}
	s.keyChanged(key)
}

func (s *Server) keysOfApplication(application string) []*Key {
	var out []*Key
	for _, key := range s.keyOrder {
		if key.Application == application {
			out = append(out, key)
		}
	}
	return out
}

// keyOnAPI reports that the value exists on the API, dead or alive, whoever holds it.
func (s *Server) keyOnAPI(value, api string) bool {
	return slices.ContainsFunc(s.keysByValue[value], func(key *Key) bool { return s.isOnAPI(key, api) })
}

func (s *Server) isOnAPI(key *Key, api string) bool {
	return slices.ContainsFunc(key.Subscriptions, func(id string) bool {
		sub := s.subscriptions[id]
		return sub != nil && sub.API == api
	})
}

// canCreate is the rule of _verify and _renew: the value is free, or it is the
// same application's and on other APIs only.
func (s *Server) canCreate(value, api, application string) bool {
	return !slices.ContainsFunc(s.keysByValue[value], func(key *Key) bool {
		return key.Application != application || s.isOnAPI(key, api)
	})
}

// renew adds a key and gives every key of the subscription that has not expired
// an end two hours after it: a key that was due in ten minutes is lengthened.
func (s *Server) renew(sub *Subscription, custom string) (*Key, error) {
	if sub.Status != StatusAccepted && sub.Status != StatusPaused {
		return nil, subscriptionNotActive(sub)
	}
	if s.plans[sub.Plan].Security != SecurityAPIKey {
		return nil, illegalState("Invalid plan security.")
	}
	if custom != "" && !s.canCreate(custom, sub.API, sub.Application) {
		return nil, keyExisting()
	}
	if sub.EndingAt != nil && sub.EndingAt.Before(s.now()) {
		return nil, bad("subscription.closed",
			"Subscription ["+sub.ID+"] is closed. You must request for a new subscription", "subscription", sub.ID)
	}
	old := slices.Clone(s.keysBySubscription[sub.ID])
	key := s.insertKey(sub, custom)
	s.expireOthers(old, key)
	return key, nil
}

// renewShared is the same for all subscriptions of a SHARED application.
func (s *Server) renewShared(app *Application) (*Key, error) {
	if app.APIKeyMode != ModeShared {
		return nil, bad("application.apiKeyMode.invalid",
			"Can't renew an API Key on application that doesn't use shared API Key mode")
	}
	old := s.keysOfApplication(app.ID)
	var subscriptions []string
	for _, key := range old {
		subscriptions = append(subscriptions, key.Subscriptions...)
	}
	if len(subscriptions) == 0 {
		return nil, keyNotFound(app.ID)
	}
	key := s.insertKey(&Subscription{ID: subscriptions[0], Application: app.ID}, "")
	for _, id := range subscriptions {
		s.link(key, id)
	}
	s.expireOthers(old, key)
	return key, nil
}

func (s *Server) expireOthers(old []*Key, newest *Key) {
	end := newest.CreatedAt.Add(renewOverlap)
	for _, key := range old {
		if !key.expired(s.now()) {
			s.setExpiry(key, &end)
		}
	}
}

// setExpiry clamps silently: to now when the date has passed, to the end of the
// subscription when it lies behind it. A revoked key keeps its date.
func (s *Server) setExpiry(key *Key, at *time.Time) {
	now := s.now()
	key.UpdatedAt = now
	if key.Revoked {
		return
	}
	if at != nil && at.Before(now) {
		at = &now
	}
	if s.applications[key.Application].APIKeyMode != ModeShared && len(key.Subscriptions) > 0 {
		end := s.subscriptions[key.Subscriptions[0]].EndingAt
		if end != nil && (at == nil || end.Before(*at)) {
			at = end
		}
	}
	key.ExpireAt = at
	s.keyChanged(key)
}

func (s *Server) updateKey(key *Key, expireAt *time.Time) error {
	if !key.active(s.now()) {
		return bad("apiKey.expired", "API Key is already expired")
	}
	s.setExpiry(key, expireAt)
	return nil
}

// revoke leaves a key that has expired as it is: revoked stays false.
func (s *Server) revoke(key *Key) {
	now := s.now()
	if !key.active(now) {
		return
	}
	key.Revoked, key.RevokedAt, key.UpdatedAt = true, &now, now
	s.keyChanged(key)
}

func (s *Server) reactivate(key *Key) error {
	if key.active(s.now()) {
		return bad("apiKey.activated", "API Key is already activated")
	}
	sub := s.subscriptions[key.Subscriptions[0]]
	if sub.Status != StatusPaused && sub.Status != StatusAccepted {
		return subscriptionNotActive(sub)
	}
	key.Revoked, key.RevokedAt, key.UpdatedAt, key.ExpireAt = false, nil, s.now(), sub.EndingAt
	s.keyChanged(key)
	return nil
}

// desiredKey is one key of the Automation API's list.
type desiredKey struct {
	Key      string     `json:"key"`
	ExpireAt *time.Time `json:"expireAt"`
}

// reconcile makes the subscription's keys those of the list: creates what is
// new, applies changed ends (unclamped), reactivates what was revoked, and
// revokes at once what is not listed. An empty list changes nothing.
func (s *Server) reconcile(sub *Subscription, desired []desiredKey) error {
	if len(desired) == 0 {
		return nil
	}
	existing := slices.Clone(s.keysBySubscription[sub.ID])
	listed := map[*Key]bool{}
	for _, want := range desired {
		at := slices.IndexFunc(existing, func(key *Key) bool { return key.Value == want.Key })
		if at < 0 {
			if s.keyOnAPI(want.Key, sub.API) {
				return keyExisting()
			}
			key := s.insertKey(sub, want.Key)
			if want.ExpireAt != nil {
				key.ExpireAt = want.ExpireAt
			}
			continue
		}
		key := existing[at]
		listed[key] = true
		if key.Revoked {
			key.Revoked, key.RevokedAt, key.UpdatedAt = false, nil, s.now()
			if want.ExpireAt != nil {
				key.ExpireAt = want.ExpireAt
			}
		} else {
			key.ExpireAt = want.ExpireAt
		}
		s.keyChanged(key)
	}
	for _, key := range existing {
		if !listed[key] {
			s.revoke(key)
		}
	}
	return nil
}
