package outbound

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/passerelle-hub/passerelle/connectors"
)

func send(contentType string, code int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if contentType != "" {
			w.Header().Set("Content-Type", contentType)
		}
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}
}

func TestJSONReadsAnswersStrictlyEnough(t *testing.T) {
	t.Parallel()
	const mime = "application/json"
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		class   connectors.Class // "": success
		detail  string
	}{
		"an object":                           {send(mime, 201, `{"id":"a","new":[1]}`), "", ""},
		"an object without a label":           {send("", 200, `{"id":"a"}`), "", ""},
		"half of an object, length announced": {halfBody, connectors.Temporary, "the connection broke"},
		"half of an object, length unknown":   {send(mime, 200, `{"id":"a`), connectors.Temporary, "cut in the middle"},
		"an empty body":                       {send(mime, 200, " "), connectors.Temporary, "empty answer"},
		"a page":                              {send("text/html", 200, "<html><title>Maintenance</title>"), connectors.Temporary, "Maintenance"},
		"a page without a label":              {send("application/octet-stream", 200, "<!DOCTYPE html><html>"), connectors.Temporary, "HTML page"},
		"plain text":                          {send("text/plain", 200, "OK"), connectors.Temporary, "not JSON"},
		"two objects":                         {send(mime, 200, `{"id":"a"}{"id":"b"}`), connectors.Temporary, "not JSON"},
		"another shape":                       {send(mime, 200, `{"id":{"x":1}}`), connectors.Rejected, `"id" is a object`},
		"an array for an object":              {send(mime, 200, `[]`), connectors.Rejected, "is a array"},
		"a refusal":                           {send(mime, 400, `{"message":"no","technicalCode":"plan.subscribed"}`), connectors.Rejected, "plan.subscribed: no"},
		"a lost connection":                   {reset, connectors.Temporary, "broke"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			base, _ := script(t, c.handler)
			var out struct {
				ID string `json:"id"`
			}
			_, err := JSON(t.Context(), partner(t, Settings{}), Call{
				Partner: "demo", Op: "issue", Method: "POST", Base: base, Route: "/x", In: map[string]int{"a": 1}, Out: &out,
			})
			if c.class == "" {
				if err != nil || out.ID != "a" {
					t.Errorf("%v, id %q", err, out.ID)
				}
				return
			}
			var e *connectors.Error
			if !errors.As(err, &e) || e.Class != c.class || !strings.Contains(e.Detail, c.detail) || e.Partner != "demo" || e.Op != "issue" {
				t.Errorf("%v, want %s with %q", err, c.class, c.detail)
			}
		})
	}
}

func TestJSONGivesTheAnswerBesideTheError(t *testing.T) {
	t.Parallel()
	base, _ := script(t, send("application/json", 400, `{"technicalCode":"apiKey.existing","message":"value abcdefgh exists"}`))
	answer, err := JSON(t.Context(), partner(t, Settings{}), Call{
		Method: "POST", Base: base, Route: "/x", Secrets: []connectors.Secret{connectors.NewSecret("abcdefgh")},
	})
	if answer.Code("code", "technicalCode") != "apiKey.existing" || answer.Status != 400 {
		t.Errorf("%+v", answer)
	}
	if err == nil || strings.Contains(err.Error(), "abcdefgh") {
		t.Errorf("error %v", err)
	}
	var none *Answer
	if none.Code("x") != "" {
		t.Error("no answer has no code")
	}
}

func TestJSONBuildsTheRequest(t *testing.T) {
	t.Parallel()
	type seen struct{ URI, Type, Body, Auth string }
	var got seen
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = seen{r.RequestURI, r.Header.Get("Content-Type"), string(body), r.Header.Get("Authorization")}
	}))
	t.Cleanup(srv.Close)
	c := partner(t, Settings{})
	auth := http.Header{"Authorization": {"Bearer t"}}
	for name, tt := range map[string]struct {
		call Call
		want seen
	}{
		"JSON": {Call{Method: "PUT", Base: srv.URL + "/v2/", Route: "/apis/{api}/keys/{key}", Params: map[string]string{"api": "a b/c?d", "key": "é"}, In: map[string]string{"k": "v"}, Header: auth}, seen{"/v2/apis/a%20b%2Fc%3Fd/keys/%C3%A9", "application/json", `{"k":"v"}`, "Bearer t"}},
		"form": {Call{Method: "POST", Base: srv.URL, Route: "/token", In: url.Values{"grant_type": {"client_credentials"}}}, seen{"/token", "application/x-www-form-urlencoded", "grant_type=client_credentials", ""}},
		"raw":  {Call{Method: "POST", Base: srv.URL, Route: "/x", Query: url.Values{"q": {"a&b"}}, In: []byte("raw"), Header: http.Header{"Content-Type": {"application/merge-patch+json"}}}, seen{"/x?q=a%26b", "application/merge-patch+json", "raw", ""}},
		"none": {Call{Method: "GET", Base: srv.URL, Route: "/x"}, seen{"/x", "", "", ""}},
	} {
		if _, err := JSON(t.Context(), c, tt.call); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestJSONRefusesARouteThatNamesAnotherResource(t *testing.T) {
	t.Parallel()
	c := partner(t, Settings{})
	for _, params := range []map[string]string{nil, {"id": ""}, {"id": "."}, {"id": ".."}} {
		_, err := JSON(t.Context(), c, Call{Method: "DELETE", Base: "http://127.0.0.1:1", Route: "/apps/{id}", Params: params})
		if !connectors.Is(err, connectors.Rejected) {
			t.Errorf("%v: %v", params, err)
		}
	}
	if _, err := JSON(t.Context(), c, Call{Method: "GET", Base: "http://127.0.0.1:1", In: func() {}}); !connectors.Is(err, connectors.Rejected) {
		t.Errorf("a body that is no JSON: %v", err)
	}
}

func TestJSONExpectsTheGivenStatuses(t *testing.T) {
	t.Parallel()
	base, _ := script(t, send("application/json", 404, `{}`), send("application/json", 202, `{}`))
	c := partner(t, Settings{})
	if a, err := JSON(t.Context(), c, Call{Method: "GET", Base: base, Expect: []int{200, 404}}); err != nil || a.Status != 404 {
		t.Errorf("%v %v", a, err)
	}
	if _, err := JSON(t.Context(), c, Call{Method: "GET", Base: base, Expect: []int{200}}); err == nil {
		t.Error("202 passes for 200")
	}
}
