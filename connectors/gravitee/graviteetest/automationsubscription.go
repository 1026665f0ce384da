package graviteetest

import "strings"

const acceptReason = "Kubernetes subscriptions are always auto accepted"

func (s *Server) apiNamed(name string, isUUID bool) *API {
	for _, api := range s.apiOrder {
		if (isUUID && api.ID == name) || (!isUUID && api.HRID == name) {
			return api
		}
	}
	return nil
}

func (s *Server) planNamed(api *API, name string, isUUID bool) *Plan {
	if api == nil {
		return nil
	}
	for _, plan := range s.plans {
		if plan.API == api.ID && ((isUUID && plan.ID == name) || (!isUUID && plan.HRID == name)) {
			return plan
		}
	}
	return nil
}

// subscriptionNamed finds a subscription by UUID, or by the API's name in the
// path and its hrid: the real server hashes these two texts into the id, whether
// the API is named by hrid or by UUID. A closed one is found too.
func (s *Server) subscriptionNamed(api, name string, isUUID bool) *Subscription {
	if isUUID {
		return s.subscriptions[name]
	}
	return s.subscriptionsByHRID[api+"/"+name]
}

// automationPutSubscription makes the subscription and its keys as the
// specification says, whatever they were.
func (s *Server) automationPutSubscription(r request) (reply, error) {
	var body struct {
		automationSubscription
		APIKeys []desiredKey `json:"apiKeys"`
	}
	if err := r.decode(&body); err != nil {
		return reply{}, err
	}
	for i, key := range body.APIKeys {
		s.RegisterSecret(key.Key)
		body.APIKeys[i].ExpireAt = utc(key.ExpireAt)
	}
	spec := body.automationSubscription
	spec.EndingAt = utc(spec.EndingAt)
	if err := checkHRID(spec.HRID); err != nil {
		return reply{}, err
	}
	if spec.ApplicationHRID == "" || spec.PlanHRID == "" {
		return reply{}, invalid("applicationHrid, planHrid", "must not be null", nil)
	}
	isUUID, apiIsUUID := r.flag("hridContainsUUID"), r.flag("hridContainsApiUUID")
	api := s.apiNamed(r.param("api"), apiIsUUID)
	plan := s.planNamed(api, spec.PlanHRID, apiIsUUID)
	if plan == nil {
		return reply{}, planNotFound(spec.PlanHRID)
	}
	if err := checkDesiredKeys(plan, body.APIKeys); err != nil {
		return reply{}, err
	}
	app := s.applicationNamed(spec.ApplicationHRID, r.flag("hridContainsAppUUID"))
	if app == nil {
		return reply{}, applicationNotFound(spec.ApplicationHRID)
	}
	sub := s.subscriptionNamed(r.param("api"), spec.HRID, isUUID)
	var err error
	if sub == nil {
		n := newSubscription{plan: plan.ID, application: app.ID, metadata: spec.Metadata}
		if isUUID {
			n.id = spec.HRID
		} else {
			n.hrid, n.hridPath = spec.HRID, r.param("api")+"/"+spec.HRID
		}
		sub, err = s.importSubscription(n, spec, body.APIKeys)
	} else {
		err = s.reimportSubscription(sub, app, plan, spec, body.APIKeys)
	}
	if err != nil {
		return reply{}, err
	}
	return ok(automationSubscriptionState{
		spec, sub.ID, s.opts.Organization, s.opts.Environment, r.param("api"), sub.StartingAt,
	})
}

// checkDesiredKeys is the Automation API's own rule: 32 to 256 characters of
// any kind, each value once, and only where the plan gives keys.
func checkDesiredKeys(plan *Plan, keys []desiredKey) error {
	if len(keys) > 0 && plan.Security != SecurityAPIKey {
		return unimportable("apiKeys is only allowed for API_KEY plans (plan: %s)", plan.ID)
	}
	seen := map[string]bool{}
	for _, key := range keys {
		length := len([]rune(key.Key))
		switch {
		case strings.TrimSpace(key.Key) == "":
			return unimportable("apiKeys entries must have a non-empty key")
		case length < 32 || length > 256:
			return unimportable("key length must be between 32 and 256 characters, got %d", length)
		case seen[key.Key]:
			return unimportable("duplicate key [%s] in apiKeys", key.Key)
		}
		seen[key.Key] = true
	}
	return nil
}

// importSubscription creates and accepts; the first key of the list is made
// with the subscription, the others follow.
func (s *Server) importSubscription(n newSubscription, spec automationSubscription, keys []desiredKey) (*Subscription, error) {
	n.customKey = firstKey(keys)
	sub, err := s.subscribe(n)
	if err != nil {
		return nil, err
	}
	if sub.Status == StatusPending {
		if err := s.accept(sub, acceptance{endingAt: spec.EndingAt, reason: acceptReason, customKey: n.customKey}); err != nil {
			return nil, err
		}
	} else if spec.EndingAt != nil {
		if err := s.updateSubscription(sub, sub.StartingAt, spec.EndingAt, sub.Metadata); err != nil {
			return nil, err
		}
	}
	return sub, s.reconcile(sub, keys)
}

func (s *Server) reimportSubscription(sub *Subscription, app *Application, plan *Plan, spec automationSubscription, keys []desiredKey) error {
	if sub.Plan != plan.ID {
		return bad("invalid", "Subscription ["+sub.ID+"] plan cannot be changed")
	}
	if sub.Application != app.ID {
		return bad("invalid", "Subscription ["+sub.ID+"] application cannot be changed")
	}
	if sub.Status == StatusClosed {
		if err := s.reviveSubscription(sub, spec, keys); err != nil {
			return err
		}
	}
	if err := s.updateSubscription(sub, sub.StartingAt, spec.EndingAt, spec.Metadata); err != nil {
		return err
	}
	return s.reconcile(sub, keys)
}

// reviveSubscription accepts a closed one again. With a list of keys they are
// left to the reconciliation; without, a new key is made.
func (s *Server) reviveSubscription(sub *Subscription, spec automationSubscription, keys []desiredKey) error {
	s.reopen(sub)
	if len(keys) == 0 {
		return s.accept(sub, acceptance{endingAt: spec.EndingAt, reason: acceptReason})
	}
	now := s.now()
	sub.Status, sub.StartingAt, sub.EndingAt, sub.Reason = StatusAccepted, &now, spec.EndingAt, acceptReason
	sub.ProcessedAt, sub.UpdatedAt = &now, now
	s.subscriptionChanged(sub)
	return nil
}

func firstKey(keys []desiredKey) string {
	if len(keys) == 0 {
		return ""
	}
	return keys[0].Key
}

// automationGetSubscription shows a closed subscription as well, without its state.
func (s *Server) automationGetSubscription(r request) (reply, error) {
	isUUID := r.flag("hridContainsUUID")
	sub := s.subscriptionNamed(r.param("api"), r.param("hrid"), isUUID)
	if sub == nil || (isUUID && sub.API != r.param("api")) {
		return reply{}, hridNotFound(r.param("hrid"))
	}
	return ok(automationSubscriptionState{
		automationSubscription{
			HRID: sub.HRID, ApplicationHRID: s.applications[sub.Application].HRID, PlanHRID: s.plans[sub.Plan].HRID,
			EndingAt: sub.EndingAt, Metadata: sub.Metadata,
		},
		sub.ID, s.opts.Organization, s.opts.Environment, r.param("api"), sub.StartingAt,
	})
}

// automationDeleteSubscription closes it, which revokes its keys.
func (s *Server) automationDeleteSubscription(r request) (reply, error) {
	sub := s.subscriptionNamed(r.param("api"), r.param("hrid"), r.flag("hridContainsUUID"))
	if sub == nil || (r.flag("hridContainsApiUUID") && sub.API != r.param("api")) {
		return reply{}, hridNotFound(r.param("hrid"))
	}
	s.close(sub)
	return noContent()
}
