package inbound

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/httpapi/problem"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// Bounces serves POST /webhooks/mail/bounces: the relay, or whatever pipes its
// delivery status notifications (RFC 3464) to us, signed over the raw message.
type Bounces struct {
	Registry interface {
		Record(ctx context.Context, cmd registry.Command) error
	}
	Secret connectors.Secret
	// Read gives the Message-ID a notification is about, whether the failure is
	// final, and the relay's words without an address.
	Read    func(message []byte) (messageID string, final bool, detail string, err error)
	MaxBody int64
}

// ServeHTTP answers 200 to a notification it recorded or that is about no mail
// of ours, 401 and 400 like the other webhooks.
func (b *Bounces) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	problem.Handle(Translate, b.receive)(w, r)
}

func (b *Bounces) receive(w http.ResponseWriter, r *http.Request) error {
	body, err := ReadBody(w, r, b.MaxBody)
	if err != nil {
		return err
	}
	if b.Secret.IsZero() || !Signed(r.Header.Get("X-Bounce-Signature"), body, []connectors.Secret{b.Secret}) {
		return problem.New(http.StatusUnauthorized, "signature", "Signature absente ou invalide",
			"L'en-tête X-Bounce-Signature doit porter sha256=<HMAC-SHA256 du message brut en hexadécimal>.")
	}
	messageID, final, detail, err := b.Read(body)
	if err != nil {
		return problem.New(http.StatusBadRequest, "corps", "Message illisible", "Un rapport de remise (RFC 3464) est attendu.")
	}
	local, _, _ := strings.Cut(strings.Trim(messageID, "<>"), "@")
	id, err := uuid.Parse(local)
	if err == nil && final {
		err = b.Registry.Record(r.Context(), &registry.MailBounced{MailID: id, Detail: detail})
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	problem.JSON(w, r, http.StatusOK, struct{}{})
	return nil
}
