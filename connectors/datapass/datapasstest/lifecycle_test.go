package datapasstest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// steps are the events that a test plays by name.
func (p *play) step(ctx context.Context, id int64, event EventName) error {
	switch event {
	case EventUpdate:
		return second(p.Update(ctx, id, Fields{"intitule": Text("Nouveau titre")}))
	case EventSubmit:
		return second(p.Submit(ctx, id))
	case EventRequestChanges:
		return second(p.RequestChanges(ctx, id, "Précisez le cadre juridique"))
	case EventApprove:
		return second(p.Approve(ctx, id, Approval{}))
	case EventRefuse:
		return second(p.Refuse(ctx, id, "Hors du cadre juridique"))
	case EventRevoke:
		return second(p.Revoke(ctx, id, "Fin de la mission"))
	case EventArchive:
		return second(p.Archive(ctx, id))
	case EventReopen:
		return second(p.Reopen(ctx, id))
	case EventCancelReopening:
		return second(p.CancelReopening(ctx, id, "Plus nécessaire"))
	case EventStartNextStage:
		return p.StartNextStage(ctx, id)
	case EventCancelNextStage:
		return p.CancelNextStage(ctx, id)
	}
	return fmt.Errorf("no step for %s", event)
}

func (p *play) steps(id int64, events ...EventName) {
	p.t.Helper()
	for _, event := range events {
		if err := p.step(p.t.Context(), id, event); err != nil {
			p.t.Fatalf("%s: %v", event, err)
		}
	}
}

func TestEachStateAllowsTheEventsOfTheTableAndNoOther(t *testing.T) {
	t.Parallel()
	all := []EventName{
		EventUpdate, EventSubmit, EventRequestChanges, EventApprove, EventRefuse, EventRevoke, EventArchive,
		EventReopen, EventCancelReopening, EventStartNextStage, EventCancelNextStage,
	}
	// After these events, exactly these are legal, and lead there.
	cases := map[string]struct {
		path  []EventName
		legal map[EventName]State
	}{
		"a new request": {nil, map[EventName]State{
			EventUpdate: Draft, EventSubmit: Submitted, EventArchive: Archived,
		}},
		"a submitted one": {[]EventName{EventSubmit}, map[EventName]State{
			EventRequestChanges: ChangesRequested, EventApprove: Validated, EventRefuse: Refused,
		}},
		"one to change": {[]EventName{EventSubmit, EventRequestChanges}, map[EventName]State{
			EventUpdate: ChangesRequested, EventSubmit: Submitted, EventApprove: Validated, EventRefuse: Refused,
		}},
		"a validated one": {[]EventName{EventSubmit, EventApprove}, map[EventName]State{
			EventRevoke: Revoked, EventReopen: Draft,
		}},
		"a refused one":   {[]EventName{EventSubmit, EventRefuse}, map[EventName]State{EventArchive: Archived}},
		"a revoked one":   {[]EventName{EventSubmit, EventApprove, EventRevoke}, map[EventName]State{EventArchive: Archived}},
		"an archived one": {[]EventName{EventArchive}, nil},
		"a reopened one, whose habilitation is still active": {[]EventName{EventSubmit, EventApprove, EventReopen}, map[EventName]State{
			EventUpdate: Draft, EventSubmit: Submitted, EventCancelReopening: Validated,
		}},
		"a submitted update": {[]EventName{EventSubmit, EventApprove, EventReopen, EventSubmit}, map[EventName]State{
			EventRequestChanges: ChangesRequested, EventApprove: Validated, EventRefuse: Validated, EventCancelReopening: Validated,
		}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, event := range all {
				p := newPlay(t)
				id := p.create(APIParticulier()).ID
				p.steps(id, c.path...)
				before := p.get(id)
				err := p.step(t.Context(), id, event)
				after := p.get(id)
				want, legal := c.legal[event]
				switch {
				case legal && err != nil:
					t.Errorf("%s is refused: %v", event, err)
				case legal && after.State != want:
					t.Errorf("%s leads to %s, not to %s", event, after.State, want)
				case !legal && !errors.Is(err, ErrIllegal):
					t.Errorf("%s is allowed (%v)", event, err)
				case !legal:
					if diff := cmp.Diff(before, after); diff != "" {
						t.Errorf("%s is refused and yet changes the request:\n%s", event, diff)
					}
				}
			}
		})
	}
}

func TestDecisionsNeedAReason(t *testing.T) {
	t.Parallel()
	p, ctx := newPlay(t), t.Context()
	id := p.create(APIParticulier()).ID
	p.steps(id, EventSubmit)
	if err := second(p.Refuse(ctx, id, " ")); !errors.Is(err, ErrIllegal) {
		t.Errorf("refuse: %v", err)
	}
	if err := second(p.RequestChanges(ctx, id, "")); !errors.Is(err, ErrIllegal) {
		t.Errorf("request_changes: %v", err)
	}
	p.steps(id, EventApprove)
	if err := second(p.Revoke(ctx, id, "")); !errors.Is(err, ErrIllegal) {
		t.Errorf("revoke: %v", err)
	}
}

func TestAnUpdateThatIsRefusedSendsTheRejectedDataThenRestores(t *testing.T) {
	t.Parallel()
	for _, event := range []EventName{EventRefuse, EventCancelReopening} {
		t.Run(string(event), func(t *testing.T) {
			t.Parallel()
			p := newPlay(t)
			p.subscribeAll("api_particulier")
			id := p.create(APIParticulier()).ID
			p.steps(id, EventSubmit, EventApprove, EventReopen, EventUpdate, EventSubmit, event)
			deliveries := p.Deliveries()
			body := decode(t, deliveries[len(deliveries)-1].Body)
			if got := body.Data.Data["intitule"]; got != "Nouveau titre" || body.Data.State != "validated" {
				t.Errorf("the webhook carries %q in state %s", got, body.Data.State)
			}
			r := p.get(id)
			if got := *r.Fields["intitule"]; got != "Tarification des services à l'enfance de Valbrise-sur-Ormes" {
				t.Errorf("the request holds %q", got)
			}
			if r.State != Validated || r.Habilitations[0].State != GrantActive || r.LastValidatedAt.IsZero() {
				t.Errorf("the request is %s, its habilitation %s", r.State, r.Habilitations[0].State)
			}
		})
	}
}

func TestASecondApprovalMakesTheFirstHabilitationObsolete(t *testing.T) {
	t.Parallel()
	p := newPlay(t)
	id := p.create(APIParticulier()).ID
	p.steps(id, EventSubmit, EventApprove, EventReopen)
	if !p.get(id).Reopening {
		t.Error("a reopened request is not reopening")
	}
	p.steps(id, EventUpdate, EventSubmit, EventApprove)
	r := p.get(id)
	states := []GrantState{r.Habilitations[0].State, r.Habilitations[1].State}
	if diff := cmp.Diff([]GrantState{GrantObsolete, GrantActive}, states); diff != "" || r.Reopening {
		t.Errorf("reopening %t:\n%s", r.Reopening, diff)
	}
	if *r.Habilitations[0].Fields["intitule"] == *r.Habilitations[1].Fields["intitule"] {
		t.Error("the first snapshot follows the update")
	}
}

func TestAnArchivedRequestThatWasOnceReopenedStillSaysReopening(t *testing.T) {
	t.Parallel()
	p := newPlay(t)
	id := p.create(APIParticulier()).ID
	p.steps(id, EventSubmit, EventApprove, EventReopen, EventCancelReopening, EventRevoke, EventArchive)
	if r := p.get(id); !r.Reopening || r.State != Archived {
		t.Errorf("%s, reopening %t", r.State, r.Reopening)
	}
}

func TestRevokingOneHabilitation(t *testing.T) {
	t.Parallel()
	ctx := t.Context()

	t.Run("the last active one revokes the request", func(t *testing.T) {
		t.Parallel()
		p := newPlay(t)
		p.subscribeAll("api_particulier")
		id := p.create(APIParticulier()).ID
		p.steps(id, EventSubmit, EventApprove)
		got := p.must(p.RevokeHabilitation(ctx, p.get(id).Habilitations[0].ID, "Fin"))
		r := p.get(id)
		if r.State != Revoked || r.Habilitations[0].State != GrantRevoked || len(got) != 1 {
			t.Errorf("%s, %s, %d webhooks", r.State, r.Habilitations[0].State, len(got))
		}
		body := decode(t, got[0].Body)
		if body.Data.Authorizations[0].State != "revoked" || body.Data.Authorizations[0].Revoked {
			t.Errorf("the boolean revoked is written: %+v", body.Data.Authorizations[0])
		}
	})

	t.Run("an active one during an update leaves the request in its state", func(t *testing.T) {
		t.Parallel()
		p := newPlay(t)
		id := p.create(APIParticulier()).ID
		p.steps(id, EventSubmit, EventApprove, EventReopen)
		p.must(p.RevokeHabilitation(ctx, p.get(id).Habilitations[0].ID, "Fin"))
		if r := p.get(id); r.State != Draft || r.Habilitations[0].State != GrantRevoked {
			t.Errorf("%s, %s", r.State, r.Habilitations[0].State)
		}
	})

	t.Run("an obsolete one sends everything and changes nothing", func(t *testing.T) {
		t.Parallel()
		p := newPlay(t)
		p.subscribeAll("api_particulier")
		id := p.create(APIParticulier()).ID
		p.steps(id, EventSubmit, EventApprove, EventReopen, EventUpdate, EventSubmit, EventApprove)
		got := p.must(p.RevokeHabilitation(ctx, p.get(id).Habilitations[0].ID, "Fin"))
		r := p.get(id)
		if len(got) != 1 || r.State != Validated || r.Habilitations[0].State != GrantObsolete {
			t.Errorf("%d webhooks, %s, %s", len(got), r.State, r.Habilitations[0].State)
		}
	})
}

// certified is a form certified by FranceConnect, whose approval grants twice.
func certified() Filing {
	f := APIParticulier()
	f.Form, f.FranceConnectCertified = "api-particulier-entrouvert-publik", true
	f.ServiceProvider = &ServiceProvider{ID: "entrouvert", Type: "editor"}
	f.Fields = f.Fields.With(Fields{
		"modalities": List("params", "france_connect"),
		"scopes": List("cnaf_quotient_familial", "openid", "family_name", "given_name", "birthdate",
			"birthplace", "birthcountry", "gender"),
		"fc_cadre_juridique_nature": Text("Arrêté du 8 novembre 2018"), "fc_eidas": Text("eidas_1"),
		"fc_alternative_connexion": Text("1"),
	})
	return f
}

func TestACertifiedFormGrantsALinkedFranceConnectHabilitation(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	p := newPlay(t)
	p.Hold(true)
	main := p.AddSubscription(Subscription{Definition: "api_particulier", URL: "http://127.0.0.1:1/"})
	linked := p.AddSubscription(Subscription{Definition: "france_connect", URL: "http://127.0.0.1:1/"})
	id := p.create(certified()).ID
	p.steps(id, EventSubmit)
	got := p.must(p.Approve(ctx, id, Approval{}))

	r := p.get(id)
	parent, child := r.Habilitations[0], r.Habilitations[1]
	if child.ParentID != parent.ID || child.Definition != "france_connect" {
		t.Fatalf("the second habilitation is not linked: %+v", child)
	}
	for _, fields := range []Fields{r.Fields, parent.Fields} {
		if text := fields["france_connect_authorization_id"]; text == nil || *text != fmt.Sprint(child.ID) {
			t.Errorf("france_connect_authorization_id is %v", text)
		}
	}
	if len(got) != 2 || got[0].SubscriptionID != main.ID || got[1].SubscriptionID != linked.ID {
		t.Fatalf("want one webhook for each definition, got %+v", got)
	}
	body := decode(t, got[1].Body)
	if body.ModelType != "authorization_request/france_connect" || body.Data.Type != "AuthorizationRequest::FranceConnect" ||
		body.Data.ID != id || body.Data.FormUID != r.Form || len(body.Data.Authorizations) != 0 || body.Data.State != "validated" {
		t.Errorf("the linked webhook is %+v", body)
	}
	scopes := []any{"birthcountry", "birthdate", "birthplace", "family_name", "gender", "given_name", "openid"}
	if diff := cmp.Diff(scopes, body.Data.Data["scopes"]); diff != "" || body.Data.Data["alternative_connexion"] != true {
		t.Errorf("the linked data: %v\n%s", body.Data.Data, diff)
	}
	if last := r.Events[len(r.Events)-1].Name; last != EventAutoGenerate {
		t.Errorf("the last event is %s", last)
	}

	twice := p.must(p.RevokeHabilitation(ctx, parent.ID, "Fin"))
	if len(twice) != 2 || twice[0].SubscriptionID != main.ID || twice[1].SubscriptionID != main.ID {
		t.Errorf("want two revoke webhooks for api_particulier and none for france_connect, got %+v", twice)
	}
	if first, last := decode(t, twice[0].Body), decode(t, twice[1].Body); first.Data.State != "validated" || last.Data.State != "revoked" {
		t.Errorf("states %s then %s", first.Data.State, last.Data.State)
	}
}

func TestStages(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	sandbox := APIParticulier()
	sandbox.Definition, sandbox.Form = "api_impot_particulier_sandbox", "api-impot-particulier-sandbox"
	sandbox.Fields = sandbox.Fields.With(Fields{"modalities": List("with_spi"), "scopes": List("dgfip_rfr")})

	p := newPlay(t)
	p.subscribeAll("api_impot_particulier")
	id := p.create(sandbox).ID
	p.steps(id, EventSubmit, EventApprove, EventStartNextStage)
	if r := p.get(id); r.Definition != "api_impot_particulier" || r.Form != "api-impot-particulier-production" || r.State != Draft || r.Reopening {
		t.Fatalf("%s %s %s", r.Definition, r.Form, r.State)
	}
	p.steps(id, EventCancelNextStage)
	if r := p.get(id); r.Definition != sandbox.Definition || r.Form != sandbox.Form || r.State != Validated {
		t.Fatalf("%s %s %s", r.Definition, r.Form, r.State)
	}
	p.steps(id, EventStartNextStage, EventSubmit, EventApprove)
	r := p.get(id)
	if r.Habilitations[0].State != GrantActive || r.Habilitations[1].State != GrantActive {
		t.Fatalf("each stage keeps an active habilitation: %+v", r.Habilitations)
	}
	p.must(p.ReopenHabilitation(ctx, r.Habilitations[0].ID))
	if r := p.get(id); r.Definition != sandbox.Definition || !r.Reopening {
		t.Errorf("reopening the sandbox one keeps %s", r.Definition)
	}
	events := []EventName{}
	for _, d := range p.Deliveries() {
		events = append(events, d.Event)
	}
	// start_next_stage and cancel_next_stage are never sent.
	if diff := cmp.Diff([]EventName{EventSubmit, EventApprove}, events); diff != "" {
		t.Error(diff)
	}
}

func TestTransfers(t *testing.T) {
	t.Parallel()
	p, ctx := newPlay(t), t.Context()
	p.subscribeAll("api_particulier")
	id := p.create(APIParticulier()).ID
	p.steps(id, EventSubmit, EventApprove)
	if err := second(p.Transfer(ctx, id, Applicant{Email: "Jeanne.Morvan@valbrise-sur-ormes.example"})); !errors.Is(err, ErrIllegal) {
		t.Errorf("to himself: %v", err)
	}
	if err := second(p.Transfer(ctx, id, Applicant{Email: "x@ailleurs.example", Organization: "21350998700011"})); !errors.Is(err, ErrIllegal) {
		t.Errorf("outside the organisation: %v", err)
	}
	got := p.must(p.Transfer(ctx, id, Applicant{Email: "Lise.Armand@valbrise-sur-ormes.example", GivenName: "Lise"}))
	if body := decode(t, got[0].Body); body.Event != "transfer" || body.Data.Applicant.Email != "lise.armand@valbrise-sur-ormes.example" {
		t.Errorf("%+v", body)
	}
	if r := p.get(id); r.Habilitations[0].Applicant.GivenName != "Jeanne" {
		t.Error("the habilitation does not keep its applicant")
	}
	moved := p.must(p.TransferToOrganization(ctx, id, plouvenez()))
	if body := decode(t, moved[0].Body); body.Data.Organization.SIRET != "21350998700011" {
		t.Errorf("%+v", body.Data.Organization)
	}
}

func TestInventedRequestsAreDistinctAndValid(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for n := range 1000 {
		f := Invented(n)
		for _, key := range []string{f.PublicID, f.Organization.SIRET, f.Applicant.Email, f.Organization.Name} {
			if seen[key] {
				t.Fatalf("%d: %s was already there", n, key)
			}
			seen[key] = true
		}
		if siret := f.Organization.SIRET; len(siret) != 14 || !luhn(siret) || !luhn(siret[:9]) {
			t.Fatalf("%d: SIRET %s", n, siret)
		}
	}
	if diff := cmp.Diff(Invented(7), Invented(7)); diff != "" {
		t.Error(diff)
	}
	var insee struct {
		Etablissement struct{ Siret string }
	}
	f := Invented(999_999)
	if err := json.Unmarshal(f.Organization.INSEE, &insee); err != nil || insee.Etablissement.Siret != f.Organization.SIRET {
		t.Errorf("INSEE's answer names %q (%v)", insee.Etablissement.Siret, err)
	}
}

// luhn doubles every second digit from the right, as INSEE's rule says.
func luhn(digits string) bool {
	sum := 0
	for i, c := range slices.Backward([]byte(digits)) {
		d := int(c - '0')
		if (len(digits)-1-i)%2 == 1 {
			d *= 2
		}
		sum += d/10 + d%10
	}
	return sum%10 == 0
}

func TestClassNames(t *testing.T) {
	t.Parallel()
	for uid, want := range map[string]string{
		"api_particulier":               "AuthorizationRequest::APIParticulier",
		"api_impot_particulier_sandbox": "AuthorizationRequest::APIImpotParticulierSandbox",
		"hubee_cert_dc":                 "AuthorizationRequest::HubEECertDC",
		"hubee_dila":                    "AuthorizationRequest::HubEEDila",
		"formulaire_qf":                 "AuthorizationRequest::FormulaireQF",
		"france_connect":                "AuthorizationRequest::FranceConnect",
	} {
		if got := className(uid); got != want {
			t.Errorf("%s: %s", uid, got)
		}
	}
}

// sent is what a receiver reads of a body.
type sent struct {
	Event     string `json:"event"`
	FiredAt   int64  `json:"fired_at"`
	ModelType string `json:"model_type"`
	ModelID   int64  `json:"model_id"`
	Data      struct {
		ID           int64          `json:"id"`
		Type         string         `json:"type"`
		State        string         `json:"state"`
		FormUID      string         `json:"form_uid"`
		Data         map[string]any `json:"data"`
		Organization struct {
			SIRET string `json:"siret"`
		} `json:"organization"`
		Applicant struct {
			Email string `json:"email"`
		} `json:"applicant"`
		Authorizations []struct {
			ID      int64  `json:"id"`
			State   string `json:"state"`
			Revoked bool   `json:"revoked"`
		} `json:"authorizations"`
	} `json:"data"`
}

func decode(t *testing.T, body []byte) sent {
	t.Helper()
	var out sent
	if err := json.Unmarshal(body, &out); err != nil {
		t.Fatal(err)
	}
	return out
}
