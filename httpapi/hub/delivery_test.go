package hub_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/webhook"
	"github.com/passerelle-hub/passerelle/httpapi/auth"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// hook is an endpoint of a definition.
func (s *site) hook(definition string, change func(*store.NewEndpoint)) int64 {
	s.t.Helper()
	e := store.NewEndpoint{
		Definition: definition, URL: "https://recepteur.example/", Events: []string{"*"}, Format: store.FormatStandard, MaxInFlight: 5, Enabled: true,
		Secrets: []store.EndpointSecret{{Value: webhook.NewKey().Hex().Reveal()}},
	}
	if change != nil {
		change(&e)
	}
	add := &registry.AddEndpoint{Endpoint: e}
	s.record(add)
	return add.ID
}

// tell publishes an event that a definition's endpoints are told of.
func (s *site) tell(definition, kind string) string {
	s.t.Helper()
	id, err := s.registry.Tell(s.t.Context(), registry.Happening{
		Type: kind, Definition: definition, Subject: "sujet", Data: map[string]any{"rang": 1}, Shown: []byte(`{"event":"` + kind + `","data":{"applicant":{"email":"lise@valbrise.example"}}}`),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return id.String()
}

func (s *site) toldEndpoint(definition string) (int64, string) {
	s.t.Helper()
	return s.hook(definition, nil), s.tell(definition, "token.issued")
}

type replayed struct {
	ID       string `json:"id"`
	Scope    string `json:"scope"`
	State    string `json:"state"`
	Queued   int    `json:"queued"`
	Owed     int    `json:"already_waiting"`
	Waiting  int    `json:"waiting"`
	Past     int    `json:"past_retention"`
	Finished string `json:"finished_at"`
}

// replayOf starts one over, of a moment of its own.
func (s *site) replayOf(endpoint int64, bearer string) string {
	s.t.Helper()
	var r replayed
	s.call(http.MethodPost, fmt.Sprintf("/webhooks/%d/replays", endpoint), bearer, map[string]any{"scope": "all", "since": s.now().Add(-time.Hour)}).into(http.StatusCreated, &r)
	return r.ID
}

// tried records a try of a message.
func (s *site) tried(endpoint int64, message, outcome string, status int, answer string) {
	s.t.Helper()
	id := uuid.MustParse(message)
	n := s.count(`select count(*) from attempt where endpoint_id = $1 and event_id = $2`, endpoint, id)
	kind := ""
	if err := s.pool.QueryRow(s.t.Context(), `select type from event where id = $1`, id).Scan(&kind); err != nil {
		s.t.Fatal(err)
	}
	err := s.store.InTx(s.t.Context(), func(tx *store.Tx) error {
		return tx.Settle(s.t.Context(), store.Settlement{
			Due: store.Due{EndpointID: endpoint, EventID: id, Type: kind, Attempts: n}, At: s.now(), Outcome: outcome, NextAt: s.now().Add(time.Minute),
			Reason: "essai", Result: connectors.DeliveryResult{Status: status, Body: []byte(answer), Duration: 12 * time.Millisecond},
		})
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

type messageList struct {
	Messages []struct {
		ID     string `json:"id"`
		Event  string `json:"event"`
		Status string `json:"status"`
		Reason string `json:"reason"`
	} `json:"messages"`
	Next *string `json:"next_cursor"`
}

func TestMessagesAreSearchedByEventStatusRequestAndTime(t *testing.T) {
	s := newSite(t)
	dev := s.person("dev@dinum.example", "", false, "dinum:api_entreprise:developer")
	never := s.tell("api_entreprise", "token.issued")
	endpoint := s.hook("api_entreprise", nil)
	s.hook("api_particulier", nil)
	s.tell("api_particulier", "token.issued")
	delivered, failed, waiting := s.tell("api_entreprise", "token.issued"), s.tell("api_entreprise", "token.revoked"), s.tell("api_entreprise", "token.rotated")
	s.tried(endpoint, delivered, store.Failed, 500, "non")
	s.tried(endpoint, delivered, store.Delivered, 200, "{}")
	s.tried(endpoint, failed, store.Abandoned, 500, "non")
	path := fmt.Sprintf("/webhooks/%d/messages", s.hook("api_entreprise", func(e *store.NewEndpoint) { e.Events = []string{"token.revoked"} }))
	var few messageList
	if s.get(path, dev).into(http.StatusOK, &few); len(few.Messages) != 1 || few.Messages[0].ID != failed {
		t.Errorf("an endpoint shows what it does not ask for: %+v", few)
	}
	path = fmt.Sprintf("/webhooks/%d/messages", endpoint)
	search := func(query string) []string {
		t.Helper()
		ids, next := []string{}, ""
		for range 10 {
			var l messageList
			s.get(path+"?"+query+next, dev).into(http.StatusOK, &l)
			for _, m := range l.Messages {
				ids = append(ids, m.ID+" "+m.Status)
			}
			if l.Next == nil {
				return ids
			}
			next = "&cursor=" + *l.Next
		}
		t.Fatal("the pages have no end")
		return nil
	}
	all := []string{waiting + " waiting", failed + " failed", delivered + " delivered", never + " none"}
	soon := s.now().Add(time.Hour).UTC().Format(time.RFC3339)
	for query, want := range map[string][]string{
		"":                                   all,
		"limit=1":                            all,
		"limit=4":                            all,
		"status=failed":                      {all[1]},
		"status=waiting":                     {all[0]},
		"status=delivered":                   {all[2]},
		"status=none":                        {all[3]},
		"event=token.issued":                 {all[2], all[3]},
		"event=token.issued&status=none":     {all[3]},
		"event=token.issued&limit=1":         {all[2], all[3]},
		"status=failed&event=token.rotated":  {},
		"since=" + soon:                      {},
		"until=" + soon:                      all,
		"request_id=4711":                    {},
		"since=2026-01-01T00:00:00Z&limit=3": all,
	} {
		if diff := cmp.Diff(want, search(query)); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", query, diff)
		}
	}
	for query, want := range map[string]string{
		"status=lost": "400 parametre status", "since=hier": "400 parametre since", "limit=0": "400 parametre limit", "cursor=x": "400 parametre cursor",
		"quoi=1": "400 parametre quoi", "event=a&event=b": "400 parametre event", "request_id=x": "400 parametre request_id",
		"since=2026-02-02T00:00:00Z&until=2026-02-01T00:00:00Z": "400 parametre until",
	} {
		if got := s.get(path+"?"+query, dev).problem(); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
}

func TestOneMessageIsShownWithItsTriesAndItsBodyToThoseWhoMayReadIt(t *testing.T) {
	s := newSite(t)
	s.person("dev@dinum.example", "", false, "dinum:api_entreprise:developer")
	dev := s.signed("dev@dinum.example")
	standard := s.hook("api_entreprise", nil)
	datapass := s.hook("api_entreprise", func(e *store.NewEndpoint) { e.Format = store.FormatDataPass })
	id := s.tell("api_entreprise", "token.issued")
	s.tried(datapass, id, store.Failed, 500, strings.Repeat("é", 10_500))
	type shown struct {
		Body     map[string]any `json:"body"`
		Hidden   string         `json:"body_hidden"`
		Attempts []struct {
			Answer string `json:"answer"`
			Status int    `json:"status_code"`
			Ms     int    `json:"duration_ms"`
		} `json:"attempts"`
	}
	var m shown
	s.get(fmt.Sprintf("/webhooks/%d/messages/%s", standard, id), dev).into(http.StatusOK, &m)
	if m.Body["type"] != "token.issued" || m.Hidden != "" {
		t.Errorf("%+v", m)
	}
	m = shown{}
	s.get(fmt.Sprintf("/webhooks/%d/messages/%s", datapass, id), dev).into(http.StatusOK, &m)
	if m.Body["event"] != "token.issued" || len(m.Attempts) != 1 || len([]rune(m.Attempts[0].Answer)) != 10_000 || m.Attempts[0].Ms != 12 {
		t.Errorf("%.300v", m)
	}
	// DataPass's body holds personal data: an application reads it with read_authorizations only.
	hooksOnly := s.application("dev@dinum.example", auth.ScopeReadWebhooks)
	a := s.get(fmt.Sprintf("/webhooks/%d/messages/%s", datapass, id), hooksOnly)
	m = shown{}
	a.into(http.StatusOK, &m)
	if m.Body != nil || m.Hidden == "" || strings.Contains(string(a.body), "lise@") {
		t.Errorf("%s", a.body)
	}
	m = shown{}
	s.get(fmt.Sprintf("/webhooks/%d/messages/%s", datapass, id), s.application("dev@dinum.example", auth.ScopeReadWebhooks, auth.ScopeReadAuthorizations)).into(http.StatusOK, &m)
	if m.Body == nil {
		t.Error("hidden from one who may read requests")
	}
	if _, err := s.store.PurgeEvents(t.Context(), s.now().Add(time.Hour), 10); err != nil {
		t.Fatal(err)
	}
	m = shown{}
	s.get(fmt.Sprintf("/webhooks/%d/messages/%s", datapass, id), dev).into(http.StatusOK, &m)
	if m.Body != nil || m.Hidden == "" {
		t.Errorf("purged: %+v", m)
	}
	foreign := s.tell("api_particulier", "token.issued")
	for _, path := range []string{
		fmt.Sprintf("/webhooks/%d/messages/%s", standard, foreign), fmt.Sprintf("/webhooks/%d/messages/x", standard), "/webhooks/999/messages",
		"/webhooks/x/attempts", fmt.Sprintf("/webhooks/%d/replays/%s", standard, foreign), fmt.Sprintf("/webhooks/%d/replays/x", standard),
	} {
		if got := s.get(path, dev); got.status != http.StatusNotFound {
			t.Errorf("%s: %d", path, got.status)
		}
	}
}

func TestTriesAreSearched(t *testing.T) {
	s := newSite(t)
	dev := s.person("dev@dinum.example", "", false, "dinum:api_entreprise:developer")
	endpoint := s.hook("api_entreprise", nil)
	a, b := s.tell("api_entreprise", "token.issued"), s.tell("api_entreprise", "token.revoked")
	s.tried(endpoint, a, store.Failed, 500, "non")
	s.tried(endpoint, b, store.Failed, 0, "")
	s.tried(endpoint, a, store.Delivered, 200, "{}")
	search := func(query string) int {
		t.Helper()
		n, next := 0, ""
		for range 10 {
			var l struct {
				Attempts []struct {
					ID int64 `json:"id"`
				} `json:"attempts"`
				Next *string `json:"next_cursor"`
			}
			s.get(fmt.Sprintf("/webhooks/%d/attempts?%s%s", endpoint, query, next), dev).into(http.StatusOK, &l)
			n += len(l.Attempts)
			if l.Next == nil {
				return n
			}
			next = "&cursor=" + *l.Next
		}
		t.Fatal("the pages have no end")
		return 0
	}
	for query, want := range map[string]int{
		"": 3, "limit=1": 3, "limit=3": 3, "outcome=delivered": 1, "status_code=500": 1, "event=token.revoked": 1, "event=token.issued&outcome=failed": 1,
		"since=2026-01-01T00:00:00Z": 3, "until=2026-01-01T00:00:00Z": 0, "error_class=tls": 0, "request_id=12": 0,
	} {
		if got := search(query); got != want {
			t.Errorf("%s: %d tries, want %d", query, got, want)
		}
	}
	if got := s.get(fmt.Sprintf("/webhooks/%d/attempts?outcome=x&status_code=9", endpoint), dev).status; got != http.StatusBadRequest {
		t.Error(got)
	}
}

func TestReplaysAreStartedFollowedAndCancelled(t *testing.T) {
	s := newSite(t)
	dev := s.person("dev@dinum.example", "", false, "dinum:api_entreprise:developer")
	endpoint, message := s.toldEndpoint("api_entreprise")
	s.tried(endpoint, message, store.Delivered, 200, "{}")
	path := fmt.Sprintf("/webhooks/%d/replays", endpoint)
	var r, again replayed
	body := map[string]any{"scope": "message", "message_id": message}
	first := s.call(http.MethodPost, path, dev, body)
	first.into(http.StatusCreated, &r)
	if r.Queued != 1 || r.Waiting != 1 || r.State != "sending" || first.header.Get("Location") != "/hub/v1"+path+"/"+r.ID {
		t.Errorf("%+v %s", r, first.header.Get("Location"))
	}
	s.call(http.MethodPost, path, dev, body).into(http.StatusOK, &again)
	if again.ID != r.ID {
		t.Error("the same replay twice")
	}
	s.get(path+"/"+r.ID, dev).into(http.StatusOK, &again)
	var list struct {
		Replays []replayed `json:"replays"`
		Next    *string    `json:"next_cursor"`
	}
	s.get(path+"?limit=1", dev).into(http.StatusOK, &list)
	if len(list.Replays) != 1 || list.Next != nil || list.Replays[0] != again {
		t.Errorf("%+v", list)
	}
	s.call(http.MethodPost, path+"/"+r.ID+"/cancel", dev, nil).into(http.StatusOK, &r)
	if r.State != "cancelled" || r.Waiting != 0 || r.Finished == "" {
		t.Errorf("%+v", r)
	}
	for sent, want := range map[string]string{
		`{}`:                                   "422 corps /scope",
		`{"scope":"message"}`:                  "422 corps /message_id",
		`{"scope":"message","message_id":"x"}`: "422 corps /message_id",
		`{"scope":"message","message_id":"` + message + `","since":"2026-01-01T00:00:00Z"}`: "422 corps /since",
		`{"scope":"message","message_id":"0190163d-8694-739b-aea5-966c26f8ad90"}`:           "422 message_unknown /message_id",
		`{"scope":"all"}`:                                "422 corps /since",
		`{"scope":"all","since":"hier"}`:                 "422 corps /since",
		`{"scope":"all","since":"2126-01-01T00:00:00Z"}`: "422 replay_since /since",
		`{"scope":"failed","since":"2026-01-01T00:00:00Z","message_id":"` + message + `"}`: "422 corps /message_id",
		`{"scope":"failed","since":"2026-01-01T00:00:00Z","rate":9}`:                       "422 corps /rate",
	} {
		if got := s.call(http.MethodPost, path, dev, sent).problem(); got != want {
			t.Errorf("%s: %s, want %s", sent, got, want)
		}
	}
	if n := s.count(`select count(*) from replay`); n != 1 {
		t.Errorf("%d replays: a refused one was made", n)
	}
	for n := range 10 {
		s.call(http.MethodPost, path, dev, map[string]any{"scope": "failed", "since": s.now().Add(-time.Duration(n) * time.Hour)}).into(http.StatusCreated, nil)
	}
	if got := s.call(http.MethodPost, path, dev, map[string]any{"scope": "all", "since": s.now()}).problem(); got != "409 too_many_replays" {
		t.Error(got)
	}
	s.record(&registry.DisableEndpoint{ID: endpoint, Reason: "essai"})
	if got := s.call(http.MethodPost, path, dev, body).problem(); got != "409 endpoint_disabled" {
		t.Error(got)
	}
}

func TestTokensAnsweredAreShown(t *testing.T) {
	s := newSite(t)
	p := s.people()
	dev := s.person("dev@dinum.example", "", false, "dinum:api_entreprise:developer")
	endpoint := s.hook("api_entreprise", nil)
	r := s.in(p, "validated", "api_entreprise", s.data("api_entreprise", nil))
	s.record(&registry.TokenAnswered{
		Due: store.Due{EndpointID: endpoint, EventID: uuid.New(), RequestID: r.ID, HabilitationID: r.Habilitations[0].ID}, TokenID: "jeton-1", Status: 200, At: s.now(),
	})
	var list struct {
		Tokens []struct {
			TokenID      string `json:"token_id"`
			Habilitation int64  `json:"habilitation_id"`
		} `json:"tokens"`
	}
	for query, want := range map[string]int{"": 1, fmt.Sprintf("?request_id=%d", r.ID): 1, "?request_id=9999": 0} {
		s.get(fmt.Sprintf("/webhooks/%d/tokens%s", endpoint, query), dev).into(http.StatusOK, &list)
		if len(list.Tokens) != want {
			t.Errorf("%s: %+v", query, list)
		}
	}
}
