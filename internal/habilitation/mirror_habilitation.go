package habilitation

import (
	"cmp"
	"slices"
	"strconv"
	"time"
)

// mirroredHabilitations joins the body's habilitations with those known. A
// habilitation never disappears: one that the body does not name is kept. New
// ones get stand-in ids; their holder is snapshotted now, since a body names
// only the request's present one.
func mirroredHabilitations(before, next Request) []Habilitation {
	var list []Habilitation
	for _, h := range next.Habilitations {
		i := slices.IndexFunc(before.Habilitations, func(b Habilitation) bool { return b.ExternalID == h.ExternalID })
		if i >= 0 {
			known := before.Habilitations[i]
			known.State, known.Data = h.State, h.Data
			h = known
		} else {
			h.ID = 0
			h.Organization, h.Applicant = next.Organization, next.Applicant
			if h.Form == "" && h.Definition == next.Definition {
				h.Form = next.Form
			}
		}
		list = append(list, h)
	}
	for _, known := range before.Habilitations {
		if !slices.ContainsFunc(list, func(h Habilitation) bool { return h.ExternalID == known.ExternalID }) {
			list = append(list, known)
		}
	}
	slices.SortStableFunc(list, func(a, b Habilitation) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ExternalID, b.ExternalID))
	})
	standIn := int64(0)
	for i := range list {
		if list[i].ID == 0 {
			standIn--
			list[i].ID = standIn
		}
	}
	settle(list, next)
	return list
}

// settle puts right what a body is known to get wrong: an earlier habilitation
// still shown active beside the one that replaced it, active ones of a revoked
// request (datapass.md, 1.5, 1.8 and 2.10); and ties linked ones to their parent.
func settle(list []Habilitation, r Request) {
	for i := range list {
		h := &list[i]
		if h.ParentID == 0 && h.Definition == franceConnectDefinition && r.Definition != franceConnectDefinition {
			h.ParentID = parentOf(list, *h)
		}
		if h.State != GrantActive {
			continue
		}
		if r.State == Revoked {
			h.State = GrantRevoked
		} else if slices.ContainsFunc(list[i+1:], func(later Habilitation) bool {
			return later.State == GrantActive && later.Definition == h.Definition
		}) {
			h.State = GrantObsolete
		}
	}
}

// parentOf is the first habilitation whose data name the linked one by the
// source's id, else the last granted before it.
func parentOf(list []Habilitation, linked Habilitation) int64 {
	id := strconv.FormatInt(linked.ExternalID, 10)
	var parent int64
	for _, h := range list {
		if h.Definition == franceConnectDefinition {
			continue
		}
		if h.Data[keyFranceConnectID] == id {
			return h.ID
		}
		if parent == 0 || !h.CreatedAt.After(linked.CreatedAt) {
			parent = h.ID
		}
	}
	return parent
}

// mirrorEvents are the events that a body tells: first those it only lets
// infer, because the source's own word was lost, then the event named. Each
// habilitation granted or revoked has one.
func mirrorEvents(before, next Request, event EventName, at time.Time) []Event {
	told := mirrorEvent(before, next, event, at)
	about := func(name EventName, habilitation int64) Event {
		return Event{Name: name, Entity: EntityOf(name), At: at, State: next.State, Habilitation: habilitation}
	}
	granted, linked, revoked := moved(before, next)
	var inferred, further []Event
	if event == EventApprove && len(granted) > 0 {
		last := len(granted) - 1
		told.Habilitation, granted = granted[last], granted[:last]
	}
	for _, id := range granted {
		inferred = append(inferred, about(EventApprove, id))
	}
	for _, id := range linked {
		if event == EventApprove {
			further = append(further, about(EventAutoGenerate, id))
		} else {
			inferred = append(inferred, about(EventAutoGenerate, id))
		}
	}
	for n, id := range revoked {
		switch {
		case event != EventRevoke:
			inferred = append(inferred, about(EventRevoke, id))
		case n == 0:
			told.Habilitation = id
		default:
			further = append(further, about(EventRevoke, id))
		}
	}
	if before.State != Unmade && before.State != Archived && next.State == Archived && event != EventArchive {
		inferred = append(inferred, about(EventArchive, 0))
	}
	for i := range inferred {
		inferred[i].Inferred = true
	}
	return append(append(inferred, named(told)...), further...)
}

// moved lists the habilitations granted, those granted along with them, and
// those revoked, parents first.
func moved(before, next Request) (granted, linked, revoked []int64) {
	for _, h := range next.Habilitations {
		was, known := before.habilitation(h.ID)
		switch {
		case !known && h.State == GrantActive && h.ParentID != 0:
			linked = append(linked, h.ID)
		case !known && h.State == GrantActive:
			granted = append(granted, h.ID)
		case known && was.State == GrantActive && h.State == GrantRevoked:
			revoked = append(revoked, h.ID)
		}
	}
	slices.SortStableFunc(revoked, func(a, b int64) int {
		x, _ := next.habilitation(a)
		y, _ := next.habilitation(b)
		return cmp.Compare(min(x.ParentID, 1), min(y.ParentID, 1))
	})
	return granted, linked, revoked
}

// mirrorEvent is the event that the source named, with what changed.
func mirrorEvent(before, next Request, event EventName, at time.Time) Event {
	e := Event{Name: event, Entity: EntityOf(event), At: at, State: next.State}
	if before.State != Unmade {
		e.Diff = DiffOf(before.Data, next.Data)
	}
	if before.State != Unmade && event == EventTransfer {
		if !sameApplicant(before.Applicant, next.Applicant) {
			e.Transfer = &Transfer{Type: "User", From: before.Applicant.ID, To: next.Applicant.ID}
		} else if !sameOrganization(before.Organization, next.Organization) {
			e.Transfer = &Transfer{Type: "Organization", From: before.Organization.ID, To: next.Organization.ID}
		}
	}
	if event == EventReopen {
		if h, ok := next.latestOf(next.Definition); ok {
			e.Habilitation = max(h.ID, 0)
		}
	}
	return e
}

// named drops the event that a read of the source's API does not have.
func named(e Event) []Event {
	if e.Name == eventNone {
		return nil
	}
	return []Event{e}
}
