package keycloaktest

import (
	"fmt"
	"net/http"
)

// refusal is an answer other than success. The admin API writes errorMessage or
// error, the OpenID Connect endpoints error and error_description.
type refusal struct {
	status       int
	errorMessage string
	code         string
	description  string
}

func (r *refusal) Error() string {
	return fmt.Sprintf("%d %s%s %s", r.status, r.errorMessage, r.code, r.description)
}

type wireRefusal struct {
	ErrorMessage string `json:"errorMessage,omitempty"`
	Error        string `json:"error,omitempty"`
	Description  string `json:"error_description,omitempty"`
}

func (r *refusal) body() wireRefusal { return wireRefusal{r.errorMessage, r.code, r.description} }

// plain is a refusal of the admin API that has a code alone.
func plain(status int, code string) *refusal { return &refusal{status: status, code: code} }

func oauth(status int, code, description string) *refusal {
	return &refusal{status: status, code: code, description: description}
}

func alreadyExists(message string) *refusal {
	return &refusal{status: http.StatusConflict, errorMessage: message}
}

var (
	unauthorized    = plain(http.StatusUnauthorized, "HTTP 401 Unauthorized")
	forbidden       = plain(http.StatusForbidden, "HTTP 403 Forbidden")
	noSuchRealm     = plain(http.StatusNotFound, "Realm not found.")
	noSuchClient    = plain(http.StatusNotFound, "Could not find client")
	noSuchScope     = plain(http.StatusNotFound, "Client scope not found")
	noRotatedSecret = plain(http.StatusNotFound, "Client does not have a rotated secret")
	noSuchPath      = plain(http.StatusNotFound, "Unable to find matching target resource method")
	wrongMethod     = plain(http.StatusMethodNotAllowed, "HTTP 405 Method Not Allowed")
	wrongType       = plain(http.StatusUnsupportedMediaType, "HTTP 415 Unsupported Media Type")
	notJSON         = plain(http.StatusBadRequest, "Cannot parse the JSON")
	unknownError    = plain(http.StatusInternalServerError, "unknown_error")

	unknownClient = oauth(http.StatusUnauthorized, "invalid_client", "Invalid client or Invalid client credentials")
	wrongSecret   = oauth(http.StatusUnauthorized, "unauthorized_client", "Invalid client or Invalid client credentials")
	noClientID    = oauth(http.StatusBadRequest, "invalid_client", "Missing client_id parameter")
	noGrant       = oauth(http.StatusBadRequest, "invalid_request", "Missing form parameter: grant_type")
	unknownGrant  = oauth(http.StatusBadRequest, "unsupported_grant_type", "Unsupported grant_type")
	publicClient  = oauth(http.StatusBadRequest, "unauthorized_client", "Public client not allowed to retrieve service account")
	noAccount     = oauth(http.StatusBadRequest, "unauthorized_client", "Client not enabled to retrieve service account")
	noToken       = oauth(http.StatusBadRequest, "invalid_request", "Token not provided")
)
