package franceconnect

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/outbound"
	"github.com/passerelle-hub/passerelle/internal/jose"
)

// Exchange is franceconnect.md, 6, in its order.
func (p *Provider) Exchange(ctx context.Context, c connectors.Callback) (connectors.Citizen, error) {
	if c.Issuer != p.config.Issuer {
		return connectors.Citizen{}, p.unverified(opReturn, "callback", "wrong issuer")
	}
	if c.Error != "" {
		return connectors.Citizen{}, p.returned(c.Error)
	}
	if !random(c.Nonce) {
		return connectors.Citizen{}, p.rejected(opReturn, "the nonce is 64 hexadecimal characters", nil)
	}
	if c.Code.IsZero() || len(c.Code.Reveal()) > maxCode {
		return connectors.Citizen{}, p.rejected(opReturn, "no code, or one that is too long", connectors.ErrCodeSpent)
	}
	found, err := p.discover(ctx)
	if err != nil {
		return connectors.Citizen{}, err
	}
	tokens, err := p.redeem(ctx, found, c)
	if err != nil {
		return connectors.Citizen{}, err
	}
	verifier := jose.Verifier{
		Issuer: p.config.Issuer, Audience: p.config.ClientID, Algs: []jose.Alg{jose.Alg(p.config.Alg)}, Keys: found.keys,
		Skew: skew, MaxSize: maxJWT, Now: p.deps.Now,
	}
	claims, err := verifier.VerifyIDToken(ctx, tokens.IDToken, jose.IDTokenCheck{
		Nonce: c.Nonce, AccessToken: tokens.AccessToken, ACR: []string{"eidas1", "eidas2", "eidas3"},
	})
	if err != nil {
		return connectors.Citizen{}, p.disbelieved(opVerify, "id_token", err)
	}
	identity, err := p.identity(ctx, found, verifier, tokens.AccessToken, claims.Subject)
	if err != nil {
		return connectors.Citizen{}, err
	}
	return connectors.Citizen{
		SubjectHash: p.mac("franceconnect sub", claims.Subject), ACR: claims.ACR, Identity: identity,
		Token: connectors.NewSecret(tokens.AccessToken), TokenAt: tokens.at, TokenBy: tokens.at.Add(tokens.use()),
		IDToken: connectors.NewSecret(tokens.IDToken),
	}, nil
}

// returned sorts the errors of a callback (franceconnect.md, 3). The word comes
// from a browser: it is not shown.
func (p *Provider) returned(word string) error {
	e := &connectors.Error{Class: connectors.Rejected, Partner: p.deps.Name, Op: opReturn, Detail: "another error"}
	switch word {
	case "access_denied":
		e.Detail, e.Err = "cancelled", connectors.ErrCancelled
	case "server_error", "temporarily_unavailable":
		e.Class, e.Detail = connectors.Temporary, word
	case "invalid_request", "invalid_scope", "unauthorized_client", "unsupported_response_type",
		"interaction_required", "login_required", "consent_required", "account_selection_required":
		e.Detail = word
	}
	return e
}

// tokens are the token endpoint's answer.
type tokens struct {
	AccessToken string `json:"access_token"`
	IDToken     string `json:"id_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   *int64 `json:"expires_in"`

	at time.Time
}

// use is how long after the answer a call may still start (api-particulier.md, AP-2).
func (t tokens) use() time.Duration {
	if t.ExpiresIn == nil || *t.ExpiresIn >= int64((tokenUse+tokenReserve)/time.Second) {
		return tokenUse
	}
	return max(0, time.Duration(max(0, *t.ExpiresIn))*time.Second-tokenReserve)
}

// redeem exchanges the code. It is sent once: a second secret is tried only after
// invalid_client, which FranceConnect says before it looks at the code (FC-12).
func (p *Provider) redeem(ctx context.Context, found metadata, c connectors.Callback) (tokens, error) {
	form := url.Values{
		"grant_type": {"authorization_code"}, "code": {c.Code.Reveal()}, "redirect_uri": {p.config.RedirectURI}, "client_id": {p.config.ClientID},
	}
	secrets := []connectors.Secret{c.Code}
	if p.config.PKCE {
		form.Set("code_verifier", p.verifier(c.Nonce))
		secrets = append(secrets, connectors.NewSecret(form.Get("code_verifier")))
	}
	if !p.key.IsZero() {
		assertion, err := p.assertion()
		if err != nil {
			return tokens{}, p.rejected(opExchange, "the client's key does not sign", err)
		}
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		form.Set("client_assertion", assertion)
		return p.post(ctx, found.Token, form, secrets...)
	}
	var got tokens
	var err error
	for _, secret := range p.config.ClientSecrets {
		form.Set("client_secret", secret.Reveal())
		got, err = p.post(ctx, found.Token, form, append(secrets, secret)...)
		if !errors.Is(err, errInvalidClient) {
			break
		}
	}
	return got, err
}

// assertion proves the client (RFC 7523, 2.2).
func (p *Provider) assertion() (string, error) {
	now := p.deps.Now()
	return p.key.Sign("", map[string]any{
		"iss": p.config.ClientID, "sub": p.config.ClientID, "aud": p.config.Issuer, "jti": rand.Text(),
		"iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
	})
}

func (p *Provider) post(ctx context.Context, endpoint string, form url.Values, secrets ...connectors.Secret) (tokens, error) {
	base, route := split(endpoint)
	answer, err := outbound.JSON(outbound.Once(ctx), p.deps.Partner, outbound.Call{
		Partner: p.deps.Name, Op: opExchange, Method: http.MethodPost, Base: base, Route: route, In: form,
		Expect: []int{http.StatusOK}, Secrets: secrets,
	})
	at := p.deps.Now()
	if err != nil {
		return tokens{}, explain(answer, err, secrets...)
	}
	if !json.Valid(answer.Body) {
		return tokens{}, p.replaced(opExchange, answer)
	}
	got, reason := readTokens(answer.Body)
	if reason != "" {
		return tokens{}, p.unverified(opExchange, "token", reason)
	}
	got.at = at
	return got, nil
}

// replaced is a success that something in between answered, or cut: whether the
// code was used is unknown, so she starts again.
func (p *Provider) replaced(op string, answer *outbound.Answer) error {
	return &connectors.Error{
		Class: connectors.Temporary, Partner: p.deps.Name, Op: op, Status: answer.Status, Detail: "the answer is not FranceConnect's",
	}
}

// readTokens reads the answer, or says what is wrong with it, nothing of it shown.
func readTokens(body []byte) (got tokens, reason string) {
	switch {
	case json.Unmarshal(body, &got) != nil:
		return tokens{}, "not the JSON of a token answer"
	case !strings.EqualFold(got.TokenType, "Bearer"):
		return tokens{}, "not a bearer token"
	case len(got.AccessToken) > maxToken || !tokenRule.MatchString(got.AccessToken):
		return tokens{}, "no access token"
	case got.IDToken == "":
		return tokens{}, "no id_token"
	}
	return got, ""
}

// tokenRule is RFC 6750's b64token: it goes into a header.
var tokenRule = regexp.MustCompile(`^[A-Za-z0-9._~+/=-]+$`)

// split gives scheme and host apart from the path, which names the call in the log.
func split(endpoint string) (base, route string) {
	u, err := url.Parse(endpoint) // read when it was discovered
	if err != nil {
		return endpoint, ""
	}
	return u.Scheme + "://" + u.Host, u.EscapedPath()
}

// refusal is a JSON error of the token or userinfo endpoint (franceconnect.md, 8).
type refusal struct {
	Error string `json:"error"`
	URI   string `json:"error_uri"`
}

// otherRedirect: the code was asked for with another redirect_uri: our settings.
const otherRedirect = "Y04F8199"

// errInvalidClient: the secret is wrong, and the code was not looked at.
var errInvalidClient = errors.New("invalid_client")

// explain decides on `error`, then on the class of the status, and keeps the code
// and the id that FranceConnect's support asks for.
func explain(answer *outbound.Answer, err error, secrets ...connectors.Secret) error {
	var e *connectors.Error
	if answer == nil || !errors.As(err, &e) {
		return err
	}
	var said refusal
	if json.Unmarshal(answer.Body, &said) != nil {
		return e
	}
	code, id := support(said.URI)
	if code != "" || id != "" {
		e.Detail = outbound.Redact(strings.TrimSpace("code "+code+" id "+id+": "+e.Detail), secrets...)
	}
	switch said.Error {
	case "invalid_client":
		e.Class, e.Err = connectors.Unauthorized, errInvalidClient
	case "unauthorized_client":
		e.Class = connectors.Unauthorized
	case "invalid_grant":
		e.Class = connectors.Rejected
		if code != otherRedirect {
			e.Err = connectors.ErrCodeSpent
		}
	case "invalid_token":
		e.Class, e.Err = connectors.Rejected, connectors.ErrCodeSpent
	case "server_error", "temporarily_unavailable":
		e.Class = connectors.Temporary
	case "":
	default:
		if e.Class != connectors.Temporary && e.Class != connectors.RateLimited {
			e.Class = connectors.Rejected
		}
	}
	return e
}

var supportRule = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)

// support reads the code and the id of an error_uri; "-" for one that is not there.
func support(uri string) (code, id string) {
	u, err := url.Parse(uri)
	if err != nil || uri == "" {
		return "", ""
	}
	code, id = u.Query().Get("code"), u.Query().Get("id")
	if code == "" && id == "" {
		return "", ""
	}
	if !supportRule.MatchString(code) {
		code = "-"
	}
	if !supportRule.MatchString(id) {
		id = "-"
	}
	return code, id
}

// disbelieved turns a fault of jose into ours: a token that cannot be checked now
// is not a bad one.
func (p *Provider) disbelieved(op, part string, err error) error {
	var fault jose.Fault
	if errors.Is(err, jose.ErrKeysUnavailable) || !errors.As(err, &fault) {
		return p.keysDown(op, err)
	}
	return p.unverified(op, part, strings.TrimPrefix(err.Error(), "jose: "))
}
