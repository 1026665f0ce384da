package sirene

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/outbound"
)

// KeyHeader carries the application's key.
const KeyHeader = "X-Insee-Api-Key-Integration"

// maxAnswer bounds an answer, in bytes; one of many periods has some 50 kB.
const maxAnswer = 1 << 20

// Config is API Sirene in the settings.
type Config struct {
	URL string // https://api.insee.fr/api-sirene/3.11
	Key connectors.Secret

	outbound.Settings
}

// Default gives the limits of a call.
func Default() Config {
	return Config{Settings: outbound.Settings{
		MaxBody: maxAnswer, Timeouts: outbound.Timeouts{FirstByte: 8 * time.Second, Total: 10 * time.Second},
	}}
}

// Validate gives every fault at once (errors.Join).
func (c Config) Validate() error {
	var faults []error
	if u, err := url.Parse(c.URL); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		faults = append(faults, errors.New("url: not an absolute URL"))
	}
	if c.Key.IsZero() {
		faults = append(faults, errors.New("key: missing"))
	}
	return errors.Join(append(faults, c.Settings.Validate())...)
}

// Open gives the register. Nothing is called yet.
func (c Config) Open(deps connectors.Deps) (*Register, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("sirene: %w", err)
	}
	return &Register{config: c, deps: deps}, nil
}

// Register is API Sirene.
type Register struct {
	config Config
	deps   connectors.Deps
}

var _ connectors.EstablishmentRegister = (*Register)(nil)

// Establishment asks for one.
func (r *Register) Establishment(ctx context.Context, siret string) (json.RawMessage, error) {
	const op = "read an establishment"
	var body struct {
		Etablissement struct {
			SIRET string `json:"siret"`
		} `json:"etablissement"`
	}
	answer, err := outbound.JSON(ctx, r.deps.Partner, outbound.Call{
		Partner: r.deps.Name, Op: op, Method: http.MethodGet, Base: strings.TrimSuffix(r.config.URL, "/"), Route: "/siret/{siret}",
		Params: map[string]string{"siret": siret}, Header: http.Header{KeyHeader: {r.config.Key.Reveal()}},
		Expect: []int{http.StatusOK}, Out: &body, Secrets: []connectors.Secret{r.config.Key},
	})
	if err != nil {
		return nil, err
	}
	if body.Etablissement.SIRET != siret {
		return nil, &connectors.Error{Class: connectors.Rejected, Partner: r.deps.Name, Op: op, Detail: "the answer is of another establishment"}
	}
	return answer.Body, nil
}
