package v1

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/httpapi/auth"
	"github.com/passerelle-hub/passerelle/httpapi/problem"
	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/jose"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// apiError is one entry of errors[] (datapass.md, 3.5).
type apiError struct {
	Status string  `json:"status"`
	Title  string  `json:"title"`
	Detail string  `json:"detail"`
	Source *source `json:"source,omitempty"`
}

type source struct {
	Pointer string `json:"pointer"`
}

// failure is an answer that is not a success.
type failure struct {
	status int
	errors []apiError
}

func (f *failure) Error() string { return f.errors[0].Title + ": " + f.errors[0].Detail }

// fail makes a failure of one entry; pointer "" for none.
func fail(status int, title, detail, pointer string) *failure {
	f := &failure{status: status}
	f.add(title, detail, pointer)
	return f
}

func (f *failure) add(title, detail, pointer string) {
	e := apiError{Status: strconv.Itoa(f.status), Title: title, Detail: detail}
	if pointer != "" {
		e.Source = &source{pointer}
	}
	f.errors = append(f.errors, e)
}

// Titles of DataPass's errors.
const (
	titleUnauthorized = "Non autorisé"
	titleInvalid      = "Demande invalide"
	titleUnprocessed  = "Entité non traitable"
	titleParameter    = "Paramètre invalide"

	tokenPointer = "headers/Authorization"
)

var (
	errNotFound    = fail(http.StatusNotFound, "Non trouvé", "La ressource demandée est introuvable.", "")
	errMethod      = fail(http.StatusMethodNotAllowed, "Méthode non admise", "Cette ressource n’accepte pas cette méthode.", "")
	errPeople      = fail(http.StatusForbidden, titleUnauthorized, "Cette API est réservée aux applications.", "")
	errMediaType   = fail(http.StatusUnsupportedMediaType, "Type de contenu non admis", "Le corps doit être du JSON (Content-Type: application/json).", "headers/Content-Type")
	errTooLarge    = fail(http.StatusRequestEntityTooLarge, "Corps trop grand", "Le corps dépasse la taille admise.", "")
	errBody        = fail(http.StatusBadRequest, "Corps illisible", "Le corps n’est pas un objet JSON complet.", "")
	errTooMany     = fail(http.StatusTooManyRequests, "Trop de requêtes", "Attendez un instant avant de recommencer.", "")
	errUnavailable = fail(http.StatusServiceUnavailable, "Service momentanément indisponible", "Rien n’a été fait : la requête peut être renvoyée telle quelle.", "")
	errInternal    = fail(http.StatusInternalServerError, "Erreur interne", "L’incident est enregistré.", "")
	errStale       = fail(http.StatusPreconditionFailed, "Version dépassée", "La demande a changé depuis que vous l’avez lue : relisez-la avant de recommencer.", "headers/If-Match")
	errKey         = fail(http.StatusBadRequest, "Clé illisible", "L’en-tête Idempotency-Key porte de 1 à 255 caractères ASCII visibles.", "headers/Idempotency-Key")
	errKeyInUse    = fail(http.StatusConflict, "Clé en cours", "Une requête avec cette clé est en cours.", "headers/Idempotency-Key")
	errKeyReused   = fail(http.StatusUnprocessableEntity, "Clé reprise", "Cette clé a servi pour une autre requête.", "headers/Idempotency-Key")
	errAmbiguous   = fail(http.StatusConflict, "Identifiant ambigu", "Plusieurs sources emploient ce numéro pour des demandes différentes.", "")
)

func missingParameter(name string) *failure {
	return fail(http.StatusBadRequest, "Paramètre manquant", "Le paramètre « "+name+" » est requis mais absent de la requête.", "/"+name)
}

// deny is the one way an error leaves this API; details of a fault of ours go
// to the log.
func deny(w http.ResponseWriter, r *http.Request, err error) {
	f := translate(err)
	if f.status >= http.StatusInternalServerError {
		zerolog.Ctx(r.Context()).Error().Err(err).Msg("request failed")
	}
	if f == errUnavailable {
		w.Header().Set("Retry-After", "5")
	}
	write(w, r, f)
}

func write(w http.ResponseWriter, r *http.Request, f *failure) {
	w.Header().Set("Cache-Control", "no-store")
	problem.JSON(w, r, f.status, map[string]any{"errors": f.errors})
}

func translate(err error) *failure {
	var f *failure
	var denial *auth.Denial
	var tooMany *auth.TooManyError
	var refusal *habilitation.Refusal
	var answers *registry.AnswersError
	switch {
	case errors.As(err, &f):
		return f
	case errors.As(err, &denial):
		return denied(denial)
	case errors.As(err, &tooMany):
		return errTooMany
	case errors.As(err, &refusal):
		return refused(refusal)
	case errors.As(err, &answers):
		return unreadable(answers)
	case errors.Is(err, store.ErrNotFound):
		return errNotFound
	case errors.Is(err, registry.ErrKeyInUse):
		return errKeyInUse
	case errors.Is(err, registry.ErrKeyReused):
		return errKeyReused
	case store.Unavailable(err), errors.Is(err, jose.ErrKeysUnavailable), errors.Is(err, context.Canceled):
		return errUnavailable
	}
	return errInternal
}

// denied: a missing scope is 403 and a revoked token 401, where DataPass says
// 422 (datapass.md, 3.6).
func denied(d *auth.Denial) *failure {
	title := titleUnauthorized
	if d.Reason == auth.Expired {
		title = "Jeton expiré"
	}
	pointer := tokenPointer
	if d.Status() == http.StatusForbidden {
		pointer = ""
	}
	return fail(d.Status(), title, d.Detail(), pointer)
}

// refused is the table from the rules' refusals to DataPass's errors.
func refused(r *habilitation.Refusal) *failure {
	switch r.Code {
	case habilitation.RefusedUnauthorizedType:
		return fail(http.StatusForbidden, titleUnauthorized, r.Message, "")
	case habilitation.RefusedNotAllowed:
		return fail(http.StatusForbidden, titleUnauthorized, r.Message, "")
	case registry.RefusedFormNotFound:
		return fail(http.StatusUnprocessableEntity, "Formulaire introuvable", r.Message, "")
	case habilitation.RefusedDeadEndState:
		return fail(http.StatusUnprocessableEntity, "État non modifiable", r.Message, "")
	case registry.RefusedInvalidApplicant:
		return fail(http.StatusUnprocessableEntity, "Demandeur invalide", r.Message, r.Pointer)
	case registry.RefusedInvalidOrganization:
		return fail(http.StatusUnprocessableEntity, "Organisation invalide", r.Message, r.Pointer)
	case habilitation.RefusedMirrored:
		return fail(http.StatusConflict, "Demande suivie depuis DataPass", r.Message, "")
	case habilitation.RefusedStaleVersion:
		return errStale
	case habilitation.RefusedInvalidData:
		return invalid(r.Faults)
	}
	return fail(http.StatusUnprocessableEntity, titleUnprocessed, r.Message, r.Pointer)
}

// unreadable gives one entry per bad key or value.
func unreadable(e *registry.AnswersError) *failure {
	if e.NotAnObject {
		return fail(http.StatusUnprocessableEntity, titleInvalid, "Les données de la demande doivent être un objet.", "/data")
	}
	f := invalid(e.Faults)
	for _, key := range e.Unknown {
		f.add("Clé invalide", "La clé « "+key+" » n’existe pas pour ce type de demande.", "/data/"+key)
	}
	return f
}

func invalid(faults []habilitation.FieldError) *failure {
	f := &failure{status: http.StatusUnprocessableEntity}
	for _, fault := range faults {
		pointer := ""
		if fault.Key != "" {
			pointer = "/data/" + fault.Key
		}
		f.add(titleInvalid, fault.Message, pointer)
	}
	return f
}
