package store_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/pgtest"
	"github.com/passerelle-hub/passerelle/internal/store"
	"github.com/passerelle-hub/passerelle/internal/store/seal"
)

func testRing(t *testing.T) *seal.Keyring {
	t.Helper()
	key, err := seal.ParseKey("test", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
	if err != nil {
		t.Fatal(err)
	}
	ring, err := seal.NewKeyring(seal.Config{Keys: []seal.Key{key}, Active: "test", Fingerprints: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func openStore(t *testing.T) *store.Store {
	t.Helper()
	return store.New(pgtest.New(t, store.Migrate), testRing(t))
}

var states = []habilitation.State{
	habilitation.Draft, habilitation.Submitted, habilitation.ChangesRequested, habilitation.Validated, habilitation.Refused,
	habilitation.Archived, habilitation.Revoked,
}

// shelf is a store filled with requests, and the same requests in memory.
type shelf struct {
	*store.Store
	requests []habilitation.Request // as saved, in the order of their ids
	changed  map[int64]time.Time
}

// fill saves requests of few definitions, titles and organisations, so that
// every filter has matches, many or none.
func fill(t *testing.T, n int) *shelf {
	t.Helper()
	s := &shelf{Store: openStore(t), changed: map[int64]time.Time{}}
	random := rand.New(rand.NewPCG(1, 2))
	titles := []string{"Cantine scolaire", "Transports scolaires de l’été", "Quotient familial", "Marchés publics", ""}
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range n {
		err := s.InTx(t.Context(), func(tx *store.Tx) error {
			organization, err := tx.EnsureOrganization(t.Context(), fmt.Sprintf("2138099990%04d", random.IntN(9)))
			if err != nil {
				return err
			}
			person, err := tx.UpsertPerson(t.Context(), habilitation.Applicant{
				Email: fmt.Sprintf("agent%d@ville.example", random.IntN(5)), GivenName: "Zoé", FamilyName: "Müller",
			})
			if err != nil {
				return err
			}
			definition := fmt.Sprintf("api_%d", random.IntN(4))
			r := habilitation.Request{
				Origin: habilitation.Native, PublicID: uuid.New(), Definition: definition, Form: fmt.Sprintf("%s-form-%d", definition, random.IntN(2)),
				State: states[random.IntN(len(states))], Data: habilitation.Data{"intitule": titles[random.IntN(len(titles))]},
				Organization: organization, Applicant: person.Applicant, CreatedAt: begin.Add(time.Duration(random.IntN(50)) * time.Hour),
			}
			changed := begin.Add(time.Duration(i) * time.Minute)
			r, err = tx.SaveNative(t.Context(), habilitation.Change{Request: r}, "set", changed)
			s.requests = append(s.requests, r)
			s.changed[r.ID] = changed
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// want gives the ids that a filter must give, read from memory.
func (s *shelf) want(f store.Filter) []int64 {
	var list []habilitation.Request
	for _, r := range s.requests {
		text := strings.ToLower(strings.NewReplacer("é", "e", "’", " ", "ü", "u").Replace(strings.ToLower(
			r.Data["intitule"] + " " + r.Organization.Name + " " + r.Organization.SIRET + " " + r.Applicant.Email + " zoe muller")))
		ok := f.States == nil || slices.Contains(f.States, r.State)
		ok = ok && (f.Definitions == nil || slices.Contains(f.Definitions, r.Definition))
		ok = ok && (f.Forms == nil || slices.Contains(f.Forms, r.Form))
		ok = ok && (f.Organizations == nil || slices.Contains(f.Organizations, r.Organization.ID))
		ok = ok && (f.Applicants == nil || slices.Contains(f.Applicants, r.Applicant.ID))
		ok = ok && !s.changed[r.ID].Before(f.UpdatedSince)
		for _, w := range f.Words {
			ok = ok && slices.Contains(strings.Fields(text), w)
		}
		if ok {
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(a, b habilitation.Request) int {
		switch {
		case len(f.Words) > 0:
			return int(b.ID - a.ID)
		case !f.UpdatedSince.IsZero():
			return s.changed[a.ID].Compare(s.changed[b.ID])
		case !a.CreatedAt.Equal(b.CreatedAt):
			return b.CreatedAt.Compare(a.CreatedAt)
		}
		return int(b.ID - a.ID)
	})
	ids := []int64{}
	for _, r := range list {
		ids = append(ids, r.ID)
	}
	return ids
}

func ids(items []store.Summary) []int64 {
	list := []int64{}
	for _, item := range items {
		list = append(list, item.ID)
	}
	return list
}

func TestEveryFilterGivesWhatMatchesInOrderWithItsTotal(t *testing.T) {
	s := fill(t, 300)
	random := rand.New(rand.NewPCG(3, 4))
	some := func(from ...string) []string {
		if random.IntN(2) == 0 {
			return nil
		}
		return from[:1+random.IntN(len(from))]
	}
	for n := range 300 {
		f := store.Filter{Definitions: some("api_1", "api_3", "api_9"), Forms: some("api_1-form-0", "api_2-form-1")}
		if random.IntN(2) == 0 {
			f.States = states[:1+random.IntN(len(states))]
		}
		if random.IntN(3) == 0 {
			f.Organizations = []int64{s.requests[random.IntN(50)].Organization.ID}
		}
		if random.IntN(3) == 0 {
			f.Applicants = []int64{s.requests[random.IntN(50)].Applicant.ID, 12}
		}
		switch random.IntN(4) {
		case 0:
			f.Words = some("scolaire", "zoe", "cantine")
		case 1:
			f.UpdatedSince = time.Date(2026, 1, 1, random.IntN(5), 0, 0, 0, time.UTC)
		case 2:
			f.Words = some("ete", "agent3@ville.example")
		}
		want := s.want(f)
		whole, err := s.Requests(t.Context(), f, store.Page{Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, ids(whole.Items)); diff != "" {
			t.Fatalf("filter %d %+v:\n%s", n, f, diff)
		}
		if whole.Total == nil || whole.Total.Value != len(want) || !whole.Total.Exact || whole.Next != nil {
			t.Fatalf("filter %d %+v: total %+v of %d, next %v", n, f, whole.Total, len(want), whole.Next)
		}
		s.leaf(t, f, want)
	}
}

// leaf reads the list again page by page.
func (s *shelf) leaf(t *testing.T, f store.Filter, want []int64) {
	t.Helper()
	read := []int64{}
	page := store.Page{Limit: 7}
	for {
		found, err := s.Requests(t.Context(), f, page)
		if err != nil {
			t.Fatal(err)
		}
		if page.After == nil && (found.Total == nil || found.Total.Value != len(want)) {
			t.Fatalf("%+v: the first page's total is %+v, want %d", f, found.Total, len(want))
		}
		read = append(read, ids(found.Items)...)
		if page.After = found.Next; found.Next == nil {
			break
		}
	}
	if diff := cmp.Diff(want, read); diff != "" {
		t.Fatalf("%+v, by cursor:\n%s", f, diff)
	}
	offset, err := s.Requests(t.Context(), f, store.Page{Limit: 5, Offset: 3})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want[min(3, len(want)):min(8, len(want))], ids(offset.Items)); diff != "" {
		t.Fatalf("%+v, by offset:\n%s", f, diff)
	}
}

func TestAWordThatIsEverywhereIsReadPageByPageAndItsTotalIsALowerBound(t *testing.T) {
	s := openStore(t)
	pool := s.Pool()
	for _, statement := range []string{
		`insert into organization (id, name, siret) values (1, 'MAIRIE', '21380999900013')`,
		`insert into person (id, email) values (1, 'a@b.example')`,
		`insert into request (id, origin, public_id, definition, form, state, organization_id, applicant_id, created_at, words)
		 select n, 'native', gen_random_uuid(), 'd' || n % 2, 'f', 'draft', 1, 1, now(), '{commune,rare}' from generate_series(1, 7000) n`,
		`insert into request_word (word, request_id, definition) select 'commune', id, definition from request`,
		`insert into request_word (word, request_id, definition) select 'rare', id, definition from request where id in (3, 6999)`,
		`insert into request_word (word, request_id, definition) select 'other', id, definition from request where id % 3 = 0`,
		`analyze`,
	} {
		if _, err := pool.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	first, err := s.Requests(t.Context(), store.Filter{Words: []string{"commune"}}, store.Page{Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	if first.Items[0].ID != 7000 || first.Next == nil || first.Total.Exact || first.Total.Value != store.MaxTotal {
		t.Errorf("first page: %d items, first %d, total %+v", len(first.Items), first.Items[0].ID, first.Total)
	}
	both, err := s.Requests(t.Context(), store.Filter{Words: []string{"commune", "rare"}}, store.Page{Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int64{6999, 3}, ids(both.Items)); diff != "" || !both.Total.Exact || both.Total.Value != 2 {
		t.Errorf("a frequent and a rare word: total %+v\n%s", both.Total, diff)
	}
	read := 0
	page := store.Page{Limit: 100}
	for rounds := 0; ; rounds++ {
		found, err := s.Requests(t.Context(), store.Filter{Words: []string{"commune", "other"}, Definitions: []string{"d1"}}, page)
		if err != nil {
			t.Fatal(err)
		}
		read += len(found.Items)
		if page.After = found.Next; page.After == nil {
			break
		}
		if rounds > 100 {
			t.Fatal("the list has no end")
		}
	}
	if read != 1167 {
		t.Errorf("%d read by cursor, want 1167", read)
	}
}

func TestPostingsFollowWhatChanges(t *testing.T) {
	s := fill(t, 1)
	r := s.requests[0]
	r.Data = habilitation.Data{"intitule": "Piscine municipale"}
	r.Definition = "api_other"
	if err := s.InTx(t.Context(), func(tx *store.Tx) error {
		_, err := tx.SaveNative(t.Context(), habilitation.Change{Request: r}, "set", time.Now())
		return err
	}); err != nil {
		t.Fatal(err)
	}
	for word, want := range map[string]int{"piscine": 1, "scolaire": 0, "cantine": 0, "zoe": 1} {
		found, err := s.Requests(t.Context(), store.Filter{Words: []string{word}}, store.Page{Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		if len(found.Items) != want {
			t.Errorf("%q finds %d, want %d", word, len(found.Items), want)
		}
	}
	var stale int
	if err := s.Pool().QueryRow(t.Context(), `select count(*) from request_word where definition <> 'api_other'`).Scan(&stale); err != nil || stale > 0 {
		t.Errorf("%d postings of the former definition (%v)", stale, err)
	}
}

func TestSearchWordsFoldCaseAndAccents(t *testing.T) {
	for text, want := range map[string][]string{
		"Écoles de l'ÉTÉ":         {"ecoles", "ete"},
		"Œuvre, cœur":             {"coeur", "oeuvre"},
		"Jeanne.M@Ville.EXAMPLE":  {"jeanne.m@ville.example"},
		"21380999900013 cantine":  {"21380999900013", "cantine"},
		"de la":                   {},
		"' \" & | ! :* \\ %_; --": {},
		"e\u0301te\u0301":         {"ete"},
	} {
		if diff := cmp.Diff(want, append([]string{}, store.SearchWords(text)...)); diff != "" {
			t.Errorf("%q:\n%s", text, diff)
		}
	}
}

func TestOrganisationsAndPeopleAreFoundUnderAllTheirRows(t *testing.T) {
	s := openStore(t)
	for _, statement := range []string{
		`insert into organization (source, external_id, name, siret) values ('datapass', 4, 'COMMUNE DE VALBRISE-SUR-ORMES', '21380999900013')`,
		`insert into organization (name, siret) values ('Commune de Valbrise sur Ormes', '21380999900013'), ('École d’Été', '21380999900021')`,
		`insert into person (source, external_id, email) values ('datapass', 4, 'a@b.example'), ('', null, 'a@b.example')`,
	} {
		if _, err := s.Pool().Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	bySIRET, err := s.OrganizationsBySIRET(t.Context(), "21380999900013")
	if err != nil || len(bySIRET) != 2 {
		t.Errorf("by SIRET: %v, %v", bySIRET, err)
	}
	for name, want := range map[string]int{"valbrise ormes": 2, "ecole ete": 1, "nulle": 0, "de": 0} {
		if byName, err := s.OrganizationsByName(t.Context(), name); err != nil || len(byName) != want {
			t.Errorf("by name %q: %v, %v, want %d", name, byName, err, want)
		}
	}
	if none, err := s.OrganizationsBySIRET(t.Context(), "13002526500013"); err != nil || none == nil || len(none) > 0 {
		t.Errorf("an unknown SIRET gives %v, %v: nil would match everything", none, err)
	}
	if people, err := s.PeopleByEmail(t.Context(), "A@b.example"); err != nil || len(people) != 2 {
		t.Errorf("by address: %v, %v", people, err)
	}
}

func TestALongTitleHidesNobody(t *testing.T) {
	s := fill(t, 1)
	r := s.requests[0]
	var title []string
	for i := range 80 {
		title = append(title, fmt.Sprintf("aaa%02d", i))
	}
	r.Data = habilitation.Data{"intitule": strings.Join(title, " ")}
	if err := s.InTx(t.Context(), func(tx *store.Tx) error {
		_, err := tx.SaveNative(t.Context(), habilitation.Change{Request: r}, "set", time.Now())
		return err
	}); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"zoé", "müller", r.Applicant.Email, r.Organization.SIRET, "aaa00"} {
		found, err := s.Requests(t.Context(), store.Filter{Words: store.SearchWords(text)}, store.Page{Limit: 10})
		if err != nil || len(found.Items) != 1 {
			t.Errorf("%q: %d found, %v", text, len(found.Items), err)
		}
	}
}
