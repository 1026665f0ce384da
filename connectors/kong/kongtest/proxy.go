package kongtest

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

// keyName is the header, or else the parameter of the query, that carries the key.
const keyName = "apikey"

// gateway is what the proxy knows, which may be older than what the admin side holds.
type gateway struct {
	keys      map[string]gatewayKey // by value
	consumers map[string]gatewayConsumer
	groups    map[string][]string // by consumer
}

type gatewayKey struct {
	credential, consumer string
	expiresAt            time.Time
}

type gatewayConsumer struct{ username, customID string }

func newGateway() gateway {
	return gateway{keys: map[string]gatewayKey{}, consumers: map[string]gatewayConsumer{}, groups: map[string][]string{}}
}

// publish tells the proxy that a row has become another one; nil stands for none.
func (s *Server) publish(of *schema, before, after *entity) {
	var change func(*gateway)
	switch of {
	case keyAuth:
		change = keyChange(before, after)
	case acls:
		change = groupChange(before, after)
	case consumers:
		change = consumerChange(before, after)
	default:
		return // the proxy has no plugin for them
	}
	g := &s.gateway
	s.toGateway.Publish(s.now(), func() { change(g) })
}

func keyChange(before, after *entity) func(*gateway) {
	var old, value string
	var key gatewayKey
	if before != nil {
		old = before.str("key")
	}
	if after != nil {
		value = after.str("key")
		key = gatewayKey{after.id(), after.consumer, after.expiresAt}
	}
	return func(g *gateway) {
		if old != "" {
			delete(g.keys, old)
		}
		if value != "" {
			g.keys[value] = key
		}
	}
}

func groupChange(before, after *entity) func(*gateway) {
	type membership struct{ consumer, group string }
	var left, joined membership
	if before != nil {
		left = membership{before.consumer, before.str("group")}
	}
	if after != nil {
		joined = membership{after.consumer, after.str("group")}
	}
	return func(g *gateway) {
		if left.consumer != "" {
			rest := slices.DeleteFunc(g.groups[left.consumer], func(group string) bool { return group == left.group })
			if g.groups[left.consumer] = rest; len(rest) == 0 {
				delete(g.groups, left.consumer)
			}
		}
		if joined.consumer != "" {
			g.groups[joined.consumer] = append(g.groups[joined.consumer], joined.group)
		}
	}
}

func consumerChange(before, after *entity) func(*gateway) {
	if after == nil {
		id := before.id()
		return func(g *gateway) { delete(g.consumers, id) }
	}
	id, consumer := after.id(), gatewayConsumer{after.str("username"), after.str("custom_id")}
	return func(g *gateway) { g.consumers[id] = consumer }
}

// verdict is the answer of the plugins: status 200 lets the call pass.
type verdict struct {
	status   int
	message  string
	key      gatewayKey
	consumer gatewayConsumer
	groups   []string
}

// judge is key-auth, then acl.
func (s *Server) judge(route Route, value string) verdict {
	s.toGateway.CatchUp(s.now())
	if value == "" {
		return verdict{status: http.StatusUnauthorized, message: "No API key found in request"}
	}
	key, known := s.gateway.keys[value]
	if known && !key.expiresAt.IsZero() && !s.now().Before(key.expiresAt) {
		known = false
	}
	if !known {
		return verdict{status: http.StatusUnauthorized, message: "Unauthorized"}
	}
	groups := s.gateway.groups[key.consumer]
	member := slices.ContainsFunc(route.Allow, func(group string) bool { return slices.Contains(groups, group) })
	if len(route.Allow) > 0 && !member {
		return verdict{status: http.StatusForbidden, message: "You cannot consume this service"}
	}
	return verdict{
		status: http.StatusOK, key: key, consumer: s.gateway.consumers[key.consumer], groups: slices.Clone(groups),
	}
}

type gatewayMessage struct {
	Message string `json:"message"`
}

// Probe answers as the proxy would to a call with this key: 200 when one of the
// routes admits it, else the 403 of a group that is missing, else 401, with the
// body of that answer.
func (s *Server) Probe(secret string) (status int, body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	worst := verdict{status: http.StatusUnauthorized, message: "Unauthorized"}
	for i, route := range s.routes {
		judged := s.judge(route, secret)
		if judged.status == http.StatusOK {
			return http.StatusOK, http.StatusText(http.StatusOK)
		}
		if i == 0 || judged.status == http.StatusForbidden {
			worst = judged
		}
	}
	return worst.status, `{"message":"` + worst.message + `"}`
}

// served is what the service behind every route answers: what the plugins told it.
type served struct {
	Route      string   `json:"route"`
	Path       string   `json:"path"` // below the route
	Consumer   string   `json:"consumer"`
	Username   string   `json:"username"`
	CustomID   string   `json:"custom_id"`
	Credential string   `json:"credential"`
	Groups     []string `json:"groups"`
}

func (s *Server) proxy() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		route, below, found := s.routeServing(r.URL.Path)
		if !found {
			refuse(w, http.StatusNotFound, "no Route matched with those values")
			return
		}
		values := r.Header.Values(keyName)
		if len(values) == 0 {
			values = r.URL.Query()[keyName]
		}
		if len(values) > 1 {
			refuse(w, http.StatusUnauthorized, "Duplicate API key found")
			return
		}
		judged := s.judge(route, strings.Join(values, ""))
		if judged.status != http.StatusOK {
			refuse(w, judged.status, judged.message)
			return
		}
		partnertest.WriteJSON(w, http.StatusOK, served{
			Route: route.Name, Path: below, Consumer: judged.key.consumer, Credential: judged.key.credential,
			Username: judged.consumer.username, CustomID: judged.consumer.customID, Groups: judged.groups,
		})
	})
}

func refuse(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Server", "kong/"+Version)
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Key")
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	partnertest.WriteJSON(w, status, gatewayMessage{message})
}

// routeServing finds the route with the longest prefix of the path.
func (s *Server) routeServing(path string) (found Route, below string, ok bool) {
	for _, route := range s.routes {
		rest, matches := strings.CutPrefix(path, route.Path)
		if matches && (!ok || len(route.Path) > len(found.Path)) {
			found, below, ok = route, rest, true
		}
	}
	return found, below, ok
}
