// Package authtest is an OpenID Connect issuer of people's tokens, for the demo
// and tests: it vouches for whoever asks, so it listens on loopback alone.
//
// It imports internal/jose only.
package authtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/passerelle-hub/passerelle/internal/jose"
)

const lifetime = 8 * time.Hour // of a token

// Issuer is one, with a key of its own.
type Issuer struct {
	key           jose.PrivateKey
	url, audience string
	server        *http.Server
}

// Start listens on a loopback address ("127.0.0.1:0" for any port).
func Start(address, audience string) (*Issuer, error) {
	key, err := jose.GenerateKey(jose.ES256)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	if a, ok := l.Addr().(*net.TCPAddr); !ok || !a.IP.IsLoopback() {
		return nil, errors.Join(fmt.Errorf("%s is no loopback address", address), l.Close())
	}
	i := &Issuer{key: key, url: "http://" + l.Addr().String(), audience: audience}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /jwks", i.keys)
	mux.HandleFunc("POST /token", i.token)
	i.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = i.server.Serve(l) }()
	return i, nil
}

// URL is its iss.
func (i *Issuer) URL() string { return i.url }

// JWKS is the address of its keys.
func (i *Issuer) JWKS() string { return i.url + "/jwks" }

// Close stops it.
func (i *Issuer) Close() error { return i.server.Shutdown(context.Background()) }

// Token gives one for a person, "" for no organisation.
func (i *Issuer) Token(email, siret string) (string, error) {
	now := time.Now()
	name, _, _ := strings.Cut(email, "@")
	given, family, _ := strings.Cut(name, ".")
	claims := map[string]any{
		"iss": i.url, "aud": i.audience, "sub": "sub-" + email, "iat": now.Unix(), "exp": now.Add(lifetime).Unix(),
		"email": email, "email_verified": true, "given_name": given, "family_name": family,
	}
	if siret != "" {
		claims["siret"] = siret
	}
	return i.key.Sign("JWT", claims)
}

func (i *Issuer) keys(w http.ResponseWriter, _ *http.Request) {
	key, err := i.key.Public().JWK()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	answer(w, map[string]any{"keys": []json.RawMessage{key}})
}

func (i *Issuer) token(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 4096)
	email := r.PostFormValue("email")
	if !strings.Contains(email, "@") {
		http.Error(w, "email is missing", http.StatusBadRequest)
		return
	}
	value, err := i.Token(email, r.PostFormValue("siret"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	answer(w, map[string]any{"access_token": value, "token_type": "Bearer", "expires_in": int(lifetime.Seconds())})
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}
