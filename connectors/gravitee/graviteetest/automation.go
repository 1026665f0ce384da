package graviteetest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
)

func (s *Server) routeAutomation(r chi.Router) {
	route := func(method, path string, op operation) {
		r.MethodFunc(method, path, s.serve(op, writeV2Error))
	}
	route("PUT", "/applications", s.automationPutApplication)
	route("GET", "/applications/{hrid}", s.automationGetApplication)
	route("DELETE", "/applications/{hrid}", s.automationDeleteApplication)
	route("PUT", "/apis/{api}/subscriptions", s.automationPutSubscription)
	route("GET", "/apis/{api}/subscriptions/{hrid}", s.automationGetSubscription)
	route("DELETE", "/apis/{api}/subscriptions/{hrid}", s.automationDeleteSubscription)
}

var hridPattern = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_-]+[a-zA-Z0-9]$`)

func checkHRID(hrid string) error {
	if hrid == "" {
		return invalid("hrid", "must not be null", nil)
	}
	if len(hrid) > 256 || !hridPattern.MatchString(hrid) {
		return invalid("hrid", "must match \""+hridPattern.String()+"\"", hrid)
	}
	return nil
}

func hridNotFound(hrid string) error {
	return &refusal{status: http.StatusNotFound, code: "hrid.notFound", message: "HRID [" + hrid + "] cannot be found."}
}

// unimportable is the Automation API's refusal of a specification. It repeats
// what it refuses, keys included.
func unimportable(format string, args ...any) error {
	return bad("invalid", "Unable to import because of errors ["+fmt.Sprintf(format, args...)+"]")
}

type automationApplication struct {
	HRID        string               `json:"hrid"`
	Name        string               `json:"name"`
	Description string               `json:"description"`
	Domain      string               `json:"domain,omitempty"`
	Groups      []string             `json:"groups,omitempty"`
	Settings    *automationSettings  `json:"settings,omitempty"`
	Metadata    []automationMetadata `json:"metadata,omitempty"`
	Members     json.RawMessage      `json:"members,omitempty"`
	Status      string               `json:"status,omitempty"`
	Notify      *bool                `json:"notifyMembers,omitempty"`
}

type automationSettings struct {
	App *automationApp `json:"app,omitempty"`
}

type automationApp struct {
	Type     string `json:"type,omitempty"`
	ClientID string `json:"clientId,omitempty"`
}

type automationMetadata struct {
	Key          string `json:"key,omitempty"`
	Name         string `json:"name"`
	Format       string `json:"format"`
	Value        string `json:"value,omitempty"`
	DefaultValue string `json:"defaultValue,omitempty"`
}

type automationApplicationState struct {
	automationApplication
	ID             string `json:"id"`
	OrganizationID string `json:"organizationId"`
	EnvironmentID  string `json:"environmentId"`
}

// applicationNamed finds an application by hrid, or by UUID when asked to.
func (s *Server) applicationNamed(name string, isUUID bool) *Application {
	if isUUID {
		return s.applications[name]
	}
	for _, app := range s.applicationOrder {
		if app.HRID == name {
			return app
		}
	}
	return nil
}

// automationPutApplication creates or updates by hrid. An archived application
// is restored, unless the specification says ARCHIVED.
func (s *Server) automationPutApplication(r request) (reply, error) {
	var spec automationApplication
	if err := r.decode(&spec); err != nil {
		return reply{}, err
	}
	isUUID := r.flag("hridContainsUUID")
	if err := checkHRID(spec.HRID); err != nil {
		return reply{}, err
	}
	if spec.Name == "" || spec.Description == "" {
		return reply{}, invalid("name, description", "must not be null", nil)
	}
	want := Application{
		HRID: spec.HRID, Name: spec.Name, Description: spec.Description, Domain: spec.Domain,
		Groups: spec.Groups, Members: spec.Members,
	}
	if isUUID {
		want.HRID, want.ID = "", spec.HRID
	}
	if spec.Settings != nil && spec.Settings.App != nil {
		want.Type, want.ClientID = spec.Settings.App.Type, spec.Settings.App.ClientID
	}
	for _, m := range spec.Metadata {
		if m.Name == "" {
			return reply{}, invalid("metadata.name", "must not be null", nil)
		}
		key := m.Key
		if key == "" {
			key = metadataKey(m.Name)
		}
		want.Metadata = append(want.Metadata, Metadata{Key: key, Name: m.Name, Format: strings.ToUpper(m.Format), Value: m.Value})
	}
	existing := s.applicationNamed(spec.HRID, isUUID)
	state := automationApplicationState{spec, "", s.opts.Organization, s.opts.Environment}
	if existing != nil {
		state.ID = existing.ID
	}
	if r.flag("dryRun") {
		if except := state.ID; s.clientIDTaken(want.ClientID, except) {
			return reply{}, clientIDExists(want.ClientID)
		}
		return ok(state)
	}
	if existing == nil {
		created, err := s.createApplication(want)
		if err != nil {
			return reply{}, err
		}
		state.ID = created.ID
		return ok(state)
	}
	return reply{status: http.StatusOK, body: state}, s.updateApplication(existing, want, spec.Status)
}

func (s *Server) updateApplication(app *Application, want Application, status string) error {
	if s.clientIDTaken(want.ClientID, app.ID) {
		return clientIDExists(want.ClientID)
	}
	if app.Status == StatusArchived {
		if status == StatusArchived {
			return bad("application.archived", "Application ["+app.Name+"] is archived and cannot be modified.", "application", app.Name)
		}
		if err := s.restore(app); err != nil {
			return err
		}
	}
	app.Name, app.Description, app.Domain, app.Members = want.Name, want.Description, want.Domain, want.Members
	app.ClientID, app.UpdatedAt = want.ClientID, s.now()
	if want.Type != "" {
		app.Type = want.Type
	}
	if want.Groups != nil {
		app.Groups = want.Groups
	}
	if len(want.Metadata) > 0 {
		app.Metadata = want.Metadata
	}
	return nil
}

func (s *Server) automationGetApplication(r request) (reply, error) {
	app := s.applicationNamed(r.param("hrid"), r.flag("hridContainsUUID"))
	if app == nil {
		return reply{}, hridNotFound(r.param("hrid"))
	}
	spec := automationApplication{
		HRID: app.HRID, Name: app.Name, Description: app.Description, Domain: app.Domain, Groups: app.Groups,
		Settings: &automationSettings{App: &automationApp{Type: app.Type, ClientID: app.ClientID}},
		Members:  app.Members, Status: app.Status,
	}
	for _, m := range app.Metadata {
		spec.Metadata = append(spec.Metadata, automationMetadata{Key: m.Key, Name: m.Name, Format: m.Format, Value: m.Value})
	}
	return ok(automationApplicationState{spec, app.ID, s.opts.Organization, s.opts.Environment})
}

// automationDeleteApplication archives and drops the metadata.
func (s *Server) automationDeleteApplication(r request) (reply, error) {
	app := s.applicationNamed(r.param("hrid"), r.flag("hridContainsUUID"))
	if app == nil {
		return reply{}, hridNotFound(r.param("hrid"))
	}
	s.archive(app)
	app.Metadata = nil
	return noContent()
}

type automationSubscription struct {
	HRID                  string            `json:"hrid,omitempty"`
	ApplicationHRID       string            `json:"applicationHrid,omitempty"`
	PlanHRID              string            `json:"planHrid,omitempty"`
	EndingAt              *time.Time        `json:"endingAt,omitempty"`
	Metadata              map[string]string `json:"metadata,omitempty"`
	ConsumerConfiguration json.RawMessage   `json:"consumerConfiguration,omitempty"`
}

// automationSubscriptionState never holds the keys: they are write-only.
type automationSubscriptionState struct {
	automationSubscription
	ID             string     `json:"id"`
	OrganizationID string     `json:"organizationId"`
	EnvironmentID  string     `json:"environmentId"`
	APIHRID        string     `json:"apiHrid"`
	StartingAt     *time.Time `json:"startingAt,omitempty"`
}
