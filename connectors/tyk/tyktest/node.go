package tyktest

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

// minKeyLength: the gateway does not look up a key that is not longer.
const minKeyLength = 3

// node is one gateway: what it reads of the store, and what it remembers.
type node struct {
	keys map[string]*session // by base64 form
	// remembered are sessions by the form in which they were presented. A change
	// makes the node forget the base64 form alone (api-managers.md, 3.3, trap 2).
	remembered map[string]remembered
}

type remembered struct {
	key   *session
	until time.Time
}

func newNode() node {
	return node{keys: map[string]*session{}, remembered: map[string]remembered{}}
}

// publish tells the node what a key is now; nil: it is no more.
func (s *Server) publish(token string, key *session) {
	n := &s.node
	if key != nil {
		key = key.copy()
	}
	s.toNode.Publish(s.Now(), func() {
		delete(n.remembered, token)
		if n.keys[token] = key; key == nil {
			delete(n.keys, token)
		}
	})
}

// verdict is the answer of the gateway to a key; status 200 lets the call pass.
type verdict struct {
	status  int
	message string
}

var (
	passes        = verdict{http.StatusOK, ""}
	noKey         = verdict{http.StatusUnauthorized, "Authorization field missing"}
	disallowed    = verdict{http.StatusForbidden, "Access to this API has been disallowed"}
	inactive      = verdict{http.StatusForbidden, "Key is inactive, please renew"}
	ended         = verdict{http.StatusUnauthorized, "Key has expired, please renew"}
	badBearer     = verdict{http.StatusBadRequest, "Bearer token malformed"}
	notAuthorised = verdict{http.StatusForbidden, "Key not authorised"}
	clientRevoked = verdict{http.StatusForbidden, "Key not authorised. OAuth client access was revoked"}
)

// recall finds the session of a key as it was presented, in memory or in the
// store, with its policies as they are loaded now.
func (s *Server) recall(org, presented string) *session {
	s.catchUp()
	now := s.Now()
	s.toNode.CatchUp(now)
	if len(presented) <= minKeyLength {
		return nil
	}
	known, ok := s.node.remembered[presented]
	if !ok || !now.Before(known.until) {
		delete(s.node.remembered, presented)
		if s.noRedis {
			return nil
		}
		key := s.node.keys[presented]
		if orgOf(presented) != org {
			if custom := s.node.keys[tokenFor(org, presented)]; custom != nil {
				key = custom
			}
		}
		if key == nil {
			return nil
		}
		known = remembered{key, now.Add(CachedSession)}
		s.node.remembered[presented] = known
	}
	key := known.key.copy()
	if err := s.applyPolicies(key); err != nil {
		return nil // a key whose policy is gone passes for an unknown one (trap 5)
	}
	return key
}

// judge is the chain of an API: key, expiry, rights.
func (s *Server) judge(api API, presented string) verdict {
	if presented == "" {
		return noKey
	}
	if len(presented) > len("Bearer ") && strings.EqualFold(presented[:len("Bearer ")], "Bearer ") {
		presented = presented[len("Bearer "):]
	}
	key := s.recall(api.OrgID, presented)
	if key == nil {
		return disallowed
	}
	return s.judgeSession(api, key)
}

func (s *Server) judgeSession(api API, key *session) verdict {
	_, allowed := key.AccessRights[api.ID]
	switch {
	case key.IsInactive:
		return inactive
	case key.expired(s.Now()):
		return ended
	case !allowed:
		return disallowed
	}
	return passes
}

// gatewayMessage is the body of a refusal.
type gatewayMessage struct {
	Error string `json:"error"`
}

// served is what the service behind every API answers.
type served struct {
	OK bool `json:"ok"`
}

func (s *Server) proxy() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		api, below, found := s.apiServing(r.URL.Path)
		if !found {
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(http.StatusText(http.StatusNotFound)))
			return
		}
		var judged verdict
		switch {
		case api.OAuth2 && strings.TrimSuffix(below, "/") == "oauth/token":
			s.issueToken(w, r, api)
			return
		case api.OAuth2:
			judged = s.judgeToken(api, r.Header.Get("Authorization"))
		default:
			judged = s.judge(api, r.Header.Get(s.opts.KeyHeader))
		}
		if judged != passes {
			partnertest.WriteJSON(w, judged.status, gatewayMessage{judged.message})
			return
		}
		partnertest.WriteJSON(w, http.StatusOK, served{OK: true})
	})
}

// apiServing finds the API with the longest listen path.
func (s *Server) apiServing(path string) (found API, below string, ok bool) {
	for _, api := range s.apis {
		rest, matches := strings.CutPrefix(path, api.ListenPath)
		if !matches && path+"/" == api.ListenPath {
			rest, matches = "", true
		}
		if matches && (!ok || len(api.ListenPath) > len(found.ListenPath)) {
			found, below, ok = api, rest, true
		}
	}
	return found, below, ok
}

// Probe answers as the gateway would to a call with this key, in the form given:
// 200 when one of the APIs admits it, else the refusal that says most. As a call
// does, it makes the node remember the key.
func (s *Server) Probe(secret string) (status int, body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var refused []verdict
	for _, api := range s.apis {
		if api.OAuth2 {
			continue
		}
		judged := s.judge(api, secret)
		if judged == passes {
			return http.StatusOK, http.StatusText(http.StatusOK)
		}
		refused = append(refused, judged)
	}
	for _, telling := range []verdict{ended, inactive, noKey} {
		if slices.Contains(refused, telling) {
			return telling.status, `{"error":"` + telling.message + `"}`
		}
	}
	return disallowed.status, `{"error":"` + disallowed.message + `"}`
}
