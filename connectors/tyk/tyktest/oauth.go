package tyktest

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

// oauthClient is a client of one or several APIs. Its secret is shown each time.
type oauthClient struct {
	ID          string `json:"client_id"`
	RedirectURI string `json:"redirect_uri"`
	APIID       string `json:"api_id,omitempty"`
	PolicyID    string `json:"policy_id,omitempty"`
	Secret      string `json:"secret"`
	MetaData    any    `json:"meta_data"`
	Description string `json:"description"`
}

// createOAuthClient makes a client for one API, or for all of a policy that take
// tokens. As for keys, what was there under the id is overwritten.
func (s *Server) createOAuthClient(r request) (any, error) {
	var c oauthClient
	if err := json.Unmarshal(r.body, &c); err != nil {
		return nil, cannotDecode
	}
	apis := []string{c.APIID}
	if c.APIID == "" {
		policy, known := s.loaded[c.PolicyID]
		if !known {
			return nil, oauthNoPolicy
		}
		apis = slices.Sorted(maps.Keys(policy.AccessRights))
	}
	var taking []string
	for _, id := range apis {
		api, known := s.api(id)
		if !known {
			return nil, oauthNoAPI
		}
		if api.OAuth2 {
			taking = append(taking, id)
		}
	}
	if len(taking) == 0 {
		return nil, notOAuth2
	}
	setDefault(&c.ID, hexID())
	setDefault(&c.Secret, newOAuthSecret())
	s.RegisterSecret(c.Secret)
	c.APIID = ""
	for _, id := range taking {
		if s.clients[id] == nil {
			s.clients[id] = map[string]*oauthClient{}
		}
		s.clients[id][c.ID] = &c
	}
	return c, nil
}

func newOAuthSecret() string { return base64.StdEncoding.EncodeToString([]byte(rand.Text())) }

func (s *Server) onOAuthClient(op func(*oauthClient) (any, error)) operation {
	return func(r request) (any, error) {
		if c := s.clients[r.param("api")][r.param("client")]; c != nil {
			return op(c)
		}
		return nil, oauthNotFound
	}
}

func (s *Server) getOAuthClient(c *oauthClient) (any, error) { return *c, nil }

// rotateOAuthClient makes a new secret; the old one is dead at once.
func (s *Server) rotateOAuthClient(c *oauthClient) (any, error) {
	c.Secret = newOAuthSecret()
	s.RegisterSecret(c.Secret)
	return *c, nil
}

func (s *Server) listOAuthClients(r request) (any, error) {
	if _, known := s.api(r.param("api")); !known {
		return nil, oauthNotFound
	}
	list := []oauthClient{}
	for _, id := range slices.Sorted(maps.Keys(s.clients[r.param("api")])) {
		list = append(list, *s.clients[r.param("api")][id])
	}
	return list, nil
}

// deleteOAuthClient succeeds for a client that is not there.
func (s *Server) deleteOAuthClient(r request) (any, error) {
	api, id := r.param("api"), r.param("client")
	if _, known := s.api(api); !known {
		return nil, oauthNotFound
	}
	delete(s.clients[api], id)
	return modified{Key: id, Status: "ok", Action: "deleted"}, nil
}

const oauthTokenLife = time.Hour

type oauthError struct {
	Error       string `json:"error"`
	Description string `json:"error_description"`
}

// issueToken is the token endpoint of an API that takes OAuth tokens: client
// credentials only.
func (s *Server) issueToken(w http.ResponseWriter, r *http.Request, api API) {
	if err := r.ParseForm(); err != nil || r.Method != http.MethodPost {
		partnertest.WriteJSON(w, http.StatusForbidden, oauthError{"invalid_request", "The request is missing a required parameter, includes an invalid parameter value, includes a parameter more than once, or is otherwise malformed."})
		return
	}
	id, secret, basic := r.BasicAuth()
	if basic {
		id, secret = unescaped(id), unescaped(secret)
	} else {
		id, secret = r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	}
	c := s.clients[api.ID][id]
	switch {
	case r.PostForm.Get("grant_type") != "client_credentials":
		partnertest.WriteJSON(w, http.StatusForbidden, oauthError{"unsupported_grant_type", "The authorization grant type is not supported by the authorization server."})
		return
	case c == nil || c.Secret != secret:
		partnertest.WriteJSON(w, http.StatusForbidden, oauthError{"unauthorized_client", "The client is not authorized to request a token using this method."})
		return
	}
	key := &session{
		OrgID: api.OrgID, OAuthClientID: c.ID, Expires: s.Now().Add(oauthTokenLife).Unix(), DateCreated: s.Now(),
		AccessRights: map[string]AccessDefinition{api.ID: {APIID: api.ID, APIName: api.Name}},
	}
	if c.PolicyID != "" {
		key.ApplyPolicies = []string{c.PolicyID}
	}
	key.token = tokenFor(api.OrgID, hexID())
	s.RegisterSecret(key.token)
	s.put(s.handleOf(key.token), key)
	partnertest.WriteJSON(w, http.StatusOK, map[string]any{
		"access_token": key.token, "expires_in": int(oauthTokenLife.Seconds()), "token_type": "bearer",
	})
}

func unescaped(text string) string {
	if clear, err := url.QueryUnescape(text); err == nil {
		return clear
	}
	return text
}

// judgeToken is the chain of an API that takes OAuth tokens.
func (s *Server) judgeToken(api API, header string) verdict {
	scheme, token, found := strings.Cut(header, " ")
	switch {
	case !found:
		return noKey
	case !strings.EqualFold(scheme, "Bearer"):
		return badBearer
	}
	key := s.recall(api.OrgID, token)
	if key == nil {
		return notAuthorised
	}
	if s.clients[api.ID][key.OAuthClientID] == nil {
		return clientRevoked
	}
	return s.judgeSession(api, key)
}
