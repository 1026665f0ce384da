package partnertest_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

func TestRouteMatches(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		route              partnertest.Route
		side, method, path string
		want               bool
	}{
		{"", "admin", "GET", "/", true},
		{"GET", "admin", "GET", "/a/b", true},
		{"get /a", "admin", "GET", "/a", true},
		{"* /a", "admin", "GET", "/a", true},
		{"/a", "admin", "POST", "/a", true},
		{"/a", "admin", "POST", "/a/", false},
		{"POST /a", "admin", "GET", "/a", false},
		{"GET /a/*", "admin", "GET", "/a/b", true},
		{"GET /a/*", "admin", "GET", "/a/b/c", false},
		{"GET /a/**", "admin", "GET", "/a/b/c", true},
		{"GET /a/**", "admin", "GET", "/a", true},
		{"GET /a/**", "admin", "GET", "/ab", false},
		{"POST /**/_renew", "admin", "POST", "/v2/subscriptions/1/_renew", true},
		{"POST /**/_renew", "admin", "POST", "/v2/subscriptions/1/_revoke", false},
		{"/**/keys/**", "admin", "GET", "/a/keys", true},
		{"/**/keys/**", "admin", "GET", "/a/keys/1/2", true},
		{"/v?/x-*", "admin", "GET", "/v2/x-1", true},
		{"gateway:GET /**", "gateway", "GET", "/a", true},
		{"gateway:GET /**", "admin", "GET", "/a", false},
		{"gateway:", "gateway", "PUT", "/a", true},
		{"gateway:/a", "gateway", "PUT", "/a", true},
		{"GET /a:b", "admin", "GET", "/a:b", true},
	} {
		if got := tt.route.Matches(tt.side, tt.method, tt.path); got != tt.want {
			t.Errorf("%q on %s:%s %s: got %v", tt.route, tt.side, tt.method, tt.path, got)
		}
	}
}

func TestARouteMadeFromAPathMatchesIt(t *testing.T) {
	t.Parallel()
	segment := rapid.StringMatching(`[a-z0-9_-]{1,6}`)
	rapid.Check(t, func(t *rapid.T) {
		segments := rapid.SliceOfN(segment, 1, 6).Draw(t, "segments")
		path := "/" + strings.Join(segments, "/")
		globs := append([]string(nil), segments...)
		for i := range globs {
			switch rapid.IntRange(0, 3).Draw(t, "glob") {
			case 0:
				globs[i] = "*"
			case 1:
				globs[i] = "**"
			}
		}
		route := partnertest.Route("POST /" + strings.Join(globs, "/"))
		if err := route.Valid(); err != nil {
			t.Fatal(err)
		}
		if !route.Matches("any", "POST", path) {
			t.Fatalf("%q does not match %s", route, path)
		}
		if route.Matches("any", "GET", path) {
			t.Fatalf("%q matches another method", route)
		}
	})
}

func FuzzRoute(f *testing.F) {
	f.Add("gateway:GET /a/**/[b", "/a/b")
	f.Fuzz(func(_ *testing.T, route, path string) {
		r := partnertest.Route(route)
		_ = r.Valid()
		r.Matches("side", "GET", path)
	})
}
