package editor_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/internal/registry"
)

func TestBadParametersAreNamedAndCursorsOfOthersAreNone(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	us, them := s.machine(ourEditor), s.machine(other)
	for range 2 {
		s.approve(ourEditor)
		s.approve(other)
	}
	var theirs struct {
		Next string `json:"next_cursor"`
	}
	s.get("/keys?limit=1", them).into(http.StatusOK, &theirs)
	var feedOfTheirs feed
	s.get("/changes?limit=1", them).into(http.StatusOK, &feedOfTheirs)
	if theirs.Next == "" || feedOfTheirs.Next == "" {
		t.Fatal("no cursor to try")
	}
	var ours struct {
		Next string `json:"next_cursor"`
		Data []struct{ ID uuid.UUID }
	}
	s.get("/keys?limit=1", us).into(http.StatusOK, &ours)
	for query, want := range map[string]string{
		"/keys?cursor=" + theirs.Next:              "400 parametre cursor",
		"/habilitations?cursor=" + ours.Next:       "400 parametre cursor",
		"/changes?after=" + feedOfTheirs.Next:      "400 parametre after",
		"/changes?after=" + ours.Next:              "400 parametre after",
		"/changes?after=garbage":                   "400 parametre after",
		"/changes?after=" + url.QueryEscape("é{}"): "400 parametre after",
		"/keys?cursor=" + strings.Repeat("A", 501): "400 parametre cursor",
		"/keys?cursor=%00":                         "400 parametre cursor",
		"/keys?limit=0":                            "400 parametre limit",
		"/keys?limit=201":                          "400 parametre limit",
		"/keys?limit=1&limit=2":                    "400 parametre limit",
		"/keys?hand_over=lost":                     "400 parametre hand_over",
		"/keys?siret=21350998700012":               "400 parametre siret",
		"/keys?definition_id=unknown":              "400 parametre definition_id",
		"/habilitations?state=lost":                "400 parametre state",
		"/habilitations?updated_since=hier":        "400 parametre updated_since",
		"/clients?editor=agedi":                    "400 parametre editor",
		"/keys/not-a-uuid":                         "404 introuvable",
		"/habilitations/0":                         "404 introuvable",
		"/nothing":                                 "404 introuvable",
	} {
		if got := s.get(query, us).problem(); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	var rest struct{ Data []struct{ ID uuid.UUID } }
	s.get("/keys?cursor="+ours.Next, us).into(http.StatusOK, &rest)
	if len(rest.Data) != 1 || rest.Data[0].ID == ours.Data[0].ID {
		t.Errorf("the second page: %+v", rest.Data)
	}
}

func TestBadBodiesAreNamedAndHaveNoEffect(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	us := s.machine(ourEditor)
	g := s.approve(ourEditor)
	f := s.fetch(us, g.id)
	huge := make([]string, 10_000)
	for i := range huge {
		huge[i] = uuid.NewString()
	}
	acks := make([]map[string]any, 101)
	for i := range acks {
		acks[i] = map[string]any{"id": g.id, "fetch_id": f.FetchID, "fingerprint": f.Fingerprint}
	}
	ack := "/keys/" + g.id.String() + "/ack"
	for name, c := range map[string]struct {
		path string
		body any
		want string
	}{
		"a batch of 10,000":                {"/keys/fetch", map[string]any{"ids": huge[:5000]}, "422 corps /ids"},
		"a batch that is too long to read": {"/keys/fetch", map[string]any{"ids": huge}, "413 corps-trop-grand /ids"},
		"an empty batch":                   {"/keys/fetch", map[string]any{"ids": []string{}}, "422 corps /ids"},
		"no batch":                         {"/keys/fetch", map[string]any{}, "422 corps /ids"},
		"a key twice":                      {"/keys/fetch", map[string]any{"ids": []any{g.id, g.id}}, "422 corps /ids/1"},
		"what is no id":                    {"/keys/fetch", map[string]any{"ids": []any{g.id, "x"}}, "422 corps /ids/1"},
		"a number":                         {"/keys/fetch", map[string]any{"ids": 3}, "400 json /ids"},
		"an unknown key":                   {"/keys/fetch", map[string]any{"all": true}, "400 json"},
		"no JSON":                          {"/keys/fetch", "{", "400 json"},
		"two values":                       {"/keys/fetch", `{"ids":["` + g.id.String() + `"]}{}`, "400 json"},
		"101 acknowledgements":             {"/keys/ack", map[string]any{"acks": acks}, "422 corps /acks"},
		"one bad among good":               {"/keys/ack", map[string]any{"acks": []any{acks[0], map[string]any{"id": g.id}}}, "422 corps /acks/1/fetch_id"},
		"no fetch":                         {ack, map[string]any{"fingerprint": f.Fingerprint}, "422 corps /fetch_id"},
		"an unknown fetch":                 {ack, map[string]any{"fetch_id": uuid.New(), "fingerprint": f.Fingerprint}, "422 cle-unknown_fetch /fetch_id"},
		"no fingerprint":                   {ack, map[string]any{"fetch_id": f.FetchID}, "422 corps /fingerprint"},
		"a fingerprint that is no hex":     {ack, map[string]any{"fetch_id": f.FetchID, "fingerprint": "zzzzzzzzzzzzzzzz"}, "422 corps /fingerprint"},
		"a whole SHA-256":                  {ack, map[string]any{"fetch_id": f.FetchID, "fingerprint": strings.Repeat("a", 64)}, "422 corps /fingerprint"},
		"another key than the address":     {ack, map[string]any{"id": uuid.New(), "fetch_id": f.FetchID, "fingerprint": f.Fingerprint}, "422 corps /id"},
	} {
		if got := s.post(c.path, us, c.body).problem(); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	if n := s.count(`select count(*) from key_fetch`); n != 1 {
		t.Errorf("%d fetches", n)
	}
	if n := s.count(`select count(*) from key_copy where ended_at is null`); n != 1 {
		t.Error("the copy is gone")
	}
}

func TestABatchOfTenThousandIsRefusedWholeWithItsLimit(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	us := s.machine(ourEditor)
	g := s.approve(ourEditor)
	many := func(n int) []uuid.UUID { // the first is a key that this editor may fetch
		ids := []uuid.UUID{g.id}
		for len(ids) < n {
			ids = append(ids, uuid.New())
		}
		return ids
	}
	acks := make([]map[string]any, 10_000)
	for i := range acks {
		acks[i] = map[string]any{"id": g.id, "fetch_id": g.id, "fingerprint": "0000000000000000"}
	}
	for name, c := range map[string]struct {
		path, field string
		body        any
		status      int
	}{
		"one more than is allowed":            {"/keys/fetch", "/ids", map[string]any{"ids": many(101)}, http.StatusUnprocessableEntity},
		"10,000 keys":                         {"/keys/fetch", "/ids", map[string]any{"ids": many(10_000)}, http.StatusRequestEntityTooLarge},
		"10,000 acknowledgements":             {"/keys/ack", "/acks", map[string]any{"acks": acks}, http.StatusRequestEntityTooLarge},
		"8 MB of one id":                      {"/keys/fetch", "/ids", map[string]any{"ids": []string{strings.Repeat("a", 8<<20)}}, http.StatusRequestEntityTooLarge},
		"8 MB of blanks before an honest one": {"/keys/fetch", "/ids", strings.Repeat(" ", 8<<20) + `{"ids":["` + g.id.String() + `"]}`, http.StatusRequestEntityTooLarge},
	} {
		a := s.post(c.path, us, c.body)
		var p struct {
			Errors []struct{ Pointer, Detail string }
		}
		a.into(c.status, &p)
		if len(p.Errors) != 1 || p.Errors[0].Pointer != c.field || !strings.Contains(p.Errors[0].Detail, "100 clés au plus") {
			t.Errorf("%s: %s", name, a.body)
		}
		if strings.Contains(string(a.body), g.secret) {
			t.Errorf("%s: the key is in the answer", name)
		}
	}
	for what, query := range map[string]string{
		"fetches":             `select count(*) from key_fetch`,
		"lines of the audit":  `select count(*) from history where event like 'token.fetched%' or event like 'token.ack%'`,
		"mails about a fetch": `select count(*) from mail where template = '` + registry.LetterKeyFetched + `'`,
		"copies that ended":   `select count(*) from key_copy where ended_at is not null`,
	} {
		if n := s.count(query); n != 0 {
			t.Errorf("%d %s", n, what)
		}
	}
}

// page opens a page of the hand-over as a browser does.
func (s *site) page(method, path string) (int, string, http.Header) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, string(body), resp.Header
}

// link gives the newest one-time link of a key, as its mail holds it.
func (s *site) link(g granted) string {
	s.t.Helper()
	ids := s.ids(fmt.Sprintf(`select mail_id from handover_link where credential_id = '%s' order by created_at desc limit 1`, g.id))
	if len(ids) == 0 {
		s.t.Fatal("no link")
	}
	m, err := s.store.Mail(s.t.Context(), ids[0])
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.TrimPrefix(m.Params["link"], "https://hub.example")
}

func TestASecondLookMeansARotation(t *testing.T) {
	t.Parallel()
	for name, spend := range map[string]func(*site, granted, string){
		"after it was shown": func(s *site, g granted, link string) {
			status, page, header := s.page(http.MethodPost, link)
			if status != http.StatusOK || !strings.Contains(page, g.secret) || !strings.Contains(header.Get("Cache-Control"), "no-store") {
				s.t.Fatalf("%d %v %s", status, header, page)
			}
		},
		"after its deadline": func(s *site, _ granted, _ string) { s.later(31 * 24 * time.Hour) },
		"after an editor acknowledged it": func(s *site, g granted, _ string) {
			us := s.machine(ourEditor)
			f := s.fetch(us, g.id)
			s.post("/keys/"+g.id.String()+"/ack", us, map[string]any{"fetch_id": f.FetchID, "fingerprint": f.Fingerprint}).into(http.StatusNoContent, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			g := s.approve(ourEditor)
			link := s.link(g)
			spend(s, g, link)
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				status, page, _ := s.page(method, link)
				if status != http.StatusNotFound || strings.Contains(page, g.secret) || !strings.Contains(page, "Seul un remplacement donne une autre clé.") {
					t.Fatalf("%s: %d %s", method, status, page)
				}
			}
			if status, page, _ := s.page(http.MethodPost, link+"/renouveler"); strings.Contains(page, g.secret) || s.count(`select count(*) from handover_link`) != 1 {
				t.Errorf("a renewal of a spent link: %d", status)
			}
			if status, page, _ := s.page(http.MethodPost, link+"/remplacer"); status != http.StatusOK || !strings.Contains(page, "Le remplacement de la clé est lancé") {
				t.Fatalf("%d %s", status, page)
			}
			if n := s.count(`select count(*) from rotation where old_id = $1`, g.id); n != 1 {
				t.Errorf("%d rotations", n)
			}
			if status, _, _ := s.page(http.MethodPost, link+"/remplacer"); status != http.StatusNotFound || s.count(`select count(*) from rotation`) != 1 {
				t.Errorf("a second one: %d", status)
			}
		})
	}
}

// Where the manager keeps one key, the page of a spent link says what a
// replacement interrupts before anything is done, and does nothing without a yes.
func TestAReplacementThatInterruptsIsToldFirstAndMustBeAccepted(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.grace = connectors.GraceNone
	g := s.approve(ourEditor)
	link := s.link(g)
	s.page(http.MethodPost, link) // it is shown
	status, page, _ := s.page(http.MethodGet, link)
	if status != http.StatusNotFound || !strings.Contains(page, "L’accès est interrompu") || !strings.Contains(page, `type="checkbox" id="coupure"`) || strings.Contains(page, "fonctionne encore") {
		t.Fatalf("%d %s", status, page)
	}
	status, page, _ = s.page(http.MethodPost, link+"/remplacer")
	if status != http.StatusConflict || !strings.Contains(page, "Rien n’a été changé.") || !strings.Contains(page, "<title>Erreur : ") || s.count(`select count(*) from rotation`) != 0 {
		t.Fatalf("without a yes: %d %s", status, page)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+link+"/remplacer", strings.NewReader("coupure=acceptee"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK || s.count(`select count(*) from rotation where old_id = $1`, g.id) != 1 {
		t.Errorf("with a yes: %d", resp.StatusCode)
	}
}

func TestALinkIsItsRecipientsAlone(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	g := s.approve(ourEditor)
	link := s.link(g)
	if _, err := s.pool.Exec(t.Context(), `update request set data = jsonb_set(data, '{contact_technique_email}', '"nouvelle@logiciel.example"') where id = $1`, g.request); err != nil {
		t.Fatal(err)
	}
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		if status, page, _ := s.page(method, link); status != http.StatusNotFound || strings.Contains(page, g.secret) {
			t.Errorf("%s by the former contact: %d", method, status)
		}
	}
	if status, _, _ := s.page(http.MethodPost, link+"/remplacer"); status != http.StatusNotFound {
		t.Errorf("a replacement by the former contact: %d", status)
	}
	for range 2 { // the present contact gets a link of his own, once
		if status, page, _ := s.page(http.MethodPost, link+"/renouveler"); status != http.StatusOK || strings.Contains(page, "@") {
			t.Errorf("a link for the new contact: %d %s", status, page)
		}
		if n := s.count(`select count(*) from handover_link where credential_id = $1 and cancelled_at is null`, g.id); n != 1 {
			t.Errorf("%d open links", n)
		}
		if n := s.count(`select count(*) from handover_link where credential_id = $1`, g.id); n != 2 {
			t.Errorf("%d links", n)
		}
	}
	err := s.registry.Record(t.Context(), &registry.RevealSecret{LinkHash: []byte("unknown")})
	if err == nil {
		t.Error("an unknown link reveals something")
	}
}
