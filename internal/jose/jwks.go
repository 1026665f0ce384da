package jose

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwk"
)

// JWKS is the document of /.well-known/jwks.json.
type JWKS struct {
	Body   []byte
	ETag   string        // quoted
	MaxAge time.Duration // for Cache-Control: the schedule counts on it
}

// Publish gives the published keys of one or several purposes as a JWK set
// (RFC 7517, 5): what signs, what will sign, and what signed a token that may
// still live.
func Publish(ctx context.Context, sources ...*Keys) (JWKS, error) {
	doc := struct {
		Keys []json.RawMessage `json:"keys"`
	}{Keys: []json.RawMessage{}}
	var maxAge time.Duration
	for i, source := range sources {
		if i == 0 || source.schedule.MaxAge < maxAge {
			maxAge = source.schedule.MaxAge
		}
		set, err := source.current(ctx, reloadAfter)
		if err != nil {
			return JWKS{}, err
		}
		for _, key := range set.Published(source.now()) {
			public, err := key.Public.JWK()
			if err != nil {
				return JWKS{}, err
			}
			doc.Keys = append(doc.Keys, public)
		}
	}
	body, err := json.Marshal(doc)
	if err != nil {
		return JWKS{}, ErrKey
	}
	sum := sha256.Sum256(body)
	return JWKS{Body: body, ETag: `"` + hex.EncodeToString(sum[:8]) + `"`, MaxAge: maxAge}, nil
}

// parseJWKS reads the verification keys of a set by id. Keys for encryption, of
// unknown algorithms, without id, or published with their private part are not
// among them (RFC 7517, 5). Two different keys under one id make the set
// unusable: nobody could say which was meant.
func parseJWKS(data []byte) (map[string]PublicKey, error) {
	doc, err := decodeObject(data)
	if err != nil {
		return nil, ErrKey
	}
	var entries []json.RawMessage
	if err := json.Unmarshal(doc["keys"], &entries); err != nil || entries == nil {
		return nil, ErrKey
	}
	keys := make(map[string]PublicKey, len(entries))
	for _, entry := range entries {
		m, err := decodeObject(entry)
		if err != nil {
			continue
		}
		if kid, ok := m.text(jwk.KeyIDKey); !ok || kid == "" {
			continue
		}
		key, err := publicFromMembers(m)
		if err != nil {
			continue
		}
		if have, twice := keys[key.kid]; twice && !have.Equal(key) {
			return nil, ErrKey
		}
		keys[key.kid] = key
	}
	return keys, nil
}
