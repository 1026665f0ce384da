package graviteetest

import (
	"bytes"
	"net/http"
	"path"
)

type v1Ref struct {
	ID       string `json:"id"`
	Name     string `json:"name,omitempty"`
	Security string `json:"security,omitempty"`
}

type v1Subscription struct {
	ID          string            `json:"id"`
	API         *v1Ref            `json:"api,omitempty"`
	Plan        v1Ref             `json:"plan"`
	Application *v1Ref            `json:"application,omitempty"`
	Status      string            `json:"status"`
	Metadata    map[string]string `json:"metadata,omitempty"`
	CreatedAt   int64             `json:"created_at"`
	UpdatedAt   int64             `json:"updated_at"`
	ProcessedAt *int64            `json:"processed_at,omitempty"`
	StartingAt  *int64            `json:"starting_at,omitempty"`
	EndingAt    *int64            `json:"ending_at,omitempty"`
	ClosedAt    *int64            `json:"closed_at,omitempty"`
}

func (s *Server) toV1Subscription(sub *Subscription) v1Subscription {
	plan := s.plans[sub.Plan]
	return v1Subscription{
		ID: sub.ID, Plan: v1Ref{ID: plan.ID, Name: plan.Name, Security: plan.Security},
		Status: sub.Status, Metadata: sub.Metadata,
		CreatedAt: sub.CreatedAt.UnixMilli(), UpdatedAt: sub.UpdatedAt.UnixMilli(),
		ProcessedAt: millis(sub.ProcessedAt), StartingAt: millis(sub.StartingAt),
		EndingAt: millis(sub.EndingAt), ClosedAt: millis(sub.ClosedAt),
	}
}

// v1SubscriptionExtras is the optional body of a subscription.
type v1SubscriptionExtras struct {
	Metadata map[string]string `json:"metadata"`
	Request  string            `json:"request"`
}

func (r request) extras() (v1SubscriptionExtras, error) {
	var extras v1SubscriptionExtras
	if len(bytes.TrimSpace(r.body)) == 0 {
		return extras, nil
	}
	return extras, r.decode(&extras)
}

// v1SubscribeAsConsumer leaves the subscription PENDING unless its plan
// validates automatically. It takes no key of ours.
func (s *Server) v1SubscribeAsConsumer(r request, app *Application) (reply, error) {
	plan := r.URL.Query().Get("plan")
	if plan == "" {
		return reply{}, invalid("plan", "must not be null", nil)
	}
	extras, err := r.extras()
	if err != nil {
		return reply{}, err
	}
	sub, err := s.subscribe(newSubscription{plan: plan, application: app.ID, metadata: extras.Metadata})
	if err != nil {
		return reply{}, err
	}
	body := s.toV1Subscription(sub)
	body.API = &v1Ref{ID: sub.API, Name: s.apis[sub.API].Name}
	return reply{http.StatusCreated, body, r.URL.Path + "/" + sub.ID}, nil
}

// v1SubscribeAsOwner takes the key in the URL and accepts at once.
func (s *Server) v1SubscribeAsOwner(r request) (reply, error) {
	api, query := r.param("api"), r.URL.Query()
	if s.apis[api] == nil {
		return reply{}, apiNotFound(api)
	}
	app, plan, custom := query.Get("application"), query.Get("plan"), query.Get("customApiKey")
	if app == "" || plan == "" {
		return reply{}, invalid("application, plan", "must not be null", nil)
	}
	s.RegisterSecret(custom)
	if custom != "" && !s.customKeys {
		return reply{}, customKeyRefused()
	}
	if err := checkCustomKey("customApiKey", custom); err != nil {
		return reply{}, err
	}
	extras, err := r.extras()
	if err != nil {
		return reply{}, err
	}
	sub, err := s.subscribeAndAccept(api, newSubscription{
		plan: plan, application: app, customKey: custom, keyMode: query.Get("apiKeyMode"), metadata: extras.Metadata,
	})
	if err != nil {
		return reply{}, err
	}
	body := s.toV1Subscription(sub)
	body.Application = &v1Ref{ID: sub.Application, Name: s.applications[sub.Application].Name}
	return reply{http.StatusCreated, body, r.URL.Path + "/" + sub.ID}, nil
}

// subscribeAndAccept is what the owner of an API does in one call. A plan of
// another API is noticed after the subscription was made.
func (s *Server) subscribeAndAccept(api string, n newSubscription) (*Subscription, error) {
	sub, err := s.subscribe(n)
	if err != nil || sub.Status != StatusPending {
		return sub, err
	}
	if sub.API != api {
		return nil, subscriptionNotFound(sub.ID)
	}
	return sub, s.accept(sub, acceptance{customKey: n.customKey})
}

func (s *Server) v1RenewKey(r request) (reply, error) {
	custom := r.URL.Query().Get("customApiKey")
	s.RegisterSecret(custom)
	if custom != "" && !s.customKeys {
		return reply{}, customKeyRefused()
	}
	if err := checkCustomKey("customApiKey", custom); err != nil {
		return reply{}, err
	}
	sub, err := s.subscriptionOf(r.param("api"), r.param("sub"))
	if err != nil {
		return reply{}, err
	}
	if app := s.applications[sub.Application]; app.APIKeyMode == ModeShared {
		return reply{}, sharedMode(app)
	}
	key, err := s.renew(sub, custom)
	if err != nil {
		return reply{}, err
	}
	return reply{http.StatusCreated, s.toV1Key(key), path.Dir(r.URL.Path) + "/" + key.ID}, nil
}

type v1Key struct {
	ID            string  `json:"id"`
	Key           string  `json:"key"`
	Application   v1Ref   `json:"application"`
	Subscriptions []v1Ref `json:"subscriptions"`
	Revoked       bool    `json:"revoked"`
	Paused        bool    `json:"paused"`
	Expired       bool    `json:"expired"`
	CreatedAt     int64   `json:"created_at"`
	UpdatedAt     int64   `json:"updated_at"`
	ExpireAt      *int64  `json:"expire_at,omitempty"`
	RevokedAt     *int64  `json:"revoked_at,omitempty"`
}

func (s *Server) toV1Key(key *Key) v1Key {
	out := v1Key{
		ID: key.ID, Key: key.Value, Application: v1Ref{ID: key.Application, Name: s.applications[key.Application].Name},
		Revoked: key.Revoked, Paused: key.Paused, Expired: key.expired(s.now()),
		CreatedAt: key.CreatedAt.UnixMilli(), UpdatedAt: key.UpdatedAt.UnixMilli(),
		ExpireAt: millis(key.ExpireAt), RevokedAt: millis(key.RevokedAt),
	}
	for _, id := range key.Subscriptions {
		out.Subscriptions = append(out.Subscriptions, v1Ref{ID: id})
	}
	return out
}

func (s *Server) v1ListSharedKeys(_ request, app *Application) (reply, error) {
	list := []v1Key{}
	for _, key := range s.keysOfApplication(app.ID) {
		list = append(list, s.toV1Key(key))
	}
	return ok(list)
}

func (s *Server) v1RenewSharedKey(r request, app *Application) (reply, error) {
	key, err := s.renewShared(app)
	if err != nil {
		return reply{}, err
	}
	return reply{http.StatusCreated, s.toV1Key(key), path.Dir(r.URL.Path) + "/" + key.ID}, nil
}
