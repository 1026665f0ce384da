package v1_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/httpapi/auth"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/token"
)

// route is one line of the table in the package's documentation.
type route struct{ method, path, scope, without string }

// documented reads the table.
func documented(t *testing.T) []route {
	t.Helper()
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	var routes []route
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(strings.TrimPrefix(line, "//"))
		if len(f) >= 4 && slices.Contains([]string{"GET", "POST", "PATCH", "PUT"}, f[0]) {
			routes = append(routes, route{f[0], f[1], f[2], strings.Join(f[3:], " ")})
		}
	}
	return routes
}

func TestEveryRouteIsInTheTable(t *testing.T) {
	s := newSite(t)
	for _, r := range documented(t) {
		path := strings.NewReplacer("{uid}", "api_entreprise", "{id}", "1").Replace(r.path)
		a := s.call(r.method, "/api/v1"+path, "", nil)
		if a.status != http.StatusUnauthorized {
			t.Errorf("%s %s answers %d to nobody: is it served?", r.method, r.path, a.status)
		}
	}
	if n := len(documented(t)); n != 13 {
		t.Errorf("the table has %d routes", n)
	}
}

// TestTheTableOfRoutesAndRolesHolds walks every route with every kind of role
// and every scope.
func TestTheTableOfRoutesAndRolesHolds(t *testing.T) {
	s := newSite(t)
	id := s.created(s.developer("dinum:*:developer"))
	s.mirror("webhook-approve.json")
	grant := s.count(`select external_id from habilitation`)
	hook := s.endpoint("api_entreprise")
	fill := func(r route) string {
		n := fmt.Sprint(id)
		switch {
		case strings.HasPrefix(r.path, "/habilitations"):
			n = fmt.Sprint(grant)
		case strings.HasPrefix(r.path, "/webhooks"):
			n = fmt.Sprint(hook)
		}
		return "/api/v1" + strings.NewReplacer("{uid}", "api_entreprise", "{id}", n).Replace(r.path)
	}
	bodyOf := func(r route) any {
		switch r.method {
		case http.MethodPost:
			return creation(nil)
		case http.MethodGet:
			return nil
		}
		return patch(map[string]any{"intitule": uuid.NewString()})
	}
	good := func(r route) string {
		if r.method == http.MethodPost {
			return "201"
		}
		return "200"
	}
	// Only developers of the definition get in: an application has no other right.
	// The owner of the others is a developer of another definition, so that he may
	// have an application at all.
	roles := map[string]bool{
		"dinum:api_entreprise:developer": true, "dinum:*:developer": true,
		"dinum:api_entreprise:reporter": false, "dinum:api_entreprise:instructor": false, "dinum:*:manager": false, "admin": false,
		"dgfip:*:developer": false, "autre:*:developer": false,
	}
	for role, developer := range roles {
		granted := []string{role, "dgfip:api_impot_particulier:developer"}
		app := s.application(s.person("p-"+uuid.NewString()+"@dinum.example", granted...))
		for _, scope := range auth.Scopes() {
			bearer := s.token(app, scope)
			for _, r := range documented(t) {
				want := good(r)
				switch {
				case r.scope != "-" && r.scope != scope:
					want = "403"
				case !developer:
					want = r.without
				}
				a := s.call(r.method, fill(r), bearer, bodyOf(r))
				got := fmt.Sprint(a.status)
				if strings.HasSuffix(want, " []") {
					if r.path == "/definitions" { // his other definition
						want = "200"
					} else if strings.TrimSpace(string(a.body)) == "[]" {
						got += " []"
					}
				}
				if got != want {
					t.Errorf("%s with %s: %s %s answers %s, want %s: %s", role, scope, r.method, r.path, got, want, a.body)
				}
				if a.status >= 400 {
					a.errors(t)
				}
			}
		}
	}
}

func TestAMissingScopeIsNamed(t *testing.T) {
	s := newSite(t)
	bearer := s.token(s.application(s.person("dev@dinum.example", "dinum:*:developer")), "public")
	a := s.get("/api/v1/demandes", bearer)
	want := []string{"403 Non autorisé: Le jeton d’accès n’a pas le droit « read_authorizations »."}
	if diff := cmp.Diff(want, a.errors(t)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if got := a.header.Get("WWW-Authenticate"); got != `Bearer realm="passerelle", error="insufficient_scope", scope="read_authorizations"` {
		t.Errorf("%s", got)
	}
}

const absent = "401 Non autorisé: Un jeton d'accès est requis mais absent dans les en-têtes de la requête. [headers/Authorization]"

func TestTokensThatAreNotGoodAreToldApart(t *testing.T) {
	s := newSite(t)
	app := s.application(s.person("dev@dinum.example", "dinum:*:developer"))
	live, revoked, ended, old := s.token(app), s.token(app), s.token(app), s.token(app)
	form := url.Values{"token": {revoked}, "client_id": {app.ID.String()}, "client_secret": {app.Secret.Reveal()}}
	if resp, err := http.PostForm(s.url+"/api/v1/oauth/revoke", form); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp, err)
	}
	foreign, err := token.New(token.HubToken, token.Test)
	if err != nil {
		t.Fatal(err)
	}
	production, err := token.New(token.HubToken, token.Live)
	if err != nil {
		t.Fatal(err)
	}
	key, err := token.New(token.ClientKey, token.Test)
	if err != nil {
		t.Fatal(err)
	}
	other := "x"
	if live[20] == 'x' {
		other = "y"
	}
	for name, c := range map[string]struct{ header, want string }{
		"no header":                    {"", absent},
		"no value":                     {"Bearer ", absent},
		"another scheme":               {"Basic " + live, absent},
		"a token of nobody":            {"Bearer " + foreign.Value(), absent},
		"a token with a typo":          {"Bearer " + live[:20] + other + live[21:], absent},
		"a long one":                   {"Bearer " + strings.Repeat("a", 20_000), absent},
		"the application's own secret": {"Bearer " + app.Secret.Reveal(), absent},
		"a key for an API":             {"Bearer " + key.Value(), absent},
		"a JWT of nobody":              {"Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.", absent},
		"one of production":            {"Bearer " + production.Value(), "401 Non autorisé: Le jeton est celui d’un autre environnement. [headers/Authorization]"},
		"a revoked one":                {"Bearer " + revoked, "401 Non autorisé: Le jeton d’accès a été révoqué. Veuillez en obtenir un nouveau. [headers/Authorization]"},
	} {
		t.Run(name, func(t *testing.T) {
			a := s.call(http.MethodGet, "/api/v1/demandes", "", nil, "Authorization", c.header)
			if diff := cmp.Diff([]string{c.want}, a.errors(t)); diff != "" || a.status != http.StatusUnauthorized {
				t.Errorf("%d (-want +got)\n%s", a.status, diff)
			}
			if !strings.HasPrefix(a.header.Get("WWW-Authenticate"), `Bearer realm="passerelle"`) {
				t.Errorf("WWW-Authenticate: %q", a.header.Get("WWW-Authenticate"))
			}
		})
	}
	if a := s.call(http.MethodGet, "/api/v1/demandes", "", nil, "Authorization", "bearer "+live); a.status != http.StatusOK {
		t.Errorf("the scheme's case matters: %d", a.status)
	}
	s.ahead.Store(int64(2 * time.Hour))
	a := s.get("/api/v1/demandes", old)
	want := []string{"401 Jeton expiré: Le jeton d’accès a expiré. Veuillez en obtenir un nouveau. [headers/Authorization]"}
	if diff := cmp.Diff(want, a.errors(t)); diff != "" {
		t.Errorf("expired (-want +got)\n%s", diff)
	}
	s.ahead.Store(0)
	s.record(&registry.DisableApplication{ID: app.ID})
	if a := s.get("/api/v1/demandes", ended); a.status != http.StatusUnauthorized || !strings.Contains(a.errors(t)[0], "révoqué") {
		t.Errorf("the token outlives its application: %d", a.status)
	}
}

func TestRightsEndWithTheRole(t *testing.T) {
	s := newSite(t)
	owner := s.person("dev@dinum.example", "dinum:api_entreprise:developer", "dinum:api_particulier:developer")
	bearer := s.token(s.application(owner))
	id := s.created(bearer)
	path := fmt.Sprintf("/api/v1/demandes/%d", id)
	s.record(&registry.ChangeRoles{Email: owner.Email, Revoke: []string{"dinum:api_entreprise:developer"}})
	if a := s.get(path, bearer); a.status != http.StatusNotFound {
		t.Errorf("%d after the role was taken", a.status)
	}
	s.record(&registry.ChangeRoles{Email: owner.Email, Revoke: []string{"dinum:api_particulier:developer"}})
	if a := s.get("/api/v1/definitions", bearer); a.status != http.StatusUnauthorized {
		t.Errorf("%d: the applications outlive the last developer role", a.status)
	}
	if s.count(`select count(*) from role_change`) != 3 {
		t.Error("the changes of roles are not kept")
	}
}

func TestWhatIsNotServedAnswersInTheApisForm(t *testing.T) {
	s := newSite(t)
	dev := s.developer("dinum:*:developer")
	for _, c := range []struct {
		method, path, want, allow string
		status                    int
	}{
		{http.MethodGet, "/api/v1", "404 Non trouvé: ", "", 404},
		{http.MethodGet, "/api/v1/", "404 Non trouvé: ", "", 404},
		{http.MethodGet, "/api/v1/rien", "404 Non trouvé: ", "", 404},
		{http.MethodGet, "/api/v1/demandes/", "404 Non trouvé: ", "", 404},
		{http.MethodGet, "/api/v1/demandes/1/2/3", "404 Non trouvé: ", "", 404},
		{http.MethodGet, "/api/v1/../../etc/passwd", "404 Non trouvé: ", "", 404},
		{http.MethodGet, "/api/v1/oauth/authorize", "404 Non trouvé: ", "", 404},
		{http.MethodDelete, "/api/v1/demandes/1", "405 Méthode non admise: ", "GET, HEAD, PUT, PATCH", 405},
		{http.MethodPost, "/api/v1/demandes/1", "405 Méthode non admise: ", "GET, HEAD, PUT, PATCH", 405},
		{http.MethodPut, "/api/v1/demandes", "405 Méthode non admise: ", "GET, HEAD, POST", 405},
		{http.MethodPost, "/api/v1/me", "405 Méthode non admise: ", "GET, HEAD", 405},
		{http.MethodPost, "/api/v1/definitions", "405 Méthode non admise: ", "GET, HEAD", 405},
		{"PROPFIND", "/api/v1/demandes", "405 Méthode non admise: ", "GET, HEAD, PATCH, POST, PUT", 405},
		{http.MethodTrace, "/api/v1/demandes", "405 Méthode non admise: ", "GET, HEAD, POST", 405},
	} {
		a := s.call(c.method, c.path, dev, nil)
		if strings.Contains(c.path, "..") {
			if a.status != http.StatusNotFound {
				t.Errorf("%s: %d", c.path, a.status)
			}
			continue
		}
		if lines := a.errors(t); a.status != c.status || !strings.HasPrefix(lines[0], c.want) {
			t.Errorf("%s %s: %d %q", c.method, c.path, a.status, lines)
		}
		if a.header.Get("Allow") != c.allow {
			t.Errorf("%s %s: Allow %q", c.method, c.path, a.header.Get("Allow"))
		}
	}
	// A method named in a header or a parameter is no method.
	id := s.created(dev)
	path := fmt.Sprintf("/api/v1/demandes/%d", id)
	s.call(http.MethodGet, path+"?_method=PATCH", dev, patch(map[string]any{"intitule": "volé"}), "X-HTTP-Method-Override", "PATCH").into(t, http.StatusOK, &struct{}{})
	if s.count(`select version from request where id = $1`, id) != 1 {
		t.Error("a GET changed a request")
	}
}

func TestOnlyJSONOfABoundedSizeIsRead(t *testing.T) {
	s := newSite(t)
	dev := s.developer("dinum:*:developer")
	id := s.created(dev)
	for _, target := range []struct{ method, path string }{
		{http.MethodPost, "/api/v1/demandes"}, {http.MethodPatch, fmt.Sprintf("/api/v1/demandes/%d", id)},
	} {
		for _, media := range []string{"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=a", "application/xml", ";"} {
			a := s.call(target.method, target.path, dev, creation(nil), "Content-Type", media)
			if lines := a.errors(t); a.status != http.StatusUnsupportedMediaType || !strings.HasSuffix(lines[0], "[headers/Content-Type]") {
				t.Errorf("%s %q: %d %q", target.method, media, a.status, lines)
			}
		}
		a := s.call(target.method, target.path, dev, strings.NewReader(`{"demande":"`+strings.Repeat("a", maxBody)+`"}`))
		if a.status != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: %d", target.method, a.status)
		}
		a.errors(t)
	}
	if s.count(`select count(*) from request`) != 1 {
		t.Error("something was made")
	}
}

// TestABodyOf100MegabytesIsNotSwallowed sends without end and expects the
// answer, and the end of the connection, long before.
func TestABodyOf100MegabytesIsNotSwallowed(t *testing.T) {
	s := newSite(t)
	dev := s.developer("dinum:*:developer")
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /api/v1/demandes HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n{\"demande\":\"", dev, 100<<20)
	sent := make(chan int64, 1)
	go func() {
		n, _ := io.Copy(conn, io.LimitReader(endless{}, 100<<20))
		sent <- n
	}()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusRequestEntityTooLarge || !resp.Close {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
	conn.Close()
	if n := <-sent; n > 32<<20 {
		t.Errorf("%d bytes were taken", n)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'a'
	}
	return len(p), nil
}

func TestAnotherDefinitionsRequestsDoNotExist(t *testing.T) {
	s := newSite(t)
	mine, other := s.developer("dinum:api_entreprise:developer"), s.developer("dinum:api_particulier:developer")
	id := s.created(mine)
	s.mirror("webhook-approve.json")
	grant := s.count(`select external_id from habilitation`)
	for _, path := range []string{
		fmt.Sprintf("/demandes/%d", id), "/demandes/48213", fmt.Sprintf("/demandes/%d/events", id), fmt.Sprintf("/habilitations/%d", grant),
	} {
		theirs, nothing := s.get("/api/v1"+path, other), s.get("/api/v1/demandes/424242", other)
		if theirs.status != http.StatusNotFound || string(theirs.body) != string(nothing.body) {
			t.Errorf("%s: %d %s", path, theirs.status, theirs.body)
		}
	}
	a := s.call(http.MethodPatch, fmt.Sprintf("/api/v1/demandes/%d", id), other, patch(map[string]any{"intitule": "volé"}))
	if a.status != http.StatusNotFound || s.count(`select version from request where id = $1`, id) != 1 {
		t.Errorf("%d", a.status)
	}
	for _, list := range []string{"/demandes", "/habilitations", "/demandes?siret=21380999900013", "/habilitations?state=active", "/demandes?updated_since=2000-01-01"} {
		if a := s.get("/api/v1"+list, other); strings.TrimSpace(string(a.body)) != "[]" {
			t.Errorf("%s: %s", list, a.body)
		}
	}
}

func TestTheLogHoldsNoTokenNoSecretAndNobodysName(t *testing.T) {
	s := newSite(t)
	app := s.application(s.person("dev@dinum.example", "dinum:*:developer"))
	dev := s.token(app)
	s.created(dev)
	s.get("/api/v1/demandes?siret=21380999900013", dev)
	s.get("/api/v1/demandes?cursor=zzz", dev)
	log := s.log.String()
	for _, secret := range []string{dev, app.Secret.Reveal(), "Morvan", "morvan", "21380999900013", "Candidatures", "dev@dinum"} {
		if strings.Contains(log, secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
	if !strings.Contains(log, "/api/v1/demandes") {
		t.Error("the log holds no route")
	}
	var kept int
	if err := s.pool.QueryRow(t.Context(), `select count(*) from access_token where encode(sha256, 'escape') = $1`, dev).Scan(&kept); err != nil || kept != 0 {
		t.Errorf("%d %v", kept, err)
	}
}
