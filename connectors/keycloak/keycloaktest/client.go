package keycloaktest

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// Attributes in which Keycloak keeps the life of a client's secrets, in unix seconds.
const (
	attrSecretCreated  = "client.secret.creation.time"
	attrSecretExpires  = "client.secret.expiration.time"
	attrRotated        = "client.secret.rotated"
	attrRotatedCreated = "client.secret.rotated.creation.time"
	attrRotatedExpires = "client.secret.rotated.expiration.time"
	attrTokenLifespan  = "access.token.lifespan"
)

// client is one client of the realm.
type client struct {
	ID                     string
	ClientID               string
	Name                   string
	Description            string
	Enabled                bool
	Protocol               string
	PublicClient           bool
	ServiceAccountsEnabled bool
	StandardFlowEnabled    bool
	DirectAccessGrants     bool
	FullScopeAllowed       bool
	Secret                 string
	Attributes             map[string]string
	RedirectURIs           []string
	WebOrigins             []string
	DefaultScopes          []string // names
	OptionalScopes         []string

	seeded bool // the realm's own
	admin  bool // its service account has the role manage-clients
}

func (c *client) copy() *client {
	out := *c
	out.Attributes = maps.Clone(c.Attributes)
	out.DefaultScopes, out.OptionalScopes = slices.Clone(c.DefaultScopes), slices.Clone(c.OptionalScopes)
	return &out
}

// seconds reads an attribute that is a moment; 0 when there is none.
func (c *client) seconds(attribute string) int64 {
	value, err := strconv.ParseInt(c.Attributes[attribute], 10, 64)
	if err != nil {
		return 0
	}
	return value
}

func (c *client) setSeconds(attribute string, at time.Time) {
	c.Attributes[attribute] = strconv.FormatInt(at.Unix(), 10)
}

// past: the last second still counts, as in the real server.
func past(seconds int64, now time.Time) bool { return seconds > 0 && seconds < now.Unix() }

func (c *client) hasRotatedSecret() bool {
	return c.Attributes[attrRotated] != "" && c.Attributes[attrRotatedCreated] != ""
}

// takes tells whether a secret opens the client now: the current one, or the
// rotated one before its end, unless the current one has expired.
func (c *client) takes(secret string, now time.Time) bool {
	if c.Secret == "" || past(c.seconds(attrSecretExpires), now) {
		return false
	}
	if equal(secret, c.Secret) {
		return true
	}
	ends := c.seconds(attrRotatedExpires)
	return c.hasRotatedSecret() && ends > 0 && !past(ends, now) && equal(secret, c.Attributes[attrRotated])
}

// representation is a client as the admin API shows it to who may manage it,
// secrets included. Of the real one, fields of browser flows are not kept.
type representation struct {
	ID                        string            `json:"id"`
	ClientID                  string            `json:"clientId"`
	Name                      string            `json:"name"`
	Description               string            `json:"description"`
	SurrogateAuthRequired     bool              `json:"surrogateAuthRequired"`
	Enabled                   bool              `json:"enabled"`
	AlwaysDisplayInConsole    bool              `json:"alwaysDisplayInConsole"`
	ClientAuthenticatorType   string            `json:"clientAuthenticatorType"`
	Secret                    string            `json:"secret,omitempty"`
	RedirectURIs              []string          `json:"redirectUris"`
	WebOrigins                []string          `json:"webOrigins"`
	NotBefore                 int               `json:"notBefore"`
	BearerOnly                bool              `json:"bearerOnly"`
	ConsentRequired           bool              `json:"consentRequired"`
	StandardFlowEnabled       bool              `json:"standardFlowEnabled"`
	ImplicitFlowEnabled       bool              `json:"implicitFlowEnabled"`
	DirectAccessGrantsEnabled bool              `json:"directAccessGrantsEnabled"`
	ServiceAccountsEnabled    bool              `json:"serviceAccountsEnabled"`
	PublicClient              bool              `json:"publicClient"`
	FrontchannelLogout        bool              `json:"frontchannelLogout"`
	Protocol                  string            `json:"protocol"`
	Attributes                map[string]string `json:"attributes"`
	FullScopeAllowed          bool              `json:"fullScopeAllowed"`
	NodeReRegistrationTimeout int               `json:"nodeReRegistrationTimeout"`
	DefaultClientScopes       []string          `json:"defaultClientScopes"`
	OptionalClientScopes      []string          `json:"optionalClientScopes"`
	Access                    access            `json:"access"`
}

type access struct {
	View      bool `json:"view"`
	Configure bool `json:"configure"`
	Manage    bool `json:"manage"`
}

func (c *client) represent() representation {
	notNil := func(list []string) []string { return append([]string{}, list...) }
	return representation{
		ID: c.ID, ClientID: c.ClientID, Name: c.Name, Description: c.Description, Enabled: c.Enabled,
		ClientAuthenticatorType: "client-secret", Secret: c.Secret,
		RedirectURIs: notNil(c.RedirectURIs), WebOrigins: notNil(c.WebOrigins),
		StandardFlowEnabled: c.StandardFlowEnabled, DirectAccessGrantsEnabled: c.DirectAccessGrants,
		ServiceAccountsEnabled: c.ServiceAccountsEnabled, PublicClient: c.PublicClient, Protocol: c.Protocol,
		Attributes: maps.Clone(c.Attributes), FullScopeAllowed: c.FullScopeAllowed, NodeReRegistrationTimeout: -1,
		DefaultClientScopes: notNil(c.DefaultScopes), OptionalClientScopes: notNil(c.OptionalScopes),
		Access: access{true, true, true},
	}
}

// change is the body of a POST or a PUT: what it leaves out, or sets to null, is
// left as it is.
type change struct {
	ID                        *string            `json:"id"`
	ClientID                  *string            `json:"clientId"`
	Name                      *string            `json:"name"`
	Description               *string            `json:"description"`
	Enabled                   *bool              `json:"enabled"`
	Protocol                  *string            `json:"protocol"`
	PublicClient              *bool              `json:"publicClient"`
	ServiceAccountsEnabled    *bool              `json:"serviceAccountsEnabled"`
	StandardFlowEnabled       *bool              `json:"standardFlowEnabled"`
	DirectAccessGrantsEnabled *bool              `json:"directAccessGrantsEnabled"`
	FullScopeAllowed          *bool              `json:"fullScopeAllowed"`
	Secret                    *string            `json:"secret"`
	Attributes                map[string]*string `json:"attributes"`
	RedirectURIs              []string           `json:"redirectUris"`
	WebOrigins                []string           `json:"webOrigins"`
	DefaultClientScopes       []string           `json:"defaultClientScopes"`
	OptionalClientScopes      []string           `json:"optionalClientScopes"`
}

// unkept are fields of the real representation that this simulator takes and forgets.
var unkept = []string{
	"type", "rootUrl", "adminUrl", "baseUrl", "surrogateAuthRequired", "alwaysDisplayInConsole", "clientAuthenticatorType",
	"registrationAccessToken", "defaultRoles", "notBefore", "bearerOnly", "consentRequired", "implicitFlowEnabled",
	"authorizationServicesEnabled", "directGrantsOnly", "frontchannelLogout", "authenticationFlowBindingOverrides",
	"nodeReRegistrationTimeout", "registeredNodes", "protocolMappers", "clientTemplate", "useTemplateConfig",
	"useTemplateScope", "useTemplateMappers", "authorizationSettings", "access", "origin",
}

// readChange refuses fields that no client has, as the real mapper does.
func readChange(body []byte) (change, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil || fields == nil {
		return change{}, notJSON
	}
	for _, name := range unkept {
		delete(fields, name)
	}
	kept, err := json.Marshal(fields)
	if err != nil {
		return change{}, notJSON
	}
	decoder := json.NewDecoder(bytes.NewReader(kept))
	decoder.DisallowUnknownFields()
	var c change
	if err := decoder.Decode(&c); err != nil {
		return change{}, plain(http.StatusBadRequest, "Invalid json representation for ClientRepresentation. "+err.Error())
	}
	return c, nil
}

// apply sets what a change holds, scopes excepted: a PUT does not touch them.
func (c *client) apply(ch change) {
	set(&c.ClientID, ch.ClientID)
	set(&c.Name, ch.Name)
	set(&c.Description, ch.Description)
	set(&c.Enabled, ch.Enabled)
	set(&c.Protocol, ch.Protocol)
	set(&c.PublicClient, ch.PublicClient)
	set(&c.ServiceAccountsEnabled, ch.ServiceAccountsEnabled)
	set(&c.StandardFlowEnabled, ch.StandardFlowEnabled)
	set(&c.DirectAccessGrants, ch.DirectAccessGrantsEnabled)
	set(&c.FullScopeAllowed, ch.FullScopeAllowed)
	set(&c.Secret, ch.Secret)
	if ch.RedirectURIs != nil {
		c.RedirectURIs = ch.RedirectURIs
	}
	if ch.WebOrigins != nil {
		c.WebOrigins = ch.WebOrigins
	}
	for name, value := range ch.Attributes {
		if value == nil || *value == "" {
			delete(c.Attributes, name)
			continue
		}
		c.Attributes[name] = *value
	}
	if c.PublicClient {
		c.Secret = ""
	}
}

func set[T any](field, value *T) {
	if value != nil {
		*field = *value
	}
}
