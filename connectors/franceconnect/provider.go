package franceconnect

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"slices"
	"strings"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/internal/jose"
)

// What is asked, in errors and logs.
const (
	opDiscover  = "discover"
	opAuthorize = "authorize"
	opReturn    = "return"
	opExchange  = "exchange a code"
	opVerify    = "verify an id_token"
	opUserinfo  = "userinfo"
	opLogout    = "log out"
)

// dataScopes may be asked beside the identity: API Particulier's, seen through the
// token (franceconnect.md, 5).
var dataScopes = []string{"cnaf_quotient_familial", "cnaf_allocataires", "cnaf_enfants", "cnaf_adresse"}

// Provider is FranceConnect. It may be used by many goroutines.
type Provider struct {
	config    Config
	key       jose.PrivateKey // zero: secrets
	deps      connectors.Deps
	mac       MAC
	discovery discovery
}

var _ connectors.IdentityProvider = (*Provider)(nil)

// Authorize gives the address to send the browser to. Any parameter beyond these
// would strand her on an error page of FranceConnect's (franceconnect.md, 2).
func (p *Provider) Authorize(ctx context.Context, a connectors.Authorization) (string, error) {
	if !random(a.State) || !random(a.Nonce) {
		return "", p.rejected(opAuthorize, "state and nonce are 64 hexadecimal characters", nil)
	}
	scopes := []string{"openid", "identite_pivot"}
	for _, scope := range a.Scopes {
		if !slices.Contains(dataScopes, scope) {
			return "", p.rejected(opAuthorize, "a scope that is not asked of a citizen: "+scope, nil)
		}
		if !slices.Contains(scopes, scope) {
			scopes = append(scopes, scope)
		}
	}
	found, err := p.discover(ctx)
	if err != nil {
		return "", err
	}
	query := url.Values{
		"client_id": {p.config.ClientID}, "response_type": {"code"}, "redirect_uri": {p.config.RedirectURI},
		"scope": {strings.Join(scopes, " ")}, "acr_values": {acr}, "state": {a.State}, "nonce": {a.Nonce},
	}
	if p.config.PKCE {
		sum := sha256.Sum256([]byte(p.verifier(a.Nonce)))
		query.Set("code_challenge", base64.RawURLEncoding.EncodeToString(sum[:]))
		query.Set("code_challenge_method", "S256")
	}
	return with(found.Authorization, query)
}

// Logout gives the address that ends her session at FranceConnect, to be opened
// by her browser once ours is wiped (franceconnect.md, 9). The id_token may have
// expired.
func (p *Provider) Logout(ctx context.Context, idToken connectors.Secret, state string) (string, error) {
	if idToken.IsZero() || !random(state) {
		return "", p.rejected(opLogout, "an id_token is needed, and a state of 64 hexadecimal characters", nil)
	}
	found, err := p.discover(ctx)
	if err != nil {
		return "", err
	}
	return with(found.EndSession, url.Values{
		"id_token_hint": {idToken.Reveal()}, "state": {state}, "post_logout_redirect_uri": {p.config.LogoutURI},
	})
}

// verifier is PKCE's, made again from the nonce on whatever replica the citizen
// comes back to: nobody without the hub's key can.
func (p *Provider) verifier(nonce string) string {
	return base64.RawURLEncoding.EncodeToString(p.mac("franceconnect code_verifier", nonce))
}

// with adds a query to an endpoint, which may have one of its own (RFC 6749, 3.1).
func with(endpoint string, query url.Values) (string, error) {
	u, err := url.Parse(endpoint)
	if err != nil {
		return "", err
	}
	all := u.Query()
	for name, values := range query {
		all[name] = values
	}
	u.RawQuery = all.Encode()
	return u.String(), nil
}

// random reports 32 bytes in hexadecimal (FC-2).
func random(text string) bool {
	raw, err := hex.DecodeString(text)
	return err == nil && len(raw) == 32
}

func (p *Provider) rejected(op, detail string, cause error) error {
	return &connectors.Error{Class: connectors.Rejected, Partner: p.deps.Name, Op: op, Detail: detail, Err: cause}
}

func (p *Provider) unverified(op, part, reason string) error {
	e := &connectors.UnverifiedError{Part: part, Reason: reason}
	return p.rejected(op, e.Error(), e)
}
