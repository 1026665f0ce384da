package tyktest

import (
	"encoding/json"
	"maps"
	"slices"
)

// Policies are files: what is written takes effect at the next reload.

func (s *Server) listPolicies(request) (any, error) {
	list := []Policy{}
	for _, id := range slices.Sorted(maps.Keys(s.loaded)) {
		list = append(list, s.loaded[id])
	}
	return list, nil
}

func (s *Server) getPolicy(r request) (any, error) {
	if policy, ok := s.loaded[r.param("policy")]; ok {
		return policy, nil
	}
	return nil, policyNotFound
}

// writePolicy goes by the id of the body. A POST on an id that exists overwrites.
func (s *Server) writePolicy(r request) (any, error) {
	var policy Policy
	if err := json.Unmarshal(r.body, &policy); err != nil {
		return nil, malformed
	}
	action := "added"
	if r.Method == "PUT" {
		if policy.ID != r.param("policy") {
			return nil, policyMismatch
		}
		action = "modified"
	}
	s.files[policy.ID] = policy
	return modified{Key: policy.ID, Status: "ok", Action: action}, nil
}

func (s *Server) deletePolicy(r request) (any, error) {
	id := r.param("policy")
	if _, there := s.files[id]; !there {
		return nil, deleteFailed
	}
	delete(s.files, id)
	return modified{Key: id, Status: "ok", Action: "deleted"}, nil
}

func (s *Server) listAPIs(request) (any, error) { return slices.Clone(s.apis), nil }

func (s *Server) getAPI(r request) (any, error) {
	if api, ok := s.api(r.param("api")); ok {
		return api, nil
	}
	return nil, apiNotFound
}
