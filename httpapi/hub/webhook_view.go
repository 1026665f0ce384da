package hub

import (
	"encoding/json"
	"time"

	"github.com/passerelle-hub/passerelle/internal/eventtype"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// endpointView is an endpoint as the API shows it: the values of its headers
// never, its secret once.
type endpointView struct {
	ID             int64       `json:"id"`
	DefinitionID   *string     `json:"definition_id"` // or Editor
	Editor         *string     `json:"editor"`
	URL            string      `json:"url"`
	Description    string      `json:"description"`
	Events         []string    `json:"events"`
	Format         string      `json:"format"`
	HeaderNames    []string    `json:"header_names"`
	Ordered        bool        `json:"ordered"`
	RateLimit      *float64    `json:"rate_limit"` // deliveries a second; null: no limit
	MaxInFlight    int         `json:"max_in_flight"`
	Environment    *string     `json:"environment"` // null: the hub's
	Contact        *string     `json:"contact"`
	Enabled        bool        `json:"enabled"`
	Tested         bool        `json:"tested"` // the last test of this URL passed
	LastTest       *testView   `json:"last_test"`
	PreviousUntil  *time.Time  `json:"previous_secret_until"` // a rotation is under way
	DisabledAt     *time.Time  `json:"disabled_at"`
	DisabledReason string      `json:"disabled_reason"`
	CreatedBy      string      `json:"created_by"`
	CreatedAt      time.Time   `json:"created_at"`
	UpdatedAt      time.Time   `json:"updated_at"`
	Version        int32       `json:"version"` // the ETag, without quotes
	Secret         *secretView `json:"secret,omitempty"`
}

// secretView is one secret in the forms of both dialects.
type secretView struct {
	DataPass string `json:"datapass"` // 64 hexadecimal characters: their text is the key
	Standard string `json:"standard"` // whsec_ and base64
}

type testView struct {
	At         time.Time `json:"at"`
	Passed     bool      `json:"passed"`
	Status     *int      `json:"status"` // null: no complete answer
	ErrorClass string    `json:"error_class"`
	Error      string    `json:"error"`
	DurationMS int64     `json:"duration_ms"`
	Answer     string    `json:"answer"`
}

func viewEndpoint(e store.Endpoint) endpointView {
	v := endpointView{
		ID: e.ID, DefinitionID: given(e.Definition), Editor: given(e.Editor), URL: e.URL, Description: e.Description, Events: e.Events, Format: e.Format,
		HeaderNames: e.HeaderNames, Ordered: e.Ordered, RateLimit: given(e.Rate), MaxInFlight: e.MaxInFlight, Environment: given(e.Environment),
		Contact: given(e.Contact), Enabled: e.Enabled, Tested: e.TestedURL == e.URL, DisabledReason: e.DisabledReason, CreatedBy: e.CreatedBy,
		CreatedAt: e.CreatedAt.UTC(), UpdatedAt: e.UpdatedAt.UTC(), Version: e.Version,
		DisabledAt: given(e.DisabledAt), PreviousUntil: given(e.PreviousUntil),
	}
	if !e.Test.At.IsZero() {
		t := viewTest(e.Test)
		v.LastTest = &t
	}
	return v
}

func viewTest(t store.EndpointTest) testView {
	return testView{
		At: t.At.UTC(), Passed: t.Passed, Status: given(t.Status), ErrorClass: t.ErrorClass, Error: t.Error, DurationMS: t.Duration.Milliseconds(), Answer: t.Answer,
	}
}

// given is nil for what is not.
func given[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

// healthView is how an endpoint does.
type healthView struct {
	Failures       int        `json:"failures"` // in a row
	FailingSince   *time.Time `json:"failing_since"`
	RestsUntil     *time.Time `json:"rests_until"` // the breaker: nothing is sent before
	LastSuccessAt  *time.Time `json:"last_success_at"`
	LastFailureAt  *time.Time `json:"last_failure_at"`
	LastStatus     *int32     `json:"last_status"`
	LastError      string     `json:"last_error"`
	Waiting        int        `json:"waiting"`
	WaitingAtLeast bool       `json:"waiting_at_least"` // there are more than were counted
	OldestWaiting  *time.Time `json:"oldest_waiting_at"`
	Abandoned      int        `json:"abandoned"`
}

// eventTypeView is a type of the catalogue.
type eventTypeView struct {
	Type         string                        `json:"type"`
	Title        string                        `json:"title"`
	Description  string                        `json:"description"`
	DataPass     bool                          `json:"datapass"`     // one of DataPass's own
	Subscribable bool                          `json:"subscribable"` // else it is sent without being asked for
	SchemaURL    string                        `json:"schema_url"`
	Bodies       map[eventtype.Format]bodyView `json:"bodies,omitempty"`
}

type bodyView struct {
	Schema  json.RawMessage `json:"schema"`
	Example json.RawMessage `json:"example"`
}

func viewEventType(t eventtype.Type) eventTypeView {
	return eventTypeView{
		Type: t.Name, Title: t.Title, Description: t.Description, DataPass: t.DataPass, Subscribable: !t.Unasked,
		SchemaURL: "/hub/v1/webhooks/events/" + t.Name + "/schema",
	}
}
