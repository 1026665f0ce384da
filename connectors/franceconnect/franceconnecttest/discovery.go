package franceconnecttest

import (
	"net/http"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

// discovery is the recorded document with the simulator's own addresses, what
// FranceConnect lists and then refuses included (PKCE, three response modes).
func (s *Server) discovery(w http.ResponseWriter, _ *http.Request) {
	names := make([]string, len(scopes))
	for i, one := range scopes {
		names[i] = one.name
	}
	partnertest.WriteJSON(w, http.StatusOK, map[string]any{
		"issuer":                 s.issuer,
		"authorization_endpoint": s.issuer + "/authorize",
		"token_endpoint":         s.issuer + "/token",
		"userinfo_endpoint":      s.issuer + "/userinfo",
		"jwks_uri":               s.issuer + "/jwks",
		"end_session_endpoint":   s.issuer + "/session/end",
		"revocation_endpoint":    s.issuer + "/token/revocation",
		"acr_values_supported":   []string{"eidas1"},
		"authorization_response_iss_parameter_supported": true,
		"claim_types_supported":                          []string{"normal"},
		"claims_parameter_supported":                     true,
		"claims_supported": []string{
			"sub", "given_name", "given_name_array", "family_name", "birthdate", "gender", "preferred_username", "birthplace",
			"birthcountry", "email", "idp_birthdate", "amr", "idp_id", "cnaf_quotient_familial", "cnaf_allocataires", "cnaf_enfants",
			"cnaf_adresse", "acr", "sid", "auth_time", "iss",
		},
		"code_challenge_methods_supported":                 []string{"S256"},
		"grant_types_supported":                            []string{"authorization_code"},
		"id_token_signing_alg_values_supported":            []string{"HS256", "ES256", "RS256"},
		"userinfo_signing_alg_values_supported":            []string{"HS256", "ES256", "RS256"},
		"request_object_signing_alg_values_supported":      []string{"ES256", "RS256", "HS256"},
		"request_parameter_supported":                      false,
		"request_uri_parameter_supported":                  true,
		"require_request_uri_registration":                 true,
		"response_modes_supported":                         []string{"form_post", "fragment", "query"},
		"response_types_supported":                         []string{"code"},
		"scopes_supported":                                 names,
		"subject_types_supported":                          []string{"pairwise"},
		"token_endpoint_auth_methods_supported":            []string{"client_secret_post", "private_key_jwt"},
		"token_endpoint_auth_signing_alg_values_supported": []string{"ES256", "RS256"},
	})
}
