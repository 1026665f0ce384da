package ops_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/config/definitions"
	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/httpapi/ops"
	"github.com/passerelle-hub/passerelle/httpapi/page"
	"github.com/passerelle-hub/passerelle/internal/pgtest"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
	"github.com/passerelle-hub/passerelle/internal/store/seal"
	"github.com/passerelle-hub/passerelle/jobs"
)

// deliverer meets a receiver that answers 500.
type deliverer struct{}

func (deliverer) Deliver(context.Context, connectors.Delivery) connectors.DeliveryResult {
	return connectors.DeliveryResult{Status: http.StatusInternalServerError, Duration: 12 * time.Millisecond}
}

func TestOperatorsSeeHowEndpointsDoAndReadersOnlyLook(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t, store.Migrate)
	key, err := seal.ParseKey("test", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
	if err != nil {
		t.Fatal(err)
	}
	ring, err := seal.NewKeyring(seal.Config{Keys: []seal.Key{key}, Active: "test", Fingerprints: "test"})
	if err != nil {
		t.Fatal(err)
	}
	s := store.New(pool, ring)
	outbox, err := jobs.NewOutbox(s, 10*time.Millisecond, time.Now, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	catalogue, report := definitions.Load(definitions.Catalogue(), definitions.Options{})
	if err := report.Err(); err != nil {
		t.Fatal(err)
	}
	r := registry.New(s, outbox, catalogue, nil, registry.Settings{}, time.Now)
	add := &registry.AddEndpoint{Endpoint: store.NewEndpoint{
		Definition: "api_entreprise", URL: "https://recepteur.example/hook?jeton=tres-secret", Description: "<Site des marchés>", Events: []string{"*"},
		Format: store.FormatStandard, MaxInFlight: 5, Enabled: true, Secrets: []store.EndpointSecret{{Value: fmt.Sprintf("%064x", 1)}},
	}}
	if err := r.Record(t.Context(), add); err != nil {
		t.Fatal(err)
	}
	if err := s.SaveHealth(t.Context(), add.ID, store.Health{
		Failures: 7, FailingSince: time.Now().Add(-time.Hour), RestUntil: time.Now().Add(time.Hour), LastFailedAt: time.Now(), LastError: "réponse 500",
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Tell(t.Context(), registry.Happening{Type: "qf.available", Definition: "api_entreprise", Subject: "qf/1", Data: map[string]any{"folder_id": uuid.NewString()}}); err != nil {
		t.Fatal(err)
	}
	h := &ops.Handler{
		Store: s, Registry: r, Assets: page.Assets(nil), Metrics: http.NotFoundHandler(), Queues: http.NotFoundHandler(),
		Users: []ops.User{
			{Name: "lea", Operator: true, Check: func(p string) bool { return p == "lea" }},
			{Name: "max", Check: func(p string) bool { return p == "max" }},
		},
		Tester: &registry.Tester{Registry: r, Deliverer: deliverer{}, Timeout: time.Second, Sign: func(store.Lane, store.Due, time.Time) (map[string]string, error) {
			return map[string]string{}, nil
		}},
	}
	router, err := h.Router()
	if err != nil {
		t.Fatal(err)
	}
	call := func(method, path, user, origin string) (int, string) {
		t.Helper()
		req := httptest.NewRequest(method, path, nil)
		req.SetBasicAuth(user, user)
		if origin != "" {
			req.Header.Set("Origin", origin)
			req.Header.Set("Sec-Fetch-Site", "cross-site")
		}
		w := httptest.NewRecorder()
		router.ServeHTTP(w, req)
		return w.Code, w.Body.String()
	}
	status, shown := call(http.MethodGet, "/endpoints", "max", "")
	for _, want := range []string{"api_entreprise", "https://recepteur.example/hook", "actif", "ouvert", "7 de suite", "réponse 500", "&lt;Site des marchés&gt;"} {
		if !strings.Contains(shown, want) {
			t.Errorf("%d: the page lacks %q", status, want)
		}
	}
	if strings.Contains(shown, "tres-secret") || strings.Contains(shown, "<form") {
		t.Error("a reader sees what is secret, or buttons")
	}
	mustShowMessages(t, pool, s, add.ID, call)
	disable, test, enable := fmt.Sprintf("/endpoints/%d/disable", add.ID), fmt.Sprintf("/endpoints/%d/test", add.ID), fmt.Sprintf("/endpoints/%d/enable", add.ID)
	if status, _ := call(http.MethodPost, disable, "max", ""); status != http.StatusForbidden {
		t.Errorf("a reader's button: %d", status)
	}
	if status, _ := call(http.MethodPost, disable, "lea", "https://ailleurs.example"); status != http.StatusForbidden {
		t.Errorf("another site's button: %d", status)
	}
	if status, _ := call(http.MethodPost, disable, "lea", ""); status != http.StatusSeeOther {
		t.Errorf("disable: %d", status)
	}
	if status, shown := call(http.MethodPost, test, "lea", ""); status != http.StatusOK || !strings.Contains(shown, "échoué, réponse 500") || !strings.Contains(shown, "Activer sans test réussi") {
		t.Errorf("test: %d %s", status, shown)
	}
	if status, _ := call(http.MethodPost, enable, "lea", ""); status != http.StatusSeeOther {
		t.Errorf("enable: %d", status)
	}
	if e, err := s.Endpoint(t.Context(), add.ID); err != nil || !e.Enabled {
		t.Errorf("an operator may enable without a test: %+v, %v", e, err)
	}
	for path, want := range map[string]int{"/endpoints/x/test": http.StatusBadRequest, "/endpoints/99/enable": http.StatusNotFound} {
		if status, _ := call(http.MethodPost, path, "lea", ""); status != want {
			t.Errorf("%s: %d", path, status)
		}
	}
}

// mustShowMessages: an endpoint's messages, the tries of one with what was
// answered, and the buttons that send again, which readers do not have.
func mustShowMessages(t *testing.T, pool *pgxpool.Pool, s *store.Store, endpoint int64, call func(method, path, user, origin string) (int, string)) {
	t.Helper()
	var event uuid.UUID
	if err := pool.QueryRow(t.Context(), `select event_id from delivery where endpoint_id = $1`, endpoint).Scan(&event); err != nil {
		t.Fatal(err)
	}
	err := s.InTx(t.Context(), func(tx *store.Tx) error {
		return tx.Settle(t.Context(), store.Settlement{
			Due: store.Due{EndpointID: endpoint, EventID: event, Type: "qf.available"}, At: time.Now(), Outcome: store.Abandoned, NextAt: time.Now(), Reason: "toutes les tentatives ont échoué",
			Result: connectors.DeliveryResult{Status: 503, Body: []byte("<b>en panne</b>"), Duration: 12 * time.Millisecond},
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	list, one := fmt.Sprintf("/endpoints/%d", endpoint), fmt.Sprintf("/endpoints/%d/messages/%s", endpoint, event)
	for path, wants := range map[string][]string{
		list:                       {"qf.available", "abandonné", "toutes les tentatives ont échoué", "503"},
		list + "?status=failed":    {"qf.available"},
		list + "?status=delivered": {"Aucun message ici"},
		one:                        {"503", "12ms", "&lt;b&gt;en panne&lt;/b&gt;", "qf/1"},
	} {
		status, shown := call(http.MethodGet, path, "max", "")
		for _, want := range wants {
			if status != http.StatusOK || !strings.Contains(shown, want) {
				t.Errorf("%s: %d, without %q", path, status, want)
			}
		}
		if strings.Contains(shown, "<form") || strings.Contains(shown, "tres-secret") {
			t.Errorf("%s: a reader sees what is secret, or buttons", path)
		}
	}
	for path, want := range map[string]int{
		list + "/replay": http.StatusForbidden, one + "/replay": http.StatusForbidden,
	} {
		if status, _ := call(http.MethodPost, path, "max", ""); status != want {
			t.Errorf("%s of a reader: %d", path, status)
		}
	}
	if status, _ := call(http.MethodPost, one+"/replay", "lea", ""); status != http.StatusSeeOther {
		t.Errorf("replay: %d", status)
	}
	if _, shown := call(http.MethodGet, list, "lea", ""); !strings.Contains(shown, "un message") || !strings.Contains(shown, "en attente") || !strings.Contains(shown, "Arrêter") {
		t.Error("the replay is not shown")
	}
	for path, want := range map[string]int{
		"/endpoints/x": http.StatusBadRequest, "/endpoints/999": http.StatusNotFound, list + "?before=x": http.StatusBadRequest,
		list + "/messages/x": http.StatusBadRequest, list + "/messages/" + uuid.NewString(): http.StatusNotFound,
	} {
		if status, _ := call(http.MethodGet, path, "max", ""); status != want {
			t.Errorf("%s: %d, want %d", path, status, want)
		}
	}
}
