package ops_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/config/definitions"
	"github.com/passerelle-hub/passerelle/httpapi/ops"
	"github.com/passerelle-hub/passerelle/httpapi/page"
	"github.com/passerelle-hub/passerelle/internal/pgtest"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
	"github.com/passerelle-hub/passerelle/jobs"
)

func TestOperatorsSeeWhereCommunesStandAndTakeAFolderUpAgain(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t, store.Migrate)
	s := store.New(pool, nil)
	outbox, err := jobs.NewOutbox(s, 10*time.Millisecond, time.Now, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	catalogue, report := definitions.Load(definitions.Catalogue(), definitions.Options{})
	if err := report.Err(); err != nil {
		t.Fatal(err)
	}
	folder := uuid.New()
	_, err = pool.Exec(t.Context(), `with r as (insert into receiver (process, siret, cog, name, state, state_since, suspended_reason, approved_at, updated_at) values
			('FormulaireQF', '21040107100019', '04107', 'COMMUNE DE MAJASTRES', 'active', now(), '', now(), now()),
			('FormulaireQF', '21590560100018', '59560', 'COMMUNE DE VALBRISE', 'suspended', now() - interval '5 days', 'habilitation révoquée <b>', now(), now()),
			('FormulaireQF', '21330063500017', '33063', 'COMMUNE DE CORBEVAL', 'inactive', now() - interval '3 hours', '', now(), now())
			returning id, state)
		insert into folder (id, receiver_id, reference, external_id, state, problem, accepted_at, updated_at)
		select $1, id, 'K7QD2M9XTB4HZ', 'Formulaire-QF-K7QD2M9XTB4HZ', 'accepted', 'HubEE ne répond pas', now() - interval '2 hours', now() from r where state = 'active'`, folder)
	if err != nil {
		t.Fatal(err)
	}
	h := &ops.Handler{
		Store: s, Registry: registry.New(s, outbox, catalogue, nil, registry.Settings{}, time.Now), Assets: page.Assets(nil),
		Metrics: http.NotFoundHandler(), Queues: http.NotFoundHandler(),
		Users: []ops.User{
			{Name: "lea", Operator: true, Check: func(p string) bool { return p == "lea" }},
			{Name: "max", Check: func(p string) bool { return p == "max" }},
		},
	}
	router, err := h.Router()
	if err != nil {
		t.Fatal(err)
	}
	call := func(user, method, path string, form url.Values) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, path, strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetBasicAuth(user, user)
		w := httptest.NewRecorder()
		router.ServeHTTP(w, r)
		return w
	}
	shown := call("lea", http.MethodGet, "/communes", nil)
	for _, says := range []string{"COMMUNE DE VALBRISE", "5 jours", "habilitation révoquée &lt;b&gt;", "COMMUNE DE CORBEVAL", "3 heures", "K7QD2M9XTB4HZ", "HubEE ne répond pas", "/folders/" + folder.String() + "/retry"} {
		if !strings.Contains(shown.Body.String(), says) {
			t.Errorf("the page does not say %s", says)
		}
	}
	if body := call("max", http.MethodGet, "/communes?state=active", nil).Body.String(); !strings.Contains(body, "<th scope=\"row\">COMMUNE DE MAJASTRES") || strings.Contains(body, "VALBRISE") || strings.Contains(body, "/retry") {
		t.Errorf("a reader who chose a state sees %s", body)
	}
	if w := call("lea", http.MethodGet, "/communes?state=parti", nil); w.Code != http.StatusBadRequest {
		t.Errorf("a state that there is not answers %d", w.Code)
	}
	queued := func() (n int) {
		if err := pool.QueryRow(t.Context(), "select count(*) from river_job where kind = 'send_folder'").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	retry := "/folders/" + folder.String() + "/retry"
	if w := call("max", http.MethodPost, retry, nil); w.Code != http.StatusForbidden || queued() != 0 {
		t.Errorf("a reader's retry answers %d", w.Code)
	}
	if w := call("lea", http.MethodPost, retry, nil); w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/communes" || queued() != 1 {
		t.Errorf("an operator's retry answers %d and queues %d", w.Code, queued())
	}
	if w := call("lea", http.MethodPost, "/folders/"+uuid.NewString()+"/retry", nil); w.Code != http.StatusNotFound {
		t.Errorf("an unknown folder's retry answers %d", w.Code)
	}
	if w := call("lea", http.MethodPost, "/folders/x/retry", nil); w.Code != http.StatusBadRequest {
		t.Errorf("an id that is none answers %d", w.Code)
	}
	before := ""
	if err := pool.QueryRow(t.Context(), "select external_id from folder").Scan(&before); err != nil {
		t.Fatal(err)
	}
	if w := call("lea", http.MethodPost, retry, url.Values{"anew": {"1"}}); w.Code != http.StatusSeeOther {
		t.Errorf("a folder made anew answers %d", w.Code)
	}
	after := ""
	if err := pool.QueryRow(t.Context(), "select external_id from folder").Scan(&after); err != nil || after == before {
		t.Errorf("%v: made anew it is still %s", err, after)
	}
}
