// Package inbound takes in what partners send: DataPass's webhooks and the
// relay's bounces. A webhook is verified on its raw bytes, stored, deduplicated
// and answered; nothing else happens in the request.
//
// It imports internal/registry, internal/store and httpapi/problem.
package inbound

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/httpapi/problem"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// Receiver stores a verified webhook and gives its receipt.
type Receiver interface {
	Receive(ctx context.Context, w registry.Webhook) (store.Receipt, error)
}

// Source is one DataPass that may send to us.
type Source struct {
	Environment string
	Definitions []string            // none: all
	Secrets     []connectors.Secret // each is accepted, so that a secret can be rotated
}

// DataPass serves POST /webhooks/datapass/{source}.
type DataPass struct {
	Sources  map[string]Source
	Receiver Receiver
	MaxBody  int64 // bytes
}

// ServeHTTP answers as datapass.md 2.6 and 2.7 say: {"token_id"} to an approve,
// {} to the rest; 401 without a good signature, 413 over the limit, 400 when it
// is no webhook, 503 when it could not be stored.
func (d *DataPass) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	problem.Handle(Translate, d.receive)(w, r)
}

func (d *DataPass) receive(w http.ResponseWriter, r *http.Request) error {
	body, err := ReadBody(w, r, d.MaxBody)
	if err != nil {
		return err
	}
	name := chi.URLParam(r, "source")
	source, known := d.Sources[name]
	// An unknown source takes the same path and gets the same answer as a wrong signature.
	if !Signed(r.Header.Get("X-Hub-Signature-256"), body, source.Secrets) || !known {
		return problem.New(http.StatusUnauthorized, "signature", "Signature absente ou invalide",
			"L'en-tête X-Hub-Signature-256 doit porter sha256=<HMAC-SHA256 du corps brut en hexadécimal>.")
	}
	receipt, err := d.Receiver.Receive(r.Context(), registry.Webhook{
		Source: name, Environment: source.Environment, Declared: r.Header.Get("X-App-Environment"),
		Definitions: source.Definitions, Body: body,
	})
	if err != nil {
		return err
	}
	answer := map[string]string{}
	if receipt.TokenID != uuid.Nil {
		answer["token_id"] = receipt.TokenID.String()
	}
	problem.JSON(w, r, http.StatusOK, answer)
	return nil
}

// ReadBody reads a whole body of at most limit bytes.
func ReadBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, problem.New(http.StatusRequestEntityTooLarge, "corps-trop-grand", "Corps trop grand", "Le corps dépasse la taille admise.")
	case err != nil:
		return nil, problem.New(http.StatusBadRequest, "corps", "Corps incomplet", "Le corps n'a pas été reçu en entier.")
	}
	return body, nil
}

// Signed tells, in constant time, whether header is "sha256=" and the HMAC of
// body under one of the secrets (their text is the key, datapass.md 2.3).
func Signed(header string, body []byte, secrets []connectors.Secret) bool {
	given, err := hex.DecodeString(strings.TrimPrefix(header, "sha256="))
	if err != nil || !strings.HasPrefix(header, "sha256=") {
		given = nil
	}
	if len(secrets) == 0 {
		secrets = []connectors.Secret{connectors.NewSecret("")}
	}
	signed := false
	for _, secret := range secrets {
		mac := hmac.New(sha256.New, []byte(secret.Reveal()))
		mac.Write(body)
		if hmac.Equal(mac.Sum(nil), given) && !secret.IsZero() {
			signed = true
		}
	}
	return signed
}

// Translate gives the problem of an error of this package's work.
func Translate(err error) *problem.Problem {
	var body *registry.BodyError
	switch {
	case errors.As(err, &body):
		p := problem.New(http.StatusBadRequest, "corps", "Corps illisible", body.Problem)
		if body.Field != "" {
			p.At("/"+body.Field, body.Problem)
		}
		return p
	case store.Unavailable(err):
		return problem.Unavailable()
	case errors.Is(err, context.Canceled):
		return problem.Unavailable()
	}
	return nil
}
