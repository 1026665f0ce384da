package hub

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/httpapi/problem"
	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// keyView is a key as the API shows it: everything but the key.
type keyView struct {
	ID             uuid.UUID  `json:"id"` // token_id
	Ref            string     `json:"ref"`
	RequestID      int64      `json:"request_id"`
	HabilitationID *int64     `json:"habilitation_id"`
	DefinitionID   string     `json:"definition_id"`
	Manager        string     `json:"manager"` // "": none is configured yet
	State          string     `json:"state"`
	Hint           string     `json:"hint"` // first and last characters; "" when the manager made it
	Scopes         []string   `json:"scopes"`
	GrantsPending  bool       `json:"grants_pending"` // its manager does not know the scopes yet
	AllowedIPs     []string   `json:"allowed_ips"`
	CreatedAt      time.Time  `json:"created_at"`
	IssuedAt       *time.Time `json:"issued_at"`
	ExpiresAt      *time.Time `json:"expires_at"`
	ProlongUntil   *time.Time `json:"prolong_until"` // asked for, not yet at its manager
	Replaces       *uuid.UUID `json:"replaces"`
	OldUntil       *time.Time `json:"old_until"` // of one that is replaced: it passes until then
	Reason         string     `json:"reason"`
	// ProviderReference is the provider's, of a key that it hands over itself; "" else.
	ProviderReference string          `json:"provider_reference"`
	Steps             []stepView      `json:"steps"`
	RetryAt           *time.Time      `json:"retry_at"`
	Revocation        *revocationView `json:"revocation"`
}

type stepView struct {
	Name       string     `json:"name"`
	State      string     `json:"state"` // waiting, doing, done or failed
	Attempts   int        `json:"attempts"`
	Class      string     `json:"class,omitempty"`
	Detail     string     `json:"detail,omitempty"` // the partner's words
	StartedAt  *time.Time `json:"started_at"`
	FinishedAt *time.Time `json:"finished_at"`
}

// revocationView tells the end of a key: refused here, then proven at its manager.
type revocationView struct {
	RevokedAt  time.Time  `json:"revoked_at"`
	VerifiedAt *time.Time `json:"verified_at"`
	DelayMS    *int64     `json:"delay_ms"` // measured between the two
	BoundMS    int64      `json:"bound_ms"` // what the manager promises
}

// keysOfRequest lists the keys that a request ever opened.
func (h *Handler) keysOfRequest(w http.ResponseWriter, r *http.Request) error {
	req, _, err := h.read(r)
	if err != nil {
		return err
	}
	list, err := h.Store.Credentials(r.Context(), req.ID)
	if err != nil {
		return err
	}
	return h.writeKeys(w, r, list)
}

// keysOfHabilitation lists the keys that a habilitation holds.
func (h *Handler) keysOfHabilitation(w http.ResponseWriter, r *http.Request) error {
	req, granted, _, err := h.granted(r)
	if err != nil {
		return err
	}
	list, err := h.Store.CredentialsOfHabilitation(r.Context(), req.ID, granted.ID)
	if err != nil {
		return err
	}
	return h.writeKeys(w, r, list)
}

func (h *Handler) writeKeys(w http.ResponseWriter, r *http.Request, list []store.Credential) error {
	views, err := h.viewKeys(r.Context(), list)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	problem.JSON(w, r, http.StatusOK, map[string]any{"keys": views})
	return nil
}

// key shows one key.
func (h *Handler) key(w http.ResponseWriter, r *http.Request) error {
	c, err := h.readKey(r)
	if err != nil {
		return err
	}
	views, err := h.viewKeys(r.Context(), []store.Credential{c})
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	problem.JSON(w, r, http.StatusOK, views[0])
	return nil
}

// readKey gives the key that the path names, if the caller may know of it.
func (h *Handler) readKey(r *http.Request) (store.Credential, error) {
	id, err := uuid.Parse(chi.URLParam(r, "key"))
	if err != nil {
		return store.Credential{}, store.ErrNotFound
	}
	c, err := h.Store.Credential(r.Context(), id)
	if err != nil {
		return c, err
	}
	req, err := h.Store.Request(r.Context(), c.RequestID)
	if err != nil {
		return c, err
	}
	if h.access(callerOf(r).Viewer(), req) == habilitation.AccessNone {
		return c, fmt.Errorf("credential %s: %w", id, store.ErrNotFound)
	}
	return c, nil
}

func (h *Handler) viewKeys(ctx context.Context, list []store.Credential) ([]keyView, error) {
	ids := make([]uuid.UUID, len(list))
	for i, c := range list {
		ids[i] = c.ID
	}
	next, err := h.Store.NextTries(ctx, ids)
	if err != nil {
		return nil, err
	}
	views := make([]keyView, len(list))
	for i, c := range list {
		steps, err := h.Store.Steps(ctx, c.ID)
		if err != nil {
			return nil, err
		}
		views[i] = h.viewKey(c, steps)
		handle, err := c.ManagerHandle()
		if err != nil {
			return nil, err
		}
		views[i].ProviderReference = handle.Reference
		if at, waits := next[c.ID]; waits {
			views[i].RetryAt = &at
		}
	}
	return views, nil
}

func (h *Handler) viewKey(c store.Credential, steps []store.ProvisioningStep) keyView {
	v := keyView{
		ID: c.ID, Ref: c.Ref, RequestID: c.RequestID, HabilitationID: c.HabilitationID, DefinitionID: c.Definition, Manager: c.Manager,
		State: c.State, Hint: c.Hint, Scopes: c.Scopes, GrantsPending: c.GrantsPending, AllowedIPs: c.AllowedIps, CreatedAt: c.CreatedAt,
		IssuedAt: c.IssuedAt, ExpiresAt: c.ExpiresAt, ProlongUntil: c.ProlongUntil, Replaces: c.Replaces, OldUntil: c.OldUntil,
		Reason: c.Reason, Steps: []stepView{},
	}
	known := map[string]store.ProvisioningStep{}
	for _, s := range steps {
		known[s.Name] = s
	}
	state := habilitation.CredentialState(c.State)
	show := func(names []string, all bool) {
		for _, name := range names {
			s, begun := known[name]
			if begun {
				v.Steps = append(v.Steps, stepView{
					Name: name, State: s.State, Attempts: int(s.Attempts), Class: s.Class, Detail: s.Detail, StartedAt: s.StartedAt, FinishedAt: s.FinishedAt,
				})
			} else if all {
				v.Steps = append(v.Steps, stepView{Name: name, State: "waiting"})
			}
		}
	}
	show(habilitation.ProvisioningSteps(), state.Provisioning() || state == habilitation.CredentialFailed)
	show([]string{habilitation.StepProlong}, c.ProlongUntil != nil)
	show(habilitation.EndSteps(), state.Revoking() || state == habilitation.CredentialExpired)
	if ended := endOf(c); ended != nil {
		v.Revocation = &revocationView{RevokedAt: *ended, VerifiedAt: c.VerifiedAt}
		if c.VerifiedAt != nil {
			delay := c.VerifiedAt.Sub(*ended).Milliseconds()
			v.Revocation.DelayMS = &delay
		}
		if can, ok := h.Registry.CapabilitiesOf(c.Manager); ok {
			v.Revocation.BoundMS = can.RevocationBound.Milliseconds()
		}
	}
	return v
}

// endOf is when the hub began to refuse a key; nil while it does not.
func endOf(c store.Credential) *time.Time {
	switch state := habilitation.CredentialState(c.State); {
	case c.RevokedAt != nil:
		return c.RevokedAt
	case state == habilitation.CredentialExpired:
		return c.ExpiresAt
	case state == habilitation.CredentialReplaced:
		return c.OldUntil
	}
	return nil
}

// planView says what a rotation, or a prolongation, would do.
type planView struct {
	Overlap       string `json:"overlap"` // overlap, fixed or cutover
	GraceS        *int64 `json:"grace_s"` // null: the manager imposes it
	Accept        bool   `json:"accept_cutover_required"`
	ChoosesSecret bool   `json:"manager_makes_secret"`
	HandedBy      string `json:"handed_by"` // hub, or provider: then the hub never has the key
	Text          string `json:"text"`
}

func viewPlan(p registry.RotationPlan, asked time.Duration) planView {
	v := planView{Overlap: string(p.Overlap), ChoosesSecret: p.ChoosesSecret, HandedBy: "hub"}
	seconds := int64(p.Grace.Seconds())
	switch p.Overlap {
	case connectors.OverlapUntil:
		v.GraceS, v.Text = &seconds, fmt.Sprintf("L’ancienne clé fonctionne encore %s à côté de la nouvelle.", p.Grace)
	case connectors.OverlapFixed:
		v.Text = "L’ancienne clé fonctionne encore à côté de la nouvelle, le temps que son gestionnaire impose."
	default:
		v.GraceS, v.Accept = &seconds, asked > 0
		v.Text = "L’ancienne clé cesse de fonctionner dès que la nouvelle est créée : l’accès est interrompu jusqu’à son installation."
	}
	if p.HandsOver {
		v.HandedBy = "provider"
		v.Text += " Le fournisseur de données remet la nouvelle clé lui-même."
	}
	return v
}

const defaultGrace = 24 * time.Hour

// planKeyRotation says what a rotation would do, and does nothing.
func (h *Handler) planKeyRotation(w http.ResponseWriter, r *http.Request) error {
	c, err := h.readKey(r)
	if err != nil {
		return err
	}
	grace := defaultGrace
	if text := r.URL.Query().Get("grace_s"); text != "" {
		seconds, err := strconv.ParseInt(text, 10, 32)
		if grace = time.Duration(seconds) * time.Second; err != nil || grace < 0 || grace > registry.MaxGrace {
			return parameterProblem("grace_s", fmt.Sprintf("un nombre de secondes entre 0 et %d est attendu", int(registry.MaxGrace.Seconds())))
		}
	}
	plan, err := h.Registry.PlanRotation(r.Context(), c.ID, grace)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	problem.JSON(w, r, http.StatusOK, viewPlan(plan, grace))
	return nil
}

// prolongView says what a prolongation would do, or did.
type prolongView struct {
	Way       string    `json:"way"` // hub, manager or rotation
	ExpiresAt time.Time `json:"expires_at"`
	From      time.Time `json:"from"`
	Rotation  *planView `json:"rotation"`
}

func viewProlong(p registry.ProlongPlan) prolongView {
	v := prolongView{Way: string(p.Way), ExpiresAt: p.ExpiresAt, From: p.From}
	if p.Way == registry.ProlongRotates {
		rotation := viewPlan(p.Rotation, 1)
		v.Rotation = &rotation
	}
	return v
}

// planKeyProlong says what a prolongation would do, and does nothing.
func (h *Handler) planKeyProlong(w http.ResponseWriter, r *http.Request) error {
	c, err := h.readKey(r)
	if err != nil {
		return err
	}
	plan, err := h.Registry.PlanProlong(r.Context(), c.ID)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	problem.JSON(w, r, http.StatusOK, viewProlong(plan))
	return nil
}

// seconds gives a key's whole number of seconds, or what it is when absent.
func (o *object) seconds(key string, absent time.Duration) time.Duration {
	value := o.raw(key)
	if value == nil {
		return absent
	}
	var n int64
	if json.Unmarshal(value, &n) != nil || n < 0 || n > int64(registry.MaxGrace/time.Second) {
		o.fault(key, fmt.Sprintf("un nombre entier de secondes entre 0 et %d est attendu", int64(registry.MaxGrace/time.Second)))
		return absent
	}
	return time.Duration(n) * time.Second
}

// texts gives a key's list of texts; a fault when it is absent.
func (o *object) texts(key string) []string {
	value := o.raw(key)
	var list []string
	if value == nil || json.Unmarshal(value, &list) != nil {
		o.fault(key, "une liste de textes est attendue")
	}
	return list
}

// rotateKey replaces a key: with an overlap, or at once for a leak (grace_s 0).
func (h *Handler) rotateKey(w http.ResponseWriter, r *http.Request) error {
	c, body, raw, err := h.keyAndBody(w, r)
	if err != nil {
		return err
	}
	by := callerOf(r).Viewer()
	cmd := &registry.RotateCredential{
		CredentialID: c.ID, By: &by, Grace: body.seconds("grace_s", defaultGrace), Reason: body.text("reason"), AcceptCutover: body.flag("accept_cutover"),
	}
	asked := cmd.Grace
	if err := body.close(); err != nil {
		return err
	}
	return h.record(w, r, raw, cmd, func() (store.Answer, error) {
		answer, err := jsonAnswer(http.StatusAccepted, map[string]any{"id": c.ID, "new_id": cmd.NewID, "plan": viewPlan(cmd.Plan, asked)})
		answer.Header["Location"] = "/hub/v1/keys/" + cmd.NewID.String()
		return answer, err
	})
}

// prolongKey gives a key a later end.
func (h *Handler) prolongKey(w http.ResponseWriter, r *http.Request) error {
	c, body, raw, err := h.keyAndBody(w, r)
	if err != nil {
		return err
	}
	by := callerOf(r).Viewer()
	cmd := &registry.ProlongCredential{
		CredentialID: c.ID, By: &by, AcceptRotation: body.flag("accept_rotation"), AcceptCutover: body.flag("accept_cutover"),
	}
	if err := body.close(); err != nil {
		return err
	}
	return h.record(w, r, raw, cmd, func() (store.Answer, error) {
		return jsonAnswer(http.StatusAccepted, struct {
			ID    uuid.UUID  `json:"id"`
			NewID *uuid.UUID `json:"new_id"` // of a rotation
			prolongView
		}{c.ID, optional(cmd.NewID), viewProlong(cmd.Plan)})
	})
}

// revokeKey ends a key for ever.
func (h *Handler) revokeKey(w http.ResponseWriter, r *http.Request) error {
	c, body, raw, err := h.keyAndBody(w, r)
	if err != nil {
		return err
	}
	by := callerOf(r).Viewer()
	cmd := &registry.RevokeCredential{CredentialID: c.ID, By: &by, Reason: body.text("reason")}
	if cmd.Reason == "" {
		body.fault("reason", "un motif est attendu")
	}
	if err := body.close(); err != nil {
		return err
	}
	return h.record(w, r, raw, cmd, func() (store.Answer, error) {
		return jsonAnswer(http.StatusAccepted, map[string]any{"id": c.ID})
	})
}

// restrictKey says from which addresses a key is to be taken.
func (h *Handler) restrictKey(w http.ResponseWriter, r *http.Request) error {
	c, body, raw, err := h.keyAndBody(w, r)
	if err != nil {
		return err
	}
	by := callerOf(r).Viewer()
	cmd := &registry.SetAllowedIPs{CredentialID: c.ID, By: &by, Addresses: body.texts("allowed_ips")}
	if err := body.close(); err != nil {
		return err
	}
	return h.record(w, r, raw, cmd, func() (store.Answer, error) {
		return jsonAnswer(http.StatusOK, map[string]any{"id": c.ID, "allowed_ips": cmd.Allowed})
	})
}

func (h *Handler) keyAndBody(w http.ResponseWriter, r *http.Request) (store.Credential, *object, []byte, error) {
	c, err := h.readKey(r)
	if err != nil {
		return c, nil, nil, err
	}
	body, raw, err := readObject(w, r, h.MaxBody)
	return c, body, raw, err
}

func jsonAnswer(status int, v any) (store.Answer, error) {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(v)
	return store.Answer{Status: status, Header: map[string]string{"Content-Type": "application/json", "Cache-Control": "no-store"}, Body: body.Bytes()}, err
}

// translateKey gives the problem of what is refused about a key; nil for the rest.
func translateKey(err error) *problem.Problem {
	var state *registry.StateError
	var none *registry.NoOverlapError
	var grace *registry.GraceError
	switch {
	case errors.As(err, &state):
		return problem.New(http.StatusConflict, string(registry.RefusedKeyState), "Action impossible dans l’état de la clé",
			"La clé est dans l’état « "+state.State+" », qui ne permet pas cette action.")
	case errors.As(err, &none):
		return problem.New(http.StatusConflict, string(registry.RefusedNoCutover), "L’interruption n’a pas été acceptée",
			"Le gestionnaire de cette clé n’en garde pas deux à la fois : la remplacer interrompt l’accès jusqu’à l’installation de la nouvelle.").
			At("/accept_cutover", "true est attendu pour accepter l’interruption")
	case errors.As(err, &grace):
		return problem.New(http.StatusUnprocessableEntity, "corps", "Corps invalide", "Le corps de la requête contient des erreurs.").
			At("/grace_s", fmt.Sprintf("entre 0 et %d secondes", int64(registry.MaxGrace/time.Second)))
	}
	return nil
}
