package graviteetest

import (
	"net/http"
	"slices"
	"time"
)

func (s *Server) v2OnSubscription(op func(request, *Subscription) (reply, error)) operation {
	return func(r request) (reply, error) {
		sub, err := s.subscriptionOf(r.param("api"), r.param("sub"))
		if err != nil {
			return reply{}, err
		}
		return op(r, sub)
	}
}

// v2OnKey finds the key below its subscription; an application in SHARED mode
// has no keys of a subscription to work on.
func (s *Server) v2OnKey(op func(request, *Key) (reply, error)) operation {
	return s.v2OnSubscription(func(r request, sub *Subscription) (reply, error) {
		key := s.keys[r.param("key")]
		if key == nil || !slices.Contains(key.Subscriptions, sub.ID) {
			return reply{}, keyNotFound(r.param("key"))
		}
		if app := s.applications[key.Application]; app.APIKeyMode == ModeShared {
			return reply{}, sharedMode(app)
		}
		return op(r, key)
	})
}

// v2ListSubscriptions shows ACCEPTED ones unless other states are asked for,
// newest first.
func (s *Server) v2ListSubscriptions(r request, api *API) (reply, error) {
	statuses := r.list("statuses")
	if len(statuses) == 0 {
		statuses = []string{StatusAccepted}
	}
	known := []string{StatusPending, StatusAccepted, StatusRejected, StatusPaused, StatusClosed}
	for _, status := range statuses {
		if !slices.Contains(known, status) {
			return reply{}, badParameter("statuses")
		}
	}
	applications, plans, value := r.list("applicationIds"), r.list("planIds"), r.URL.Query().Get("apiKey")
	s.RegisterSecret(value)
	var all []v2Subscription
	for _, sub := range slices.Backward(s.subscriptionOrder) {
		picked := sub.API == api.ID && slices.Contains(statuses, sub.Status) &&
			(len(applications) == 0 || slices.Contains(applications, sub.Application)) &&
			(len(plans) == 0 || slices.Contains(plans, sub.Plan)) &&
			(value == "" || slices.ContainsFunc(s.keysBySubscription[sub.ID], func(key *Key) bool { return key.Value == value }))
		if picked {
			all = append(all, toV2Subscription(sub))
		}
	}
	list, err := paginate(r, all)
	return reply{status: http.StatusOK, body: list.linked(r)}, err
}

func (s *Server) v2Subscribe(r request, api *API) (reply, error) {
	var body struct {
		ApplicationID         string            `json:"applicationId"`
		PlanID                string            `json:"planId"`
		CustomAPIKey          string            `json:"customApiKey"`
		APIKeyMode            string            `json:"apiKeyMode"`
		Metadata              map[string]string `json:"metadata"`
		ConsumerConfiguration any               `json:"consumerConfiguration"`
	}
	if err := r.decode(&body); err != nil {
		return reply{}, err
	}
	s.RegisterSecret(body.CustomAPIKey)
	if body.ApplicationID == "" || body.PlanID == "" {
		return reply{}, invalid("applicationId, planId", "must not be null", nil)
	}
	if err := s.checkCustomKeyV2(body.CustomAPIKey); err != nil {
		return reply{}, err
	}
	sub, err := s.subscribeAndAccept(api.ID, newSubscription{
		plan: body.PlanID, application: body.ApplicationID, customKey: body.CustomAPIKey,
		keyMode: body.APIKeyMode, metadata: body.Metadata,
	})
	if err != nil {
		return reply{}, err
	}
	return reply{http.StatusCreated, toV2Subscription(sub), r.URL.Path + "/" + sub.ID}, nil
}

func (s *Server) checkCustomKeyV2(custom string) error {
	if custom != "" && !s.customKeys {
		return customKeyRefused()
	}
	return checkCustomKey("customApiKey", custom)
}

func (s *Server) v2Verify(r request, api *API) (reply, error) {
	var body struct {
		ApplicationID string `json:"applicationId"`
		APIKey        string `json:"apiKey"`
	}
	if err := r.decode(&body); err != nil {
		return reply{}, err
	}
	s.RegisterSecret(body.APIKey)
	return ok(map[string]bool{"ok": s.canCreate(body.APIKey, api.ID, body.ApplicationID)})
}

func (s *Server) v2GetSubscription(_ request, sub *Subscription) (reply, error) {
	return ok(toV2Subscription(sub))
}

func (s *Server) v2UpdateSubscription(r request, sub *Subscription) (reply, error) {
	var body struct {
		StartingAt            *time.Time        `json:"startingAt"`
		EndingAt              *time.Time        `json:"endingAt"`
		Metadata              map[string]string `json:"metadata"`
		ConsumerConfiguration any               `json:"consumerConfiguration"`
	}
	if err := r.decode(&body); err != nil {
		return reply{}, err
	}
	return answer(sub, s.updateSubscription(sub, utc(body.StartingAt), utc(body.EndingAt), body.Metadata))
}

// v2Accept takes a key of ours whatever the parameter says.
func (s *Server) v2Accept(r request, sub *Subscription) (reply, error) {
	var body struct {
		Reason       string     `json:"reason"`
		CustomAPIKey string     `json:"customApiKey"`
		StartingAt   *time.Time `json:"startingAt"`
		EndingAt     *time.Time `json:"endingAt"`
	}
	if err := r.decode(&body); err != nil {
		return reply{}, err
	}
	s.RegisterSecret(body.CustomAPIKey)
	if err := checkCustomKey("customApiKey", body.CustomAPIKey); err != nil {
		return reply{}, err
	}
	return answer(sub, s.accept(sub, acceptance{utc(body.StartingAt), utc(body.EndingAt), body.Reason, body.CustomAPIKey}))
}

func (s *Server) v2Reject(r request, sub *Subscription) (reply, error) {
	var body struct {
		Reason string `json:"reason"`
	}
	if err := r.decode(&body); err != nil {
		return reply{}, err
	}
	return answer(sub, s.reject(sub, body.Reason))
}

func (s *Server) v2Pause(_ request, sub *Subscription) (reply, error) {
	return answer(sub, s.pause(sub))
}

func (s *Server) v2Resume(_ request, sub *Subscription) (reply, error) {
	return answer(sub, s.resume(sub))
}

func (s *Server) v2Close(_ request, sub *Subscription) (reply, error) {
	s.close(sub)
	return answer(sub, nil)
}

func (s *Server) v2Transfer(r request, sub *Subscription) (reply, error) {
	var body struct {
		PlanID string `json:"planId"`
	}
	if err := r.decode(&body); err != nil {
		return reply{}, err
	}
	return answer(sub, s.transfer(sub, body.PlanID))
}

func answer(sub *Subscription, err error) (reply, error) {
	return reply{status: http.StatusOK, body: toV2Subscription(sub)}, err
}

// v2ListKeys shows the newest key first, dead ones included.
func (s *Server) v2ListKeys(r request, sub *Subscription) (reply, error) {
	var all []v2Key
	for _, key := range slices.Backward(s.keysBySubscription[sub.ID]) {
		all = append(all, s.toV2Key(key))
	}
	list, err := paginate(r, all)
	return reply{status: http.StatusOK, body: list}, err
}

func (s *Server) v2RenewKey(r request, sub *Subscription) (reply, error) {
	var body struct {
		CustomAPIKey string `json:"customApiKey"`
	}
	if err := r.decode(&body); err != nil {
		return reply{}, err
	}
	s.RegisterSecret(body.CustomAPIKey)
	if err := s.checkCustomKeyV2(body.CustomAPIKey); err != nil {
		return reply{}, err
	}
	if app := s.applications[sub.Application]; app.APIKeyMode == ModeShared {
		return reply{}, sharedMode(app)
	}
	key, err := s.renew(sub, body.CustomAPIKey)
	if err != nil {
		return reply{}, err
	}
	return ok(s.toV2Key(key))
}

func (s *Server) v2UpdateKey(r request, key *Key) (reply, error) {
	var body struct {
		ExpireAt *time.Time `json:"expireAt"`
	}
	if err := r.decode(&body); err != nil {
		return reply{}, err
	}
	if err := s.updateKey(key, utc(body.ExpireAt)); err != nil {
		return reply{}, err
	}
	return ok(s.toV2Key(key))
}

func (s *Server) v2RevokeKey(_ request, key *Key) (reply, error) {
	s.revoke(key)
	return ok(s.toV2Key(key))
}

func (s *Server) v2ReactivateKey(_ request, key *Key) (reply, error) {
	if err := s.reactivate(key); err != nil {
		return reply{}, err
	}
	return ok(s.toV2Key(key))
}

// utc keeps milliseconds, in UTC, as the real server stores dates.
func utc(at *time.Time) *time.Time {
	if at == nil {
		return nil
	}
	out := at.UTC().Truncate(time.Millisecond)
	return &out
}
