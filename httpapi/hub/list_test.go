package hub_test

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// page is what tests read of a list.
type page struct {
	Requests []struct {
		ID    int64  `json:"id"`
		Title string `json:"title"`
	}
	Total *struct {
		Value int
		Exact bool
	}
	NextCursor *string `json:"next_cursor"`
}

func (s *site) list(bearer string, params ...string) page {
	s.t.Helper()
	q := url.Values{}
	for i := 0; i+1 < len(params); i += 2 {
		q.Add(params[i], params[i+1])
	}
	var p page
	s.get("/requests?"+q.Encode(), bearer).into(http.StatusOK, &p)
	return p
}

func (p page) titles() []string {
	titles := []string{}
	for _, r := range p.Requests {
		titles = append(titles, r.Title)
	}
	return titles
}

func TestListsShowWhatTheCallerMayReadAndNothingElse(t *testing.T) {
	s := newSite(t)
	p := s.people()
	colleague := s.person("colleague@valbrise.example", town, true)
	newcomer := s.person("newcomer@valbrise.example", town, false)
	elsewhere := s.person("agent@ccas.example", ccas, true)
	particulier := s.person("ana@dinum.example", "", false, "dinum:api_particulier:reporter")
	both := s.person("both@dinum.example", town, true, "dinum:api_particulier:reporter")
	admin := s.person("admin@dinum.example", "", false, "admin")
	s.person("dev@dinum.example", "", false, "dinum:api_entreprise:developer")
	application := s.application("dev@dinum.example", "read_authorizations")

	titled := func(bearer, definition, title string) {
		s.create(bearer, definition, map[string]any{"intitule": title})
	}
	titled(p.applicant, "api_entreprise", "A")
	titled(p.applicant, "api_particulier", "B")
	titled(newcomer, "api_entreprise", "C")
	titled(elsewhere, "api_entreprise", "D")
	for name, c := range map[string]struct {
		bearer string
		params []string
		want   []string
	}{
		"an instructor of all":              {p.instructor, nil, []string{"D", "C", "B", "A"}},
		"a reporter of one definition":      {particulier, nil, []string{"B"}},
		"who asks for another definition":   {particulier, []string{"definition_id", "api_entreprise"}, []string{}},
		"an application":                    {application, nil, []string{"D", "C", "A"}},
		"an administrator":                  {admin, nil, []string{"D", "C", "B", "A"}},
		"an applicant":                      {p.applicant, nil, []string{"C", "B", "A"}},
		"a colleague":                       {colleague, nil, []string{"C", "B", "A"}},
		"a colleague whose link is not":     {newcomer, nil, []string{"C"}},
		"someone elsewhere":                 {elsewhere, nil, []string{"D"}},
		"a reporter, of his organisation":   {both, []string{"view", "organization"}, []string{"C", "B", "A"}},
		"a reporter, by his roles":          {both, nil, []string{"B"}},
		"an applicant, by roles he has not": {p.applicant, []string{"view", "roles"}, []string{}},
		"by applicant":                      {p.instructor, []string{"applicant", "JEANNE.MORVAN@valbrise.example"}, []string{"B", "A"}},
		"by an unknown applicant":           {p.instructor, []string{"applicant", "nul@valbrise.example"}, []string{}},
		"by SIRET":                          {p.instructor, []string{"organization", ccas}, []string{"D"}},
		"by an organisation's name":         {p.instructor, []string{"organization", "nom inconnu"}, []string{"D", "C", "B", "A"}},
		"by another's organisation":         {p.applicant, []string{"organization", ccas}, []string{}},
		"by two states":                     {p.instructor, []string{"state", "draft", "state", "submitted", "definition_id", "api_particulier"}, []string{"B"}},
		"by a state that none has":          {p.instructor, []string{"state", "revoked"}, []string{}},
		"by form":                           {p.instructor, []string{"form_uid", "api-entreprise"}, []string{"D", "C", "A"}},
		"by the number of an organisation":  {p.instructor, []string{"q", town}, []string{"C", "B", "A"}},
		"by a text of another's":            {particulier, []string{"q", ccas}, []string{}},
		"since a date":                      {p.instructor, []string{"updated_since", "2020-01-01T00:00:00Z"}, []string{"A", "B", "C", "D"}},
		"since tomorrow":                    {p.instructor, []string{"updated_since", "2999-01-01T00:00:00+01:00"}, []string{}},
	} {
		t.Run(name, func(t *testing.T) {
			s := *s
			s.t = t
			got := s.list(c.bearer, c.params...)
			if diff := cmp.Diff(c.want, got.titles()); diff != "" {
				t.Error(diff)
			}
			if got.Total == nil || got.Total.Value != len(c.want) || !got.Total.Exact {
				t.Errorf("total %+v", got.Total)
			}
		})
	}
}

func TestAListIsReadPageByPage(t *testing.T) {
	s := newSite(t)
	p := s.people()
	for n := range 7 {
		s.create(p.applicant, "api_entreprise", map[string]any{"intitule": fmt.Sprintf("Projet %d", n)})
	}
	for name, params := range map[string][]string{
		"newest first": nil, "by text": {"q", "projet"}, "by change": {"updated_since", "2020-01-01T00:00:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			seen := map[int64]bool{}
			got := s.list(p.instructor, append([]string{"limit", "3"}, params...)...)
			for rounds := 0; ; rounds++ {
				for _, r := range got.Requests {
					if seen[r.ID] {
						t.Errorf("%d is shown twice", r.ID)
					}
					seen[r.ID] = true
				}
				if got.NextCursor == nil || rounds > 10 {
					break
				}
				got = s.list(p.instructor, append([]string{"limit", "3", "cursor", *got.NextCursor}, params...)...)
				if got.Total != nil {
					t.Error("a further page tells a total")
				}
			}
			if len(seen) != 7 {
				t.Errorf("%d of 7 shown", len(seen))
			}
		})
	}
	answer := s.get("/requests?limit=3&state=draft", p.instructor)
	link := answer.header.Get("Link")
	var next page
	address := link[len("</hub/v1") : len(link)-len(`>; rel="next"`)]
	s.get(address, p.instructor).into(http.StatusOK, &next)
	if len(next.Requests) != 3 {
		t.Errorf("the link %s shows %d", link, len(next.Requests))
	}
}
