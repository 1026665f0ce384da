package apiparticuliertest

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/passerelle-hub/passerelle/internal/jose"
)

// fcTimeout is API Particulier's own for asking FranceConnect.
const fcTimeout = 10 * time.Second

// bearer gives the token of the Authorization header.
func bearer(r *http.Request) string {
	scheme, value, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return value
}

// caller gives the address that quotas and lists go by: the one that a proxy in
// front says, else the connection's.
func caller(r *http.Request) string {
	if forwarded, _, _ := strings.Cut(r.Header.Get("X-Forwarded-For"), ","); forwarded != "" {
		return strings.TrimSpace(forwarded)
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// right is what a key gives for one call.
type right struct {
	key          Key
	habilitation Habilitation
}

// authorize finds the key and, for an editor's, the delegation of the recipient.
func (s *Server) authorize(r *http.Request, query url.Values) (right, []failure) {
	key, failed := s.keyOf(r)
	if failed != nil {
		return right{}, failed
	}
	s.mu.Lock()
	granted := right{key: key, habilitation: s.habilitations[key.Habilitation]}
	if key.Editor != "" {
		granted.habilitation, failed = s.delegated(key.Editor, query)
	} else if query.Get("recipient") != granted.habilitation.SIRET {
		s.foreignRecipients++ // audited, not refused
	}
	s.mu.Unlock()
	if failed != nil {
		return right{}, failed
	}
	if failed := s.checkAddress(r, granted); failed != nil {
		return right{}, failed
	}
	if failed := s.checkProof(r, key); failed != nil {
		return right{}, failed
	}
	if len(dataScopes(granted.habilitation.Scopes)) == 0 {
		return right{}, fail("scopes")
	}
	return granted, nil
}

func (s *Server) keyOf(r *http.Request) (Key, []failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key, known := s.keys[bearer(r)]
	switch {
	case !known:
		return Key{}, fail("key_invalid")
	case key.Blacklisted:
		return Key{}, fail("key_blacklisted")
	case !s.Now().Before(key.ExpiresAt):
		return Key{}, fail("key_expired")
	default:
		return key, nil
	}
}

// delegated finds the one active delegation of the recipient. It needs the lock.
func (s *Server) delegated(editor string, query url.Values) (Habilitation, []failure) {
	var found []Delegation
	for _, d := range s.delegations {
		if d.Editor == editor && !d.Revoked && s.habilitations[d.Habilitation].SIRET == query.Get("recipient") &&
			(!query.Has("delegation_id") || query.Get("delegation_id") == d.ID) {
			found = append(found, d)
		}
	}
	switch len(found) {
	case 0:
		return Habilitation{}, fail("delegation")
	case 1:
		return s.habilitations[found[0].Habilitation], nil
	default:
		return Habilitation{}, fail("delegations")
	}
}

// checkAddress: an editor's list and the habilitation's must both hold the caller.
func (s *Server) checkAddress(r *http.Request, granted right) []failure {
	at, err := netip.ParseAddr(caller(r))
	for _, list := range [][]string{granted.key.IPs, granted.habilitation.IPs} {
		if len(list) == 0 || (err == nil && slices.ContainsFunc(list, func(text string) bool {
			allowed, err := parseAddresses(text)
			return err == nil && allowed.Contains(at)
		})) {
			continue
		}
		if s.breach("ip", func(s Switches) Mode { return s.IPList }) {
			return fail("ip")
		}
	}
	return nil
}

// checkProof holds a key that is bound to a DPoP key to it (RFC 9449); a proof
// serves once.
func (s *Server) checkProof(r *http.Request, key Key) []failure {
	if key.DPoPJKT == "" {
		return nil
	}
	proof, err := jose.VerifyDPoP(r.Header.Get("DPoP"), jose.DPoPCall{
		Method: r.Method, URL: s.url + r.URL.Path, AccessToken: key.Token, Now: s.Now(),
	})
	good := err == nil && proof.Thumbprint == key.DPoPJKT
	if good {
		s.mu.Lock()
		_, used := s.proofs[proof.ID]
		s.proofs[proof.ID] = struct{}{}
		s.mu.Unlock()
		good = !used
	}
	if !good && s.breach("dpop", func(s Switches) Mode { return s.DPoP }) {
		return fail("dpop")
	}
	return nil
}

// breach counts what a protection found, and says whether it refuses.
func (s *Server) breach(what string, mode func(Switches) Mode) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := mode(s.switches)
	if m != Off {
		s.breaches[what]++
	}
	return m == Enforced
}

// tokenClaims are what FranceConnect says of a token (franceconnect.md, 7).
type tokenClaims struct {
	Active       bool   `json:"active"`
	Scope        string `json:"scope"`
	GivenName    string `json:"given_name"`
	FamilyName   string `json:"family_name"`
	Birthdate    string `json:"birthdate"`
	Gender       string `json:"gender"`
	Birthplace   string `json:"birthplace"`
	Birthcountry string `json:"birthcountry"`
}

// byToken checks a FranceConnect token and gives the identity and the scopes.
func (s *Server) byToken(ctx context.Context, token string) (Identity, []string, []failure) {
	switch {
	case token == "":
		return Identity{}, nil, fail("fc_missing")
	case strings.ContainsAny(token, " \t\"<>{}") || len(token) > 4096:
		return Identity{}, nil, fail("fc_malformed")
	}
	claims, failed := s.introspect(ctx, token)
	if failed != nil {
		return Identity{}, nil, failed
	}
	scopes := strings.Fields(claims.Scope)
	switch {
	case !claims.Active:
		return Identity{}, nil, fail("fc_unknown")
	case !slices.Contains(scopes, "identite_pivot"):
		return Identity{}, nil, fail("fc_identity", func(f *failure) {
			f.detail += " Scopes : " + claims.Scope + "."
		})
	case len(dataScopes(scopes)) == 0:
		return Identity{}, nil, fail("scopes")
	}
	who, ok := fromToken(claims)
	if !ok {
		return Identity{}, nil, s.incomplete()
	}
	return who, dataScopes(scopes), nil
}

// incomplete: in April the server said of FranceConnect's identity what it says
// of a client's.
func (s *Server) incomplete() []failure {
	if s.Switches().Numbering == April {
		return fail("family_name")
	}
	return fail("fc_incomplete")
}

func (s *Server) introspect(ctx context.Context, token string) (tokenClaims, []failure) {
	at := s.opts.FranceConnect
	if at == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.static[token], nil // the zero value is not active
	}
	ctx, cancel := context.WithTimeout(ctx, fcTimeout)
	defer cancel()
	form := url.Values{"client_id": {at.ClientID}, "client_secret": {at.ClientSecret}, "token": {token}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, at.CheckTokenURL, strings.NewReader(form.Encode()))
	if err != nil {
		return tokenClaims{}, fail("fc_internal")
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := s.client.Do(req)
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			return tokenClaims{}, fail("fc_timeout")
		}
		return tokenClaims{}, fail("fc_down")
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil || answer.StatusCode != http.StatusOK {
		return tokenClaims{}, fail("fc_internal")
	}
	claims, ok := readIntrospection(string(text))
	if !ok {
		return tokenClaims{}, fail("fc_internal")
	}
	return claims, nil
}

// readIntrospection reads the payload of FranceConnect's JWS. The simulator
// believes its own neighbour: it checks no signature.
func readIntrospection(token string) (tokenClaims, bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return tokenClaims{}, false
	}
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return tokenClaims{}, false
	}
	var payload struct {
		About *tokenClaims `json:"token_introspection"`
	}
	if json.Unmarshal(body, &payload) != nil || payload.About == nil {
		return tokenClaims{}, false
	}
	return *payload.About, true
}
