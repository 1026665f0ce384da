package tyktest

import (
	"net/http"
	"time"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

// Version is what GET /hello says.
const Version = "v5.9.1"

// DefaultSecret is accepted in X-Tyk-Authorization by default.
const DefaultSecret = "tyk-simulator-admin-secret"

// DefaultOrg owns the seeded APIs and policies.
const DefaultOrg = "default"

// CachedSession is how long a node keeps a session it has looked up
// (local_session_cache.cached_session_timeout).
const CachedSession = 10 * time.Second

// API is one API that the gateway proxies. Only ID is required.
type API struct {
	ID         string `json:"api_id" yaml:"api_id"`
	Name       string `json:"name" yaml:"name"`
	ListenPath string `json:"listen_path" yaml:"listen_path"` // default "/" + ID + "/"
	OrgID      string `json:"org_id" yaml:"org_id"`           // default DefaultOrg
	OAuth2     bool   `json:"use_oauth2" yaml:"use_oauth2"`   // takes tokens of OAuth clients in the place of keys
}

// AccessDefinition is a right on one API.
type AccessDefinition struct {
	APIID    string   `json:"api_id" yaml:"api_id"`
	APIName  string   `json:"api_name" yaml:"api_name"`
	Versions []string `json:"versions" yaml:"versions"`
}

// Policy gives rights, tags and metadata to the keys that name it. Only ID is required.
type Policy struct {
	ID           string                      `json:"id" yaml:"id"`
	Name         string                      `json:"name" yaml:"name"`
	OrgID        string                      `json:"org_id" yaml:"org_id"`
	Rate         float64                     `json:"rate" yaml:"rate"`
	Per          float64                     `json:"per" yaml:"per"`
	QuotaMax     int64                       `json:"quota_max" yaml:"quota_max"`
	AccessRights map[string]AccessDefinition `json:"access_rights" yaml:"access_rights"`
	Active       bool                        `json:"active" yaml:"active"`
	IsInactive   bool                        `json:"is_inactive" yaml:"is_inactive"`
	Tags         []string                    `json:"tags" yaml:"tags"`
	KeyExpiresIn int64                       `json:"key_expires_in" yaml:"key_expires_in"`
	MetaData     map[string]any              `json:"meta_data" yaml:"meta_data"`
}

// DemoAPIs is the default seed: one API for each provider.
func DemoAPIs() []API { return []API{{ID: "dgfip"}, {ID: "cnaf"}} }

// DemoPolicies is the default seed: the policy of the contract's samples, which
// opens both APIs, and one for each API.
func DemoPolicies() []Policy {
	right := func(ids ...string) map[string]AccessDefinition {
		rights := map[string]AccessDefinition{}
		for _, id := range ids {
			rights[id] = AccessDefinition{APIID: id, APIName: id, Versions: []string{"Default"}}
		}
		return rights
	}
	return []Policy{
		{ID: "api-particulier", Name: "API Particulier", AccessRights: right("dgfip", "cnaf"), Active: true},
		{ID: "dgfip", Name: "DGFiP", AccessRights: right("dgfip"), Active: true},
		{ID: "cnaf", Name: "CNAF", AccessRights: right("cnaf"), Active: true},
	}
}

// Options of the simulator. The zero value is a 5.9 on free loopback ports with
// the demo's APIs and policies, hash_keys on and listing off.
type Options struct {
	ControlAddr string `yaml:"-"` // default a free port
	ProxyAddr   string `yaml:"-"` // "127.0.0.1:8080"; default a free port
	// SharedPort serves the control API on the proxy's port, as Tyk does unless
	// control_api_port is set; ControlAddr is then not used.
	SharedPort bool `yaml:"-"`

	Secret string `yaml:"secret"` // of X-Tyk-Authorization; default DefaultSecret
	// KeyHeader carries the key at the proxy; default X-Api-Key.
	KeyHeader string `yaml:"key_header"`

	APIs     []API    `yaml:"apis"`     // nil means DemoAPIs
	Policies []Policy `yaml:"policies"` // nil means DemoPolicies

	// ClearKeys is hash_keys at false: values can be listed and read back.
	ClearKeys bool `yaml:"clear_keys"`
	// HashedKeyListing is enable_hashed_keys_listing.
	HashedKeyListing bool `yaml:"hashed_key_listing"`
	// MinTokenLength makes it a version after 5.9, which refuses shorter custom keys.
	MinTokenLength int `yaml:"min_token_length"`
	// PropagationDelay is how long the node ignores a change of a key; a real one
	// reads the same Redis.
	PropagationDelay time.Duration `yaml:"propagation_delay"`

	// Faults are in place at the start and after each reset.
	Faults []partnertest.Fault `yaml:"faults"`

	Clock     *partnertest.Clock                `yaml:"-"`
	Latency   func(*http.Request) time.Duration `yaml:"-"`
	KeepCalls int                               `yaml:"-"`
	Run       partnertest.Run                   `yaml:"-"`
}
