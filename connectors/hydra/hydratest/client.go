package hydratest

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// Client is an OAuth 2.0 client as the admin API reads and writes it. Secret is
// empty in what an inspection gives. Of the real client's fields, those of
// logout, request objects and sector identifiers are not kept.
type Client struct {
	ID                 string          `json:"client_id"`
	Name               string          `json:"client_name"`
	Secret             string          `json:"client_secret,omitempty"`
	RedirectURIs       []string        `json:"redirect_uris"`
	GrantTypes         []string        `json:"grant_types"`
	ResponseTypes      []string        `json:"response_types"`
	Scope              string          `json:"scope"`
	Audience           []string        `json:"audience"`
	Owner              string          `json:"owner"`
	PolicyURI          string          `json:"policy_uri"`
	AllowedCORSOrigins []string        `json:"allowed_cors_origins"`
	TermsOfServiceURI  string          `json:"tos_uri"`
	ClientURI          string          `json:"client_uri"`
	LogoURI            string          `json:"logo_uri"`
	Contacts           []string        `json:"contacts"`
	SecretExpiresAt    int             `json:"client_secret_expires_at"`
	SubjectType        string          `json:"subject_type"`
	JWKSURI            string          `json:"jwks_uri,omitempty"`
	JWKS               json.RawMessage `json:"jwks,omitempty"`
	AuthMethod         string          `json:"token_endpoint_auth_method,omitempty"`
	UserinfoAlg        string          `json:"userinfo_signed_response_alg,omitempty"`
	CreatedAt          time.Time       `json:"created_at"`
	UpdatedAt          time.Time       `json:"updated_at"`
	Metadata           json.RawMessage `json:"metadata,omitempty"`
	RegistrationToken  string          `json:"registration_access_token,omitempty"`
	RegistrationURI    string          `json:"registration_client_uri,omitempty"`
	Strategy           string          `json:"access_token_strategy,omitempty"`
	SkipConsent        bool            `json:"skip_consent"`
	SkipLogoutConsent  *bool           `json:"skip_logout_consent"`
	Lifespans
}

// Lifespans of a client's tokens; null is the server's own.
type Lifespans struct {
	AuthorizationCodeAccessToken  Lifespan `json:"authorization_code_grant_access_token_lifespan"`
	AuthorizationCodeIDToken      Lifespan `json:"authorization_code_grant_id_token_lifespan"`
	AuthorizationCodeRefreshToken Lifespan `json:"authorization_code_grant_refresh_token_lifespan"`
	ClientCredentialsAccessToken  Lifespan `json:"client_credentials_grant_access_token_lifespan"`
	ImplicitAccessToken           Lifespan `json:"implicit_grant_access_token_lifespan"`
	ImplicitIDToken               Lifespan `json:"implicit_grant_id_token_lifespan"`
	JWTBearerAccessToken          Lifespan `json:"jwt_bearer_grant_access_token_lifespan"`
	RefreshTokenIDToken           Lifespan `json:"refresh_token_grant_id_token_lifespan"`
	RefreshTokenAccessToken       Lifespan `json:"refresh_token_grant_access_token_lifespan"`
	RefreshTokenRefreshToken      Lifespan `json:"refresh_token_grant_refresh_token_lifespan"`
}

// Lifespan is a duration that may be null: "1h" is read, "1h0m0s" written.
type Lifespan struct {
	Set      bool
	Duration time.Duration
}

// UnmarshalJSON reads a duration's text or null.
func (l *Lifespan) UnmarshalJSON(text []byte) error {
	*l = Lifespan{}
	var written *string
	if err := json.Unmarshal(text, &written); err != nil || written == nil {
		return err
	}
	duration, err := time.ParseDuration(*written)
	*l = Lifespan{Set: true, Duration: duration}
	return err
}

// MarshalJSON writes a duration's text or null.
func (l Lifespan) MarshalJSON() ([]byte, error) {
	if !l.Set {
		return []byte("null"), nil
	}
	return json.Marshal(l.Duration.String())
}

const (
	authBasic = "client_secret_basic"
	authPost  = "client_secret_post"
	authNone  = "none"
)

// minSecret is the shortest secret that is taken, in bytes.
const minSecret = 6

// check fills in defaults and says what is wrong.
func (c *Client) check() error {
	switch {
	case c.AuthMethod == "":
		c.AuthMethod = authBasic
	case c.AuthMethod == "private_key_jwt" && c.JWKSURI == "" && !c.hasJWKS():
		return invalidMetadata.with("When token_endpoint_auth_method is 'private_key_jwt', either jwks or jwks_uri must be set.")
	}
	if c.JWKSURI != "" && c.hasJWKS() {
		return invalidMetadata.with("Fields jwks and jwks_uri can not both be set, you must choose one.")
	}
	if c.Secret != "" && len(c.Secret) < minSecret {
		return invalidMetadata.with("Field client_secret must contain a secret that is at least 6 characters long.")
	}
	if c.Scope == "" {
		c.Scope = "offline_access offline openid"
	}
	c.SecretExpiresAt = 0
	if c.UserinfoAlg == "" {
		c.UserinfoAlg = "none"
	}
	if c.UserinfoAlg != "none" && c.UserinfoAlg != "RS256" {
		return invalidMetadata.with("Field userinfo_signed_response_alg can either be 'none' or 'RS256'.")
	}
	for _, uri := range c.RedirectURIs {
		if _, err := url.ParseRequestURI(uri); err != nil {
			refused := refusal{400, "invalid_redirect_uri", "The value of one or more redirect_uris is invalid."}
			return refused.with("Unable to parse redirect URL: %s", uri)
		}
	}
	if c.SubjectType == "" {
		c.SubjectType = "public"
	}
	if c.SubjectType != "public" {
		return invalidMetadata.with("Subject type %s is not supported by server, only [public] are allowed.", c.SubjectType)
	}
	switch c.Strategy = strings.ToLower(c.Strategy); c.Strategy {
	case "", StrategyJWT, StrategyOpaque:
		return nil
	default:
		return invalidMetadata.with("invalid access token strategy: expected one of [jwt, opaque] but got %s", c.Strategy)
	}
}

// hasJWKS: an empty object is what a client without keys shows.
func (c *Client) hasJWKS() bool {
	text := string(c.JWKS)
	return text != "" && text != "null" && text != "{}"
}

// complete puts in place of what is absent what an answer shows.
func (c *Client) complete() {
	if c.JWKS == nil || string(c.JWKS) == "null" {
		c.JWKS = json.RawMessage("{}")
	}
	if c.Metadata == nil {
		c.Metadata = json.RawMessage("{}")
	}
	notNil(&c.Audience)
	notNil(&c.AllowedCORSOrigins)
}

// stored is the client as it is read back: lists are never null, and the
// registration token is not kept.
func (c Client) stored() Client {
	for _, list := range []*[]string{
		&c.RedirectURIs, &c.GrantTypes, &c.ResponseTypes, &c.Audience, &c.AllowedCORSOrigins, &c.Contacts,
	} {
		notNil(list)
	}
	c.Secret, c.RegistrationToken, c.RegistrationURI = "", "", ""
	return c
}

func notNil(list *[]string) {
	if *list == nil {
		*list = []string{}
	}
}

func decodeClient(body []byte) (Client, error) {
	var c Client
	if err := json.NewDecoder(strings.NewReader(string(body))).Decode(&c); err != nil {
		return c, malformed.with("Unable to decode the request body: %s", fmt.Sprint(err))
	}
	return c, nil
}
