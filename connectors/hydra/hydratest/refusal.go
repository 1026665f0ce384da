package hydratest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

// refusal is an answer other than success, in the form of RFC 6749.
type refusal struct {
	status      int
	code        string
	description string
}

func (r *refusal) Error() string { return fmt.Sprintf("%d %s: %s", r.status, r.code, r.description) }

// with adds a hint to the description; Hydra writes quotes as apostrophes.
func (r refusal) with(format string, args ...any) *refusal {
	hint := strings.ReplaceAll(fmt.Sprintf(format, args...), `"`, "'")
	r.description = strings.TrimSpace(r.description + " " + hint)
	return &r
}

var (
	invalidRequest = refusal{
		http.StatusBadRequest, "invalid_request",
		"The request is missing a required parameter, includes an invalid parameter value, includes a parameter more than once, or is otherwise malformed.",
	}
	invalidMetadata = refusal{
		http.StatusBadRequest, "invalid_client_metadata",
		"The value of one of the Client Metadata fields is invalid and the server has rejected this request. Note that an Authorization Server MAY choose to substitute a valid value for any requested parameter of a Client's Metadata.",
	}
	invalidClient = refusal{
		http.StatusUnauthorized, "invalid_client",
		"Client authentication failed (e.g., unknown client, no client authentication included, or unsupported authentication method).",
	}
	invalidGrant = refusal{
		http.StatusBadRequest, "invalid_grant",
		"The provided authorization grant (e.g., authorization code, resource owner credentials) or refresh token is invalid, expired, revoked, does not match the redirection URI used in the authorization request, or was issued to another client.",
	}
	invalidScope = refusal{
		http.StatusBadRequest, "invalid_scope",
		"The requested scope is invalid, unknown, or malformed.",
	}
	unauthorizedClient = refusal{
		http.StatusBadRequest, "unauthorized_client",
		"The client is not authorized to request a token using this method.",
	}
	serverError = refusal{
		http.StatusInternalServerError, "server_error",
		"The authorization server encountered an unexpected condition that prevented it from fulfilling the request.",
	}
	malformed   = refusal{http.StatusBadRequest, "The request was malformed or contained invalid parameters", ""}
	unknownFlaw = refusal{http.StatusInternalServerError, "error", "The error is unrecognizable"}
)

// noSuchClient is the 404 of a client that is missing: `error` is a text, where
// that of a wrong path is an object (api-managers.md, 3.7, traps).
func noSuchClient() *refusal {
	return &refusal{http.StatusNotFound, "Unable to locate the resource", ""}
}

func clientExists() *refusal {
	return &refusal{
		http.StatusConflict,
		"Unable to insert or update resource because a resource with that value exists already", "",
	}
}

type wireRefusal struct {
	Error       string `json:"error"`
	Description string `json:"error_description"`
}

func (r *refusal) body() wireRefusal { return wireRefusal{r.code, r.description} }

// wrongRoute is the 404 of a path that this version does not have. Only who asks
// for JSON gets JSON.
func wrongRoute(w http.ResponseWriter, r *http.Request) {
	const reason = "The requested route does not exist. Make sure you are using the right path, domain, and port."
	accepts := func(media string) bool {
		return slices.ContainsFunc(r.Header.Values("Accept"), func(value string) bool { return strings.Contains(value, media) })
	}
	switch {
	case accepts("application/json"):
		type flaw struct {
			Code    int    `json:"code"`
			Message string `json:"message"`
			Reason  string `json:"reason"`
		}
		w.Header().Set("Content-Type", jsonType)
		partnertest.WriteJSON(w, http.StatusNotFound, map[string]flaw{"error": {http.StatusNotFound, "Not Found", reason}})
	case accepts("text/plain"):
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte("Error 404 - " + reason))
	default:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte("<!DOCTYPE html>\n<html lang=\"en\"><head><title>404 - Route not found</title></head>" +
			"<body><h1>Error 404</h1><p>" + reason + "</p></body></html>\n"))
	}
}

// wrongMethod is the 405 of a path that exists.
func wrongMethod(allowed []string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		http.Error(w, "Method Not Allowed", http.StatusMethodNotAllowed)
	}
}
