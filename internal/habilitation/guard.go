package habilitation

import (
	"maps"
	"slices"
	"strings"
)

// Guard is a condition of a transition or of a permission.
type Guard string

const (
	GuardNotReopening       Guard = "not reopening"
	GuardReopening          Guard = "reopening"
	GuardAnswersChanged     Guard = "answers differ from the latest habilitation"
	GuardSomeActive         Guard = "an habilitation is active"
	GuardNoneActive         Guard = "no habilitation is active"
	GuardReopenable         Guard = "habilitation reopenable"
	GuardNextStage          Guard = "next stage exists"
	GuardPreviousStage      Guard = "habilitation of the previous stage"
	GuardWholeRequest       Guard = "whole request"
	GuardActiveHabilitation Guard = "one active habilitation"
	GuardNoOtherActive      Guard = "no other is active"
	GuardNewHolder          Guard = "new holder fits"

	GuardStartable         Guard = "startable by applicants"
	GuardOrganizationOpen  Guard = "organisation open"
	GuardReopeningFeature  Guard = "feature reopening"
	GuardTransferFeature   Guard = "feature transfer"
	GuardBegun             Guard = "reopening or not draft"
	GuardBegunOrProduction Guard = "reopening, not draft, or production"
)

// situation is a command, the request it is about and what is known of its
// definition.
type situation struct {
	request Request
	facts   DefinitionFacts
	cmd     Command
}

func (s situation) refuse(code RefusalCode, pointer, message string) *Refusal {
	return &Refusal{Code: code, Message: message, Pointer: pointer, Event: s.cmd.Event(), State: s.request.State}
}

// check gives nil when the guard holds.
func (s situation) check(g Guard) *Refusal {
	r := s.request
	switch g {
	case GuardNotReopening:
		return s.unless(!r.Reopening, RefusedNotReopenable, "Cette demande est en cours de réouverture.")
	case GuardReopening:
		return s.unless(r.Reopening, RefusedNotReopening, "Cette demande n’est pas en cours de réouverture.")
	case GuardAnswersChanged:
		return s.unless(s.answersChanged(), RefusedUnchanged, "La réouverture ne change rien à l’habilitation en cours : modifiez la demande avant de la soumettre.")
	case GuardSomeActive:
		return s.unless(r.anyActive(), RefusedHabilitationNotActive, "Aucune habilitation de cette demande n’est active.")
	case GuardNoneActive:
		return s.unless(!r.anyActive(), RefusedHabilitationActive, "Une habilitation de cette demande est encore active.")
	case GuardReopenable:
		return s.reopenable()
	case GuardNextStage:
		return s.unless(s.facts.Next != nil, RefusedNoNextStage, "Ce type d’habilitation n’a pas d’étape suivante.")
	case GuardPreviousStage:
		return s.unless(s.hasPreviousStage(), RefusedNoPreviousStage, "Cette demande n’a pas d’habilitation de l’étape précédente.")
	case GuardWholeRequest, GuardActiveHabilitation, GuardNoOtherActive:
		return s.revocable(g)
	case GuardNewHolder:
		return s.newHolder()
	case GuardStartable:
		return s.unless(s.facts.Startable, RefusedNotStartable, "Ce type d’habilitation ne peut pas être demandé directement.")
	case GuardOrganizationOpen:
		return s.unless(!s.cmd.(Create).Organization.Closed(), RefusedOrganizationClosed, "Cette organisation est fermée d’après l’INSEE.")
	case GuardReopeningFeature:
		return s.unless(s.facts.Reopening, RefusedFeatureDisabled, "La réouverture n’est pas possible pour ce type d’habilitation.")
	case GuardTransferFeature:
		return s.unless(s.facts.Transfer, RefusedFeatureDisabled, "Le transfert n’est pas possible pour ce type d’habilitation.")
	case GuardBegun, GuardBegunOrProduction:
		begun := r.Reopening || r.State != Draft || g == GuardBegunOrProduction && s.facts.Previous != nil
		return s.unless(begun, RefusedNotTransferable, "Un brouillon ne peut pas être transféré.")
	}
	panic("habilitation: no such guard: " + string(g))
}

func (s situation) unless(holds bool, code RefusalCode, message string) *Refusal {
	if holds {
		return nil
	}
	return s.refuse(code, "", message)
}

// answersChanged: a reopening that changes nothing is not submittable
// (datapass.md, 1.2, P).
func (s situation) answersChanged() bool {
	latest, ok := s.request.latestOf(s.request.Definition)
	return !ok || !maps.Equal(s.request.Data, latest.Data)
}

func (s situation) hasPreviousStage() bool {
	if s.facts.Previous == nil {
		return false
	}
	_, ok := s.request.latestOf(s.facts.Previous.Definition)
	return ok
}

// target is the habilitation that a reopening or a revocation names.
func (s situation) target() (Habilitation, bool) {
	switch c := s.cmd.(type) {
	case Revoke:
		return s.request.habilitation(c.Habilitation)
	case Reopen:
		if c.Habilitation == 0 {
			return s.request.latestOf(s.request.Definition)
		}
		return s.request.habilitation(c.Habilitation)
	}
	return Habilitation{}, false
}

// reopenable is datapass.md, 1.6. Native requests are never imported from
// DataPass v1, so that its "imported-dirty" has no meaning here.
func (s situation) reopenable() *Refusal {
	h, ok := s.target()
	if !ok {
		return s.unknownHabilitation()
	}
	ofClass, _ := s.request.latestOf(h.Definition)
	ofAll, _ := s.request.latest()
	switch {
	case h.ParentID != 0:
		return s.notReopenable("Une habilitation FranceConnect liée se met à jour avec celle dont elle dépend.")
	case s.request.Reopening:
		return s.notReopenable("Cette demande est déjà en cours de réouverture.")
	case h.State != GrantActive:
		return s.notReopenable("Cette habilitation n’est plus active.")
	case h.ID != ofClass.ID:
		return s.notReopenable("Une habilitation plus récente existe.")
	case s.isProduction(h.Definition) && ofAll.Definition != h.Definition:
		return s.notReopenable("Une habilitation bac à sable plus récente existe : passez d’abord à l’étape suivante.")
	}
	return nil
}

// isProduction: facts speak of the request's own definition; the other stage's
// is known by its link.
func (s situation) isProduction(definition string) bool {
	if definition == s.request.Definition {
		return s.facts.Previous != nil
	}
	return s.facts.Next != nil && s.facts.Next.Definition == definition
}

func (s situation) notReopenable(message string) *Refusal {
	return s.refuse(RefusedNotReopenable, "/habilitation", message)
}

func (s situation) unknownHabilitation() *Refusal {
	return s.refuse(RefusedHabilitationUnknown, "/habilitation", "Cette demande n’a pas cette habilitation.")
}

// revocable: datapass.md, 1.8. Revoking an obsolete habilitation is refused (P).
func (s situation) revocable(g Guard) *Refusal {
	whole := s.cmd.(Revoke).Habilitation == 0
	if g == GuardWholeRequest || whole {
		if g == GuardWholeRequest && whole {
			return nil
		}
		return illegalTransition(EventRevoke, s.request.State)
	}
	h, ok := s.target()
	if !ok {
		return s.unknownHabilitation()
	}
	if g == GuardActiveHabilitation {
		if h.State == GrantActive {
			return nil
		}
		return s.refuse(RefusedHabilitationNotActive, "/habilitation", "Cette habilitation n’est plus active : il n’y a rien à révoquer.")
	}
	ending := s.request.linked(h)
	others := slices.ContainsFunc(s.indexesOfActive(), func(i int) bool {
		return s.request.Habilitations[i].ID != h.ID && !slices.Contains(ending, i)
	})
	return s.unless(!others, RefusedHabilitationActive, "Une autre habilitation de cette demande est encore active.")
}

func (s situation) indexesOfActive() []int {
	var list []int
	for i, h := range s.request.Habilitations {
		if h.State == GrantActive {
			list = append(list, i)
		}
	}
	return list
}

// newHolder: datapass.md, 1.9.
func (s situation) newHolder() *Refusal {
	switch c := s.cmd.(type) {
	case TransferToUser:
		switch {
		case c.To == nil:
			return s.refuse(RefusedEmailNotFound, "/to", "Aucun compte n’existe avec cette adresse.")
		case sameApplicant(*c.To, s.request.Applicant):
			return s.refuse(RefusedDifferentUser, "/to", "Cette personne est déjà le demandeur.")
		case !c.Member:
			return s.refuse(RefusedInvalidNewApplicant, "/to", "Cette personne n’est pas membre de l’organisation de la demande.")
		}
	case TransferToOrganization:
		switch {
		case c.To == nil:
			return s.refuse(RefusedInvalidNewOrganization, "/to", "Cette organisation n’existe pas.")
		case sameOrganization(*c.To, s.request.Organization):
			return s.refuse(RefusedDifferentOrganization, "/to", "La demande appartient déjà à cette organisation.")
		}
	}
	return nil
}

func blankText(s string) bool { return strings.TrimFunc(s, blank) == "" }
