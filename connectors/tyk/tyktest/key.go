package tyktest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
)

// lookUp finds a key as Tyk does. A raw key is found only together with its
// organisation; without it Tyk takes the value for a key of its own making, and
// does not find it (api-managers.md, 3.3, trap 1).
func (s *Server) lookUp(org, key string, hashed bool) (handle string, found *session) {
	if s.noRedis {
		return "", nil // read as "no such key": Tyk does not tell the two apart
	}
	candidates := []string{s.handleOf(key)}
	switch {
	case hashed:
		candidates = []string{key}
	case orgOf(key) != org:
		candidates = []string{s.handleOf(tokenFor(org, key)), s.handleOf(key)}
	}
	for _, handle := range candidates {
		if found := s.keys[handle]; found != nil {
			return handle, found
		}
	}
	return "", nil
}

// shownAs is how an answer names a key: by its base64 form, or by its hash when
// it was asked for by hash.
func shownAs(handle string, key *session, hashed bool) string {
	if hashed {
		return handle
	}
	return key.token
}

// addKey makes the key that the path names, or one of Tyk's own making. What was
// there under the same name is overwritten, whoever made it.
func (s *Server) addKey(r request) (any, error) {
	key, err := decodeKey(r.body)
	if err != nil {
		return nil, malformed
	}
	custom := r.param("key")
	if custom != "" && len(custom) < s.opts.MinTokenLength {
		return nil, refuse(http.StatusBadRequest, fmt.Sprintf(
			"custom key ID length %d is less than min_token_length (%d); the key would be unreachable at auth time. "+
				"Use an ID of at least min_token_length characters, or lower min_token_length in the gateway configuration.",
			len(custom), s.opts.MinTokenLength))
	}
	if key.customID = custom; custom == "" {
		custom = hexID()
	}
	key.token = tokenFor(key.OrgID, custom)
	key.DateCreated = s.Now()
	s.pastExpiry(key, 0)
	if err := s.prepare(r, key); err != nil {
		return nil, err
	}
	return s.added(key), nil
}

// generateKey is POST /tyk/keys/create: it tells more of what is wrong.
func (s *Server) generateKey(r request) (any, error) {
	key, err := decodeKey(r.body)
	if err != nil {
		return nil, cannotDecode
	}
	if err := s.applyPolicies(key); err != nil {
		return nil, refuse(http.StatusInternalServerError, "Failed to create key - "+err.Error())
	}
	if len(key.AccessRights) == 0 {
		return nil, noAccessRights
	}
	key.token = tokenFor(key.OrgID, hexID())
	key.DateCreated = s.Now()
	if err := s.prepare(r, key); err != nil {
		return nil, err
	}
	return s.added(key), nil
}

func (s *Server) added(key *session) modified {
	s.RegisterSecret(key.token, key.customID)
	handle := s.handleOf(key.token)
	s.put(handle, key)
	answer := modified{Key: key.token, Status: "ok", Action: "added"}
	if !s.opts.ClearKeys {
		answer.KeyHash = handle
	}
	return answer
}

// changeKey replaces the whole key: what the body leaves out is lost.
func (s *Server) changeKey(r request) (any, error) {
	key, err := decodeKey(r.body)
	if err != nil {
		return nil, malformed
	}
	hashed := r.URL.Query().Get("hashed") != ""
	handle, found := s.lookUp(key.OrgID, r.param("key"), hashed)
	if found == nil {
		return nil, keyIsNotFound
	}
	key.token, key.customID, key.DateCreated = found.token, found.customID, found.DateCreated
	if r.URL.Query().Get("suppress_reset") == "1" {
		key.QuotaRenews, key.LastUpdated = found.QuotaRenews, found.LastUpdated
	}
	s.pastExpiry(key, found.Expires)
	if err := s.prepare(r, key); err != nil {
		return nil, err
	}
	s.put(handle, key)
	return modified{Key: shownAs(handle, key, hashed), Status: "ok", Action: "modified"}, nil
}

// pastExpiry: an end in the past is ignored without a word, the one before it
// stays (api-managers.md, 3.3, trap 3).
func (s *Server) pastExpiry(key *session, before int64) {
	if key.Expires > 1 && key.expired(s.Now()) {
		key.Expires = before
	}
}

// prepare applies policies and judges a key before it is stored.
func (s *Server) prepare(r request, key *session) error {
	err := s.applyPolicies(key)
	if err != nil || len(key.AccessRights) == 0 || s.noRedis {
		return failedToCreate
	}
	if r.URL.Query().Get("suppress_reset") != "1" {
		now := s.Now().Unix()
		key.LastUpdated, key.QuotaRenews = strconv.FormatInt(now, 10), now+key.QuotaRenewalRate
	}
	key.QuotaRemaining = key.QuotaMax
	return nil
}

func decodeKey(body []byte) (*session, error) {
	key := &session{}
	return key, json.Unmarshal(body, key)
}

func (s *Server) getKey(r request) (any, error) {
	hashed := r.URL.Query().Get("hashed") != ""
	if hashed && s.opts.ClearKeys {
		return nil, notHashed
	}
	_, found := s.lookUp(r.URL.Query().Get("org_id"), r.param("key"), hashed)
	if found == nil {
		return nil, keyNotFound
	}
	shown := found.copy()
	// A policy that is gone is no reason to say so here (trap 5).
	_ = s.applyPolicies(shown)
	return shown, nil
}

type keyList struct {
	Keys []string `json:"keys"`
}

func (s *Server) listKeys(request) (any, error) {
	if !s.opts.ClearKeys && !s.opts.HashedKeyListing {
		return nil, listingDisabled
	}
	list := keyList{Keys: make([]string, 0, len(s.keys))}
	for handle := range s.keys {
		list.Keys = append(list.Keys, handle)
	}
	slices.Sort(list.Keys)
	return list, nil
}

func (s *Server) deleteKey(r request) (any, error) {
	hashed := r.URL.Query().Get("hashed") != ""
	handle, found := s.lookUp(r.URL.Query().Get("org_id"), r.param("key"), hashed)
	if found == nil {
		return nil, noSuchKey
	}
	delete(s.keys, handle)
	s.publish(found.token, nil)
	return modified{Key: shownAs(handle, found, hashed), Status: "ok", Action: "deleted"}, nil
}

func (s *Server) put(handle string, key *session) {
	s.keys[handle] = key
	s.publish(key.token, key)
}
