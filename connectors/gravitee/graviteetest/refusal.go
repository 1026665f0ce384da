package graviteetest

import (
	"fmt"
	"net/http"
)

// refusal is an answer other than success, written in the form of the API that
// was called (api-managers.md, 3.1).
type refusal struct {
	status     int
	code       string // technicalCode
	message    string
	parameters map[string]string
	violations []violation
}

// violation is one faulty field. The real server echoes the faulty value, even
// when it is a secret: what reads its errors must redact them.
type violation struct {
	Message      string `json:"message"`
	Location     string `json:"location"`
	InvalidValue any    `json:"invalidValue"`
}

func (r *refusal) Error() string { return fmt.Sprintf("%d %s: %s", r.status, r.code, r.message) }

func bad(code, message string, parameter ...string) *refusal {
	r := &refusal{status: http.StatusBadRequest, code: code, message: message}
	if len(parameter) == 2 {
		r.parameters = map[string]string{parameter[0]: parameter[1]}
	}
	return r
}

func missing(code, message, parameter, value string) *refusal {
	r := bad(code, message, parameter, value)
	r.status = http.StatusNotFound
	return r
}

func invalid(location, message string, value any) *refusal {
	return &refusal{
		status: http.StatusBadRequest, message: "Validation error",
		violations: []violation{{Message: message, Location: location, InvalidValue: value}},
	}
}

// illegalState is a fault that the real server does not catch: it answers 500.
func illegalState(message string) *refusal {
	return &refusal{status: http.StatusInternalServerError, message: message}
}

func applicationNotFound(id string) *refusal {
	return missing("application.notFound", "Application ["+id+"] cannot be found.", "application", id)
}

func apiNotFound(id string) *refusal {
	return missing("api.notFound", "Api ["+id+"] cannot be found.", "api", id)
}

func planNotFound(id string) *refusal {
	return missing("plan.notFound", "Plan ["+id+"] cannot be found.", "plan", id)
}

func subscriptionNotFound(id string) *refusal {
	return missing("subscription.notFound", "Subscription ["+id+"] cannot be found.", "subscription", id)
}

func keyNotFound(id string) *refusal {
	return missing("apiKey.notFound", "No API Key can be found.", "apiKeyId", id)
}

func dictionaryNotFound(id string) *refusal {
	return missing("dictionary.notFound", "Dictionary ["+id+"] cannot be found.", "dictionary", id)
}

func clientIDExists(clientID string) *refusal {
	return bad("application.clientId.exists", "An application already exists with client_id ["+clientID+"]", "clientId", clientID)
}

func planSubscribed(plan string) *refusal {
	return bad("plan.subscribed", "There is already a PENDING or ACCEPTED subscription for this plan.", "plan", plan)
}

func keyExisting() *refusal { return bad("apiKey.existing", "API Key already exists") }

// customKeyRefused is the one refusal that v1 writes as plain text.
func customKeyRefused() *refusal { return bad("subscription.invalid", customKeyRefusal) }

const customKeyRefusal = "You are not allowed to provide a custom API Key"

func subscriptionNotActive(sub *Subscription) *refusal {
	return bad("subscription.closed",
		"Subscription ["+sub.ID+"] should be paused or accepted. Currently it is "+sub.Status, "subscription", sub.ID)
}

func sharedMode(app *Application) *refusal {
	return bad("application.apiKeyMode.invalid",
		"Invalid operation for API Key mode ["+app.APIKeyMode+"] of application ["+app.ID+"].")
}
