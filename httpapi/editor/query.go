package editor

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/passerelle-hub/passerelle/httpapi/problem"
	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/jose"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// Bounds of lists and of batches.
const (
	defaultLimit = 50
	maxLimit     = 200
	maxBatch     = 100 // keys fetched or acknowledged at once
	maxParameter = 500 // bytes
)

// Parameters of lists.
const (
	paramSIRET      = "siret"
	paramDefinition = "definition_id"
	paramState      = "state"
	paramHandOver   = "hand_over"
	paramUpdated    = "updated_since"
	paramLimit      = "limit"
	paramCursor     = "cursor"
	paramAfter      = "after"
)

func badParameter(name, detail string) *problem.Problem {
	p := problem.New(http.StatusBadRequest, "parametre", "Paramètre invalide", name+" : "+detail)
	p.Errors = append(p.Errors, problem.FieldError{Parameter: name, Detail: detail})
	return p
}

// query is the parameters of a list, each known and given once.
type query struct{ values url.Values }

func parseQuery(r *http.Request, known ...string) (query, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return query{}, problem.New(http.StatusBadRequest, "parametre", "Paramètre invalide", "Les paramètres de l’adresse sont illisibles.")
	}
	for name, given := range values {
		switch {
		case !slices.Contains(known, name):
			return query{}, badParameter(clip(name), "paramètre inconnu")
		case len(given) > 1:
			return query{}, badParameter(name, "une seule valeur est attendue")
		case len(given[0]) > maxParameter || strings.ContainsRune(given[0], 0):
			return query{}, badParameter(name, "valeur trop longue ou illisible")
		}
	}
	return query{values}, nil
}

// clip keeps what a client sent short enough to be shown back.
func clip(s string) string {
	s = strings.ToValidUTF8(s, "?")
	if r := []rune(s); len(r) > 40 {
		return string(r[:40]) + "…"
	}
	return s
}

func (q query) get(name string) string { return q.values.Get(name) }

// filter reads what is common to the lists of an editor.
func (h *Handler) filter(r *http.Request, q query) (store.EditorFilter, error) {
	f := store.EditorFilter{Editor: callerOf(r).Editor(), SIRET: q.get(paramSIRET), Definition: q.get(paramDefinition), Limit: defaultLimit}
	if f.SIRET != "" && !habilitation.ValidSIRET(f.SIRET) {
		return f, badParameter(paramSIRET, "ce n’est pas un SIRET")
	}
	if f.Definition != "" {
		if _, known := h.Catalogue.Definition(f.Definition); !known {
			return f, badParameter(paramDefinition, "définition inconnue")
		}
	}
	if text := q.get(paramUpdated); text != "" {
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return f, badParameter(paramUpdated, "une date ISO 8601 avec son décalage est attendue : 2026-03-24T11:05:18+01:00")
		}
		f.UpdatedSince = at.UTC()
	}
	if text := q.get(paramLimit); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxLimit {
			return f, badParameter(paramLimit, fmt.Sprintf("un nombre de 1 à %d est attendu", maxLimit))
		}
		f.Limit = n
	}
	return f, nil
}

// cursor is a place in one list of one editor. It is opaque, not secret: what it
// holds opens nothing.
type cursor struct {
	List   string `json:"l"`
	Editor string `json:"e"`
	Place  string `json:"p"`
}

func writeCursor(list, editor, place string) string {
	raw, err := json.Marshal(cursor{list, editor, place})
	if err != nil {
		panic(err) // three strings
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

// readCursor gives the place; one of another list or of another editor is none.
func readCursor(parameter, list, editor, text string) (string, error) {
	if text == "" {
		return "", nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	var c cursor
	if err != nil || json.Unmarshal(raw, &c) != nil || c.List != list || c.Editor != editor || c.Place == "" {
		return "", badParameter(parameter, "ce n’est pas un curseur que cette liste vous a donné")
	}
	return c.Place, nil
}

func badCursor(parameter string) error {
	return badParameter(parameter, "ce n’est pas un curseur que cette liste vous a donné")
}

// readJSON reads a body into v: a JSON object of known keys.
func (h *Handler) readJSON(w http.ResponseWriter, r *http.Request, v any) error {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return problem.New(http.StatusUnsupportedMediaType, "type-de-contenu", "Type de contenu refusé", "Un corps de type application/json est attendu.")
	}
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, h.MaxBody))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(v)
	if err == nil && decoder.More() {
		err = errors.New("more than one value")
	}
	var tooLarge *http.MaxBytesError
	var wrongType *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &tooLarge):
		return problem.New(http.StatusRequestEntityTooLarge, "corps-trop-grand", "Corps trop grand", fmt.Sprintf("Le corps dépasse %d octets.", tooLarge.Limit))
	case errors.As(err, &wrongType) && wrongType.Field != "":
		pointer := "/" + strings.ReplaceAll(wrongType.Field, ".", "/")
		return problem.New(http.StatusBadRequest, "json", "Corps illisible", "Une valeur n’a pas le type attendu.").At(pointer, "type inattendu")
	}
	return problem.New(http.StatusBadRequest, "json", "Corps illisible", "Un objet JSON aux clés connues est attendu.")
}

func invalid(pointer, detail string) *problem.Problem {
	return problem.New(http.StatusUnprocessableEntity, "corps", "Valeur refusée", detail).At(pointer, detail)
}

// readJWK reads a body that is one JWK, as it is.
func readJWK(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" && media != "application/jwk+json" {
		return nil, problem.New(http.StatusUnsupportedMediaType, "type-de-contenu", "Type de contenu refusé", "Un corps de type application/json est attendu.")
	}
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxJWK))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, problem.New(http.StatusRequestEntityTooLarge, "corps-trop-grand", "Corps trop grand", fmt.Sprintf("Une clé publique tient en %d octets.", maxJWK))
	case err != nil:
		return nil, problem.New(http.StatusBadRequest, "json", "Corps illisible", "Le corps n’est pas arrivé en entier.")
	}
	return raw, nil
}

// jwkProblem says what is wrong with a JWK, nothing of what it held.
func jwkProblem(err error) error {
	if errors.Is(err, jose.ErrPrivateKey) {
		return problem.New(http.StatusUnprocessableEntity, "jwk-privee", "Clé privée refusée",
			"Ce JWK contient une clé privée ou symétrique : n’envoyez que la clé publique. Rien n’a été gardé ; tenez cette clé pour compromise.").
			At("/d", "ne doit pas être envoyé")
	}
	return problem.New(http.StatusUnprocessableEntity, "jwk", "Clé publique refusée",
		"Un JWK public est attendu : EC P-256 ou P-384, ou OKP X25519 ; use « enc » ou absent, alg « ECDH-ES+A256KW » ou absent.").
		At("", "JWK non reconnu")
}
