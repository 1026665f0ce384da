package graviteetest

import (
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
)

func (s *Server) routeV2(r chi.Router) {
	route := func(method, path string, op operation) {
		r.MethodFunc(method, path, s.serve(op, writeV2Error))
	}
	route("GET", "/apis", s.v2ListAPIs)
	route("GET", "/apis/{api}", s.v2OnAPI(s.v2GetAPI))
	route("GET", "/apis/{api}/plans", s.v2OnAPI(s.v2ListPlans))
	route("GET", "/apis/{api}/plans/{plan}", s.v2OnAPI(s.v2GetPlan))

	subs := "/apis/{api}/subscriptions"
	route("GET", subs, s.v2OnAPI(s.v2ListSubscriptions))
	route("POST", subs, s.v2OnAPI(s.v2Subscribe))
	route("POST", subs+"/_verify", s.v2OnAPI(s.v2Verify))
	route("GET", subs+"/{sub}", s.v2OnSubscription(s.v2GetSubscription))
	route("PUT", subs+"/{sub}", s.v2OnSubscription(s.v2UpdateSubscription))
	route("POST", subs+"/{sub}/_accept", s.v2OnSubscription(s.v2Accept))
	route("POST", subs+"/{sub}/_reject", s.v2OnSubscription(s.v2Reject))
	route("POST", subs+"/{sub}/_pause", s.v2OnSubscription(s.v2Pause))
	route("POST", subs+"/{sub}/_resume", s.v2OnSubscription(s.v2Resume))
	route("POST", subs+"/{sub}/_close", s.v2OnSubscription(s.v2Close))
	route("POST", subs+"/{sub}/_transfer", s.v2OnSubscription(s.v2Transfer))

	keys := subs + "/{sub}/api-keys"
	route("GET", keys, s.v2OnSubscription(s.v2ListKeys))
	route("POST", keys+"/_renew", s.v2OnSubscription(s.v2RenewKey))
	route("PUT", keys+"/{key}", s.v2OnKey(s.v2UpdateKey))
	route("POST", keys+"/{key}/_revoke", s.v2OnKey(s.v2RevokeKey))
	route("POST", keys+"/{key}/_reactivate", s.v2OnKey(s.v2ReactivateKey))
}

type v2Ref struct {
	ID string `json:"id"`
}

// page is the pagination of v2: pages count from 1, ten items unless asked.
type page struct {
	Page       int `json:"page"`
	PerPage    int `json:"perPage"`
	PageCount  int `json:"pageCount"`
	ItemsCount int `json:"pageItemsCount"`
	TotalCount int `json:"totalCount"`
}

type links struct {
	Self     string `json:"self"`
	First    string `json:"first,omitempty"`
	Previous string `json:"previous,omitempty"`
	Next     string `json:"next,omitempty"`
	Last     string `json:"last,omitempty"`
}

type v2List[T any] struct {
	Data       []T    `json:"data"`
	Pagination page   `json:"pagination"`
	Links      *links `json:"links,omitempty"`
}

// paginate cuts the asked page out of all items.
func paginate[T any](r request, all []T) (v2List[T], error) {
	at := page{Page: 1, PerPage: 10, TotalCount: len(all)}
	for name, field := range map[string]*int{"page": &at.Page, "perPage": &at.PerPage} {
		text := r.URL.Query().Get(name)
		if text == "" {
			continue
		}
		value, err := strconv.Atoi(text)
		if err != nil {
			return v2List[T]{}, badParameter(name)
		}
		if value < 1 {
			return v2List[T]{}, invalid(name, "Pagination "+name+" param must be >= 1", value)
		}
		*field = value
	}
	at.PageCount = int(math.Ceil(float64(len(all)) / float64(at.PerPage)))
	out := v2List[T]{Data: []T{}}
	if at.Page <= at.PageCount {
		start := (at.Page - 1) * at.PerPage
		out.Data = all[start:min(start+at.PerPage, len(all))]
	}
	at.ItemsCount = len(out.Data)
	out.Pagination = at
	return out, nil
}

// linked adds the links of the page; they carry the query.
func (l v2List[T]) linked(r request) v2List[T] {
	at := l.Pagination
	l.Links = &links{Self: r.URL.Path}
	if at.PageCount > 1 {
		l.Links.Self = pageLink(r.URL, at.Page)
		l.Links.First, l.Links.Last = pageLink(r.URL, 1), pageLink(r.URL, at.PageCount)
		if at.Page > 1 {
			l.Links.Previous = pageLink(r.URL, at.Page-1)
		}
		if at.Page < at.PageCount {
			l.Links.Next = pageLink(r.URL, at.Page+1)
		}
	}
	return l
}

func pageLink(u *url.URL, number int) string {
	query := u.Query()
	query.Set("page", strconv.Itoa(number))
	return u.Path + "?" + query.Encode()
}

func badParameter(name string) error {
	return &refusal{status: http.StatusBadRequest, message: "Query parameter " + name + " does not have a valid format"}
}

func (s *Server) v2OnAPI(op func(request, *API) (reply, error)) operation {
	return func(r request) (reply, error) {
		api := s.apis[r.param("api")]
		if api == nil {
			return reply{}, apiNotFound(r.param("api"))
		}
		return op(r, api)
	}
}

type v2API struct {
	ID                string       `json:"id"`
	Name              string       `json:"name"`
	APIVersion        string       `json:"apiVersion"`
	DefinitionVersion string       `json:"definitionVersion"`
	Type              string       `json:"type"`
	State             string       `json:"state"`
	LifecycleState    string       `json:"lifecycleState"`
	Visibility        string       `json:"visibility"`
	Listeners         []v2Listener `json:"listeners"`
}

type v2Listener struct {
	Type  string   `json:"type"`
	Paths []v2Path `json:"paths"`
}

type v2Path struct {
	Path string `json:"path"`
}

func toV2API(api *API) v2API {
	state := "STARTED"
	if api.Stopped {
		state = "STOPPED"
	}
	return v2API{
		ID: api.ID, Name: api.Name, APIVersion: "1", DefinitionVersion: "V4", Type: "PROXY", State: state,
		LifecycleState: "PUBLISHED", Visibility: "PRIVATE",
		Listeners: []v2Listener{{Type: "HTTP", Paths: []v2Path{{Path: api.ContextPath}}}},
	}
}

func (s *Server) v2ListAPIs(r request) (reply, error) {
	var all []v2API
	for _, api := range s.apiOrder {
		all = append(all, toV2API(api))
	}
	list, err := paginate(r, all)
	return reply{status: http.StatusOK, body: list.linked(r)}, err
}

func (s *Server) v2GetAPI(_ request, api *API) (reply, error) { return ok(toV2API(api)) }

type v2Plan struct {
	ID         string     `json:"id"`
	Name       string     `json:"name"`
	APIID      string     `json:"apiId"`
	Mode       string     `json:"mode"`
	Security   v2Security `json:"security"`
	Status     string     `json:"status"`
	Validation string     `json:"validation"`
}

type v2Security struct {
	Type string `json:"type"`
}

func toV2Plan(plan *Plan) v2Plan {
	return v2Plan{
		ID: plan.ID, Name: plan.Name, APIID: plan.API, Mode: "STANDARD",
		Security: v2Security{plan.Security}, Status: plan.Status, Validation: plan.Validation,
	}
}

// v2ListPlans shows published plans unless other states are asked for.
func (s *Server) v2ListPlans(r request, api *API) (reply, error) {
	statuses := r.list("statuses")
	if len(statuses) == 0 {
		statuses = []string{"PUBLISHED"}
	}
	var all []v2Plan
	for _, plan := range s.plans {
		asked := slices.ContainsFunc(statuses, func(status string) bool { return strings.EqualFold(status, plan.Status) })
		if plan.API == api.ID && asked {
			all = append(all, toV2Plan(plan))
		}
	}
	slices.SortFunc(all, func(a, b v2Plan) int { return strings.Compare(a.Name+a.ID, b.Name+b.ID) })
	list, err := paginate(r, all)
	return reply{status: http.StatusOK, body: list.linked(r)}, err
}

func (s *Server) v2GetPlan(r request, api *API) (reply, error) {
	plan := s.plans[r.param("plan")]
	if plan == nil || plan.API != api.ID {
		return reply{}, planNotFound(r.param("plan"))
	}
	return ok(toV2Plan(plan))
}

type v2Subscription struct {
	ID               string            `json:"id"`
	API              v2Ref             `json:"api"`
	Plan             v2Ref             `json:"plan"`
	Application      v2Ref             `json:"application"`
	PublisherMessage string            `json:"publisherMessage,omitempty"`
	Metadata         map[string]string `json:"metadata,omitempty"`
	Status           string            `json:"status"`
	ConsumerStatus   string            `json:"consumerStatus"`
	StartingAt       *time.Time        `json:"startingAt,omitempty"`
	EndingAt         *time.Time        `json:"endingAt,omitempty"`
	CreatedAt        time.Time         `json:"createdAt"`
	ProcessedAt      *time.Time        `json:"processedAt,omitempty"`
	PausedAt         *time.Time        `json:"pausedAt,omitempty"`
	ClosedAt         *time.Time        `json:"closedAt,omitempty"`
}

func toV2Subscription(sub *Subscription) v2Subscription {
	return v2Subscription{
		ID: sub.ID, API: v2Ref{sub.API}, Plan: v2Ref{sub.Plan}, Application: v2Ref{sub.Application},
		PublisherMessage: sub.Reason, Metadata: sub.Metadata, Status: sub.Status, ConsumerStatus: "STARTED",
		StartingAt: sub.StartingAt, EndingAt: sub.EndingAt, CreatedAt: sub.CreatedAt,
		ProcessedAt: sub.ProcessedAt, PausedAt: sub.PausedAt, ClosedAt: sub.ClosedAt,
	}
}

type v2Key struct {
	ID            string     `json:"id"`
	Key           string     `json:"key"`
	Application   v2Ref      `json:"application"`
	Subscriptions []v2Ref    `json:"subscriptions"`
	Revoked       bool       `json:"revoked"`
	Paused        bool       `json:"paused"`
	Expired       bool       `json:"expired"`
	CreatedAt     time.Time  `json:"createdAt"`
	UpdatedAt     time.Time  `json:"updatedAt"`
	ExpireAt      *time.Time `json:"expireAt,omitempty"`
	RevokedAt     *time.Time `json:"revokedAt,omitempty"`
}

func (s *Server) toV2Key(key *Key) v2Key {
	out := v2Key{
		ID: key.ID, Key: key.Value, Application: v2Ref{key.Application},
		Revoked: key.Revoked, Paused: key.Paused, Expired: key.expired(s.now()),
		CreatedAt: key.CreatedAt, UpdatedAt: key.UpdatedAt, ExpireAt: key.ExpireAt, RevokedAt: key.RevokedAt,
	}
	for _, id := range key.Subscriptions {
		out.Subscriptions = append(out.Subscriptions, v2Ref{id})
	}
	return out
}
