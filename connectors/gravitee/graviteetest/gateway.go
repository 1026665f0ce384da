package graviteetest

import (
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

// keyHeader carries the key at the gateway.
const keyHeader = "X-Gravitee-Api-Key"

// keyView is what the gateway knows of a key from a moment on. Ends are checked
// by the gateway itself, so that they need no synchronisation.
type keyView struct {
	from     time.Time
	expireAt *time.Time
	access   []access // none: the key is not in the gateway
}

// access is one accepted subscription that the key opens.
type access struct {
	api, plan, application, subscription string
	startingAt, endingAt                 *time.Time
}

func (s *Server) keyChanged(key *Key) { s.unpublished[key] = struct{}{} }

func (s *Server) subscriptionChanged(sub *Subscription) {
	for _, key := range s.keysBySubscription[sub.ID] {
		s.keyChanged(key)
	}
}

// publish records what the gateway will learn of the keys that changed. It
// runs once at the end of each call.
func (s *Server) publish() {
	for key := range s.unpublished {
		view := keyView{from: s.now(), expireAt: key.ExpireAt}
		if !key.Revoked && !key.Paused {
			for _, id := range key.Subscriptions {
				if sub := s.subscriptions[id]; sub.Status == StatusAccepted {
					view.access = append(view.access, access{
						sub.API, sub.Plan, sub.Application, sub.ID, sub.StartingAt, sub.EndingAt,
					})
				}
			}
		}
		if n := len(key.views); n == 0 || !sameView(key.views[n-1], view) {
			key.views = append(key.views, view)
		}
	}
	clear(s.unpublished)
}

func sameView(a, b keyView) bool {
	a.from, b.from = time.Time{}, time.Time{}
	return reflect.DeepEqual(a, b)
}

// admit gives the access that a value has on an API, as the gateway knows it now.
func (s *Server) admit(value, api string) (access, bool) {
	now := s.now()
	synced := now.Add(-s.propagationDelay)
	for _, key := range s.keysByValue[value] {
		at := -1
		for i, view := range key.views {
			if !view.from.After(synced) {
				at = i
			}
		}
		if at < 0 {
			continue
		}
		view := key.views[at]
		if view.expireAt != nil && !view.expireAt.After(now) {
			continue
		}
		for _, a := range view.access {
			started := a.startingAt == nil || !a.startingAt.After(now)
			ended := a.endingAt != nil && !a.endingAt.After(now)
			if a.api == api && started && !ended {
				return a, true
			}
		}
	}
	return access{}, false
}

// Probe answers as the gateway would to a call with this key: 200 when one of
// the APIs admits it, else 401, with the body of that answer.
func (s *Server) Probe(secret string) (status int, body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, api := range s.apiOrder {
		if _, ok := s.admit(secret, api.ID); ok && !api.Stopped {
			return http.StatusOK, http.StatusText(http.StatusOK)
		}
	}
	return http.StatusUnauthorized, unauthorized
}

const unauthorized = "Unauthorized"

// served is what the backend behind every API answers.
type served struct {
	API          string `json:"api"`
	Plan         string `json:"plan"`
	Application  string `json:"application"`
	Subscription string `json:"subscription"`
	Path         string `json:"path"` // below the context path
}

func (s *Server) gateway() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		api, rest := s.apiServing(r.URL.Path)
		if api == nil {
			gatewayRefusal(w, r, http.StatusNotFound, "No context-path matches the request URI.")
			return
		}
		a, ok := s.admit(r.Header.Get(keyHeader), api.ID)
		if !ok {
			gatewayRefusal(w, r, http.StatusUnauthorized, unauthorized)
			return
		}
		partnertest.WriteJSON(w, http.StatusOK, served{a.api, a.plan, a.application, a.subscription, rest})
	})
}

// apiServing finds the started API with the longest context path.
func (s *Server) apiServing(path string) (*API, string) {
	var found *API
	rest := ""
	for _, api := range s.apiOrder {
		below, ok := strings.CutPrefix(path, strings.TrimSuffix(api.ContextPath, "/"))
		if !ok || api.Stopped || (below != "" && below[0] != '/') {
			continue
		}
		if found == nil || len(api.ContextPath) > len(found.ContextPath) {
			found, rest = api, below
		}
	}
	return found, rest
}

// gatewayRefusal writes JSON only to a client that says it takes it.
func gatewayRefusal(w http.ResponseWriter, r *http.Request, status int, message string) {
	takesJSON := slices.ContainsFunc(r.Header.Values("Accept"), func(accept string) bool {
		return strings.Contains(accept, "application/json") || strings.Contains(accept, "*/*")
	})
	if takesJSON {
		partnertest.WriteJSON(w, status, struct {
			Message string `json:"message"`
			Status  int    `json:"http_status_code"`
		}{message, status})
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(message))
}
