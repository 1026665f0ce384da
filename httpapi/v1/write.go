package v1

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/passerelle-hub/passerelle/httpapi/auth"
	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// creation is the body of POST /demandes (datapass.md, 3.4). Further keys are
// ignored, as DataPass does, except in data.
type creation struct {
	Demande *struct {
		FormUID   string `json:"form_uid"`
		Type      string `json:"type"`
		Applicant *struct {
			Email       string `json:"email"`
			GivenName   string `json:"given_name"`
			FamilyName  string `json:"family_name"`
			JobTitle    string `json:"job_title"`
			PhoneNumber string `json:"phone_number"`
		} `json:"applicant"`
		Organization *struct {
			SIRET string `json:"siret"`
		} `json:"organization"`
		Data json.RawMessage `json:"data"`
	} `json:"demande"`
}

// createRequest makes a draft in the name of an applicant. The event is
// create_by_api; fields are not required yet.
func (h *Handler) createRequest(w http.ResponseWriter, r *http.Request) error {
	var body creation
	raw, err := h.readJSON(w, r, &body)
	if err != nil {
		return err
	}
	demande := body.Demande
	switch {
	case demande == nil:
		return missingParameter("demande")
	case demande.Applicant == nil:
		return missingParameter("applicant")
	case demande.Organization == nil:
		return missingParameter("organization")
	}
	caller, _ := auth.CallerOf(r.Context())
	applicant := demande.Applicant
	cmd := &registry.CreateRequest{
		Caller: caller.Viewer(), ByAPI: true, Form: demande.FormUID, Definition: demande.Type, Answers: answers(demande.Data),
		Applicant: habilitation.Applicant{
			Email: strings.ToLower(strings.TrimSpace(applicant.Email)), GivenName: strings.TrimSpace(applicant.GivenName), FamilyName: strings.TrimSpace(applicant.FamilyName),
			JobTitle: strings.TrimSpace(applicant.JobTitle), PhoneNumber: strings.TrimSpace(applicant.PhoneNumber),
		},
		SIRET: strings.TrimSpace(demande.Organization.SIRET),
	}
	id, err := h.createOnce(w, r, raw, cmd)
	if err != nil {
		return err
	}
	return h.answer(w, r, http.StatusCreated, id)
}

const keyHeader = "Idempotency-Key"

// createOnce makes the request; with an Idempotency-Key, once for all. A repeat
// shows the request that the first one made, as it is now.
func (h *Handler) createOnce(w http.ResponseWriter, r *http.Request, raw []byte, cmd *registry.CreateRequest) (int64, error) {
	key := r.Header.Get(keyHeader)
	if key == "" {
		return h.create(r, cmd)
	}
	if len(key) > 255 || strings.ContainsFunc(key, func(c rune) bool { return c < 0x21 || c > 0x7e }) {
		return 0, errKey
	}
	caller, _ := auth.CallerOf(r.Context())
	sum := sha256.Sum256(append([]byte(r.Method+"\x00"+r.URL.Path+"\x00"), raw...))
	once := &registry.Once{
		Key: store.AnswerKey{Caller: caller.Actor(), Key: key}, Hash: sum[:], Command: cmd,
		Render: func() (store.Answer, error) {
			return store.Answer{Status: http.StatusCreated, Body: strconv.AppendInt(nil, cmd.Request.ID, 10)}, nil
		},
	}
	if err := h.Registry.Record(r.Context(), once); err != nil {
		return 0, err
	}
	if once.Repeated {
		w.Header().Set("Idempotency-Replayed", "true")
	}
	return strconv.ParseInt(string(once.Answer.Body), 10, 64)
}

func (h *Handler) create(r *http.Request, cmd *registry.CreateRequest) (int64, error) {
	err := h.Registry.Record(r.Context(), cmd)
	return cmd.Request.ID, err
}

// change is the body of PATCH and PUT /demandes/{id}.
type change struct {
	Demande *struct {
		Data json.RawMessage `json:"data"`
	} `json:"demande"`
}

// updateRequest changes answers, also of a request that was submitted
// (datapass.md, 3.4); the event is update_by_api. If-Match is honoured when it
// is there.
func (h *Handler) updateRequest(w http.ResponseWriter, r *http.Request) error {
	id, err := h.requestID(r)
	if err != nil {
		return err
	}
	version, err := readIfMatch(r.Header.Get("If-Match"))
	if err != nil {
		return err
	}
	var body change
	if _, err := h.readJSON(w, r, &body); err != nil {
		return err
	}
	switch {
	case body.Demande == nil:
		return missingParameter("demande")
	case answers(body.Demande.Data) == nil:
		return missingParameter("data")
	}
	caller, _ := auth.CallerOf(r.Context())
	cmd := &registry.UpdateRequest{
		Target: registry.Target{ID: id, Caller: caller.Viewer(), Version: version}, Answers: body.Demande.Data, ByAPI: true,
	}
	if err := h.Registry.Record(r.Context(), cmd); err != nil {
		if habilitation.RefusedFor(err, habilitation.RefusedMirrored) {
			return h.drivenElsewhere(r, id, err)
		}
		return err
	}
	return h.answer(w, r, http.StatusOK, id)
}

// drivenElsewhere says where a mirrored request is changed.
func (h *Handler) drivenElsewhere(r *http.Request, id int64, refusal error) error {
	req, err := h.Store.Request(r.Context(), id)
	if err != nil {
		return err
	}
	f := translate(refusal)
	if site := h.Sources[req.Source]; site != "" {
		f.errors[0].Detail += fmt.Sprintf(" Elle s’y trouve à l’adresse %s/demandes/%d.", strings.TrimSuffix(site, "/"), req.ExternalID)
	}
	return f
}

// answers is nil for none.
func answers(data json.RawMessage) []byte {
	if text := bytes.TrimSpace(data); len(text) > 0 && string(text) != "null" {
		return text
	}
	return nil
}

// readIfMatch reads a version; "" and * ask for none.
func readIfMatch(header string) (int64, error) {
	if header == "" || header == "*" {
		return 0, nil
	}
	version, err := strconv.ParseInt(strings.Trim(header, `"`), 10, 64)
	if err != nil || version <= 0 || header != `"`+strconv.FormatInt(version, 10)+`"` {
		return 0, errStale
	}
	return version, nil
}

// readJSON reads one JSON object of the proper types and gives its bytes too.
func (h *Handler) readJSON(w http.ResponseWriter, r *http.Request, into any) ([]byte, error) {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return nil, errMediaType
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, h.MaxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, errTooLarge
	case err != nil:
		return nil, errBody
	}
	if !utf8.Valid(body) {
		return nil, errBody
	}
	err = json.Unmarshal(body, into)
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &wrong) && wrong.Field != "":
		return nil, wrongTypes(body, into, wrong)
	case err != nil:
		return nil, errBody
	}
	return body, nil
}

const mostWrongTypes = 20 // named at once

// wrongTypes names every key whose value is of another type: the decoder tells
// the first alone, so that it is read again without each.
func wrongTypes(body []byte, into any, wrong *json.UnmarshalTypeError) *failure {
	f := wrongType(wrong)
	var whole map[string]any
	if json.Unmarshal(body, &whole) != nil {
		return f
	}
	for len(f.errors) < mostWrongTypes && without(whole, strings.Split(wrong.Field, ".")) {
		rest, err := json.Marshal(whole)
		if err != nil || !errors.As(json.Unmarshal(rest, into), &wrong) || wrong.Field == "" {
			break
		}
		f.errors = append(f.errors, wrongType(wrong).errors...)
	}
	return f
}

// without drops what a path leads to, and reports whether it was there.
func without(value map[string]any, path []string) bool {
	for name, inner := range value {
		if !strings.EqualFold(name, path[0]) { // as the decoder matches
			continue
		}
		if len(path) == 1 {
			delete(value, name)
			return true
		}
		if deeper, ok := inner.(map[string]any); ok && without(deeper, path[1:]) {
			return true
		}
	}
	return false
}

// wrongType names the key whose value is of another type.
func wrongType(e *json.UnmarshalTypeError) *failure {
	key := strings.TrimPrefix(strings.TrimPrefix(e.Field, "demande"), ".")
	title := titleInvalid
	switch {
	case strings.HasPrefix(key, "applicant"):
		title = "Demandeur invalide"
	case strings.HasPrefix(key, "organization"):
		title = "Organisation invalide"
	case key == "":
		key = "demande"
	}
	expected := "un texte"
	if e.Type.Kind().String() == "struct" {
		expected = "un objet"
	}
	return fail(http.StatusUnprocessableEntity, title, "Le paramètre « "+key+" » doit être "+expected+".", "/"+strings.ReplaceAll(key, ".", "/"))
}
