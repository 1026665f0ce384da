package hub

import (
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/passerelle-hub/passerelle/httpapi/problem"
	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/jose"
	"github.com/passerelle-hub/passerelle/internal/registry"
)

const maxJWK = 8 << 10 // bytes

// holder gives the request when the caller is who its keys are handed over to:
// its applicant, or its technical contact.
func (h *Handler) holder(r *http.Request) (habilitation.Request, error) {
	req, _, err := h.read(r)
	if err != nil {
		return req, err
	}
	mail := callerOf(r).Person.Email
	if mail == "" || !strings.EqualFold(mail, req.Applicant.Email) && !strings.EqualFold(mail, strings.TrimSpace(req.Data["contact_technique_email"])) {
		return req, problem.New(http.StatusForbidden, "not_allowed", "Accès refusé", "Seuls le demandeur et le contact technique reçoivent les clés de cette demande.")
	}
	return req, nil
}

// setRecipientKey registers the public key of a request's holder: its keys are
// kept encrypted for it, and the page of a one-time link shows a JWE.
func (h *Handler) setRecipientKey(w http.ResponseWriter, r *http.Request) error {
	req, err := h.holder(r)
	if err != nil {
		return err
	}
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxJWK))
	if err != nil {
		return problem.New(http.StatusRequestEntityTooLarge, "corps-trop-grand", "Corps trop grand", "Une clé publique tient en 8 Kio.")
	}
	key, err := jose.ParseRecipient(raw)
	switch {
	case errors.Is(err, jose.ErrPrivateKey):
		return problem.New(http.StatusUnprocessableEntity, "jwk-privee", "Clé privée refusée",
			"Ce JWK contient une clé privée ou symétrique : n’envoyez que la clé publique. Rien n’a été gardé ; tenez cette clé pour compromise.").
			At("/d", "ne doit pas être envoyé")
	case err != nil:
		return problem.New(http.StatusUnprocessableEntity, "jwk", "Clé publique refusée", "Un JWK public est attendu : EC P-256 ou P-384, ou OKP X25519.").
			At("", "JWK non reconnu")
	}
	if err := h.Registry.Record(r.Context(), &registry.SetHolderKey{RequestID: req.ID, Key: key}); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// removeRecipientKey takes it back. What is encrypted for it stays so.
func (h *Handler) removeRecipientKey(w http.ResponseWriter, r *http.Request) error {
	req, err := h.holder(r)
	if err != nil {
		return err
	}
	if err := h.Registry.Record(r.Context(), &registry.RemoveHolderKey{RequestID: req.ID}); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
