package hub

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/httpapi/auth"
	"github.com/passerelle-hub/passerelle/httpapi/problem"
	"github.com/passerelle-hub/passerelle/internal/eventtype"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// webhookRoutes are those of endpoints: whoever manages one sees it, to all
// others there is none.
func (h *Handler) webhookRoutes() []Route {
	read, write := auth.ScopeReadWebhooks, auth.ScopeWriteWebhooks
	return []Route{
		{http.MethodGet, "/webhooks/events", read, h.eventTypes},
		{http.MethodGet, "/webhooks/events/{type}", read, h.eventType},
		{http.MethodGet, "/webhooks/events/{type}/schema", read, h.eventSchema},
		{http.MethodGet, "/webhooks", read, h.endpoints},
		{http.MethodPost, "/webhooks", write, h.createEndpoint},
		{http.MethodGet, "/webhooks/{id}", read, h.getEndpoint},
		{http.MethodPatch, "/webhooks/{id}", write, h.changeEndpoint},
		{http.MethodDelete, "/webhooks/{id}", write, h.deleteEndpoint},
		{http.MethodGet, "/webhooks/{id}/health", read, h.endpointHealth},
		{http.MethodGet, "/webhooks/{id}/history", read, h.endpointHistory},
		{http.MethodPost, "/webhooks/{id}/test", write, h.testEndpoint},
		{http.MethodPost, "/webhooks/{id}/enable", write, h.actOnEndpoint(func(t registry.EndpointTarget) (registry.Command, *registry.EndpointTarget) {
			cmd := &registry.EnableEndpoint{EndpointTarget: t}
			return cmd, &cmd.EndpointTarget
		})},
		{http.MethodPost, "/webhooks/{id}/disable", write, h.actOnEndpoint(func(t registry.EndpointTarget) (registry.Command, *registry.EndpointTarget) {
			cmd := &registry.StopEndpoint{EndpointTarget: t}
			return cmd, &cmd.EndpointTarget
		})},
		{http.MethodPost, "/webhooks/{id}/rotate-secret", write, h.rotateSecret},
		{http.MethodPost, "/webhooks/{id}/end-rotation", write, h.actOnEndpoint(func(t registry.EndpointTarget) (registry.Command, *registry.EndpointTarget) {
			cmd := &registry.EndRotation{EndpointTarget: t}
			return cmd, &cmd.EndpointTarget
		})},
	}
}

// subscriberOf is the caller as far as endpoints go.
func subscriberOf(r *http.Request) registry.Subscriber {
	c := callerOf(r)
	s := registry.Subscriber{Roles: c.Roles}
	switch {
	case c.Machine() && c.Application.OwnerID == 0:
		s.Machine = c.Application.Definitions
	case !c.Machine() && c.Verified:
		s.SIRET = c.Organization.SIRET
	}
	return s
}

// endpointTarget is the endpoint that the path names; strict asks for If-Match.
func (h *Handler) endpointTarget(r *http.Request, strict bool) (registry.EndpointTarget, error) {
	e, err := h.managed(r)
	t := registry.EndpointTarget{Caller: subscriberOf(r), ID: e.ID}
	if err != nil {
		return t, err
	}
	switch match := strings.TrimSpace(r.Header.Get("If-Match")); {
	case match != "":
		t.Version, err = parseETag(match)
	case strict:
		err = headerProblem(http.StatusPreconditionRequired, "version-requise", "Version requise", "If-Match",
			"L’étiquette (ETag) de la version que vous avez lue est attendue.")
	}
	return t, err
}

// managed gives the endpoint that the path names, if the caller manages it.
func (h *Handler) managed(r *http.Request) (store.Endpoint, error) {
	id, err := strconv.ParseInt(chi.URLParam(r, "id"), 10, 64)
	if err != nil || id <= 0 {
		return store.Endpoint{}, store.ErrNotFound
	}
	e, err := h.Store.Endpoint(r.Context(), id)
	if err != nil {
		return e, err
	}
	if !h.Registry.MayManage(subscriberOf(r), e.Definition, e.Editor) {
		return store.Endpoint{}, fmt.Errorf("endpoint %d: %w", id, store.ErrNotFound)
	}
	return e, nil
}

const (
	defaultEndpoints = 50
	mostEndpoints    = 100
)

// endpoints lists those that the caller manages.
func (h *Handler) endpoints(w http.ResponseWriter, r *http.Request) error {
	of, err := h.endpointsOf(r)
	if err != nil {
		return err
	}
	of.Limit++
	list, err := h.Store.EndpointsOf(r.Context(), of)
	if err != nil {
		return err
	}
	page := struct {
		Webhooks   []endpointView `json:"webhooks"`
		NextCursor *string        `json:"next_cursor"`
	}{Webhooks: []endpointView{}}
	for i, e := range list {
		if i == of.Limit-1 {
			cursor := strconv.FormatInt(list[i-1].ID, 10)
			page.NextCursor = &cursor
			break
		}
		page.Webhooks = append(page.Webhooks, viewEndpoint(e))
	}
	w.Header().Set("Cache-Control", "no-store")
	problem.JSON(w, r, http.StatusOK, page)
	return nil
}

func (h *Handler) endpointsOf(r *http.Request) (store.EndpointsOf, error) {
	q, s := r.URL.Query(), subscriberOf(r)
	of := store.EndpointsOf{Limit: defaultEndpoints}
	for name := range q {
		var err error
		switch value := q.Get(name); name {
		case "definition_id":
			of.Definitions = []string{value}
			if !h.Registry.MayManage(s, value, "") {
				of.Definitions = nil
			}
		case "editor":
			of.Editors = []string{value}
			if !h.Registry.MayManage(s, "", value) {
				of.Editors = nil
			}
		case "limit":
			if of.Limit, err = strconv.Atoi(value); err != nil || of.Limit < 1 || of.Limit > mostEndpoints {
				return of, parameterProblem(name, fmt.Sprintf("un nombre de 1 à %d est attendu", mostEndpoints))
			}
		case "cursor":
			if of.After, err = strconv.ParseInt(value, 10, 64); err != nil || of.After < 0 {
				return of, parameterProblem(name, "le next_cursor de la page précédente est attendu")
			}
		default:
			return of, parameterProblem(name, "paramètre inconnu")
		}
	}
	if q.Has("definition_id") || q.Has("editor") {
		return of, nil
	}
	of.Everything = h.Registry.MayManage(registry.Subscriber{Machine: s.Machine}, "*", "")
	for _, d := range h.Catalogue.Definitions() {
		if h.Registry.MayManage(s, d.UID, "") {
			of.Definitions = append(of.Definitions, d.UID)
		}
	}
	if s.SIRET == "" {
		return of, nil
	}
	editors, err := h.Store.EndpointEditors(r.Context())
	for _, editor := range editors {
		if h.Registry.MayManage(s, "", editor) {
			of.Editors = append(of.Editors, editor)
		}
	}
	return of, err
}

func (h *Handler) getEndpoint(w http.ResponseWriter, r *http.Request) error {
	e, err := h.managed(r)
	if err != nil {
		return err
	}
	w.Header().Set("ETag", etag(int64(e.Version)))
	w.Header().Set("Cache-Control", "no-store")
	problem.JSON(w, r, http.StatusOK, viewEndpoint(e))
	return nil
}

// createEndpoint makes one. Its secret is in this answer alone.
func (h *Handler) createEndpoint(w http.ResponseWriter, r *http.Request) error {
	body, raw, err := readObject(w, r, h.MaxBody)
	if err != nil {
		return err
	}
	cmd := &registry.CreateEndpoint{
		Caller: subscriberOf(r), Definition: body.text("definition_id"), Editor: body.text("editor"), Settings: readSettings(body),
		Secret: connectors.NewSecret(body.text("secret")),
	}
	if err := body.close(); err != nil {
		return err
	}
	return h.record(w, r, raw, cmd, func() (store.Answer, error) {
		v := viewEndpoint(cmd.Endpoint)
		v.Secret = &secretView{DataPass: cmd.Key.Hex.Reveal(), Standard: cmd.Key.Whsec.Reveal()}
		answer, err := answerEndpoint(http.StatusCreated, v)
		answer.Sealed = true
		if err == nil {
			answer.Header["Location"] = fmt.Sprintf("/hub/v1/webhooks/%d", cmd.Endpoint.ID)
		}
		return answer, err
	})
}

func (h *Handler) changeEndpoint(w http.ResponseWriter, r *http.Request) error {
	target, err := h.endpointTarget(r, true)
	if err != nil {
		return err
	}
	body, raw, err := readObject(w, r, h.MaxBody)
	if err != nil {
		return err
	}
	cmd := &registry.ChangeEndpoint{EndpointTarget: target, Settings: readSettings(body)}
	if err := body.close(); err != nil {
		return err
	}
	return h.record(w, r, raw, cmd, func() (store.Answer, error) {
		if cmd.Disabled {
			h.awaitQuiet(r, target.ID)
		}
		return answerEndpoint(http.StatusOK, viewEndpoint(cmd.Endpoint))
	})
}

// quietWithin is more than a delivery and what a lane waits can last.
const quietWithin = 20 * time.Second

// awaitQuiet answers a change only when nothing leaves for what was there
// before. The change is made all the same.
func (h *Handler) awaitQuiet(r *http.Request, id int64) {
	ctx, cancel := context.WithTimeout(r.Context(), quietWithin)
	defer cancel()
	if err := h.Registry.AwaitQuiet(ctx, id); err != nil {
		zerolog.Ctx(r.Context()).Warn().Err(err).Int64("endpoint", id).Msg("an endpoint was changed while deliveries to it were under way")
	}
}

func (h *Handler) deleteEndpoint(w http.ResponseWriter, r *http.Request) error {
	target, err := h.endpointTarget(r, true)
	if err != nil {
		return err
	}
	return h.record(w, r, nil, &registry.DeleteEndpoint{EndpointTarget: target}, func() (store.Answer, error) {
		h.awaitQuiet(r, target.ID)
		return store.Answer{Status: http.StatusNoContent}, nil
	})
}

// actOnEndpoint serves what needs no body.
func (h *Handler) actOnEndpoint(command func(registry.EndpointTarget) (registry.Command, *registry.EndpointTarget)) problem.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		target, err := h.endpointTarget(r, true)
		if err != nil {
			return err
		}
		body, raw, err := readObject(w, r, h.MaxBody)
		if err != nil {
			return err
		}
		if err := body.close(); err != nil {
			return err
		}
		cmd, result := command(target)
		return h.record(w, r, raw, cmd, func() (store.Answer, error) {
			if !result.Endpoint.Enabled {
				h.awaitQuiet(r, target.ID)
			}
			return answerEndpoint(http.StatusOK, viewEndpoint(result.Endpoint))
		})
	}
}

// rotateSecret gives a new one; it is in this answer alone.
func (h *Handler) rotateSecret(w http.ResponseWriter, r *http.Request) error {
	target, err := h.endpointTarget(r, true)
	if err != nil {
		return err
	}
	body, raw, err := readObject(w, r, h.MaxBody)
	if err != nil {
		return err
	}
	cmd := &registry.RotateEndpointSecret{EndpointTarget: target, Overlap: registry.DefaultOverlap, Secret: connectors.NewSecret(body.text("secret"))}
	if seconds := readValue[int64](body, "overlap_seconds", "un nombre entier de secondes est attendu"); seconds != nil {
		cmd.Overlap = time.Duration(min(max(*seconds, -1), int64(2*registry.MaxOverlap/time.Second))) * time.Second
	}
	if err := body.close(); err != nil {
		return err
	}
	return h.record(w, r, raw, cmd, func() (store.Answer, error) {
		v := viewEndpoint(cmd.Endpoint)
		v.Secret = &secretView{DataPass: cmd.Key.Hex.Reveal(), Standard: cmd.Key.Whsec.Reveal()}
		answer, err := answerEndpoint(http.StatusOK, v)
		answer.Sealed = true
		return answer, err
	})
}

// testEndpoint sends the test event and shows what came of it: 200 whether it
// passed or not.
func (h *Handler) testEndpoint(w http.ResponseWriter, r *http.Request) error {
	target, err := h.endpointTarget(r, false)
	if err != nil {
		return err
	}
	body, _, err := readObject(w, r, h.MaxBody)
	if err != nil {
		return err
	}
	if err := body.close(); err != nil {
		return err
	}
	test, err := h.Tester.Test(r.Context(), &target)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("ETag", etag(int64(target.Endpoint.Version)))
	problem.JSON(w, r, http.StatusOK, struct {
		testView
		Webhook endpointView `json:"webhook"`
	}{viewTest(test), viewEndpoint(target.Endpoint)})
	return nil
}

// readSettings reads what the owner chooses. A key that is null goes back to
// what it is by default.
func readSettings(o *object) registry.EndpointSettings {
	s := registry.EndpointSettings{
		URL: textOf(o, "url"), Description: textOf(o, "description"), Format: textOf(o, "format"), Environment: textOf(o, "environment"), Contact: textOf(o, "contact"),
		Events:      readValue[[]string](o, "events", "une liste de types d’événement est attendue"),
		Headers:     readValue[map[string]string](o, "headers", "un objet est attendu : des textes par nom d’en-tête"),
		Rate:        readValue[float64](o, "rate_limit", "un nombre d’envois par seconde est attendu, ou null"),
		MaxInFlight: readValue[int](o, "max_in_flight", "un nombre entier est attendu"),
		Ordered:     readValue[bool](o, "ordered", "true ou false est attendu"),
	}
	if o.nulled("max_in_flight") {
		s.MaxInFlight = new(int)
		*s.MaxInFlight = registry.DefaultInFlight
	}
	if s.Rate != nil && *s.Rate == 0 && o.number("rate_limit") {
		o.fault("rate_limit", "plus que zéro, ou null pour aucune limite")
	}
	return s
}

// textOf gives a text when its key is there.
func textOf(o *object, key string) *string {
	text := o.text(key)
	if _, given := o.values[key]; !given {
		return nil
	}
	return &text
}

// readValue gives a value when its key is there; null is its zero.
func readValue[T any](o *object, key, otherwise string) *T {
	value := o.raw(key)
	if _, given := o.values[key]; !given {
		return nil
	}
	v := new(T)
	if value != nil && json.Unmarshal(value, v) != nil {
		o.fault(key, otherwise)
	}
	return v
}

// nulled: the key is there, and null.
func (o *object) nulled(key string) bool {
	value, given := o.values[key]
	return given && string(bytes.TrimSpace(value)) == "null"
}

// number: the key is there, and a number.
func (o *object) number(key string) bool {
	var n *float64
	return json.Unmarshal(o.values[key], &n) == nil && n != nil
}

func answerEndpoint(status int, v endpointView) (store.Answer, error) {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return store.Answer{}, err
	}
	header := map[string]string{"Content-Type": "application/json", "Cache-Control": "no-store", "ETag": etag(int64(v.Version))}
	return store.Answer{Status: status, Header: header, Body: body.Bytes()}, nil
}

func badEndpoint(e *registry.EndpointError) *problem.Problem {
	p := problem.New(http.StatusUnprocessableEntity, "webhook", "Webhook invalide", "Les réglages du webhook contiennent des erreurs.")
	for _, f := range e.Faults {
		at := ""
		for i, part := range strings.SplitN(f.Field, "/", 2) { // a header's name may hold a slash, refused as it is
			if i == 0 || f.Field != "" {
				at = pointer(at, part)
			}
		}
		p.At(at, f.Message)
	}
	return p
}

const mostChanges = 200

// endpointHistory tells who did what, the newest first.
func (h *Handler) endpointHistory(w http.ResponseWriter, r *http.Request) error {
	e, err := h.managed(r)
	if err != nil {
		return err
	}
	lines, err := h.Store.EndpointChanges(r.Context(), e.ID, mostChanges)
	if err != nil {
		return err
	}
	type changeView struct {
		At     time.Time       `json:"at"`
		Actor  string          `json:"actor"`
		Event  string          `json:"event"`
		Detail json.RawMessage `json:"detail"`
	}
	views := make([]changeView, len(lines))
	for i, l := range lines {
		views[i] = changeView{l.At.UTC(), l.Actor, l.Event, l.Detail}
	}
	w.Header().Set("Cache-Control", "no-store")
	problem.JSON(w, r, http.StatusOK, map[string]any{"history": views})
	return nil
}

// endpointHealth tells how an endpoint does.
func (h *Handler) endpointHealth(w http.ResponseWriter, r *http.Request) error {
	e, err := h.managed(r)
	if err != nil {
		return err
	}
	s, err := h.Store.EndpointState(r.Context(), e.ID, h.Registry.Now())
	if err != nil {
		return err
	}
	v := healthView{
		Failures: int(s.Failures), FailingSince: s.FailingSince, LastSuccessAt: s.LastOkAt, LastFailureAt: s.LastFailedAt, LastStatus: s.LastStatus,
		LastError: s.LastError, Waiting: int(s.Waiting), WaitingAtLeast: s.Waiting >= store.MostCounted, Abandoned: int(s.Abandoned),
	}
	if s.Waits {
		v.OldestWaiting = &s.Oldest
	}
	if s.Resting() {
		v.RestsUntil = s.RestUntil
	}
	w.Header().Set("Cache-Control", "no-store")
	problem.JSON(w, r, http.StatusOK, v)
	return nil
}

// eventTypes shows the catalogue.
func (h *Handler) eventTypes(w http.ResponseWriter, r *http.Request) error {
	views := []eventTypeView{}
	for _, t := range eventtype.List() {
		views = append(views, viewEventType(t))
	}
	w.Header().Set("Cache-Control", "private, max-age=300")
	problem.JSON(w, r, http.StatusOK, map[string]any{"events": views})
	return nil
}

func (h *Handler) eventType(w http.ResponseWriter, r *http.Request) error {
	t, ok := eventtype.Lookup(chi.URLParam(r, "type"))
	if !ok {
		return store.ErrNotFound
	}
	v := viewEventType(t)
	v.Bodies = map[eventtype.Format]bodyView{}
	for _, f := range []eventtype.Format{eventtype.Standard, eventtype.DataPassFormat} {
		v.Bodies[f] = bodyView{Schema: t.Schema(f), Example: t.Example(f)}
	}
	w.Header().Set("Cache-Control", "private, max-age=300")
	problem.JSON(w, r, http.StatusOK, v)
	return nil
}

// eventSchema gives a schema alone, for validators.
func (h *Handler) eventSchema(w http.ResponseWriter, r *http.Request) error {
	t, ok := eventtype.Lookup(chi.URLParam(r, "type"))
	if !ok {
		return store.ErrNotFound
	}
	format := eventtype.Standard
	if q := r.URL.Query(); q.Has("format") {
		if format = eventtype.Format(q.Get("format")); format != eventtype.Standard && format != eventtype.DataPassFormat {
			return parameterProblem("format", "standard ou datapass est attendu")
		}
	}
	w.Header().Set("Content-Type", "application/schema+json")
	w.Header().Set("Cache-Control", "private, max-age=300")
	_, err := w.Write(t.Schema(format))
	return err
}
