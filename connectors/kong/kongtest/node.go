package kongtest

import (
	"net/http"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"
)

type object map[string]any

// root is what the node says of itself: a client reads its version there.
func (s *Server) root(request) (reply, error) {
	edition, database := "community", "postgres"
	if s.opts.AdminToken != "" {
		edition = "enterprise"
	}
	if s.opts.DBLess {
		database = "off"
	}
	return ok(object{
		"version": Version, "tagline": "Welcome to kong", "edition": edition, "node_id": s.nodeID, "hostname": "kong",
		"configuration": object{"database": database},
		"plugins": object{
			"enabled_in_cluster":  []string{"key-auth", "acl"},
			"available_on_server": object{"key-auth": true, "acl": true, "jwt": true, "oauth2": true},
		},
	})
}

type database struct {
	Reachable bool `json:"reachable"`
}

// statusOfNode is always 200: only what it says of the database tells the truth.
func (s *Server) statusOfNode(request) (reply, error) {
	out := object{
		"memory": object{"lua_shared_dicts": object{}, "workers_lua_vms": []any{}},
		"server": map[string]int{
			"connections_accepted": s.requests, "connections_handled": s.requests, "total_requests": s.requests,
			"connections_active": 1, "connections_writing": 1, "connections_reading": 0, "connections_waiting": 0,
		},
	}
	if s.opts.DBLess {
		out["configuration_hash"] = "d41d8cd98f00b204e9800998ecf8427f"
	} else {
		out["database"] = database{Reachable: !s.dbDown}
	}
	return ok(out)
}

// status is the listener for probes: it says whether the node can serve.
func (s *Server) status() http.Handler {
	r := chi.NewRouter()
	r.Use(withoutTrailingSlash)
	s.handle(r, "/status", methods{http.MethodGet: s.statusOfNode})
	s.handle(r, "/status/ready", methods{http.MethodGet: s.ready, http.MethodPost: s.drain})
	r.NotFound(func(w http.ResponseWriter, _ *http.Request) { write(w, reply{}, noSuchObject()) })
	r.MethodNotAllowed(func(w http.ResponseWriter, _ *http.Request) { write(w, reply{}, methodNotAllowed()) })
	return r
}

func (s *Server) ready(request) (reply, error) {
	switch {
	case s.draining:
		return reply{}, plain(http.StatusServiceUnavailable, "draining")
	case s.dbDown:
		return reply{}, plain(http.StatusServiceUnavailable, "failed to connect to database")
	}
	return ok(object{"message": "ready"})
}

func (s *Server) drain(r request) (reply, error) {
	if r.args["status"] != "draining" {
		return reply{}, &refusal{status: http.StatusBadRequest, empty: true}
	}
	s.draining = true
	return reply{status: http.StatusNoContent}, nil
}

// derivedID is stable for what the options seed.
func derivedID(kind, name string) string {
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte("kong:"+kind+":"+name)).String()
}

func (s *Server) listRoutes(request) (reply, error) {
	data := []map[string]any{}
	for _, route := range s.routes {
		data = append(data, map[string]any{
			"id": derivedID("route", route.Name), "name": route.Name, "paths": []string{route.Path},
			"protocols": []string{"http", "https"}, "strip_path": true, "service": nil, "tags": nil,
		})
	}
	return ok(page{Data: data})
}

func pluginsOf(route Route) []map[string]any {
	plugin := func(name string, config object) map[string]any {
		return map[string]any{
			"id": derivedID("plugin", route.Name+"/"+name), "name": name, "enabled": true, "config": config,
			"route": object{"id": derivedID("route", route.Name)}, "service": nil, "consumer": nil, "tags": nil,
		}
	}
	out := []map[string]any{plugin("key-auth", object{
		"key_names": []string{keyName}, "key_in_header": true, "key_in_query": true, "key_in_body": false,
		"hide_credentials": false, "anonymous": nil, "run_on_preflight": true,
	})}
	if len(route.Allow) > 0 {
		out = append(out, plugin("acl", object{"allow": route.Allow, "deny": nil, "hide_groups_header": false}))
	}
	return out
}

func (s *Server) listPlugins(request) (reply, error) {
	data := []map[string]any{}
	for _, route := range s.routes {
		data = append(data, pluginsOf(route)...)
	}
	return ok(page{Data: data})
}

func (s *Server) listPluginsOfRoute(r request) (reply, error) {
	key := r.param("route")
	for _, route := range s.routes {
		if key == route.Name || key == derivedID("route", route.Name) {
			return ok(page{Data: pluginsOf(route)})
		}
	}
	return reply{}, noSuchObject()
}
