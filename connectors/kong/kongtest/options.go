package kongtest

import (
	"net/http"
	"time"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

// Version is what GET / says.
const Version = "3.10.0"

// Route is one route of the proxy, with the plugins key-auth and acl.
type Route struct {
	Name  string   `json:"name" yaml:"name"`
	Path  string   `json:"path" yaml:"path"`   // prefix: "/dgfip"
	Allow []string `json:"allow" yaml:"allow"` // groups of the plugin acl; none: the route has no such plugin
}

// DemoRoutes is the default seed: one route and one group for each provider.
func DemoRoutes() []Route {
	return []Route{
		{Name: "dgfip", Path: "/dgfip", Allow: []string{"dgfip"}},
		{Name: "cnaf", Path: "/cnaf", Allow: []string{"cnaf"}},
	}
}

// Options of the simulator. The zero value is an open-source Kong on free
// loopback ports with the demo's routes.
type Options struct {
	AdminAddr  string `yaml:"-"` // "127.0.0.1:8001"; default a free port
	ProxyAddr  string `yaml:"-"` // "127.0.0.1:8000"; default a free port
	StatusAddr string `yaml:"-"` // "127.0.0.1:8007"; default a free port

	// Routes are the seed; nil means DemoRoutes.
	Routes []Route `yaml:"routes"`
	// AdminToken makes it an Enterprise: every call of the admin API needs it in
	// Kong-Admin-Token. Empty is the open-source edition, which asks for nothing.
	AdminToken string `yaml:"admin_token"`
	// Workspace puts the admin API of the Enterprise below /{workspace} too.
	Workspace string `yaml:"workspace"`
	// DBLess is a data plane, or a node without database: its admin API only reads.
	DBLess bool `yaml:"dbless"`
	// PropagationDelay is how long the proxy ignores a change of the admin side;
	// a real cluster polls every 5 s (db_update_frequency).
	PropagationDelay time.Duration `yaml:"propagation_delay"`
	// NewID makes the ids of new objects; default random UUIDs.
	NewID func() string `yaml:"-"`

	// Faults are in place at the start and after each reset.
	Faults []partnertest.Fault `yaml:"faults"`

	Clock     *partnertest.Clock                `yaml:"-"`
	Latency   func(*http.Request) time.Duration `yaml:"-"`
	KeepCalls int                               `yaml:"-"`
	Run       partnertest.Run                   `yaml:"-"`
}
