package habilitation_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	hab "github.com/passerelle-hub/passerelle/internal/habilitation"
)

// told is a source that went through these events, a minute apart, and the
// bodies it sent.
func told(definition string, events ...string) []body {
	s := newSource(definition)
	for _, e := range events {
		s.tick(time.Minute)
		s.fire(e)
	}
	return s.sent
}

func kinds(consequences []hab.Consequence) []string {
	var list []string
	for _, c := range consequences {
		switch c := c.(type) {
		case hab.IssueCredentials:
			list = append(list, "issue "+c.Definition+" "+hab.EncodeList(c.Scopes))
		case hab.UpdateGrants:
			list = append(list, "update "+c.Definition+" "+hab.EncodeList(c.Scopes))
		case hab.RevokeCredentials:
			list = append(list, "revoke "+c.Definition)
		case hab.ApplyArchivePolicy:
			list = append(list, "archive policy")
		case hab.CancelPendingHandovers:
			list = append(list, "cancel handovers")
		case hab.CancelPendingWork:
			list = append(list, "cancel work")
		case hab.NotifyWebhooks:
			list = append(list, "tell "+string(c.Event)+" to "+c.Definition)
		case hab.ReadSource:
			list = append(list, "read source")
		}
	}
	return list
}

// tokens.md, 5, event by event, in the order in which DataPass sends.
func TestWhatAMirroredEventCauses(t *testing.T) {
	for _, c := range []struct {
		sentence   string
		definition string
		events     []string
		want       []string
	}{
		{"a creation tells", "api_entreprise", nil, []string{"tell create to api_entreprise"}},
		{"a submission tells", "api_entreprise", []string{"submit"}, []string{"tell submit to api_entreprise"}},
		{"the first approval issues", "api_entreprise", []string{"submit", "approve"}, []string{`issue api_entreprise ["a"]`, "tell approve to api_entreprise"}},
		{
			"a linked FranceConnect habilitation is issued too", "api_particulier",
			[]string{"submit", "approve"},
			[]string{`issue api_particulier ["a"]`, `issue france_connect ["a"]`, "tell approve to api_particulier", "tell approve to france_connect"},
		},
		{"reopening changes no credential", "api_entreprise", []string{"submit", "approve", "reopen"}, []string{"tell reopen to api_entreprise"}},
		{
			"the approval of an update changes the rights, not the credential", "api_entreprise",
			[]string{"submit", "approve", "reopen", "update", "submit", "approve"},
			[]string{`update api_entreprise ["a", "s9002"]`, "tell approve to api_entreprise"},
		},
		{"the refusal of an update changes nothing", "api_entreprise", []string{"submit", "approve", "reopen", "update", "submit", "refuse"}, []string{"tell refuse to api_entreprise"}},
		{"dropping an update changes nothing", "api_entreprise", []string{"submit", "approve", "reopen", "update", "cancel_reopening"}, []string{"tell cancel_reopening to api_entreprise"}},
		{"the refusal of a first request cancels what was prepared", "api_entreprise", []string{"submit", "refuse"}, []string{"cancel work", "tell refuse to api_entreprise"}},
		{"a revocation revokes", "api_entreprise", []string{"submit", "approve", "revoke"}, []string{"revoke api_entreprise", "tell revoke to api_entreprise"}},
		{
			"a revocation revokes what is linked", "api_particulier",
			[]string{"submit", "approve", "revoke"},
			[]string{"revoke api_particulier", "revoke france_connect", "tell revoke to api_particulier", "tell revoke to france_connect"},
		},
		{"archiving applies the policy", "api_entreprise", []string{"submit", "approve", "revoke", "archive"}, []string{"archive policy", "tell archive to api_entreprise"}},
		{"a transfer cancels what waits to be handed over", "api_entreprise", []string{"submit", "transfer"}, []string{"cancel handovers", "tell transfer to api_entreprise"}},
		{
			"each stage issues its own", "api_ficoba_sandbox",
			[]string{"submit", "approve", "start_next_stage", "submit", "approve"},
			[]string{`issue api_ficoba ["a"]`, "tell approve to api_ficoba"},
		},
		{
			"revoking one stage leaves the other", "api_ficoba_sandbox",
			[]string{"submit", "approve", "start_next_stage", "submit", "approve", "revoke_one"},
			[]string{"revoke api_ficoba_sandbox", "tell revoke to api_ficoba"},
		},
		{
			"a stage approved again shows two active ones: the newest counts", "api_ficoba_sandbox",
			[]string{"submit", "approve", "reopen", "update", "submit", "approve"},
			[]string{`update api_ficoba_sandbox ["a", "s9002"]`, "tell approve to api_ficoba_sandbox"},
		},
	} {
		t.Run(c.sentence, func(t *testing.T) {
			m := newMirror()
			for _, b := range told(c.definition, c.events...) {
				if v := m.receive(b); v.Outcome != hab.Applied {
					t.Fatalf("%s: %+v", b.event, v)
				}
			}
			if diff := cmp.Diff(c.want, kinds(m.change.Consequences)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTheStatesAreTrustedWhenAnEventWasLost(t *testing.T) {
	for _, c := range []struct {
		sentence string
		events   []string
		seen     []int // bodies that arrive, -1 counting from the end
		inferred []hab.EventName
		want     []string
	}{
		{"an update shows an approval", []string{"submit", "approve", "transfer"}, []int{0, 3}, []hab.EventName{"approve"}, []string{`issue api_entreprise ["a"]`, "cancel handovers", "tell approve to api_entreprise", "tell transfer to api_entreprise"}},
		{"the first body ever shows one", []string{"submit", "approve", "reopen"}, []int{3}, []hab.EventName{"approve"}, []string{`issue api_entreprise ["a"]`, "tell approve to api_entreprise", "tell reopen to api_entreprise"}},
		{"an archive shows a revocation", []string{"submit", "approve", "revoke", "archive"}, []int{2, 4}, []hab.EventName{"revoke"}, []string{"revoke api_entreprise", "archive policy", "tell revoke to api_entreprise", "tell archive to api_entreprise"}},
		{"a revocation never preceded by an approval revokes nothing", []string{"submit", "approve", "revoke"}, []int{1, 3}, nil, []string{"tell revoke to api_entreprise"}},
	} {
		t.Run(c.sentence, func(t *testing.T) {
			bodies, m := told("api_entreprise", c.events...), newMirror()
			for _, i := range c.seen {
				m.receive(bodies[i])
			}
			if diff := cmp.Diff(c.want, kinds(m.change.Consequences)); diff != "" {
				t.Error(diff)
			}
			var inferred []hab.EventName
			for _, e := range m.change.Events {
				if e.Inferred {
					inferred = append(inferred, e.Name)
				}
			}
			if diff := cmp.Diff(c.inferred, inferred); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A read of the source's API has no event name: it repairs what was lost.
func TestAReadOfTheSourceRepairsWhatWasLost(t *testing.T) {
	bodies, m := told("api_entreprise", "submit", "approve"), newMirror()
	m.receive(bodies[0])
	m.current.ServiceProvider = &hab.ServiceProvider{ID: "mgdis", Type: "editor"}
	m.current.Applicant.UID, m.current.Organization.INSEEPayload = "5d2b0f0c", []byte(`{"etablissement":{}}`)
	read := bodies[2]
	read.event = ""
	read.request.Organization.Name = ""
	if v := m.receive(read); v.Outcome != hab.Applied {
		t.Fatalf("got %+v", v)
	}
	if diff := cmp.Diff([]string{`issue api_entreprise ["a"]`, "tell approve to api_entreprise"}, kinds(m.change.Consequences)); diff != "" {
		t.Error(diff)
	}
	r := m.current
	if r.ServiceProvider == nil || r.Applicant.UID == "" || r.Organization.Name == "" || r.Organization.INSEEPayload == nil {
		t.Errorf("what the API does not say was lost: %+v", r)
	}
	if v := m.receive(read); v.Outcome != hab.NoEffect || len(m.change.Events) != 0 {
		t.Errorf("a second read: %+v, %+v", v, m.change.Events)
	}
}

func TestWhatIsNotAState(t *testing.T) {
	approved := told("api_particulier", "submit", "approve")
	linked := body{event: "approve", firedAt: approved[2].firedAt, request: deepCopy(approved[2].request)}
	linked.request.Definition, linked.request.Habilitations, linked.request.Data = "france_connect", nil, answers("openid")
	unknown := body{event: "frobnicate", firedAt: approved[2].firedAt, request: approved[2].request}
	strange := body{event: "update", firedAt: approved[2].firedAt, request: deepCopy(approved[2].request)}
	strange.request.State = "suspended"
	strangeGrant := body{event: "update", firedAt: approved[2].firedAt, request: deepCopy(approved[2].request)}
	strangeGrant.request.Habilitations[0].State = "paused"
	bare := body{event: "approve", firedAt: approved[2].firedAt, request: deepCopy(approved[2].request)}
	bare.request.Habilitations = nil
	for _, c := range []struct {
		sentence string
		before   []body
		body     body
		want     hab.Outcome
	}{
		{"an unknown event", approved[:2], unknown, hab.Parked},
		{"an unknown state", approved[:2], strange, hab.Parked},
		{"an unknown state of an habilitation", approved[:2], strangeGrant, hab.Parked},
		{"an approval without any habilitation", approved[:2], bare, hab.Parked},
		{"the linked FranceConnect webhook before the request's own", nil, linked, hab.Parked},
		{"the linked FranceConnect webhook after it", approved, linked, hab.NoEffect},
	} {
		t.Run(c.sentence, func(t *testing.T) {
			m := newMirror()
			for _, b := range c.before {
				m.receive(b)
			}
			before := m.current
			v := m.receive(c.body)
			if v.Outcome != c.want || v.Reason == "" {
				t.Fatalf("got %+v", v)
			}
			if diff := cmp.Diff(before, m.current); diff != "" {
				t.Errorf("it changed the request:\n%s", diff)
			}
			if want := c.want == hab.Parked; want != (len(only[hab.ReadSource](m.change)) == 1) || len(m.change.Events) != 0 {
				t.Errorf("got %+v", m.change)
			}
		})
	}
}

// datapass.md, 2.10: DataPass builds the body before it restores the answers.
func TestTheRejectedAnswersAreNotTaken(t *testing.T) {
	for _, event := range []string{"refuse", "cancel_reopening"} {
		t.Run(event, func(t *testing.T) {
			m := newMirror()
			for _, b := range told("api_entreprise", "submit", "approve", "reopen", "update", "submit", event) {
				m.receive(b)
			}
			if diff := cmp.Diff(answers("a"), m.current.Data); diff != "" {
				t.Error(diff)
			}
			if m.current.State != hab.Validated || m.current.Reopening {
				t.Errorf("got %+v", m.current)
			}
		})
	}
}

func TestEventsOfTheSameSecond(t *testing.T) {
	for _, c := range []struct {
		sentence string
		events   []string
		arrival  []int
		state    hab.State
		late     int // how many of them
	}{
		{"a submission after the approval it led to", []string{"submit", "approve"}, []int{0, 2, 1}, hab.Validated, 1},
		{"a creation after the submission", []string{"submit"}, []int{1, 0}, hab.Submitted, 1},
		{"a request for changes after the refusal", []string{"submit", "request_changes", "refuse"}, []int{0, 1, 3, 2}, hab.Refused, 1},
		{"a submission after the request for changes", []string{"submit", "request_changes"}, []int{0, 2, 1}, hab.ChangesRequested, 1},
		{"an approval after the revocation", []string{"submit", "approve", "revoke"}, []int{0, 1, 3, 2}, hab.Revoked, 1},
		{"an approval after the reopening", []string{"submit", "approve", "reopen"}, []int{0, 1, 3, 2}, hab.Draft, 1},
		{"a reopening after it was dropped", []string{"submit", "approve", "reopen", "cancel_reopening"}, []int{0, 1, 2, 4, 3}, hab.Validated, 1},
		{"a refusal after the archive", []string{"submit", "refuse", "archive"}, []int{0, 1, 3, 2}, hab.Archived, 1},
		{"everything in order", []string{"submit", "request_changes", "submit", "approve", "reopen", "update", "submit", "approve"}, []int{0, 1, 2, 3, 4, 5, 6, 7, 8}, hab.Validated, 0},
	} {
		t.Run(c.sentence, func(t *testing.T) {
			s := newSource("api_entreprise")
			for _, e := range c.events {
				s.tick(10 * time.Millisecond)
				s.fire(e)
			}
			m, late := newMirror(), 0
			for _, i := range c.arrival {
				if m.receive(s.sent[i]).Outcome == hab.Late {
					late++
				}
			}
			if m.current.State != c.state || late != c.late {
				t.Errorf("got %s with %d late", m.current.State, late)
			}
		})
	}
}

// The clocks of two machines of the source may differ.
func TestALateBodyThatProvesItselfNewerAsksForARead(t *testing.T) {
	bodies, m := told("api_entreprise", "submit", "approve"), newMirror()
	bodies[1].firedAt = bodies[2].firedAt.Add(time.Second)
	m.receive(bodies[0])
	m.receive(bodies[1])
	if v := m.receive(bodies[2]); v.Outcome != hab.Late {
		t.Fatalf("got %+v", v)
	}
	if diff := cmp.Diff([]string{"read source"}, kinds(m.change.Consequences)); diff != "" {
		t.Error(diff)
	}
}

func TestAHabilitationKeepsItsFirstHolder(t *testing.T) {
	m := newMirror()
	for _, b := range told("api_entreprise", "submit", "approve", "transfer") {
		if b.event == "transfer" {
			b.request.Organization = ormes
		}
		m.receive(b)
	}
	h := m.current.Habilitations[0]
	if h.Organization.ID != valbrise.ID || h.Applicant.ID != jeanne.ID || h.Form != "api_entreprise-form" {
		t.Errorf("got %+v", h)
	}
	if m.current.Organization.ID != ormes.ID {
		t.Errorf("got %+v", m.current.Organization)
	}
}

func TestALostHabilitationOfARevokedRequestIsRevoked(t *testing.T) {
	bodies, m := told("api_entreprise", "submit", "approve", "revoke"), newMirror()
	m.receive(bodies[2])
	bare := bodies[3]
	bare.request.Habilitations = nil
	m.receive(bare)
	if h := m.current.Habilitations; len(h) != 1 || h[0].State != hab.GrantRevoked {
		t.Errorf("got %+v", h)
	}
	if len(only[hab.RevokeCredentials](m.change)) != 1 {
		t.Errorf("got %+v", m.change.Consequences)
	}
}

// A revoked habilitation is final: an approval after it issues anew.
func TestAnApprovalAfterARevocationIssuesAnew(t *testing.T) {
	bodies, m := told("api_entreprise", "submit", "approve", "revoke"), newMirror()
	for _, b := range bodies {
		m.receive(b)
	}
	again := body{event: "approve", firedAt: bodies[3].firedAt.Add(time.Hour), request: deepCopy(bodies[3].request)}
	again.request.State, again.request.LastValidatedAt = hab.Validated, again.firedAt
	again.request.Habilitations = append(again.request.Habilitations, hab.Habilitation{
		ExternalID: 9999, Definition: "api_entreprise", State: hab.GrantActive, Data: answers("b"), CreatedAt: again.firedAt,
	})
	m.receive(again)
	if diff := cmp.Diff([]string{`issue api_entreprise ["b"]`, "tell approve to api_entreprise"}, kinds(m.change.Consequences)); diff != "" {
		t.Error(diff)
	}
}

// A database gives INSEE's answer back with its keys in another order.
func TestTheSameAnswerOfINSEEIsNoChange(t *testing.T) {
	bodies, m := told("api_entreprise", "submit"), newMirror()
	bodies[1].request.Organization.INSEEPayload = []byte(`{"header":{"statut":200,"message":"ok"}}`)
	m.receive(bodies[1])
	m.current.Organization.INSEEPayload = []byte(`{"header": {"message": "ok", "statut": 200}}`)
	if v := m.receive(bodies[1]); v.Outcome != hab.NoEffect {
		t.Errorf("got %+v", v)
	}
}

func TestAReplacedHabilitationShownActiveIsTakenAsObsolete(t *testing.T) {
	m := newMirror()
	for _, b := range told("api_ficoba_sandbox", "submit", "approve", "reopen", "update", "submit", "approve") {
		m.receive(b)
	}
	if h := m.current.Habilitations; h[0].State != hab.GrantObsolete || h[1].State != hab.GrantActive {
		t.Errorf("got %+v", h)
	}
}

func TestWhatProvesABodyOlderWithinItsSecond(t *testing.T) {
	bodies := told("api_particulier", "submit", "approve", "revoke_one")
	known := bodies[3]
	for _, c := range []struct {
		sentence string
		change   func(r *hab.Request)
		want     hab.Outcome
	}{
		{"the same again", func(*hab.Request) {}, hab.NoEffect},
		{"a habilitation is missing", func(r *hab.Request) { r.Habilitations = r.Habilitations[:1] }, hab.Late},
		{"a revoked habilitation is active", func(r *hab.Request) { r.Habilitations[0].State = hab.GrantActive }, hab.Late},
		{"it was never submitted", func(r *hab.Request) { r.LastSubmittedAt = time.Time{} }, hab.Late},
		{"it was validated earlier", func(r *hab.Request) { r.LastValidatedAt = r.LastValidatedAt.Add(-time.Millisecond) }, hab.Late},
		{"a further habilitation is revoked", func(r *hab.Request) { r.Habilitations[1].State = hab.GrantRevoked }, hab.Applied},
		{"other answers prove nothing", func(r *hab.Request) { r.Data["intitule"] = "Autre" }, hab.Applied},
	} {
		t.Run(c.sentence, func(t *testing.T) {
			m := newMirror()
			m.receive(known)
			other := body{event: "update", firedAt: known.firedAt, request: deepCopy(known.request)}
			c.change(&other.request)
			if v := m.receive(other); v.Outcome != c.want {
				t.Errorf("got %+v", v)
			}
		})
	}
}

// An archived request normally holds nothing active. Where it does, the API's
// policy decides, not a revocation.
func TestAnArchiveRevokesNothingByItself(t *testing.T) {
	bodies, m := told("api_entreprise", "submit", "approve"), newMirror()
	m.receive(bodies[2])
	archived := body{event: "archive", firedAt: bodies[2].firedAt.Add(time.Hour), request: deepCopy(bodies[2].request)}
	archived.request.State = hab.Archived
	m.receive(archived)
	if diff := cmp.Diff([]string{"archive policy", "tell archive to api_entreprise"}, kinds(m.change.Consequences)); diff != "" {
		t.Error(diff)
	}
}

func TestARequestFirstSeenArchivedOpensNothing(t *testing.T) {
	archived := told("api_entreprise", "submit", "approve")[2]
	archived.event, archived.request.State = "archive", hab.Archived
	m := newMirror()
	m.receive(archived)
	if len(only[hab.IssueCredentials](m.change)) != 0 {
		t.Errorf("got %+v", m.change.Consequences)
	}
}

// A linked habilitation is tied to the one that names it, whatever its place.
func TestALinkedHabilitationFindsItsParent(t *testing.T) {
	approved := told("api_particulier", "submit", "approve", "reopen", "update", "submit", "approve")[6]
	m := newMirror()
	m.receive(approved)
	h := m.current.Habilitations
	if len(h) != 3 || h[1].Definition != "france_connect" || h[1].ParentID != h[0].ID || h[2].ParentID != 0 {
		t.Errorf("got %+v", h)
	}
	later := deepCopy(approved.request)
	later.Habilitations[1].CreatedAt = approved.firedAt.Add(time.Hour) // the list now ends with the linked one
	m = newMirror()
	m.receive(body{event: "approve", firedAt: approved.firedAt, request: later})
	if h := m.current.Habilitations; h[2].Definition != "france_connect" || h[2].ParentID != h[0].ID {
		t.Errorf("got %+v", h)
	}
}

// fired_at is cut to the second, the moment of a read is not.
func TestAReadDoesNotMakeTheEventsOfItsSecondLate(t *testing.T) {
	bodies, m := told("api_entreprise", "submit", "approve"), newMirror()
	read := body{firedAt: bodies[2].firedAt.Add(300 * time.Millisecond), request: bodies[1].request}
	m.receive(read)
	if v := m.receive(bodies[2]); v.Outcome != hab.Applied {
		t.Errorf("got %+v", v)
	}
}

func TestAMirroredReopening(t *testing.T) {
	for _, c := range []struct {
		sentence string
		events   []string
		want     bool
	}{
		{"a first request is none", []string{"submit", "request_changes"}, false},
		{"a reopened one is", []string{"submit", "approve", "reopen", "update", "submit"}, true},
		{"an approved update is none any more", []string{"submit", "approve", "reopen", "update", "submit", "approve"}, false},
		{"production after sandbox is none", []string{"submit", "approve", "start_next_stage", "submit"}, false},
	} {
		t.Run(c.sentence, func(t *testing.T) {
			m := newMirror()
			for _, b := range told("api_ficoba_sandbox", c.events...) {
				m.receive(b)
			}
			if m.current.Reopening != c.want {
				t.Errorf("got %v", m.current.Reopening)
			}
		})
	}
}

// The events of the two kinds of revocation: one for each habilitation.
func TestEachRevokedHabilitationHasOneEvent(t *testing.T) {
	m := newMirror()
	for _, b := range told("api_particulier", "submit", "approve", "revoke") {
		m.receive(b)
	}
	var about []int64
	for _, e := range m.change.Events {
		if e.Name != hab.EventRevoke || e.Inferred || e.Entity != hab.EntityRevocation {
			t.Errorf("got %+v", e)
		}
		about = append(about, e.Habilitation)
	}
	if diff := cmp.Diff([]int64{m.current.Habilitations[0].ID, m.current.Habilitations[1].ID}, about); diff != "" {
		t.Error(diff)
	}
}
