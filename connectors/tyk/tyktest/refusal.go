package tyktest

import (
	"fmt"
	"net/http"
)

// statusMessage is a short answer of the control API, errors above all.
type statusMessage struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

// refusal is an answer other than success.
type refusal struct {
	status  int
	message string
}

func (r *refusal) Error() string { return fmt.Sprintf("%d %s", r.status, r.message) }

func refuse(status int, message string) *refusal { return &refusal{status, message} }

var (
	wrongSecret   = refuse(http.StatusForbidden, "Attempted administrative access with invalid or missing key!")
	keyNotFound   = refuse(http.StatusNotFound, "Key not found")
	keyIsNotFound = refuse(http.StatusNotFound, "Key is not found")
	noSuchKey     = refuse(http.StatusNotFound, "There is no such key found")
	malformed     = refuse(http.StatusBadRequest, "Request malformed")
	cannotDecode  = refuse(http.StatusInternalServerError, "Unmarshalling failed")
	// failedToCreate is a fault of configuration, not a passing one (api-managers.md, 3.3, trap 4).
	failedToCreate  = refuse(http.StatusInternalServerError, "Failed to create key, ensure security settings are correct.")
	noAccessRights  = refuse(http.StatusBadRequest, "Failed to create key, keys must have at least one Access Rights record set.")
	listingDisabled = refuse(http.StatusNotFound, "Hashed key listing is disabled in config (enable_hashed_keys_listing)")
	notHashed       = refuse(http.StatusBadRequest, "Key requested by hash but key hashing is not enabled")
	policyNotFound  = refuse(http.StatusNotFound, "Policy not found")
	policyMismatch  = refuse(http.StatusBadRequest, "Request ID does not match that in policy! For Update operations these must match.")
	deleteFailed    = refuse(http.StatusInternalServerError, "Delete failed")
	noPolicyPath    = refuse(http.StatusBadRequest, "Must specify an apiID to update")
	noPolicyDelete  = refuse(http.StatusBadRequest, "Must specify an apiID to delete")
	apiNotFound     = refuse(http.StatusNotFound, "API not found")
	oauthNoAPI      = refuse(http.StatusBadRequest, "API doesn't exist")
	oauthNoPolicy   = refuse(http.StatusBadRequest, "Policy doesn't exist")
	notOAuth2       = refuse(http.StatusBadRequest, "API is not OAuth2")
	oauthNotFound   = refuse(http.StatusNotFound, "OAuth Client ID not found")
)
