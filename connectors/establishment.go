package connectors

import (
	"context"
	"encoding/json"
)

// EstablishmentRegister knows the establishments of the country, by SIRET.
type EstablishmentRegister interface {
	// Establishment gives the register's whole answer, as it came: a JSON object
	// of API Sirene 3.11, header and etablissement (datapass.md, 2.4). An
	// establishment that it does not know, or does not show, is NotFound.
	Establishment(ctx context.Context, siret string) (json.RawMessage, error)
}
