package graviteetest

import (
	"net/http"
	"time"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

// Ids of the API and plan that are seeded by default, as in the contract's samples.
const (
	DemoAPI      = "3f0c5d1e-1111-4222-8333-444455556666"
	DemoAPIHRID  = "api-demo"
	DemoPlan     = "9b2e7a4c-aaaa-4bbb-8ccc-ddddeeeeffff"
	DemoPlanHRID = "api-key"
	DemoPath     = "/api-demo"
)

// Credentials accepted by default.
const (
	DefaultToken    = "gravitee-simulator-access-token"
	DefaultUser     = "admin"
	DefaultPassword = "gravitee-simulator-password"
)

// Plan validations: whether a subscription waits for the API's owner.
const (
	ValidationManual = "MANUAL"
	ValidationAuto   = "AUTO"
)

// SecurityAPIKey is the security of a plan that gives API keys.
const SecurityAPIKey = "API_KEY"

// Plan is one plan of an API. Only ID is required.
type Plan struct {
	ID         string `json:"id" yaml:"id"`
	HRID       string `json:"hrid,omitempty" yaml:"hrid"` // its name in the Automation API
	Name       string `json:"name" yaml:"name"`
	Status     string `json:"status" yaml:"status"`         // default PUBLISHED; STAGING, DEPRECATED, CLOSED
	Validation string `json:"validation" yaml:"validation"` // default MANUAL
	Security   string `json:"security" yaml:"security"`     // default API_KEY; KEY_LESS, JWT, OAUTH2
	API        string `json:"api" yaml:"api"`               // set by the API it belongs to
}

// API is one API of the gateway. Only ID is required.
type API struct {
	ID          string `json:"id" yaml:"id"`
	HRID        string `json:"hrid,omitempty" yaml:"hrid"`
	Name        string `json:"name" yaml:"name"`
	ContextPath string `json:"context_path" yaml:"context_path"` // on the gateway; default "/" + HRID, else "/" + ID
	Stopped     bool   `json:"stopped" yaml:"stopped"`           // the gateway does not serve it
	Plans       []Plan `json:"-" yaml:"plans"`
}

// DemoAPIs is the default seed: one API with one API key plan.
func DemoAPIs() []API {
	return []API{{
		ID: DemoAPI, HRID: DemoAPIHRID, Name: "API de démonstration", ContextPath: DemoPath,
		Plans: []Plan{{ID: DemoPlan, HRID: DemoPlanHRID, Name: "Clé d'API"}},
	}}
}

// Options of the simulator. The zero value is a 4.12 on free loopback ports
// with the demo's API, where custom keys are allowed.
type Options struct {
	ManagementAddr string `yaml:"-"` // "127.0.0.1:8083"; default a free port
	GatewayAddr    string `yaml:"-"` // "127.0.0.1:8082"; default a free port
	TechnicalAddr  string `yaml:"-"` // "127.0.0.1:18083"; default a free port

	Organization string `yaml:"organization"` // default DEFAULT
	Environment  string `yaml:"environment"`  // default DEFAULT
	Token        string `yaml:"token"`        // personal access token; default DefaultToken
	User         string `yaml:"user"`         // Basic; default DefaultUser
	Password     string `yaml:"password"`     // Basic; default DefaultPassword

	// APIs are the seed; nil means DemoAPIs.
	APIs []API `yaml:"apis"`
	// CustomKeysRefused is the parameter plan.security.apikey.allowCustom.enabled at false.
	CustomKeysRefused bool `yaml:"custom_keys_refused"`
	// AutomationAbsent is a version before 4.12.
	AutomationAbsent bool `yaml:"automation_absent"`
	// SearchNamesOnly finds applications by name and id only, as a MongoDB
	// repository does; by default the description is searched too, as in the
	// contract's sample.
	SearchNamesOnly bool `yaml:"search_names_only"`
	// PropagationDelay is how long the gateway ignores a change; a real one
	// synchronises every 5 s.
	PropagationDelay time.Duration `yaml:"propagation_delay"`
	// BetweenCheckAndInsert runs after clientId was found free and before the
	// application is stored, without any lock: the race of the real server.
	BetweenCheckAndInsert func() `yaml:"-"`
	// NewID makes the ids of new objects; default random UUIDs.
	NewID func() string `yaml:"-"`

	// Faults are in place at the start and after each reset.
	Faults []partnertest.Fault `yaml:"faults"`

	Clock     *partnertest.Clock                `yaml:"-"`
	Latency   func(*http.Request) time.Duration `yaml:"-"`
	KeepCalls int                               `yaml:"-"`
	Run       partnertest.Run                   `yaml:"-"`
}
