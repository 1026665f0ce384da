package datapasstest

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"github.com/passerelle-hub/passerelle/connectors/partnertest/contracts"
)

// knownDeviations are where the published file is wrong about the service
// (datapass.md, 3.7), as far as an answer shows it. Whatever else differs fails.
//   - "organisation" is sent where the file says "organization", and the file
//     does not forbid other keys: nothing to mend;
//   - Organisation.siret is null for a foreign one, which no sample is;
//   - the event enum lacks four names: they are added here.
var missingEventNames = []any{"auto_generate", "claim", "admin_change", "cancel_next_stage"}

func TestAnswersFollowDataPassesOwnDescription(t *testing.T) {
	t.Parallel()
	file := filepath.Join(contracts.Dir(t), "datapass", "openapi-v1.yaml")
	body, err := os.ReadFile(file)
	if err != nil {
		t.Skipf("the published description is not on this machine: %v", err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(body)
	if err != nil {
		t.Fatal(err)
	}
	// The file's own examples do not match its schemas.
	if err := doc.Validate(context.Background(), openapi3.DisableExamplesValidation()); err != nil {
		t.Fatal(err)
	}
	names := doc.Components.Schemas["AuthorizationRequestEvent"].Value.Properties["name"].Value
	names.Enum = append(names.Enum, missingEventNames...)

	s, r := newSite(t), newReceiver(t)
	s.AddSubscription(Subscription{Definition: "api_particulier", URL: r.URL})
	id := s.create(certified()).ID
	s.steps(id, EventSubmit, EventApprove, EventReopen, EventUpdate)
	s.create(FormulaireQF())
	read, hooks := s.accessToken(""), s.accessToken("read_webhooks")

	doc.Servers = openapi3.Servers{{URL: s.base + "/api/v1"}}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		path, token string
		status      int
	}{
		"me":                          {"/me", read, 200},
		"me without a token":          {"/me", "", 401},
		"definitions":                 {"/definitions", read, 200},
		"one definition":              {"/definitions/api_impot_particulier_sandbox", read, 200},
		"an unknown definition":       {"/definitions/rien", read, 404},
		"demandes":                    {"/demandes", read, 200},
		"demandes without a token":    {"/demandes", "", 401},
		"one demande":                 {"/demandes/49001", read, 200},
		"an unknown demande":          {"/demandes/1", read, 404},
		"events":                      {"/demandes/49001/events", read, 200},
		"habilitations":               {"/habilitations", read, 200},
		"one habilitation":            {"/habilitations/70001", read, 200},
		"an unknown habilitation":     {"/habilitations/1", read, 404},
		"attempts":                    {"/webhooks/41/attempts", hooks, 200},
		"attempts of an unknown hook": {"/webhooks/1/attempts", hooks, 404},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.base+"/api/v1"+c.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			if c.token != "" {
				req.Header.Set("Authorization", "Bearer "+c.token)
			}
			answer, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = answer.Body.Close() }()
			text, err := io.ReadAll(answer.Body)
			if err != nil {
				t.Fatal(err)
			}
			if answer.StatusCode != c.status {
				t.Fatalf("%d %s", answer.StatusCode, text)
			}
			route, params, err := router.FindRoute(req)
			if err != nil {
				t.Fatal(err)
			}
			input := &openapi3filter.ResponseValidationInput{
				RequestValidationInput: &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: route},
				Status:                 answer.StatusCode, Header: answer.Header,
				Options: &openapi3filter.Options{IncludeResponseStatus: true},
			}
			input.SetBodyBytes(text)
			if err := openapi3filter.ValidateResponse(t.Context(), input); err != nil {
				t.Errorf("%v\n%s", err, text)
			}
			// What the file describes and the service does not send (3.7).
			for _, key := range []string{`"service_provider"`, `"organization"`, `"name_with_stage"`} {
				if bytes.Contains(text, []byte(key)) {
					t.Errorf("%s is sent", key)
				}
			}
		})
	}
}
