package hub

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/go-chi/chi/v5"
	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/httpapi/problem"
	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// action is one way to change a request: POST /requests/{id}/<name>.
type action struct {
	name    string
	command func(t registry.Target, body *object) (registry.Command, *registry.Target)
}

func actions() []action {
	return []action{
		{"submit", func(t registry.Target, b *object) (registry.Command, *registry.Target) {
			cmd := &registry.Submit{Target: t, TermsAccepted: b.flag("terms_of_service_accepted"), DPOInformed: b.flag("data_protection_officer_informed")}
			return cmd, &cmd.Target
		}},
		{"approve", func(t registry.Target, b *object) (registry.Command, *registry.Target) {
			cmd := &registry.Approve{Target: t, Message: b.text("message")}
			return cmd, &cmd.Target
		}},
		{"refuse", func(t registry.Target, b *object) (registry.Command, *registry.Target) {
			cmd := &registry.Refuse{Target: t, Reason: b.text("reason")}
			return cmd, &cmd.Target
		}},
		{"request-changes", func(t registry.Target, b *object) (registry.Command, *registry.Target) {
			cmd := &registry.RequestChanges{Target: t, Reason: b.text("reason")}
			return cmd, &cmd.Target
		}},
		{"revoke", func(t registry.Target, b *object) (registry.Command, *registry.Target) {
			cmd := &registry.RevokeRequest{Target: t, Habilitation: b.id("habilitation", 'H'), Reason: b.text("reason")}
			return cmd, &cmd.Target
		}},
		{"archive", func(t registry.Target, _ *object) (registry.Command, *registry.Target) {
			cmd := &registry.Archive{Target: t}
			return cmd, &cmd.Target
		}},
		{"reopen", func(t registry.Target, b *object) (registry.Command, *registry.Target) {
			cmd := &registry.Reopen{Target: t, Habilitation: b.id("habilitation", 'H')}
			return cmd, &cmd.Target
		}},
		{"cancel-reopening", func(t registry.Target, b *object) (registry.Command, *registry.Target) {
			cmd := &registry.CancelReopening{Target: t, Reason: b.text("reason")}
			return cmd, &cmd.Target
		}},
		{"start-next-stage", func(t registry.Target, _ *object) (registry.Command, *registry.Target) {
			cmd := &registry.StartNextStage{Target: t}
			return cmd, &cmd.Target
		}},
		{"cancel-next-stage", func(t registry.Target, _ *object) (registry.Command, *registry.Target) {
			cmd := &registry.CancelNextStage{Target: t}
			return cmd, &cmd.Target
		}},
		{"transfer", func(t registry.Target, b *object) (registry.Command, *registry.Target) {
			cmd := &registry.TransferToUser{Target: t, Email: b.text("email")}
			return cmd, &cmd.Target
		}},
		{"transfer-to-organization", func(t registry.Target, b *object) (registry.Command, *registry.Target) {
			cmd := &registry.TransferToOrganization{Target: t, SIRET: b.text("siret")}
			return cmd, &cmd.Target
		}},
	}
}

// act runs an action on the version that the caller has seen.
func (h *Handler) act(a action) problem.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		target, err := h.target(r)
		if err != nil {
			return err
		}
		body, raw, err := readObject(w, r, h.MaxBody)
		if err != nil {
			return err
		}
		cmd, result := a.command(target, body)
		if err := body.close(); err != nil {
			return h.hidden(r, target.ID, err)
		}
		return h.record(w, r, raw, cmd, func() (store.Answer, error) { return h.answerRequest(r, http.StatusOK, result.Request) })
	}
}

// update changes answers: PATCH, with the keys to change.
func (h *Handler) update(w http.ResponseWriter, r *http.Request) error {
	target, err := h.target(r)
	if err != nil {
		return err
	}
	body, raw, err := readObject(w, r, h.MaxBody)
	if err != nil {
		return err
	}
	cmd := &registry.UpdateRequest{Target: target, Answers: body.raw("data"), ByAPI: callerOf(r).Machine()}
	if cmd.Answers == nil {
		body.fault("data", "un objet est attendu")
	}
	if err := body.close(); err != nil {
		return h.hidden(r, target.ID, err)
	}
	return h.record(w, r, raw, cmd, func() (store.Answer, error) { return h.answerRequest(r, http.StatusOK, cmd.Request) })
}

// create makes a request: a person's own, or an application's in the name of
// the applicant that it names.
func (h *Handler) create(w http.ResponseWriter, r *http.Request) error {
	body, raw, err := readObject(w, r, h.MaxBody)
	if err != nil {
		return err
	}
	caller := callerOf(r)
	cmd := &registry.CreateRequest{
		Caller: caller.Viewer(), Form: body.text("form_uid"), Definition: body.text("definition_id"), Answers: body.raw("data"), ByAPI: caller.Machine(),
	}
	if cmd.Form == "" && cmd.Definition == "" {
		body.fault("form_uid", "form_uid ou definition_id est attendu")
	}
	var applicant, organization *object
	if cmd.ByAPI {
		applicant, organization = body.object("applicant"), body.object("organization")
		readHolder(cmd, body, applicant, organization)
	}
	if err := body.close(applicant, organization); err != nil {
		return err
	}
	return h.record(w, r, raw, cmd, func() (store.Answer, error) {
		answer, err := h.answerRequest(r, http.StatusCreated, cmd.Request)
		if err == nil {
			answer.Header["Location"] = fmt.Sprintf("/hub/v1/requests/%d", cmd.Request.ID)
		}
		return answer, err
	})
}

func readHolder(cmd *registry.CreateRequest, body, applicant, organization *object) {
	if applicant == nil {
		body.fault("applicant", "un objet est attendu : le demandeur")
	} else {
		cmd.Applicant = habilitation.Applicant{
			Email: applicant.text("email"), GivenName: applicant.text("given_name"), FamilyName: applicant.text("family_name"),
			PhoneNumber: applicant.text("phone_number"), JobTitle: applicant.text("job_title"),
		}
	}
	if organization == nil {
		body.fault("organization", "un objet est attendu : l’organisation, par son SIRET")
	} else {
		cmd.SIRET = organization.text("siret")
	}
}

// target is the request that the path names, at the version of If-Match.
func (h *Handler) target(r *http.Request) (registry.Target, error) {
	t := registry.Target{Caller: callerOf(r).Viewer()}
	id, err := h.requestID(r)
	if err != nil {
		return t, err
	}
	t.ID = id
	match := strings.TrimSpace(r.Header.Get("If-Match"))
	if match == "" {
		return t, h.hidden(r, id, headerProblem(http.StatusPreconditionRequired, "version-requise", "Version requise", "If-Match",
			"L’étiquette (ETag) de la version que vous avez lue est attendue."))
	}
	if t.Version, err = parseETag(match); err != nil {
		return t, h.hidden(r, id, err)
	}
	return t, nil
}

// parseETag reads an If-Match: "*" is any version, 0.
func parseETag(match string) (int64, error) {
	if match == "*" {
		return 0, nil
	}
	inner, ok := strings.CutPrefix(match, `"`)
	inner, closed := strings.CutSuffix(inner, `"`)
	version, err := strconv.ParseInt(inner, 10, 64)
	if !ok || !closed || err != nil || version <= 0 || inner != strconv.FormatInt(version, 10) {
		return 0, headerProblem(http.StatusBadRequest, "version", "Version illisible", "If-Match", `Une étiquette telle que "3" est attendue.`)
	}
	return version, nil
}

func etag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// requestID gives our id of the request that the path names: ours or its
// source's, with or without its letter.
func (h *Handler) requestID(r *http.Request) (int64, error) {
	shown, ok := parseID(chi.URLParam(r, "id"), 'D')
	if !ok {
		return 0, store.ErrNotFound
	}
	ids, err := h.Store.RequestsNamed(r.Context(), shown)
	switch {
	case err != nil:
		return 0, err
	case len(ids) == 0:
		return 0, store.ErrNotFound
	case len(ids) > 1:
		return 0, h.hidden(r, ids[0], problem.New(http.StatusConflict, "numero-ambigu", "Numéro ambigu",
			"Plusieurs sources ont une demande de ce numéro : donnez le nôtre."))
	}
	return ids[0], nil
}

// hidden gives err to those who may know of the request, 404 to the others.
func (h *Handler) hidden(r *http.Request, id int64, err error) error {
	req, rerr := h.Store.Request(r.Context(), id)
	if rerr != nil {
		return rerr
	}
	caller := callerOf(r).Viewer()
	if h.access(caller, req) == habilitation.AccessNone && (caller.Organization == 0 || caller.Organization != req.Organization.ID) {
		return store.ErrNotFound
	}
	return err
}

const keyHeader = "Idempotency-Key"

// mirroredError is a refusal with the request that it is about.
type mirroredError struct {
	error
	request habilitation.Request
}

func (e *mirroredError) Unwrap() error { return e.error }

// record runs a command and answers; with an Idempotency-Key, once for all.
func (h *Handler) record(w http.ResponseWriter, r *http.Request, raw []byte, cmd registry.Command, render func() (store.Answer, error)) error {
	key := r.Header.Get(keyHeader)
	var answer store.Answer
	var err error
	if key != "" && r.Method == http.MethodPost {
		if !printable(key) {
			return headerProblem(http.StatusBadRequest, "cle", "Clé illisible", keyHeader, "De 1 à 255 caractères ASCII visibles sont attendus.")
		}
		once := &registry.Once{
			Key:  store.AnswerKey{Caller: callerOf(r).Actor(), Key: key},
			Hash: hashOf(r, raw), Command: cmd, Render: render,
		}
		err = h.Registry.Record(r.Context(), once)
		answer = once.Answer
		if once.Repeated {
			w.Header().Set("Idempotency-Replayed", "true")
		}
	} else if err = h.Registry.Record(r.Context(), cmd); err == nil {
		answer, err = render()
	}
	if err != nil {
		return h.located(r, err)
	}
	for name, value := range answer.Header {
		w.Header().Set(name, value)
	}
	w.WriteHeader(answer.Status)
	if _, err := w.Write(answer.Body); err != nil { // what was asked is done
		zerolog.Ctx(r.Context()).Debug().Err(err).Msg("client left before the end of the answer")
	}
	return nil
}

// located adds to the refusal of a mirrored request the request itself.
func (h *Handler) located(r *http.Request, err error) error {
	if !habilitation.RefusedFor(err, habilitation.RefusedMirrored) {
		return err
	}
	id, idErr := h.requestID(r)
	if idErr != nil {
		return errors.Join(err, idErr)
	}
	req, readErr := h.Store.Request(r.Context(), id)
	if readErr != nil {
		return errors.Join(err, readErr)
	}
	return &mirroredError{err, req}
}

func printable(key string) bool {
	for _, c := range []byte(key) {
		if c < 0x21 || c > 0x7e {
			return false
		}
	}
	return len(key) <= 255
}

// hashOf tells requests apart under one key: method, path, version and body.
func hashOf(r *http.Request, raw []byte) []byte {
	sum := sha256.New()
	for _, part := range []string{r.Method, r.URL.Path, r.Header.Get("If-Match")} {
		sum.Write([]byte(part))
		sum.Write([]byte{0})
	}
	sum.Write(raw)
	return sum.Sum(nil)
}

// answerRequest renders a request as the answer to a change.
func (h *Handler) answerRequest(r *http.Request, status int, req habilitation.Request) (store.Answer, error) {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(h.view(req, h.access(callerOf(r).Viewer(), req))); err != nil {
		return store.Answer{}, err
	}
	header := map[string]string{"Content-Type": "application/json", "Cache-Control": "no-store", "ETag": etag(req.Version)}
	return store.Answer{Status: status, Header: header, Body: body.Bytes()}, nil
}
