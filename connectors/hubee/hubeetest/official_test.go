package hubeetest

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/google/go-cmp/cmp"

	"github.com/passerelle-hub/passerelle/connectors/partnertest/contracts"
)

// official reads the two published files where they are present.
func official(t *testing.T) map[string]*openapi3.T {
	t.Helper()
	out := map[string]*openapi3.T{}
	for base, name := range map[string]string{foldersBase: "api_folder_v1.2.7.yaml", referential: "api_subscription_v1.2.3.yaml"} {
		body, err := os.ReadFile(filepath.Join(contracts.Dir(t), "hubee", name))
		if err != nil {
			t.Skipf("the published files are not on this machine: %v", err)
		}
		doc, err := openapi3.NewLoader().LoadFromData(body)
		if err != nil {
			t.Fatal(err)
		}
		// The files' own examples do not match their schemas.
		if err := doc.Validate(t.Context(), openapi3.DisableExamplesValidation()); err != nil {
			t.Fatal(err)
		}
		doc.Servers = nil
		out[base] = doc
	}
	return out
}

// rules is what the table and the files are compared as.
type rules struct {
	Scopes   []string
	Query    map[string]any
	Path     []string
	Digest   bool
	Body     any
	Binary   bool
	Status   int
	Answer   any
	Override bool
}

func TestHS1TheRulesAreThoseOfThePublishedFiles(t *testing.T) {
	t.Parallel()
	docs := official(t)
	want, got := map[string]rules{}, map[string]rules{}
	for base, doc := range docs {
		for path, item := range doc.Paths.Map() {
			for method, operation := range item.Operations() {
				want[method+" "+base+path] = published(t, item, operation)
			}
		}
	}
	for _, r := range routes() {
		if r.unpublished {
			continue
		}
		ours := r.rules()
		got[r.method+" "+r.base+r.path] = ours
		if r.patch {
			ours.Override = true
			got["POST "+r.base+r.path] = ours
			// A path may have a POST of its own; HubEE's do not.
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the table differs from the files (-files +table):\n%s", diff)
	}
}

func published(t *testing.T, item *openapi3.PathItem, operation *openapi3.Operation) rules {
	t.Helper()
	out := rules{Query: map[string]any{}}
	for _, requirement := range *operation.Security {
		out.Scopes = append(out.Scopes, requirement["dinum_auth"]...)
	}
	slices.Sort(out.Scopes)
	headers := 0
	for _, ref := range slices.Concat(item.Parameters, operation.Parameters) {
		p := ref.Value
		switch {
		case p.In == "query":
			out.Query[p.Name] = theirs(p.Schema)
		case p.In == "path":
			out.Path = append(out.Path, p.Name)
		case p.Name == "digest":
			out.Digest = true
		case p.Name == "X-HTTP-Method-Override":
			out.Override = p.Required
		case p.Schema.Value.MaxLength != nil && *p.Schema.Value.MaxLength == maxEditorLen:
			headers++
		default:
			t.Errorf("unexpected parameter %s", p.Name)
		}
	}
	if headers != 3 {
		t.Errorf("%d identity headers", headers)
	}
	slices.Sort(out.Path)
	if operation.RequestBody != nil {
		content := operation.RequestBody.Value.Content
		if media := content.Get("application/json"); media != nil {
			out.Body = theirs(media.Schema)
		}
		out.Binary = content["application/octet-stream"] != nil
	}
	for status, ref := range operation.Responses.Map() {
		if !strings.HasPrefix(status, "2") {
			continue
		}
		out.Status = int(status[0]-'0')*100 + int(status[1]-'0')*10 + int(status[2]-'0')
		if media := ref.Value.Content["application/json"]; media != nil {
			out.Answer = theirs(media.Schema)
		}
	}
	return out
}

func (rt route) rules() rules {
	out := rules{
		Query: map[string]any{}, Path: pathParameters(rt.path), Digest: rt.digest, Binary: rt.binary, Status: rt.status,
		Body: ours(rt.body), Answer: ours(rt.answer),
	}
	for _, scope := range rt.scopes {
		out.Scopes = append(out.Scopes, string(scope))
	}
	slices.Sort(out.Scopes)
	slices.Sort(out.Path)
	for _, p := range rt.query {
		if !p.unpublished {
			out.Query[p.name] = ours(p.schema)
		}
	}
	return out
}

// theirs and ours write a schema as a plain value, without descriptions and
// without what HubEE's files say and their gateway cannot check.
func theirs(ref *openapi3.SchemaRef) any {
	if ref == nil || ref.Value == nil {
		return nil
	}
	s := ref.Value
	out := map[string]any{"nullable": s.Nullable, "readOnly": s.ReadOnly}
	if s.Type != nil && len(*s.Type) > 0 {
		out["type"] = (*s.Type)[0]
	}
	if s.Format != "" && s.Format != "string" {
		out["format"] = s.Format
	}
	if s.MaxLength != nil {
		out["maxLength"] = int(*s.MaxLength)
	}
	if s.MinItems != 0 {
		out["minItems"] = int(s.MinItems)
	}
	if s.Pattern != "" {
		out["pattern"] = s.Pattern
	}
	for _, value := range s.Enum {
		text, _ := value.(string)
		list, _ := out["enum"].([]string)
		out["enum"] = append(list, text)
	}
	if len(s.Required) > 0 {
		out["required"] = sorted(s.Required)
	}
	named := map[string]any{}
	for name, property := range s.Properties {
		named[name] = theirs(property)
	}
	if len(named) > 0 {
		out["properties"] = named
	}
	if s.Items != nil {
		out["items"] = theirs(s.Items)
	}
	for _, part := range s.AllOf {
		list, _ := out["allOf"].([]any)
		out["allOf"] = append(list, theirs(part))
	}
	return out
}

func ours(s *schema) any {
	if s == nil {
		return nil
	}
	out := map[string]any{"nullable": s.nullable, "readOnly": s.readOnly}
	if s.kind != "" {
		out["type"] = s.kind
	}
	if s.format != "" {
		out["format"] = s.format
	}
	if s.maxLength != 0 {
		out["maxLength"] = s.maxLength
	}
	if s.minItems != 0 {
		out["minItems"] = s.minItems
	}
	if s.pattern != nil {
		out["pattern"] = s.pattern.String()
	}
	if len(s.enum) > 0 {
		out["enum"] = s.enum
	}
	if len(s.required) > 0 {
		out["required"] = sorted(s.required)
	}
	named := map[string]any{}
	for name, property := range s.properties {
		named[name] = ours(property)
	}
	if len(named) > 0 {
		out["properties"] = named
	}
	if s.items != nil {
		out["items"] = ours(s.items)
	}
	for _, part := range s.allOf {
		list, _ := out["allOf"].([]any)
		out["allOf"] = append(list, ours(part))
	}
	return out
}

func sorted(list []string) []string {
	made := slices.Clone(list)
	slices.Sort(made)
	return made
}

// The exchanges of a whole life are those of the published files, checked by a
// validator that nobody here wrote. The one exception is that of HS-1: the
// delegate that production writes where the file wants an e-mail address.
func TestHS1AWholeLifeFollowsThePublishedFiles(t *testing.T) {
	t.Parallel()
	docs := official(t)
	delegate := regexp.MustCompile(`"delegationActor":\{[^}]*\},?`)
	b := start(t)
	seen := map[string]int{}
	check := func(header http.Header, method, path string, body any) result {
		t.Helper()
		text := []byte(nil)
		if body != nil {
			header = header.Clone()
			header.Set("Content-Type", "application/json")
			text = []byte(compactJSON(body))
		}
		if raw, ok := body.([]byte); ok {
			header.Set("Content-Type", "application/octet-stream")
			text = raw
		}
		answered := b.send(method, path, header, text)
		base := foldersBase
		if strings.HasPrefix(path, referential) {
			base = referential
		}
		req, err := http.NewRequestWithContext(t.Context(), method, b.URL()+path, bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		req.Header = header
		doc := docs[base]
		doc.Servers = openapi3.Servers{{URL: b.URL() + base}}
		router, err := gorillamux.NewRouter(doc)
		if err != nil {
			t.Fatal(err)
		}
		found, params, err := router.FindRoute(req)
		if err != nil {
			t.Fatalf("%s %s: %v", method, path, err)
		}
		seen[method+" "+found.Path]++
		options := &openapi3filter.Options{
			AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true, MultiError: true,
		}
		in := &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: found, Options: options}
		if answered.Status < 300 {
			if err := openapi3filter.ValidateRequest(t.Context(), in); err != nil {
				t.Errorf("a request that was taken breaks the file: %s %s: %v", method, path, err)
			}
		}
		out := &openapi3filter.ResponseValidationInput{
			RequestValidationInput: in, Status: answered.Status, Header: answered.Header, Options: options,
		}
		out.Body = io.NopCloser(strings.NewReader(delegate.ReplaceAllString(answered.Text, "")))
		if err := openapi3filter.ValidateResponse(t.Context(), out); err != nil {
			t.Errorf("%s %s: %v\n%s", method, path, err, answered.Text)
		}
		return answered
	}
	osl, si := b.as(OSL), b.as(SI)
	override := osl.Clone()
	override.Set("X-HTTP-Method-Override", "PATCH")

	made := check(osl, "POST", folders, newFolder("LIFE")).want(201)
	folder, one := folders+"/"+made.str("id"), casesPath+"/"+made.str("cases.0.id")
	check(osl, "POST", folders, object{}).want(400)
	check(osl.Clone(), "PUT", folder+"/attachments/"+made.str("attachments.0.id"), []byte(`{}`)).want(204)
	check(osl.Clone(), "PUT", folder+"/attachments/"+made.str("attachments.1.id"), []byte(`bonjou`)).want(400)
	check(osl.Clone(), "PUT", folder+"/attachments/"+made.str("attachments.1.id"), []byte(`bonjour`)).want(204)
	check(osl, "GET", folder, nil).want(200)
	check(osl, "PATCH", folder, object{"globalStatus": "HUBEE_COMPLETED"}).want(204)
	check(override, "POST", folder, object{"globalStatus": "HUBEE_COMPLETED"}).want(204)
	check(osl, "DELETE", folder, nil).want(400)
	waiting := check(si, "GET", notifications+"?maxResult=10&processCode=FormulaireQF", nil).want(200)
	check(si, "DELETE", notifications+"/"+waiting.str("0.id"), nil).want(204)
	check(si, "GET", one+"?lite=true", nil).want(200)
	check(si, "GET", one, nil).want(200)
	check(si, "GET", one+"/attachments/"+made.str("attachments.0.id"), nil).want(200)
	check(si, "PATCH", one, object{"status": "SI_RECEIVED"}).want(204)
	check(si, "POST", one+"/events", statusUpdate(SIReceived)).want(201)
	deposit := check(si, "POST", one+"/events", object{
		"actionType": attachDeposit, "notification": true, "caseNewStatus": "DONE",
		"attachments": []any{object{"fileName": "a.txt", "type": "T", "size": 3, "mimeType": "text/plain"}},
	}).want(201)
	at := one + "/events/" + deposit.str("id")
	check(si.Clone(), "PUT", at+"/attachments/"+deposit.str("attachments.0.id"), []byte("oui")).want(204)
	check(si, "PATCH", at, object{"status": "SENT"}).want(204)
	check(osl, "GET", at, nil).want(200)
	check(osl, "GET", at+"/attachments/"+deposit.str("attachments.0.id"), nil).want(200)
	check(override, "POST", at, object{"status": "RECEIVED"}).want(204)
	check(si, "DELETE", at, nil).want(400)
	check(osl, "PATCH", one, object{"status": "CLOSED"}).want(204)
	check(override, "POST", one, object{"status": "CLOSED"}).want(204)
	check(osl, "PATCH", folder, object{"globalStatus": "CLOSED"}).want(204)
	b.Advance(40 * day)
	b.tokens = map[Actor]string{}
	osl, si = b.as(OSL), b.as(SI)
	admin := b.as(Admin)
	purged := check(si, "GET", foldersBase+"/attachmentsIdsForPurge", nil).want(200)
	check(si, "PUT", foldersBase+"/idsPurged", purged.list()).want(204)
	check(admin, "PUT", casesPath+"/migrate", object{
		"organizationSource": majastres, "organizationTarget": OrganizationID{"SI", "21350998700011", "35998"},
	}).want(200)
	check(osl, "GET", folders+"/"+nobody, nil).want(404)

	check(osl, "GET", subscriptions+"?processCode=FormulaireQF&orderBy=desc(status)&offSet=0&maxResult=5", nil).want(200)
	sub := check(osl, "GET", subscriptions+"/"+seedActive, nil).want(200)
	var full object
	decode(t, sub.Text, &full)
	delete(full, "id")
	delete(full, "creationDateTime")
	full["delegationActor"] = nil
	check(admin, "PUT", subscriptions+"/"+seedActive, full).want(200)
	b.call(Admin, "POST", referential+"/processes", object{"code": "RSA", "name": "RSA"}).want(201)
	creation := maps.Clone(full)
	creation["processCode"] = "RSA"
	delete(creation, "delegationActor")
	check(b.as(DataPass), "POST", subscriptions, creation).want(201)
	check(b.as(DataPass), "POST", subscriptions, creation).want(400)

	for _, doc := range docs {
		for path, item := range doc.Paths.Map() {
			for method := range item.Operations() {
				if seen[method+" "+path] == 0 {
					t.Errorf("no exchange of %s %s", method, path)
				}
			}
		}
	}
}
