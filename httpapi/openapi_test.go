package httpapi_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/go-chi/chi/v5"

	"github.com/passerelle-hub/passerelle/httpapi"
	"github.com/passerelle-hub/passerelle/httpapi/apitest"
	"github.com/passerelle-hub/passerelle/httpapi/citizen"
	"github.com/passerelle-hub/passerelle/httpapi/docs"
	"github.com/passerelle-hub/passerelle/httpapi/editor"
	"github.com/passerelle-hub/passerelle/httpapi/hub"
	"github.com/passerelle-hub/passerelle/httpapi/v1"
)

// pages are for people: they are no part of the contract of machines.
var pages = []string{"/collectivit", "/accessibilite", "/mentions-legales", "/faq", "/confidentialite", "/cgu_", "/assets/", "/docs", "/remise/", "/tache/", "/desinscription/", "/demandes/", "/demarche/", "/callback", "/logout-callback"}

func TestEveryRouteOfThePublicListenerIsInTheContract(t *testing.T) {
	t.Parallel()
	documentation, err := docs.New(docs.Settings{OpenAPI: httpapi.OpenAPI})
	if err != nil {
		t.Fatal(err)
	}
	families, err := citizen.New(citizen.Handler{})
	if err != nil {
		t.Fatal(err)
	}
	routes := httpapi.Routes{
		Citizen: families, PerVisitor: 1,
		Health: &httpapi.Health{}, DataPass: http.NotFoundHandler(), Bounces: http.NotFoundHandler(),
		V1: &v1.Handler{PerClient: 1}, Hub: &hub.Handler{PerClient: 1}, Docs: documentation, Editor: &editor.Handler{PerEditor: 1, Fetches: 1}, PerAddress: 1,
	}
	contract := apitest.Load(t).Document
	served := map[string]bool{}
	err = chi.Walk(routes.Handler().(chi.Routes), func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		route = strings.ReplaceAll(route, "/*/", "/")
		if route == "/" || slices.ContainsFunc(pages, func(p string) bool { return strings.HasPrefix(route, p) }) {
			return nil
		}
		served[method+" "+route] = true
		if item := contract.Paths.Find(route); item == nil || item.GetOperation(method) == nil {
			t.Errorf("%s %s is not in openapi.yaml", method, route)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for path, item := range contract.Paths.Map() {
		for method := range item.Operations() {
			if !served[method+" "+path] {
				t.Errorf("openapi.yaml promises %s %s, which is not served", method, path)
			}
		}
	}
}

func TestEveryOperationOfTheContractSaysWhatACallerNeeds(t *testing.T) {
	t.Parallel()
	contract := apitest.Load(t).Document
	var tags []string
	for _, tag := range contract.Tags {
		if tag.Description == "" {
			t.Errorf("the tag %s has no description", tag.Name)
		}
		tags = append(tags, tag.Name)
	}
	ids := map[string]string{}
	for path, item := range contract.Paths.Map() {
		for method, op := range item.Operations() {
			name := method + " " + path
			if op.OperationID == "" || ids[op.OperationID] != "" {
				t.Errorf("%s: operationId %q, also of %q", name, op.OperationID, ids[op.OperationID])
			}
			ids[op.OperationID] = name
			if op.Summary == "" || len(op.Tags) != 1 || !slices.Contains(tags, op.Tags[0]) {
				t.Errorf("%s: summary %q, tags %q: one of %q is wanted", name, op.Summary, op.Tags, tags)
			}
			checkSecurity(t, name, contract, op)
			checkAnswers(t, name, op)
			for _, p := range append(slices.Clone(item.Parameters), op.Parameters...) {
				if p.Value.Description == "" {
					t.Errorf("%s: the parameter %s has no description", name, p.Value.Name)
				}
			}
		}
	}
}

func checkSecurity(t *testing.T, name string, contract *openapi3.T, op *openapi3.Operation) {
	t.Helper()
	security := contract.Security
	if op.Security != nil {
		security = *op.Security
	}
	var bearer, secured bool
	for _, alternative := range security {
		for scheme := range alternative {
			secured = true
			bearer = bearer || scheme == "bearer"
			if contract.Components.SecuritySchemes[scheme] == nil {
				t.Errorf("%s: no scheme %s", name, scheme)
			}
		}
	}
	if len(security) == 0 {
		t.Errorf("%s does not say who may call; {} is for everybody", name)
	}
	if bearer && op.Extensions["x-roles"] == nil && op.Extensions["x-scopes"] == nil {
		t.Errorf("%s has neither x-roles nor x-scopes", name)
	}
	if secured && op.Responses.Value("401") == nil {
		t.Errorf("%s does not describe its 401", name)
	}
}

func checkAnswers(t *testing.T, name string, op *openapi3.Operation) {
	t.Helper()
	success := false
	for status, answer := range op.Responses.Map() {
		success = success || strings.HasPrefix(status, "2")
		if answer.Value.Description == nil || *answer.Value.Description == "" {
			t.Errorf("%s: its %s has no description", name, status)
		}
		if status >= "400" && len(answer.Value.Content) != 1 {
			t.Errorf("%s: its %s has no body", name, status)
		}
	}
	if !success {
		t.Errorf("%s promises no success", name)
	}
	for _, status := range []string{"400", "413"} {
		if op.RequestBody != nil && op.Responses.Value(status) == nil {
			t.Errorf("%s takes a body and does not describe its %s", name, status)
		}
	}
}

func TestEveryExampleOfTheReferenceHoldsToItsSchema(t *testing.T) {
	t.Parallel()
	contract := apitest.Load(t).Document
	reference, err := docs.ReadAPI(httpapi.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	shown := 0
	hold := func(name string, c *docs.Content, schemas openapi3.Content) {
		t.Helper()
		if c == nil || !strings.HasSuffix(c.Media, "json") && !strings.Contains(c.Media, "form") {
			return
		}
		shown++
		var value any
		if err := json.Unmarshal([]byte(c.Example), &value); err != nil {
			t.Errorf("%s has no example: %v", name, err)
			return
		}
		if err := schemas[c.Media].Schema.Value.VisitJSON(value, openapi3.EnableFormatValidation()); err != nil {
			t.Errorf("the example of %s: %v", name, err)
		}
	}
	for _, tag := range reference.Tags {
		for _, o := range tag.Operations {
			name := o.Method + " " + o.Path
			op := contract.Paths.Find(o.Path).GetOperation(o.Method)
			if op.RequestBody != nil {
				hold("the body of "+name, o.Body, op.RequestBody.Value.Content)
			}
			for _, a := range o.Answers {
				hold(name+" "+a.Status, a.Content, op.Responses.Value(a.Status).Value.Content)
			}
		}
	}
	if shown < 50 {
		t.Errorf("only %d examples", shown)
	}
}
