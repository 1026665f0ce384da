package graviteetest

import (
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
)

func (s *Server) routeV1(r chi.Router) {
	route := func(method, path string, op operation) {
		r.MethodFunc(method, path, s.serve(op, writeV1Error))
	}
	route("GET", "/applications", s.v1ListApplications)
	route("POST", "/applications", s.v1CreateApplication)
	route("GET", "/applications/{app}", s.v1OnApplication(s.v1GetApplication))
	route("DELETE", "/applications/{app}", s.v1OnApplication(s.v1ArchiveApplication))
	route("POST", "/applications/{app}/_restore", s.v1OnApplication(s.v1RestoreApplication))
	route("GET", "/applications/{app}/metadata", s.v1OnApplication(s.v1ListMetadata))
	route("POST", "/applications/{app}/metadata", s.v1OnApplication(s.v1AddMetadata))
	route("POST", "/applications/{app}/subscriptions", s.v1OnApplication(s.v1SubscribeAsConsumer))
	route("GET", "/applications/{app}/apikeys", s.v1OnApplication(s.v1ListSharedKeys))
	route("POST", "/applications/{app}/apikeys/_renew", s.v1OnApplication(s.v1RenewSharedKey))
	route("POST", "/apis/{api}/subscriptions", s.v1SubscribeAsOwner)
	route("POST", "/apis/{api}/subscriptions/{sub}/apikeys/_renew", s.v1RenewKey)
	route("GET", "/configuration/dictionaries", s.v1ListDictionaries)
	route("POST", "/configuration/dictionaries", s.v1CreateDictionary)
	route("GET", "/configuration/dictionaries/{dictionary}", s.v1OnDictionary(s.v1GetDictionary))
	route("PUT", "/configuration/dictionaries/{dictionary}", s.v1OnDictionary(s.v1PutDictionary))
	route("POST", "/configuration/dictionaries/{dictionary}/_deploy", s.v1OnDictionary(s.v1DeployDictionary))
}

// v1Settings holds the clientId of an application.
type v1Settings struct {
	App *v1AppSettings `json:"app,omitempty"`
}

type v1AppSettings struct {
	Type     string `json:"type,omitempty"`
	ClientID string `json:"client_id,omitempty"`
}

type v1Application struct {
	ID          string     `json:"id"`
	Name        string     `json:"name"`
	Description string     `json:"description"`
	Type        string     `json:"type"`
	Status      string     `json:"status"`
	APIKeyMode  string     `json:"api_key_mode"`
	Domain      string     `json:"domain,omitempty"`
	Settings    v1Settings `json:"settings"`
	Groups      []string   `json:"groups"`
	CreatedAt   int64      `json:"created_at"` // ms
	UpdatedAt   int64      `json:"updated_at"` // ms
}

func toV1Application(app *Application) v1Application {
	return v1Application{
		ID: app.ID, Name: app.Name, Description: app.Description, Type: app.Type, Status: app.Status,
		APIKeyMode: app.APIKeyMode, Domain: app.Domain, Groups: app.Groups,
		Settings:  v1Settings{App: &v1AppSettings{Type: app.Type, ClientID: app.ClientID}},
		CreatedAt: app.CreatedAt.UnixMilli(), UpdatedAt: app.UpdatedAt.UnixMilli(),
	}
}

func (s *Server) v1OnApplication(op func(request, *Application) (reply, error)) operation {
	return func(r request) (reply, error) {
		app, err := s.application(r.param("app"))
		if err != nil {
			return reply{}, err
		}
		return op(r, app)
	}
}

func (s *Server) v1ListApplications(r request) (reply, error) {
	query := r.URL.Query()
	status := query.Get("status")
	switch status {
	case "":
		status = StatusActive
	case StatusActive, StatusArchived:
	default:
		return reply{}, illegalState("No enum constant ApplicationStatus." + status)
	}
	list := []v1Application{}
	for _, app := range s.searchApplications(query.Get("query"), status, r.list("ids")) {
		list = append(list, toV1Application(app))
	}
	return ok(list)
}

func (s *Server) v1CreateApplication(r request) (reply, error) {
	var body struct {
		Name        *string     `json:"name"`
		Description *string     `json:"description"`
		Type        string      `json:"type"`
		ClientID    string      `json:"clientId"`
		Settings    *v1Settings `json:"settings"`
		APIKeyMode  string      `json:"api_key_mode"`
		Groups      []string    `json:"groups"`
		Domain      string      `json:"domain"`
	}
	if err := r.decode(&body); err != nil {
		return reply{}, err
	}
	switch {
	case body.Name == nil:
		return reply{}, invalid("name", "Application's name must not be null", nil)
	case *body.Name == "":
		return reply{}, invalid("name", "Application's name must not be empty", "")
	case body.Description == nil:
		return reply{}, invalid("description", "Application's description must not be null", nil)
	}
	switch body.APIKeyMode {
	case "", ModeUnspecified, ModeExclusive, ModeShared:
	default:
		return reply{}, bad("invalidValue", "Cannot deserialize value at api_key_mode")
	}
	app := Application{
		Name: *body.Name, Description: *body.Description, Type: body.Type, ClientID: body.ClientID,
		APIKeyMode: body.APIKeyMode, Groups: body.Groups, Domain: body.Domain,
	}
	// The settings win over the old fields, which are kept for compatibility.
	if body.Settings != nil && body.Settings.App != nil {
		app.Type, app.ClientID = body.Settings.App.Type, body.Settings.App.ClientID
	}
	created, err := s.createApplication(app)
	if err != nil {
		return reply{}, err
	}
	return reply{http.StatusCreated, toV1Application(created), r.URL.Path + "/" + created.ID}, nil
}

func (s *Server) v1GetApplication(_ request, app *Application) (reply, error) {
	return ok(toV1Application(app))
}

func (s *Server) v1ArchiveApplication(_ request, app *Application) (reply, error) {
	s.archive(app)
	return noContent()
}

func (s *Server) v1RestoreApplication(_ request, app *Application) (reply, error) {
	if err := s.restore(app); err != nil {
		return reply{}, err
	}
	return ok(toV1Application(app))
}

type v1Metadata struct {
	Metadata
	ApplicationID string `json:"applicationId"`
}

func (s *Server) v1ListMetadata(_ request, app *Application) (reply, error) {
	list := []v1Metadata{}
	for _, m := range app.Metadata {
		list = append(list, v1Metadata{m, app.ID})
	}
	return ok(list)
}

func (s *Server) v1AddMetadata(r request, app *Application) (reply, error) {
	var body struct {
		Name         string `json:"name"`
		Value        string `json:"value"`
		DefaultValue string `json:"defaultValue"`
		Format       string `json:"format"`
		Hidden       bool   `json:"hidden"`
	}
	if err := r.decode(&body); err != nil {
		return reply{}, err
	}
	m, err := s.addMetadata(app, Metadata{Name: body.Name, Format: body.Format, Value: body.Value})
	if err != nil {
		return reply{}, err
	}
	return reply{http.StatusCreated, v1Metadata{m, app.ID}, r.URL.Path + "/" + m.Key}, nil
}

func millis(at *time.Time) *int64 {
	if at == nil {
		return nil
	}
	ms := at.UnixMilli()
	return &ms
}
