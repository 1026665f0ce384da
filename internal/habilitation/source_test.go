package habilitation_test

import (
	"strconv"
	"time"

	"pgregory.net/rapid"

	hab "github.com/passerelle-hub/passerelle/internal/habilitation"
)

// body is a webhook of the source, decoded.
type body struct {
	event   string
	firedAt time.Time
	request hab.Request
}

// source is a DataPass of one request, with its own rules and its own faults
// (datapass.md, 1.1 to 1.8 and 2.10), written apart from the code under test.
type source struct {
	now       time.Time
	request   hab.Request
	reopening bool
	staged    bool // sandbox, then production
	linking   bool // grants a FranceConnect habilitation too
	ids       int64
	sent      []body
}

func newSource(definition string) *source {
	s := &source{now: dayOne, staged: definition == "api_ficoba_sandbox", linking: definition == "api_particulier", ids: 9000}
	s.request = hab.Request{
		Source: "datapass", ExternalID: 48213, Definition: definition, Form: definition + "-form", State: hab.Draft,
		Data: answers("a"), Organization: valbrise, Applicant: jeanne, CreatedAt: dayOne,
	}
	s.send("create")
	return s
}

// send builds the body as it is now.
func (s *source) send(event string) {
	s.sent = append(s.sent, body{event: event, firedAt: s.now.Truncate(time.Second), request: deepCopy(s.request)})
}

func (s *source) tick(d time.Duration) { s.now = s.now.Add(d) }

// legal are the events that may come next.
func (s *source) legal() []string {
	r, active := s.request, s.anyActive()
	var list []string
	add := func(ok bool, events ...string) {
		if ok {
			list = append(list, events...)
		}
	}
	editing := r.State == hab.Draft || r.State == hab.ChangesRequested
	deciding := r.State == hab.Submitted || r.State == hab.ChangesRequested
	add(editing, "update", "submit")
	add(r.State == hab.Submitted, "request_changes")
	add(deciding, "approve", "refuse")
	add(!active && (r.State == hab.Draft || r.State == hab.Refused || r.State == hab.Revoked), "archive")
	add(r.State == hab.Validated, "reopen", "revoke", "revoke_one")
	add(s.reopening && (editing || deciding), "cancel_reopening")
	add(active && s.reopening, "revoke_one")
	add(s.staged && r.State == hab.Validated && r.Definition == "api_ficoba_sandbox", "start_next_stage")
	add(s.staged && r.Definition == "api_ficoba" && !s.reopening && (editing || deciding), "cancel_next_stage")
	add(r.State != hab.Draft, "transfer")
	return list
}

func (s *source) anyActive() bool {
	for _, h := range s.request.Habilitations {
		if h.State == hab.GrantActive {
			return true
		}
	}
	return false
}

func (s *source) fire(event string) {
	r := &s.request
	switch event {
	case "update":
		s.ids++
		r.Data["scopes"] = hab.EncodeList([]string{"a", "s" + strconv.FormatInt(s.ids, 10)})
	case "submit":
		r.State, r.LastSubmittedAt = hab.Submitted, s.now
	case "request_changes":
		r.State = hab.ChangesRequested
	case "approve":
		s.approve()
		return
	case "refuse", "cancel_reopening":
		if !s.reopening {
			r.State = hab.Refused
			break
		}
		// The body leaves before the answers are restored.
		r.State, r.LastValidatedAt, s.reopening = hab.Validated, s.now, false
		s.send(event)
		s.restore(r.Definition)
		return
	case "archive":
		r.State, s.reopening = hab.Archived, false
	case "reopen":
		r.State, s.reopening = hab.Draft, true
	case "revoke":
		r.State = hab.Revoked
		for i := range r.Habilitations {
			s.revoke(i)
		}
	case "revoke_one":
		s.revokeOne()
		event = "revoke"
	case "start_next_stage":
		r.State, r.Definition, r.Form = hab.Draft, "api_ficoba", "api-ficoba-production"
		return // never sent
	case "cancel_next_stage":
		r.State, r.Definition, r.Form = hab.Validated, "api_ficoba_sandbox", "api_ficoba_sandbox-form"
		s.restore(r.Definition)
		return // never sent
	case "transfer":
		if r.Applicant.ID == jeanne.ID {
			r.Applicant = samir
		} else {
			r.Applicant = jeanne
		}
	}
	s.send(event)
}

// approve sends, for a request with stages, the previous habilitation still active.
func (s *source) approve() {
	r := &s.request
	r.State, r.LastValidatedAt = hab.Validated, s.now
	granted := s.habilitation(r.Definition)
	previous := len(r.Habilitations)
	if s.linking && r.Data["france_connect_authorization_id"] == "" {
		linked := s.habilitation("france_connect")
		r.Data["france_connect_authorization_id"] = strconv.FormatInt(linked.ExternalID, 10)
		granted.Data = copyData(r.Data)
		r.Habilitations = append(r.Habilitations, granted, linked)
	} else {
		r.Habilitations = append(r.Habilitations, granted)
	}
	if s.staged {
		s.send("approve")
	}
	for i := range r.Habilitations[:previous] {
		if h := &r.Habilitations[i]; h.Definition == r.Definition && h.State == hab.GrantActive {
			h.State = hab.GrantObsolete
		}
	}
	s.reopening = false
	if !s.staged {
		s.send("approve")
	}
}

func (s *source) habilitation(definition string) hab.Habilitation {
	s.ids++
	return hab.Habilitation{
		ExternalID: s.ids, Definition: definition, State: hab.GrantActive, Data: copyData(s.request.Data), CreatedAt: s.now,
	}
}

func (s *source) revoke(i int) {
	if h := &s.request.Habilitations[i]; h.State == hab.GrantActive {
		h.State = hab.GrantRevoked
	}
}

// revokeOne revokes the oldest active habilitation, and all when it is the last.
func (s *source) revokeOne() {
	for i, h := range s.request.Habilitations {
		if h.State == hab.GrantActive {
			s.revoke(i)
			break
		}
	}
	if !s.anyActive() && s.request.State == hab.Validated {
		s.request.State = hab.Revoked
	}
}

func (s *source) restore(definition string) {
	for _, h := range s.request.Habilitations {
		if h.Definition == definition {
			s.request.Data = copyData(h.Data)
		}
	}
}

// life draws a legal life; pause is the time between two events.
func life(t *rapid.T, definitions []string, pause *rapid.Generator[time.Duration]) *source {
	s := newSource(rapid.SampledFrom(definitions).Draw(t, "definition"))
	for range rapid.IntRange(1, 25).Draw(t, "length") {
		s.tick(pause.Draw(t, "pause"))
		s.fire(rapid.SampledFrom(s.legal()).Draw(t, "event"))
		if len(s.legal()) == 0 {
			break
		}
	}
	return s
}

// mirror is the hub's copy of that request.
type mirror struct {
	current *hab.Request
	ids     int64
	rights  rights
	change  hab.Change
}

func newMirror() *mirror { return &mirror{ids: 100, rights: rights{}} }

func (m *mirror) receive(b body) hab.Verdict {
	change, verdict := hab.Mirror(m.current, b.request, b.event, b.firedAt)
	var ids []int64
	for range change.Created {
		m.ids++
		ids = append(ids, m.ids)
	}
	change.AssignIDs(ids)
	m.change = change
	if verdict.Outcome == hab.Applied || verdict.Outcome == hab.NoEffect && m.current != nil {
		next := change.Request
		m.current = &next
	}
	return verdict
}
