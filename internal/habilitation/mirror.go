package habilitation

import (
	"bytes"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"time"
)

// Outcome says what became of a mirrored body.
type Outcome string

const (
	// Applied: it is the request's new state. Save the request and its habilitations.
	Applied Outcome = "applied"
	// Late: older than what is known. History only; nothing changed.
	Late Outcome = "late"
	// NoEffect: it says what is known already. Only Request.AppliedAt may have moved.
	NoEffect Outcome = "no_effect"
	// Parked: it cannot be judged. Stored, shown to operators; nothing changed.
	Parked Outcome = "parked"
)

// Verdict is an Outcome with its reason, in French, for operators; "" when applied.
type Verdict struct {
	Outcome Outcome
	Reason  string
}

// Mirror says what a body of the source makes of a mirrored request. DataPass is
// the authority: the body replaces what is known unless it is late.
//
// current is nil for a request never seen. incoming is the body decoded: its
// definition, form, state, data as stored (DecodeData), dates, people, and
// habilitations with their ExternalID; ours (ID, Origin, Source, ExternalID) are
// read from incoming only when current is nil. event is the source's word, ""
// for a state read through its API. firedAt is the body's fired_at, or when the
// API was asked.
//
// Events have one second of precision, to which firedAt is cut, and come in any
// order. An older firedAt is late. At equal ones a body is late when it proves itself older; else the
// order of arrival stands (datapass.md, 2.10). Credentials follow what the
// states show, not the event's name: an event may have been lost.
func Mirror(current *Request, incoming Request, event string, firedAt time.Time) (Change, Verdict) {
	firedAt = firedAt.Truncate(time.Second)
	var before Request
	if current != nil {
		before = *current
	}
	if verdict := judge(current, incoming, EventName(event)); verdict.Outcome != Applied {
		change := newChange(before)
		if verdict.Outcome == Parked {
			change.then(ReadSource{})
		}
		return change, verdict
	}
	next := mirrored(before, incoming, EventName(event))
	if late, reason := isLate(before, incoming, next, firedAt); late {
		change := newChange(before)
		change.Events = named(mirrorEvent(Request{}, next, EventName(event), firedAt))
		if provenOlder(next, before, before) {
			change.then(ReadSource{})
		}
		return change, Verdict{Late, reason}
	}
	next.AppliedAt = firedAt
	change := Change{Request: next}
	change.note(before.Habilitations)
	if same(before, next) {
		change.Events = named(mirrorEvent(before, next, EventName(event), firedAt))
		return change, Verdict{NoEffect, "le corps ne change rien à ce qui est connu"}
	}
	change.Request.Version++
	change.Events = mirrorEvents(before, next, EventName(event), firedAt)
	change.then(follow(before, next)...)
	change.then(webhooks(next, change.Events)...)
	return change, Verdict{Outcome: Applied}
}

// judge finds the bodies that are not a state of the request.
func judge(current *Request, incoming Request, event EventName) Verdict {
	known := current != nil && len(current.Habilitations) > 0
	bare := incoming.State == Validated && len(incoming.Habilitations) == 0
	switch {
	case event != eventNone && !event.Known():
		return Verdict{Parked, "événement inconnu de DataPass ; l’état annoncé est « " + string(incoming.State) + " »"}
	case stateNames[incoming.State] == "" || incoming.State == Unmade:
		return Verdict{Parked, "état de demande inconnu de DataPass"}
	case slices.ContainsFunc(incoming.Habilitations, func(h Habilitation) bool { return !h.State.known() }):
		return Verdict{Parked, "état d’habilitation inconnu de DataPass"}
	case bare && incoming.Definition == franceConnectDefinition && current != nil && current.Definition != franceConnectDefinition:
		// The linked webhook of datapass.md, 2.8: same id, another definition, no
		// habilitation. The request's own body holds the linked one.
		return Verdict{NoEffect, "webhook FranceConnect lié : l’habilitation est suivie avec sa demande"}
	case bare && !known:
		return Verdict{Parked, "demande validée sans aucune habilitation"}
	}
	return Verdict{Outcome: Applied}
}

func (s GrantState) known() bool { return s == GrantActive || s == GrantObsolete || s == GrantRevoked }

// mirrored is the request as the body shows it, with what only we know.
func mirrored(before, incoming Request, event EventName) Request {
	next := incoming.clone()
	next.Origin = Mirrored
	if before.State != Unmade {
		next.ID, next.Source, next.ExternalID = before.ID, before.Source, before.ExternalID
		next.Version = before.Version
		next.TermsAccepted, next.DPOInformed = before.TermsAccepted, before.DPOInformed
		keepUnsaid(&next, before, event)
	}
	next.Habilitations = mirroredHabilitations(before, next)
	restoreData(&next, event)
	next.Reopening = isReopening(next)
	if next.ReopenedAt.IsZero() {
		next.ReopenedAt = before.ReopenedAt
	}
	return next
}

// keepUnsaid keeps what a body may leave out: the API names no editor, no
// identity provider's subject and no job title; INSEE's answer may not be
// fetched again yet, or be an older one.
func keepUnsaid(next *Request, before Request, event EventName) {
	if sameOrganization(next.Organization, before.Organization) &&
		(next.Organization.INSEEPayload == nil || newerINSEE(before.Organization.INSEEPayload, next.Organization.INSEEPayload)) {
		next.Organization.INSEEPayload = before.Organization.INSEEPayload
	}
	if event != eventNone {
		return
	}
	if next.ServiceProvider == nil && next.Form == before.Form {
		next.ServiceProvider = before.ServiceProvider
	}
	if next.Organization.Name == "" && sameOrganization(next.Organization, before.Organization) {
		next.Organization.Name = before.Organization.Name
	}
	if sameApplicant(next.Applicant, before.Applicant) {
		for _, field := range []struct{ next, before *string }{
			{&next.Applicant.UID, &before.Applicant.UID},
			{&next.Applicant.JobTitle, &before.Applicant.JobTitle},
		} {
			if *field.next == "" {
				*field.next = *field.before
			}
		}
	}
}

// restoreData: the body of a refuse or cancel_reopening may carry the rejected
// answers of the reopening that it ends; those of the latest habilitation stand
// (datapass.md, 2.10).
func restoreData(next *Request, event EventName) {
	if next.State != Validated || event != EventRefuse && event != EventCancelReopening {
		return
	}
	if h, ok := next.latestOf(next.Definition); ok {
		next.Data = h.Data.clone()
	}
}

// isReopening: a body has no such flag. A request under way that holds a
// habilitation of its own definition is being reopened (datapass.md, 1.1).
func isReopening(r Request) bool {
	if r.State != Draft && r.State != Submitted && r.State != ChangesRequested {
		return false
	}
	_, ok := r.latestOf(r.Definition)
	return ok
}

// isLate compares the body with what is known. The proof is sought in the body
// as it came for what it lacks, in next for the rest.
func isLate(before, incoming, next Request, firedAt time.Time) (bool, string) {
	switch {
	case before.State == Unmade || before.AppliedAt.IsZero() || firedAt.After(before.AppliedAt):
		return false, ""
	case firedAt.Before(before.AppliedAt):
		return true, "plus ancien que le dernier événement appliqué"
	case provenOlder(before, incoming, next):
		return true, "même seconde que le dernier événement appliqué, contenu plus ancien"
	}
	return false, ""
}

// provenOlder reports whether a body cannot come after what is known: a date
// that went back, a habilitation missing or less advanced, an ended request
// living again, or a state that the same dates put earlier.
func provenOlder(known, body, next Request) bool {
	if earlier(body.LastSubmittedAt, known.LastSubmittedAt) || earlier(body.LastValidatedAt, known.LastValidatedAt) {
		return true
	}
	for _, h := range known.Habilitations {
		i := slices.IndexFunc(body.Habilitations, func(b Habilitation) bool { return b.ExternalID == h.ExternalID })
		if i < 0 {
			return true
		}
		if now, ok := next.habilitation(h.ID); ok && now.State == GrantActive && h.State != GrantActive {
			return true
		}
	}
	if (known.State == Revoked || known.State == Archived) && body.State != known.State {
		return body.State != Archived
	}
	sameDates := body.LastSubmittedAt.Equal(known.LastSubmittedAt) && body.LastValidatedAt.Equal(known.LastValidatedAt)
	return sameDates && body.Definition == known.Definition && slices.Contains(followers[body.State], known.State)
}

func earlier(t, known time.Time) bool { return t.Before(known) }

// followers: with the same dates, a request can only have gone from a state to
// these: the way back would have written a date (datapass.md, 1.1).
var followers = map[State][]State{
	Submitted:        {ChangesRequested, Refused},
	ChangesRequested: {Refused},
	Validated:        {Draft},
}

// same compares all but our own bookkeeping.
func same(a, b Request) bool {
	return a.State == b.State && a.Reopening == b.Reopening && a.Definition == b.Definition && a.Form == b.Form &&
		a.PublicID == b.PublicID && maps.Equal(a.Data, b.Data) &&
		a.Applicant == b.Applicant && sameHolder(a.Organization, b.Organization) && sameProvider(a.ServiceProvider, b.ServiceProvider) &&
		a.CreatedAt.Equal(b.CreatedAt) && a.LastSubmittedAt.Equal(b.LastSubmittedAt) &&
		a.LastValidatedAt.Equal(b.LastValidatedAt) && a.ReopenedAt.Equal(b.ReopenedAt) &&
		slices.EqualFunc(a.Habilitations, b.Habilitations, func(x, y Habilitation) bool {
			return x.ID == y.ID && x.State == y.State && maps.Equal(x.Data, y.Data)
		})
}

func sameHolder(a, b Organization) bool {
	return a.ID == b.ID && a.SIRET == b.SIRET && a.Name == b.Name && sameJSON(a.INSEEPayload, b.INSEEPayload)
}

// sameJSON: a database may have put the keys in another order.
func sameJSON(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}

func sameProvider(a, b *ServiceProvider) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}
