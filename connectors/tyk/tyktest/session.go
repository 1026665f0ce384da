package tyktest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// session is one key, as the control API reads and writes it. Fields of the real
// one that concern other kinds of keys (basic, JWT, HMAC, certificates) are not kept.
type session struct {
	LastCheck        int64                       `json:"last_check"`
	Allowance        float64                     `json:"allowance"`
	Rate             float64                     `json:"rate"`
	Per              float64                     `json:"per"`
	DateCreated      time.Time                   `json:"date_created"`
	Expires          int64                       `json:"expires"` // unix s; 0: never
	QuotaMax         int64                       `json:"quota_max"`
	QuotaRenews      int64                       `json:"quota_renews"`
	QuotaRemaining   int64                       `json:"quota_remaining"`
	QuotaRenewalRate int64                       `json:"quota_renewal_rate"`
	AccessRights     map[string]AccessDefinition `json:"access_rights"`
	OrgID            string                      `json:"org_id"`
	OAuthClientID    string                      `json:"oauth_client_id"`
	IsInactive       bool                        `json:"is_inactive"`
	ApplyPolicyID    string                      `json:"apply_policy_id"`
	ApplyPolicies    []string                    `json:"apply_policies"`
	MetaData         map[string]any              `json:"meta_data"`
	Tags             []string                    `json:"tags"`
	Alias            string                      `json:"alias"`
	LastUpdated      string                      `json:"last_updated"`
	SessionLifetime  int64                       `json:"session_lifetime"`

	token    string // base64 form
	customID string // raw form of a custom key
}

func (s *session) copy() *session {
	out := *s
	out.AccessRights = maps.Clone(s.AccessRights)
	out.ApplyPolicies = slices.Clone(s.ApplyPolicies)
	out.MetaData = maps.Clone(s.MetaData)
	out.Tags = slices.Clone(s.Tags)
	return &out
}

func (s *session) policies() []string {
	if len(s.ApplyPolicies) > 0 {
		return s.ApplyPolicies
	}
	if s.ApplyPolicyID != "" {
		return []string{s.ApplyPolicyID}
	}
	return nil
}

// expired: the gateway goes by whole seconds and lets the last one pass.
func (s *session) expired(now time.Time) bool {
	return s.Expires >= 1 && now.After(time.Unix(s.Expires, 0))
}

// applyPolicies puts into a session what its policies give: their rights take
// the place of its own. Of several policies, those that are missing are skipped.
func (s *Server) applyPolicies(key *session) error {
	ids := key.policies()
	rights := map[string]AccessDefinition{}
	if key.MetaData == nil {
		key.MetaData = map[string]any{}
	}
	for _, id := range ids {
		policy, known := s.loaded[id]
		if !known {
			if len(ids) > 1 {
				continue
			}
			return fmt.Errorf("policy not found: %q", id)
		}
		maps.Copy(rights, policy.AccessRights)
		maps.Copy(key.MetaData, policy.MetaData)
		key.IsInactive = key.IsInactive || policy.IsInactive
		for _, tag := range policy.Tags {
			if !slices.Contains(key.Tags, tag) {
				key.Tags = append(key.Tags, tag)
			}
		}
		if policy.Rate > 0 {
			key.Rate, key.Per = policy.Rate, policy.Per
		}
		if policy.QuotaMax != 0 {
			key.QuotaMax = policy.QuotaMax
		}
	}
	if len(ids) == 0 {
		return nil
	}
	if len(rights) == 0 {
		return errors.New("key has no valid policies to be applied")
	}
	key.AccessRights = rights
	return nil
}
