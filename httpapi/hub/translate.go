package hub

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/passerelle-hub/passerelle/httpapi/auth"
	"github.com/passerelle-hub/passerelle/httpapi/problem"
	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// statuses are those of the refusals; any other is 409: the request is not in a
// state that allows it.
var statuses = map[habilitation.RefusalCode]int{
	habilitation.RefusedNotAllowed:             http.StatusForbidden,
	habilitation.RefusedUnauthorizedType:       http.StatusForbidden,
	habilitation.RefusedStaleVersion:           http.StatusPreconditionFailed,
	habilitation.RefusedReasonMissing:          http.StatusUnprocessableEntity,
	habilitation.RefusedInvalidData:            http.StatusUnprocessableEntity,
	habilitation.RefusedNotStartable:           http.StatusUnprocessableEntity,
	habilitation.RefusedOrganizationClosed:     http.StatusUnprocessableEntity,
	habilitation.RefusedHabilitationUnknown:    http.StatusUnprocessableEntity,
	habilitation.RefusedEmailNotFound:          http.StatusUnprocessableEntity,
	habilitation.RefusedInvalidNewApplicant:    http.StatusUnprocessableEntity,
	habilitation.RefusedDifferentUser:          http.StatusUnprocessableEntity,
	habilitation.RefusedInvalidNewOrganization: http.StatusUnprocessableEntity,
	habilitation.RefusedDifferentOrganization:  http.StatusUnprocessableEntity,
	registry.RefusedFormNotFound:               http.StatusUnprocessableEntity,
	registry.RefusedAllowedIPs:                 http.StatusUnprocessableEntity,
	registry.RefusedInvalidApplicant:           http.StatusUnprocessableEntity,
	registry.RefusedInvalidOrganization:        http.StatusUnprocessableEntity,
	registry.RefusedTestTooSoon:                http.StatusTooManyRequests,
	registry.RefusedMessageUnknown:             http.StatusUnprocessableEntity,
	registry.RefusedMessagePurged:              http.StatusUnprocessableEntity,
	registry.RefusedReplaySince:                http.StatusUnprocessableEntity,
}

// titles of the problems that refusals are.
var titles = map[int]string{
	http.StatusTooManyRequests:     "Trop de requêtes",
	http.StatusForbidden:           "Accès refusé",
	http.StatusConflict:            "Action impossible dans l’état de la demande",
	http.StatusPreconditionFailed:  "La demande a changé",
	http.StatusUnprocessableEntity: "Demande invalide",
}

// fields are the body's keys that the rules call otherwise.
var fields = map[habilitation.RefusalCode]string{
	habilitation.RefusedEmailNotFound:          "/email",
	habilitation.RefusedInvalidNewApplicant:    "/email",
	habilitation.RefusedDifferentUser:          "/email",
	habilitation.RefusedInvalidNewOrganization: "/siret",
	habilitation.RefusedDifferentOrganization:  "/siret",
	habilitation.RefusedNotStartable:           "/form_uid",
}

// translate gives the problem of what goes wrong below the handlers.
func translate(err error) *problem.Problem {
	var refusal *habilitation.Refusal
	var answers *registry.AnswersError
	var endpoint *registry.EndpointError
	var tooMany *store.TooManyError
	if p := translateKey(err); p != nil {
		return p
	}
	switch {
	case errors.As(err, &refusal):
		return refused(refusal)
	case errors.As(err, &answers):
		return unreadable(answers)
	case errors.As(err, &endpoint):
		return badEndpoint(endpoint)
	case errors.Is(err, store.ErrNotFound):
		return problem.New(http.StatusNotFound, "introuvable", "Introuvable", "La ressource demandée est introuvable.")
	case errors.Is(err, registry.ErrKeyInUse):
		return headerProblem(http.StatusConflict, "cle-en-cours", "Requête déjà en cours", keyHeader, "Une requête avec la même clé est en cours.")
	case errors.Is(err, registry.ErrKeyReused):
		return headerProblem(http.StatusUnprocessableEntity, "cle-reprise", "Clé déjà utilisée", keyHeader, "Cette clé a servi à une autre requête.")
	case errors.As(err, &tooMany):
		return parameterProblem("organization", "trop d’organisations portent ce nom : précisez-le, ou donnez un SIRET")
	case store.Unavailable(err):
		return problem.Unavailable()
	}
	return auth.Translate(err)
}

// translate adds to a mirrored request's refusal where to decide.
func (h *Handler) translate(err error) *problem.Problem {
	p := translate(err)
	var mirrored *mirroredError
	if p != nil && errors.As(err, &mirrored) {
		if pages := h.Sources[mirrored.request.Source]; pages != "" {
			p.Detail += fmt.Sprintf(" Elle se décide à l’adresse %s/demandes/%d.", pages, mirrored.request.ExternalID)
		} else {
			p.Detail += fmt.Sprintf(" Elle y a le numéro %d, dans la source « %s ».", mirrored.request.ExternalID, mirrored.request.Source)
		}
	}
	return p
}

func refused(r *habilitation.Refusal) *problem.Problem {
	status, ok := statuses[r.Code]
	if !ok {
		status = http.StatusConflict
	}
	p := problem.New(status, string(r.Code), titles[status], r.Message)
	if r.Code == registry.RefusedAllowedIPs {
		return p.At(r.Pointer, r.Faults[0].Message)
	}
	for _, f := range r.Faults {
		p.At(answerPointer(f.Key), f.Message)
	}
	if at := fields[r.Code]; at != "" {
		p.At(at, r.Message)
	} else if r.Pointer != "" && len(r.Faults) == 0 {
		p.At(r.Pointer, r.Message)
	}
	if r.Code == habilitation.RefusedStaleVersion {
		p.Errors = []problem.FieldError{{Header: "If-Match", Detail: r.Message}}
	}
	return p
}

// answerPointer names an answer in the body that carried it. Consents are not
// answers: they stand beside data, in the body of submit.
func answerPointer(key string) string {
	switch key {
	case "":
		return "/data"
	case "terms_of_service_accepted", "data_protection_officer_informed":
		return "/" + key
	}
	return pointer("/data", key)
}

func unreadable(e *registry.AnswersError) *problem.Problem {
	p := problem.New(http.StatusUnprocessableEntity, "invalid_data", titles[http.StatusUnprocessableEntity], "La demande contient des erreurs.")
	if e.NotAnObject {
		p.At("/data", "un objet est attendu")
	}
	for _, key := range e.Unknown {
		p.At(pointer("/data", key), "La clé « "+clipped(key)+" » n’existe pas pour ce type de demande.")
	}
	for _, f := range e.Faults {
		p.At(pointer("/data", f.Key), f.Message)
	}
	return p
}

func headerProblem(status int, code, title, header, detail string) *problem.Problem {
	p := problem.New(status, code, title, detail)
	p.Errors = []problem.FieldError{{Header: header, Detail: detail}}
	return p
}

// parameterProblem is 400 for one parameter of the query.
func parameterProblem(name, detail string) *problem.Problem {
	p := problem.New(http.StatusBadRequest, "parametre", "Paramètre invalide", "Un paramètre de l’adresse est invalide.")
	p.Errors = []problem.FieldError{{Parameter: clipped(name), Detail: detail}}
	return p
}
