package editor

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/httpapi/problem"
	"github.com/passerelle-hub/passerelle/internal/jose"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// Formats in which a key is handed over.
const (
	formatClear = "clear"
	formatJWE   = "jwe" // compact, ECDH-ES+A256KW and A256GCM
)

// keyView is a key without its value.
type keyView struct {
	ID             uuid.UUID   `json:"id"`
	Request        requestView `json:"request"`
	HabilitationID *int64      `json:"habilitation_id"`
	DefinitionID   string      `json:"definition_id"`
	Manager        string      `json:"manager"`
	Hint           string      `json:"hint"` // enough to tell two keys apart
	State          string      `json:"state"`
	HandOver       string      `json:"hand_over"`
	Format         *string     `json:"format"` // of what a fetch gives; null when none would
	Scopes         []string    `json:"scopes"`
	IssuedAt       *time.Time  `json:"issued_at"`
	ExpiresAt      *time.Time  `json:"expires_at"`
	AvailableUntil *time.Time  `json:"available_until"` // the copy is destroyed then
	Replaces       *uuid.UUID  `json:"replaces"`
	OldValidUntil  *time.Time  `json:"old_valid_until"` // of the key that it replaces
	UpdatedAt      time.Time   `json:"updated_at"`
	Version        int64       `json:"version"`
}

func viewKey(k store.EditorKey) keyView {
	v := keyView{
		ID: k.ID, HabilitationID: k.HabilitationID, DefinitionID: k.Definition, Manager: k.Manager, Hint: k.Hint, State: k.State, HandOver: k.HandOver,
		Scopes: append([]string{}, k.Scopes...), IssuedAt: k.IssuedAt, ExpiresAt: k.ExpiresAt, Replaces: k.Replaces, OldValidUntil: k.OldValidUntil,
		UpdatedAt: k.UpdatedAt.UTC(), Version: k.UpdatedAt.UnixMilli(),
		Request: requestView{ID: k.RequestID, DataPassID: k.RequestExternalID, Title: k.Title, FormUID: k.Form, SIRET: k.Siret, Organization: k.Name},
	}
	if k.HandOver == store.HandOverReady {
		format := formatClear
		if k.Kid != "" {
			format = formatJWE
		}
		v.Format, v.AvailableUntil = &format, k.AvailableUntil
	}
	return v
}

// keys lists the keys of the editor's clients, without their values.
func (h *Handler) keys(w http.ResponseWriter, r *http.Request) error {
	q, err := parseQuery(r, paramSIRET, paramDefinition, paramHandOver, paramLimit, paramCursor)
	if err != nil {
		return err
	}
	f, err := h.filter(r, q)
	if err != nil {
		return err
	}
	if f.HandOver = q.get(paramHandOver); f.HandOver != "" && !slices.Contains(store.HandOvers(), f.HandOver) {
		return badParameter(paramHandOver, "état inconnu : "+strings.Join(store.HandOvers(), ", "))
	}
	place, err := readCursor(paramCursor, "keys", f.Editor, q.get(paramCursor))
	if err != nil {
		return err
	}
	after := uuid.Nil
	if place != "" {
		if after, err = uuid.Parse(place); err != nil {
			return badCursor(paramCursor)
		}
	}
	limit := f.Limit
	f.Limit++
	rows, err := h.Store.EditorKeys(r.Context(), f, h.fetchable(), after, h.Now())
	if err != nil {
		return err
	}
	problem.JSON(w, r, http.StatusOK, page("keys", f.Editor, rows, limit, viewKey, func(k store.EditorKey) string { return k.ID.String() }))
	return nil
}

// key gives one, without its value.
func (h *Handler) key(w http.ResponseWriter, r *http.Request) error {
	id, err := keyID(r)
	if err != nil {
		return err
	}
	row, err := h.Store.EditorKey(r.Context(), callerOf(r).Editor(), h.fetchable(), id, h.Now())
	if err != nil {
		return err
	}
	problem.JSON(w, r, http.StatusOK, viewKey(row))
	return nil
}

// keyID reads the id of a key in the address; what is none is not found.
func keyID(r *http.Request) (uuid.UUID, error) {
	text := chi.URLParam(r, "id")
	id, err := uuid.Parse(text)
	if err != nil || len(text) != 36 || id == uuid.Nil {
		return uuid.Nil, notFound()
	}
	return id, nil
}

// fetchedView is a key with its value.
type fetchedView struct {
	ID             uuid.UUID `json:"id"`
	FetchID        uuid.UUID `json:"fetch_id"`
	Secret         string    `json:"secret"`
	Format         string    `json:"format"`
	KID            *string   `json:"kid"`         // of the public key that the JWE is for
	Fingerprint    string    `json:"fingerprint"` // of the key itself, to acknowledge with; "" for a JWE: compute it from what you decrypted
	AvailableUntil time.Time `json:"available_until"`
}

func (h *Handler) fetchOne(r *http.Request, id uuid.UUID) (fetchedView, error) {
	caller := callerOf(r)
	cmd := &registry.FetchKey{CredentialID: id, Editor: caller.Editor(), ClientID: caller.Application.ID}
	if err := h.Registry.Record(r.Context(), cmd); err != nil {
		return fetchedView{}, err
	}
	v := fetchedView{ID: id, FetchID: cmd.FetchID, Secret: cmd.Secret.Reveal(), Format: formatClear, AvailableUntil: cmd.Until.UTC()}
	if cmd.KID != "" {
		v.Format, v.KID = formatJWE, &cmd.KID
	} else {
		v.Fingerprint = hex.EncodeToString(cmd.CheckSum)
	}
	return v, nil
}

// fetch hands a key over.
func (h *Handler) fetch(w http.ResponseWriter, r *http.Request) error {
	id, err := keyID(r)
	if err != nil {
		return err
	}
	v, err := h.fetchOne(r, id)
	if err != nil {
		return err
	}
	problem.JSON(w, r, http.StatusOK, v)
	return nil
}

// itemView is the outcome about one key of a batch: one of Result and Problem.
type itemView struct {
	ID      string           `json:"id"`
	Status  int              `json:"status"` // what the call for this key alone would have answered
	Result  *fetchedView     `json:"result,omitempty"`
	Problem *problem.Problem `json:"problem,omitempty"`
}

// item makes an outcome; an error of ours says nothing and stops the batch.
func item(id string, result *fetchedView, done int, err error) (itemView, error) {
	if err == nil {
		return itemView{ID: id, Status: done, Result: result}, nil
	}
	var p *problem.Problem
	if !errors.As(err, &p) {
		p = translate(err)
	}
	if p == nil || p.Status >= http.StatusInternalServerError {
		return itemView{}, err
	}
	return itemView{ID: id, Status: p.Status, Problem: p}, nil
}

// fetchMany hands many keys over, each as if alone.
func (h *Handler) fetchMany(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		IDs []string `json:"ids"`
	}
	if err := h.readBatch(w, r, "/ids", &body); err != nil {
		return err
	}
	ids, err := batchIDs(body.IDs)
	if err != nil {
		return err
	}
	items := make([]itemView, 0, len(ids))
	for _, id := range ids {
		v, err := h.fetchOne(r, id)
		one, err := item(id.String(), &v, http.StatusOK, err)
		if err != nil {
			if len(items) == 0 {
				return err
			}
			break // what was handed over is answered; the rest can be asked for again
		}
		items = append(items, one)
	}
	problem.JSON(w, r, http.StatusOK, map[string]any{"data": items, "complete": len(items) == len(ids)})
	return nil
}

func batchIDs(texts []string) ([]uuid.UUID, error) {
	if err := batchSize("/ids", len(texts)); err != nil {
		return nil, err
	}
	ids := make([]uuid.UUID, len(texts))
	for i, text := range texts {
		id, err := uuid.Parse(text)
		if err != nil || len(text) != 36 {
			return nil, invalid(fmt.Sprintf("/ids/%d", i), "un identifiant de clé (UUID) est attendu")
		}
		if slices.Contains(ids[:i], id) {
			return nil, invalid(fmt.Sprintf("/ids/%d", i), "cette clé est demandée deux fois")
		}
		ids[i] = id
	}
	return ids, nil
}

// readBatch reads the body of a batch; one that is too large to be read is told
// how many keys it may hold.
func (h *Handler) readBatch(w http.ResponseWriter, r *http.Request, pointer string, v any) error {
	err := h.readJSON(w, r, v)
	var p *problem.Problem
	if errors.As(err, &p) && p.Status == http.StatusRequestEntityTooLarge {
		return p.At(pointer, fmt.Sprintf("%d clés au plus par appel ; envoyez-les par pages", maxBatch))
	}
	return err
}

func batchSize(pointer string, n int) error {
	switch {
	case n == 0:
		return invalid(pointer, "une clé au moins est attendue")
	case n > maxBatch:
		return invalid(pointer, fmt.Sprintf("%d clés au plus par appel : %d sont demandées ; envoyez-les par pages", maxBatch, n))
	}
	return nil
}

// ackBody is an acknowledgement.
type ackBody struct {
	ID          string `json:"id,omitempty"` // in a batch
	FetchID     string `json:"fetch_id"`
	Fingerprint string `json:"fingerprint"` // first 16 hexadecimal digits of SHA-256 of the key
}

func (b ackBody) read(pointer string) (fetchID uuid.UUID, sum []byte, err error) {
	if fetchID, err = uuid.Parse(b.FetchID); err != nil || len(b.FetchID) != 36 {
		return fetchID, nil, invalid(pointer+"/fetch_id", "l’identifiant rendu par la lecture (UUID) est attendu")
	}
	if sum, err = hex.DecodeString(b.Fingerprint); err != nil || len(sum) != store.CheckSumLen {
		return fetchID, nil, invalid(pointer+"/fingerprint", "les 16 premiers chiffres hexadécimaux du SHA-256 de la clé sont attendus")
	}
	return fetchID, sum, nil
}

func (h *Handler) acknowledgeOne(r *http.Request, id uuid.UUID, fetchID uuid.UUID, sum []byte) error {
	editor := callerOf(r).Editor()
	err := h.Registry.Record(r.Context(), &registry.AcknowledgeKey{CredentialID: id, Editor: editor, FetchID: fetchID, CheckSum: sum})
	var refused *registry.NotFetchableError
	if errors.As(err, &refused) && refused.Reason == registry.WrongSum {
		zerolog.Ctx(r.Context()).Warn().Str("editor", editor).Stringer("credential", id).Msg("a key was acknowledged with another fingerprint")
		if kept := h.Registry.Record(r.Context(), &registry.RecordWrongSum{CredentialID: id, Editor: editor, FetchID: fetchID}); kept != nil {
			return kept
		}
	}
	return err
}

// acknowledge has the hub's copy of a key destroyed.
func (h *Handler) acknowledge(w http.ResponseWriter, r *http.Request) error {
	id, err := keyID(r)
	if err != nil {
		return err
	}
	var body ackBody
	if err := h.readJSON(w, r, &body); err != nil {
		return err
	}
	if body.ID != "" && body.ID != id.String() {
		return invalid("/id", "ce n’est pas la clé de l’adresse")
	}
	fetchID, sum, err := body.read("")
	if err != nil {
		return err
	}
	if err := h.acknowledgeOne(r, id, fetchID, sum); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// acknowledgeMany does it for many keys, each as if alone.
func (h *Handler) acknowledgeMany(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Acks []ackBody `json:"acks"`
	}
	if err := h.readBatch(w, r, "/acks", &body); err != nil {
		return err
	}
	if err := batchSize("/acks", len(body.Acks)); err != nil {
		return err
	}
	type ack struct {
		id, fetch uuid.UUID
		sum       []byte
	}
	acks := make([]ack, len(body.Acks))
	for i, b := range body.Acks { // all are read before the first has an effect
		pointer := fmt.Sprintf("/acks/%d", i)
		var err error
		if acks[i].id, err = uuid.Parse(b.ID); err != nil || len(b.ID) != 36 {
			return invalid(pointer+"/id", "un identifiant de clé (UUID) est attendu")
		}
		if acks[i].fetch, acks[i].sum, err = b.read(pointer); err != nil {
			return err
		}
	}
	items := make([]itemView, 0, len(acks))
	for _, a := range acks {
		one, err := item(a.id.String(), nil, http.StatusNoContent, h.acknowledgeOne(r, a.id, a.fetch, a.sum))
		if err != nil {
			if len(items) == 0 {
				return err
			}
			break
		}
		items = append(items, one)
	}
	problem.JSON(w, r, http.StatusOK, map[string]any{"data": items, "complete": len(items) == len(acks)})
	return nil
}

const maxReason = 500 // characters

// refuse keeps that a fetched key is of no use, and why.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request) error {
	id, err := keyID(r)
	if err != nil {
		return err
	}
	var body struct {
		FetchID string `json:"fetch_id"`
		Reason  string `json:"reason"`
	}
	if err := h.readJSON(w, r, &body); err != nil {
		return err
	}
	fetchID, err := uuid.Parse(body.FetchID)
	if err != nil || len(body.FetchID) != 36 {
		return invalid("/fetch_id", "l’identifiant rendu par la lecture (UUID) est attendu")
	}
	reason := strings.TrimSpace(body.Reason)
	if n := utf8.RuneCountInString(reason); n == 0 || n > maxReason || strings.ContainsFunc(reason, func(r rune) bool { return r < ' ' && r != '\n' }) {
		return invalid("/reason", fmt.Sprintf("une raison de 1 à %d caractères est attendue", maxReason))
	}
	cmd := &registry.RefuseKey{CredentialID: id, Editor: callerOf(r).Editor(), FetchID: fetchID, Reason: reason}
	if err := h.Registry.Record(r.Context(), cmd); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// publicKeyView is the registered public key.
type publicKeyView struct {
	KID   string    `json:"kid"`
	JWK   any       `json:"jwk"`
	SetAt time.Time `json:"set_at"`
}

// publicKey gives the public key for which keys are encrypted.
func (h *Handler) publicKey(w http.ResponseWriter, r *http.Request) error {
	k, err := h.Store.RecipientKey(r.Context(), store.EditorRecipient(callerOf(r).Editor()))
	if err != nil {
		return err
	}
	problem.JSON(w, r, http.StatusOK, publicKeyView{k.KID, k.JWK, k.SetAt.UTC()})
	return nil
}

const maxJWK = 8 << 10 // bytes

// setPublicKey registers it, in the place of the one before.
func (h *Handler) setPublicKey(w http.ResponseWriter, r *http.Request) error {
	raw, err := readJWK(w, r)
	if err != nil {
		return err
	}
	key, err := jose.ParseRecipient(raw)
	if err != nil {
		return jwkProblem(err)
	}
	if err := h.Registry.Record(r.Context(), &registry.SetRecipientKey{Editor: callerOf(r).Editor(), Key: key}); err != nil {
		return err
	}
	return h.publicKey(w, r)
}

// removePublicKey takes it back.
func (h *Handler) removePublicKey(w http.ResponseWriter, r *http.Request) error {
	if err := h.Registry.Record(r.Context(), &registry.RemoveRecipientKey{Editor: callerOf(r).Editor()}); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
