package hub_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/outbound"
	"github.com/passerelle-hub/passerelle/connectors/webhook"
	"github.com/passerelle-hub/passerelle/httpapi/auth"
	"github.com/passerelle-hub/passerelle/internal/eventtype"
	"github.com/passerelle-hub/passerelle/internal/eventtype/eventtypetest"
	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

func (s *site) developer() string {
	s.t.Helper()
	return s.person("developer@dinum.example", "", false, "dinum:*:developer")
}

func TestAnEndpointIsTestedBeforeItIsEnabledAndAgainWhenItsURLChanges(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	dev, r := s.developer(), s.receiver(t)
	e := s.subscribe(dev, subscription(r.URL, map[string]any{"format": "datapass", "environment": "staging", "headers": map[string]string{"Authorization": "Bearer tres-secret"}}))
	if e.Enabled || e.Tested || e.Secret == nil || len(e.Secret.DataPass) != 64 || !strings.HasPrefix(e.Secret.Standard, "whsec_") || e.MaxInFlight != 5 {
		t.Fatalf("made: %+v", e)
	}
	if got := s.onEndpoint(e.ID, "enable", dev, nil).problem(); got != "409 endpoint_not_tested" {
		t.Error(got)
	}
	r.answer(http.StatusAccepted) // a success for Standard Webhooks alone
	if result := s.test(dev, e.ID); result.Passed || *result.Status != http.StatusAccepted {
		t.Errorf("%+v", result)
	}
	if got := s.call(http.MethodPost, fmt.Sprintf("/webhooks/%d/test", e.ID), dev, nil).problem(); got != "429 test_too_soon" {
		t.Error(got)
	}
	s.ahead.Add(int64(3 * time.Second))
	r.answer(http.StatusOK)
	result := s.test(dev, e.ID)
	if !result.Passed || !result.Webhook.Tested || result.Webhook.Enabled || result.Answer != "Bonjour\uFFFD" {
		t.Errorf("%+v", result)
	}
	got := r.last(t)
	typ, _ := eventtype.Lookup(eventtype.Test)
	if err := eventtypetest.Check(typ, eventtype.DataPassFormat, got.body); err != nil || !strings.HasPrefix(string(got.body), `{"test":true,"timestamp":"`) || len(got.body) != len(`{"test":true,"timestamp":"2026-08-06T10:30:00+02:00"}`) {
		t.Errorf("%v: %s", err, got.body)
	}
	for name, want := range map[string]string{"X-App-Environment": "staging", "Authorization": "Bearer tres-secret", "Content-Type": "application/json"} {
		if got.header.Get(name) != want {
			t.Errorf("%s: %q", name, got.header.Get(name))
		}
	}
	if got.header.Get("X-Hub-Signature-256") == "" || got.header.Get("webhook-signature") == "" || got.header.Get("webhook-id") == "" {
		t.Errorf("not both sets of headers: %v", got.header)
	}
	e.Secret = nil
	s.onEndpoint(e.ID, "enable", dev, nil).into(http.StatusOK, &e)
	if !e.Enabled || e.Secret != nil {
		t.Fatalf("%+v", e)
	}
	shown := s.get(fmt.Sprintf("/webhooks/%d", e.ID), dev)
	if strings.Contains(string(shown.body), "secret\":") || strings.Contains(string(shown.body), "tres-secret") {
		t.Errorf("a secret is shown again: %s", shown.body)
	}

	patch := func(body map[string]any) { // on the version that was read
		t.Helper()
		s.call(http.MethodPatch, fmt.Sprintf("/webhooks/%d", e.ID), dev, body, "If-Match", fmt.Sprintf(`"%d"`, e.Version)).into(http.StatusOK, &e)
	}
	patch(map[string]any{"events": []string{"*"}, "rate_limit": 2.5, "environment": nil})
	if !e.Enabled || !e.Tested || *e.RateLimit != 2.5 || e.Environment != nil {
		t.Errorf("a change of events disables: %+v", e)
	}
	patch(map[string]any{"url": r.URL + "/autre"})
	if e.Enabled || e.Tested || e.Reason != registry.ReasonRetest {
		t.Errorf("another URL is not to be tested: %+v", e)
	}
	if got := s.onEndpoint(e.ID, "enable", dev, nil).problem(); got != "409 endpoint_not_tested" {
		t.Error(got)
	}
	if got := s.call(http.MethodPatch, fmt.Sprintf("/webhooks/%d", e.ID), dev, map[string]any{"description": "x"}, "If-Match", `"1"`).problem(); got != "412 stale_version If-Match" {
		t.Error(got)
	}
	if got := s.call(http.MethodPatch, fmt.Sprintf("/webhooks/%d", e.ID), dev, map[string]any{"description": "x"}).problem(); got != "428 version-requise If-Match" {
		t.Error(got)
	}
	s.ahead.Add(int64(3 * time.Second))
	s.test(dev, e.ID)
	if r.last(t).path != "/autre" {
		t.Errorf("tested at %s", r.last(t).path)
	}
	s.onEndpoint(e.ID, "enable", dev, nil).into(http.StatusOK, &e)

	// The hub disables it: it is tested once more before it is enabled.
	s.record(&registry.DisableEndpoint{ID: e.ID, Reason: registry.ReasonGone})
	if got := s.onEndpoint(e.ID, "enable", dev, nil).problem(); got != "409 endpoint_not_tested" {
		t.Error(got)
	}
	s.ahead.Add(int64(3 * time.Second))
	s.test(dev, e.ID)
	s.onEndpoint(e.ID, "enable", dev, nil).into(http.StatusOK, &e)
	s.onEndpoint(e.ID, "disable", dev, nil).into(http.StatusOK, &e)
	s.onEndpoint(e.ID, "enable", dev, nil).into(http.StatusOK, &e)
	if mails := s.count(`select count(*) from mail where template = $1`, registry.LetterEndpointDisabled); mails != 2 {
		t.Errorf("%d mails: one to its developer, one to the ops are expected", mails)
	}

	var history struct {
		History []struct {
			Event, Actor string
		}
	}
	s.get(fmt.Sprintf("/webhooks/%d/history", e.ID), dev).into(http.StatusOK, &history)
	var events []string
	for _, line := range history.History {
		events = append([]string{line.Event}, events...)
		if !strings.HasPrefix(line.Actor, "person:") && (line.Actor != "hub" || line.Event != "disabled") {
			t.Errorf("%s by %s", line.Event, line.Actor)
		}
	}
	if diff := cmp.Diff([]string{"created", "tested", "tested", "enabled", "changed", "changed", "tested", "enabled", "disabled", "tested", "enabled", "disabled", "enabled"}, events); diff != "" {
		t.Error(diff)
	}

	s.call(http.MethodDelete, fmt.Sprintf("/webhooks/%d", e.ID), dev, nil, "If-Match", "*").into(http.StatusNoContent, nil)
	if got := s.get(fmt.Sprintf("/webhooks/%d", e.ID), dev).problem(); got != "404 introuvable" {
		t.Error(got)
	}
}

func TestASecretIsShownOnceAndRotatesWithBothSignatures(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	dev, r := s.developer(), s.receiver(t)
	body := subscription(r.URL, nil)
	var e, again endpoint
	first := s.call(http.MethodPost, "/webhooks", dev, body, "Idempotency-Key", "une-fois")
	first.into(http.StatusCreated, &e)
	repeat := s.call(http.MethodPost, "/webhooks", dev, body, "Idempotency-Key", "une-fois")
	repeat.into(http.StatusCreated, &again)
	if string(first.body) != string(repeat.body) || s.count(`select count(*) from endpoint`) != 1 {
		t.Error("the same key makes two, or loses the secret of a lost answer")
	}
	if n := s.count(`select count(*) from idempotent_answer where position($1::bytea in body) > 0`, []byte(e.Secret.DataPass)); n != 0 {
		t.Error("the secret is kept in clear")
	}
	old := *e.Secret
	e.Secret = nil
	verify := func(got received, key string, values string) bool {
		k, err := webhook.ParseKey(connectors.NewSecret(key))
		if err != nil {
			t.Fatal(err)
		}
		return webhook.SignDataPass(got.body, k) == values
	}
	s.onEndpoint(e.ID, "rotate-secret", dev, map[string]any{"overlap_seconds": 3600}).into(http.StatusOK, &e)
	fresh := e.Secret
	if fresh == nil || fresh.DataPass == old.DataPass || e.PreviousUntil == nil {
		t.Fatalf("%+v", e)
	}
	s.test(dev, e.ID)
	got := r.last(t)
	if !verify(got, old.DataPass, got.header.Get("X-Hub-Signature-256")) || !verify(got, fresh.DataPass, got.header.Get("X-Hub-Signature-256-New")) {
		t.Error("X-Hub-Signature-256 is not the old secret's, with the new one's beside it")
	}
	if len(strings.Fields(got.header.Get("webhook-signature"))) != 2 {
		t.Errorf("webhook-signature: %s", got.header.Get("webhook-signature"))
	}
	s.ahead.Add(int64(2 * time.Hour))
	dev = s.signed("developer@dinum.example")
	s.test(dev, e.ID)
	got = r.last(t)
	if !verify(got, fresh.DataPass, got.header.Get("X-Hub-Signature-256")) || got.header.Get("X-Hub-Signature-256-New") != "" || len(strings.Fields(got.header.Get("webhook-signature"))) != 1 {
		t.Error("the old secret signs after its overlap")
	}
	given := strings.Repeat("0123456789abcdef", 4)
	s.onEndpoint(e.ID, "rotate-secret", dev, map[string]any{"secret": given}).into(http.StatusOK, &e)
	if e.Secret.DataPass != given {
		t.Error("the given secret is not taken")
	}
	e.PreviousUntil = nil
	s.onEndpoint(e.ID, "end-rotation", dev, nil).into(http.StatusOK, &e)
	s.ahead.Add(int64(3 * time.Second))
	s.test(dev, e.ID)
	if got := r.last(t); e.PreviousUntil != nil || !verify(got, given, got.header.Get("X-Hub-Signature-256")) {
		t.Error("the rotation does not end when its owner says so")
	}
	if got := s.onEndpoint(e.ID, "rotate-secret", dev, map[string]any{"secret": "court", "overlap_seconds": 99999999}).problem(); got != "422 webhook /overlap_seconds /secret" {
		t.Error(got)
	}
}

func TestBadSettingsAreRefusedByFieldWithoutEffect(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	dev := s.developer()
	long := strings.Repeat("x", 2000)
	many := map[string]string{}
	for i := range 11 {
		many[fmt.Sprint("X-A", i)] = "1"
	}
	cases := map[string]struct {
		more map[string]any
		want string
	}{
		"no URL":                       {map[string]any{"url": nil}, "422 webhook /url"},
		"a URL that cannot be read":    {map[string]any{"url": "https://[::1"}, "422 webhook /url"},
		"no URL at all":                {map[string]any{"url": "bonjour"}, "422 webhook /url"},
		"another scheme":               {map[string]any{"url": "ftp://recepteur.example/"}, "422 webhook /url"},
		"plain http":                   {map[string]any{"url": "http://93.184.215.14/"}, "422 webhook /url"},
		"a user in the URL":            {map[string]any{"url": "https://jean:secret@recepteur.example/"}, "422 webhook /url"},
		"a fragment":                   {map[string]any{"url": "https://recepteur.example/#a"}, "422 webhook /url"},
		"a blank in the URL":           {map[string]any{"url": "https://recepteur.example/a b"}, "422 webhook /url"},
		"a URL too long":               {map[string]any{"url": "https://recepteur.example/" + long}, "422 webhook /url"},
		"a private address":            {map[string]any{"url": "https://10.0.0.1/"}, "422 webhook /url"},
		"a link-local address":         {map[string]any{"url": "https://169.254.169.254/latest/"}, "422 webhook /url"},
		"an IPv4-mapped address":       {map[string]any{"url": "https://[::ffff:10.0.0.1]/"}, "422 webhook /url"},
		"another loopback":             {map[string]any{"url": "https://[::1]/"}, "422 webhook /url"},
		"a forbidden port":             {map[string]any{"url": "https://93.184.215.14:25/"}, "422 webhook /url"},
		"no events":                    {map[string]any{"events": []string{}}, "422 webhook /events"},
		"an unknown event":             {map[string]any{"events": []string{"approve", "aprove"}}, "422 webhook /events/1"},
		"an event twice":               {map[string]any{"events": []string{"approve", "approve"}}, "422 webhook /events/1"},
		"an event that comes unasked":  {map[string]any{"events": []string{"webhook.test"}}, "422 webhook /events/0"},
		"events as a text":             {map[string]any{"events": "approve"}, "422 corps /events"},
		"another format":               {map[string]any{"format": "xml"}, "422 webhook /format"},
		"a secret too short":           {map[string]any{"secret": "abcd"}, "422 webhook /secret"},
		"a whsec_ too short":           {map[string]any{"secret": "whsec_AAECAwQFBgcICQoLDA0ODw=="}, "422 webhook /secret"},
		"a secret of zeroes":           {map[string]any{"secret": strings.Repeat("0", 64)}, "422 webhook /secret"},
		"a reserved header":            {map[string]any{"headers": map[string]string{"host": "a"}}, "422 webhook /headers/host"},
		"a header of ours":             {map[string]any{"headers": map[string]string{"Webhook-Id": "a"}}, "422 webhook /headers/Webhook-Id"},
		"the other dialect's header":   {map[string]any{"headers": map[string]string{"x-hub-signature-256": "a"}}, "422 webhook /headers/x-hub-signature-256"},
		"a header with a line break":   {map[string]any{"headers": map[string]string{"X-A": "a\r\nHost: b"}}, "422 webhook /headers/X-A"},
		"a header that is no name":     {map[string]any{"headers": map[string]string{"X A": "a"}}, "422 webhook /headers/X A"},
		"a header twice":               {map[string]any{"headers": map[string]string{"X-A": "a", "x-a": "b"}}, "422 webhook /headers/x-a"},
		"too many headers":             {map[string]any{"headers": many}, "422 webhook /headers"},
		"a header's value too long":    {map[string]any{"headers": map[string]string{"X-A": long}}, "422 webhook /headers/X-A"},
		"no rate":                      {map[string]any{"rate_limit": 0}, "422 corps /rate_limit"},
		"a rate too high":              {map[string]any{"rate_limit": 1e9}, "422 webhook /rate_limit"},
		"a rate that is a text":        {map[string]any{"rate_limit": "5"}, "422 corps /rate_limit"},
		"too many at once":             {map[string]any{"max_in_flight": 51}, "422 webhook /max_in_flight"},
		"another environment":          {map[string]any{"environment": "prod"}, "422 webhook /environment"},
		"a contact that is no address": {map[string]any{"contact": "Lise <a@b.example>"}, "422 webhook /contact"},
		"a description too long":       {map[string]any{"description": long}, "422 webhook /description"},
		"a key that is unknown":        {map[string]any{"enabled": true}, "422 corps /enabled"},
		"a definition that is unknown": {map[string]any{"definition_id": "rien"}, "422 webhook /definition_id"},
		"another's definition":         {map[string]any{"definition_id": "api_impot_particulier"}, "403 unauthorized_type /definition_id"},
		"a definition and an editor":   {map[string]any{"editor": "mgdis"}, "422 webhook /definition_id"},
		"neither":                      {map[string]any{"definition_id": nil}, "422 webhook /definition_id"},
		"another's editor":             {map[string]any{"definition_id": nil, "editor": "mgdis"}, "403 not_allowed /editor"},
	}
	for name, c := range cases {
		body := subscription("https://recepteur.example", c.more)
		if got := s.call(http.MethodPost, "/webhooks", dev, body).problem(); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	if n := s.count(`select count(*) from endpoint`); n != 0 {
		t.Errorf("%d endpoints were made", n)
	}
	if got := s.call(http.MethodPost, "/webhooks", dev, subscription("https://a.example", map[string]any{"description": strings.Repeat("x", maxBody)})).problem(); got != "413 corps-trop-grand" {
		t.Error(got)
	}

	// A name may resolve to anything: the address that is dialled is judged.
	e := s.subscribe(dev, subscription("https://localhost:8443", nil))
	if r := s.test(dev, e.ID); r.Passed && r.ErrorClass == "" {
		t.Errorf("%+v", r)
	}
	for i := 1; i < maxEndpoints; i++ {
		s.subscribe(dev, subscription("https://recepteur.example", nil))
	}
	if got := s.call(http.MethodPost, "/webhooks", dev, subscription("https://recepteur.example", nil)).problem(); got != "409 too_many_endpoints" {
		t.Error(got)
	}
}

func TestAMachineIsBoundToItsDefinitions(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.developer()
	add := &registry.AddApplication{Name: "machine", Scopes: auth.Scopes(), Definitions: []string{"api_particulier"}}
	s.record(add)
	issue := &registry.IssueAccessToken{Application: store.Application{ID: add.ID}, Scopes: auth.Scopes()}
	s.record(issue)
	machine := issue.Value.Reveal()
	if got := s.call(http.MethodPost, "/webhooks", machine, subscription("https://recepteur.example", nil)).problem(); got != "403 unauthorized_type /definition_id" {
		t.Error(got)
	}
	mine := s.subscribe(machine, subscription("https://recepteur.example", map[string]any{"definition_id": "api_particulier"}))
	other := s.subscribe(s.application("developer@dinum.example", auth.Scopes()...), subscription("https://recepteur.example", nil))
	var page struct {
		Webhooks []endpoint
		Next     *string `json:"next_cursor"`
	}
	s.get("/webhooks", machine).into(http.StatusOK, &page)
	if len(page.Webhooks) != 1 || page.Webhooks[0].ID != mine.ID {
		t.Errorf("%+v", page)
	}
	s.get("/webhooks?definition_id=api_entreprise", machine).into(http.StatusOK, &page)
	if len(page.Webhooks) != 0 {
		t.Errorf("another's are listed: %+v", page)
	}
	s.get("/webhooks?limit=1", s.signed("developer@dinum.example")).into(http.StatusOK, &page)
	if len(page.Webhooks) != 1 || page.Next == nil {
		t.Fatalf("%+v", page)
	}
	s.get("/webhooks?cursor="+*page.Next, s.signed("developer@dinum.example")).into(http.StatusOK, &page)
	if len(page.Webhooks) != 1 || page.Webhooks[0].ID != other.ID || page.Next != nil {
		t.Errorf("%+v", page)
	}
	for _, query := range []string{"limit=0", "limit=1000", "cursor=x", "rien=1"} {
		name, _, _ := strings.Cut(query, "=")
		if got := s.get("/webhooks?"+query, machine).problem(); got != "400 parametre "+name {
			t.Errorf("%s: %s", query, got)
		}
	}
	if got := s.get(fmt.Sprintf("/webhooks/%d", other.ID), machine).problem(); got != "404 introuvable" {
		t.Error(got)
	}
}

func TestAnEditorIsToldOfItsOwnRequestsAlone(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	var ours *habilitation.ServiceProviderProfile
	for _, p := range s.catalogue.ServiceProviders() {
		if ours == nil && len(habilitation.CheckSIRET(p.SIRET)) == 0 {
			ours = p
		}
	}
	member := s.person("dev@editeur.example", ours.SIRET, true)
	if got := s.call(http.MethodPost, "/webhooks", s.person("stagiaire@editeur.example", ours.SIRET, false),
		subscription("https://recepteur.example", map[string]any{"definition_id": nil, "editor": ours.ID})).problem(); got != "403 not_allowed /editor" {
		t.Errorf("a link that is not verified: %s", got)
	}
	r := s.receiver(t)
	own := s.subscribe(member, subscription(r.URL, map[string]any{"definition_id": nil, "editor": ours.ID, "format": "datapass"}))
	sent, err := s.registry.Tell(t.Context(), registry.Happening{
		Type: "token.issued", Definition: "api_particulier", Editor: ours.ID, Subject: "request/1", Data: map[string]any{}, Shown: []byte(`{"event":"token.issued"}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	add := &registry.AddApplication{Name: "exploitation", Scopes: auth.Scopes(), Definitions: []string{"*"}}
	s.record(add)
	issue := &registry.IssueAccessToken{Application: store.Application{ID: add.ID}, Scopes: auth.Scopes()}
	s.record(issue)
	for name, c := range map[string]struct {
		bearer string
		status int
		shows  string
	}{
		"the editor that it was sent to":    {member, http.StatusOK, `"body":{"event":"token.issued"}`},
		"a machine that reads all webhooks": {issue.Value.Reveal(), http.StatusOK, `"body_hidden":`},
		"another editor":                    {s.person("dev@autre.example", ccas, true), http.StatusNotFound, ""},
	} {
		a := s.get(fmt.Sprintf("/webhooks/%d/messages/%s", own.ID, sent), c.bearer)
		if a.status != c.status || !strings.Contains(string(a.body), c.shows) {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	s.call(http.MethodDelete, fmt.Sprintf("/webhooks/%d", own.ID), member, nil, "If-Match", "*")
	ids := map[int64]string{}
	for _, name := range []string{ours.ID, ours.SIRET} {
		e := s.subscribe(member, subscription(r.URL, map[string]any{"definition_id": nil, "editor": name, "events": []string{"*"}}))
		s.test(member, e.ID)
		s.onEndpoint(e.ID, "enable", member, nil).into(http.StatusOK, &e)
		ids[e.ID] = name
	}
	tell := func(h registry.Happening) int {
		t.Helper()
		h.Type, h.Definition, h.Subject, h.Data = "qf.available", "api_particulier", "qf/"+h.Editor, map[string]any{"siret": ccas}
		id, err := s.registry.Tell(t.Context(), h)
		if err != nil {
			t.Fatal(err)
		}
		return s.count(`select count(*) from delivery where event_id = $1`, id)
	}
	for name, c := range map[string]struct {
		h    registry.Happening
		want int
	}{
		"its own, by id":                         {registry.Happening{Editor: ours.ID}, 2},
		"its own, by SIRET":                      {registry.Happening{Editor: ours.SIRET}, 1},
		"another product of the same house":      {registry.Happening{Editor: "nouveau-produit", EditorSIRET: ours.SIRET}, 1},
		"another's":                              {registry.Happening{Editor: "autre-editeur", EditorSIRET: ccas}, 0},
		"another's, by SIRET":                    {registry.Happening{Editor: ccas}, 0},
		"its id, with another's SIRET":           {registry.Happening{Editor: ours.ID, EditorSIRET: ccas}, 2},
		"none's":                                 {registry.Happening{}, 0},
		"none's, of a form that names no editor": {registry.Happening{EditorSIRET: ours.SIRET}, 0},
	} {
		if got := tell(c.h); got != c.want {
			t.Errorf("%s reaches %d endpoints, want %d", name, got, c.want)
		}
	}
	stranger := s.person("dev@autre.example", ccas, true)
	for id := range ids {
		if got := s.get(fmt.Sprintf("/webhooks/%d", id), stranger).problem(); got != "404 introuvable" {
			t.Error(got)
		}
	}
	var page struct{ Webhooks []endpoint }
	s.get("/webhooks", member).into(http.StatusOK, &page)
	if len(page.Webhooks) != 2 {
		t.Errorf("%+v", page)
	}
}

func TestANameThatLeadsToAPrivateAddressIsRefusedWhenItIsTested(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	guarded, err := outbound.Public(outbound.PublicSettings{Ports: []int{443, 8443}}, zerolog.Nop()) // allows nothing private
	if err != nil {
		t.Fatal(err)
	}
	s.handler.Tester.Deliverer = webhook.New(guarded)
	dev := s.developer()
	e := s.subscribe(dev, subscription("https://localhost:8443/", nil)) // what a name leads to is judged when it is dialled
	if e.Enabled {
		t.Error("it is enabled untested")
	}
	var result struct {
		Passed bool    `json:"passed"`
		Status *int    `json:"status"`
		Class  *string `json:"error_class"`
		Error  *string `json:"error"`
	}
	a := s.onEndpoint(e.ID, "test", dev, nil)
	a.into(http.StatusOK, &result)
	if result.Passed || result.Status != nil || result.Class == nil || *result.Class != "blocked" {
		t.Errorf("its test: %s", a.body)
	}
	if got := s.onEndpoint(e.ID, "enable", dev, nil).problem(); got != "409 endpoint_not_tested" {
		t.Error(got)
	}
}
