package franceconnecttest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
	"github.com/passerelle-hub/passerelle/internal/jose"
)

// keyring holds the signing key and those that the key set shows. The server's
// lock guards it.
type keyring struct {
	signing    jose.PrivateKey
	published  []jose.PublicKey
	past       []jose.PublicKey // all ever used: id_token_hint is believed after its key has gone
	stale      []jose.PublicKey // what the key set still shows
	staleUntil time.Time
}

func newKeyring() (keyring, error) {
	key, err := jose.GenerateKey(jose.ES256)
	if err != nil {
		return keyring{}, err
	}
	return keyring{
		signing: key, published: []jose.PublicKey{key.Public()}, past: []jose.PublicKey{key.Public()},
	}, nil
}

// RotateKey signs with a new key at once and gives its id. The old one stays in
// the key set when keepOld says so. For stale, the key set shows what it showed
// before: a new id that it does not know.
func (s *Server) RotateKey(keepOld bool, stale time.Duration) (string, error) {
	key, err := jose.GenerateKey(jose.ES256)
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys.stale, s.keys.staleUntil = s.shownKeys(), s.Now().Add(stale)
	if !keepOld {
		s.keys.published = nil
	}
	s.keys.signing = key
	s.keys.published = append(s.keys.published, key.Public())
	s.keys.past = append(s.keys.past, key.Public())
	return key.KID(), nil
}

// shownKeys is the key set as it is served now. It needs the lock.
func (s *Server) shownKeys() []jose.PublicKey {
	if s.Now().Before(s.keys.staleUntil) {
		return s.keys.stale
	}
	return s.keys.published
}

func (s *Server) serveKeys(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	keys := s.shownKeys()
	s.mu.Unlock()
	set := map[string][]json.RawMessage{"keys": {}}
	for _, key := range keys {
		text, err := key.JWK()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		set["keys"] = append(set["keys"], text)
	}
	w.Header().Set("Content-Type", "application/jwk-set+json; charset=utf-8")
	partnertest.WriteJSON(w, http.StatusOK, set)
}

// sign makes a JWS of the claims, well or as the misbehaviour wants it. It needs
// the lock.
func (s *Server) sign(typ string, claims map[string]any, how Misbehaviour, secret string) (string, error) {
	key := s.keys.signing
	switch how {
	case AlgHS256:
		return handMade(map[string]string{"alg": "HS256", "kid": key.KID()}, claims, []byte(secret))
	case AlgNone:
		return handMade(map[string]string{"alg": "none"}, claims, nil)
	case UnknownKID:
		var err error
		if key, err = jose.GenerateKey(jose.ES256); err != nil {
			return "", err
		}
	case WrongSignature:
		signed, err := key.Sign(typ, claims)
		if err != nil {
			return "", err
		}
		other, err := key.Sign(typ, map[string]any{"iat": s.Now().Unix()})
		return signed[:strings.LastIndex(signed, ".")] + other[strings.LastIndex(other, "."):], err
	}
	return key.Sign(typ, claims)
}

// handMade writes what package jose rightly refuses to: a JWS signed with a
// shared secret, or not at all.
func handMade(header map[string]string, claims map[string]any, secret []byte) (string, error) {
	head, err := json.Marshal(header)
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	encode := base64.RawURLEncoding.EncodeToString
	token := encode(head) + "." + encode(body)
	if secret == nil {
		return token + ".", nil
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(token))
	return token + "." + encode(mac.Sum(nil)), nil
}

// halfHash is at_hash (OpenID Connect Core, 3.1.3.6).
func halfHash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}
