package hub_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/internal/registry"
)

// keyOf gives the key of a request, live, whose end is a month away.
func (s *site) keyOf(request int64) uuid.UUID {
	s.t.Helper()
	list, err := s.store.Credentials(s.t.Context(), request)
	if err != nil || len(list) == 0 {
		s.t.Fatalf("%d keys: %v", len(list), err)
	}
	id := list[0].ID
	s.record(&registry.PrepareCredential{CredentialID: id, Secret: connectors.NewSecret("value of " + id.String()), Hint: "psk_…"})
	s.record(&registry.StartStep{CredentialID: id, Step: "subject"})
	s.record(&registry.SubjectEnsured{CredentialID: id, SubjectID: "s"})
	s.record(&registry.StartStep{CredentialID: id, Step: "grants"})
	s.record(&registry.GrantsEnsured{CredentialID: id, Scopes: list[0].Scopes})
	s.record(&registry.StartStep{CredentialID: id, Step: "issue"})
	s.record(&registry.CredentialIssued{CredentialID: id, Handle: connectors.Handle{Ref: list[0].Ref}})
	s.record(&registry.CredentialVerified{CredentialID: id})
	if _, err := s.pool.Exec(s.t.Context(), `update credential set expires_at = $2 where id = $1`, id, s.now().Add(30*24*time.Hour)); err != nil {
		s.t.Fatal(err)
	}
	return id
}

func (s *site) liveKey(p people) uuid.UUID {
	s.t.Helper()
	return s.keyOf(s.in(p, "validated", "api_entreprise", s.data("api_entreprise", nil)).ID)
}

type keyShown struct {
	ID         uuid.UUID  `json:"id"`
	State      string     `json:"state"`
	ExpiresAt  time.Time  `json:"expires_at"`
	OldUntil   *time.Time `json:"old_until"`
	AllowedIPs []string   `json:"allowed_ips"`
	Replaces   *uuid.UUID `json:"replaces"`
	RetryAt    *time.Time `json:"retry_at"`
	Steps      []struct {
		Name, State, Class, Detail string
	} `json:"steps"`
	Revocation *struct {
		VerifiedAt *time.Time `json:"verified_at"`
		DelayMS    *int64     `json:"delay_ms"`
		BoundMS    int64      `json:"bound_ms"`
	} `json:"revocation"`
}

func (s *site) shown(id uuid.UUID, bearer string) keyShown {
	s.t.Helper()
	var k keyShown
	s.get("/keys/"+id.String(), bearer).into(http.StatusOK, &k)
	return k
}

func TestTheStepsOfAKeyAreShownWithThePartnersWordsAndTheNextTry(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	p := s.people()
	r := s.in(p, "validated", "api_entreprise", s.data("api_entreprise", nil))
	list, err := s.store.Credentials(t.Context(), r.ID)
	if err != nil || len(list) != 1 {
		t.Fatal(len(list), err)
	}
	id := list[0].ID
	s.record(&registry.PrepareCredential{CredentialID: id, Secret: connectors.NewSecret("very secret value")})
	s.record(&registry.StartStep{CredentialID: id, Step: "subject"})
	s.record(&registry.FailStep{CredentialID: id, Step: "subject", Err: &connectors.Error{Class: connectors.Temporary, Partner: "m", Status: 502, Detail: "upstream is asleep"}})
	k := s.shown(id, p.applicant)
	want := map[string]string{"prepare": "done", "subject": "waiting", "grants": "waiting", "issue": "waiting", "verify": "waiting"}
	for _, step := range k.Steps {
		if want[step.Name] != step.State {
			t.Errorf("%s is %s", step.Name, step.State)
		}
		if step.Name == "subject" && !strings.Contains(step.Detail, "upstream is asleep") {
			t.Errorf("the partner's words are %q", step.Detail)
		}
		delete(want, step.Name)
	}
	if len(want) > 0 || k.RetryAt == nil {
		t.Errorf("missing %v, next try %v", want, k.RetryAt)
	}
	s.record(&registry.FailStep{CredentialID: id, Step: "subject", Err: &connectors.Error{Class: connectors.Rejected, Partner: "m", Status: 400, Detail: "unknown plan"}})
	if k := s.shown(id, p.applicant); k.State != "failed" || k.Steps[1].State != "failed" || k.Steps[1].Class != "rejected" {
		t.Errorf("%+v", k)
	}
	if body := s.get("/keys/"+id.String(), p.applicant).body; strings.Contains(string(body), "very secret") {
		t.Error("the value is shown")
	}
}

func TestARotationSaysWhatItWouldDoAndCutsNothingWithoutConsent(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		grace   connectors.GraceModel
		overlap string
		accept  bool
	}{
		"any overlap":      {connectors.GraceAny, "overlap", false},
		"an imposed one":   {connectors.GraceFixed, "fixed", false},
		"no overlap there": {connectors.GraceNone, "cutover", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.can.Grace = c.grace
			p := s.people()
			path := "/keys/" + s.liveKey(p).String()
			var plan struct {
				Overlap string `json:"overlap"`
				Accept  bool   `json:"accept_cutover_required"`
			}
			s.get(path+"/rotation?grace_s=7200", p.applicant).into(http.StatusOK, &plan)
			if plan.Overlap != c.overlap || plan.Accept != c.accept {
				t.Errorf("%+v", plan)
			}
			answer := s.call(http.MethodPost, path+"/rotate", p.applicant, map[string]any{"grace_s": 7200})
			if c.accept {
				if got := answer.problem(); got != "409 cutover /accept_cutover" {
					t.Error(got)
				}
				answer = s.call(http.MethodPost, path+"/rotate", p.applicant, map[string]any{"grace_s": 7200, "accept_cutover": true})
			}
			var rotated struct {
				NewID uuid.UUID `json:"new_id"`
			}
			answer.into(http.StatusAccepted, &rotated)
			if s.shown(rotated.NewID, p.applicant).Replaces == nil {
				t.Error("the new key does not say what it replaces")
			}
			if got := s.call(http.MethodPost, path+"/rotate", p.applicant, map[string]any{"accept_cutover": true}).problem(); got != "409 key_state" {
				t.Errorf("a second rotation: %s", got)
			}
		})
	}
}

func TestTheSameIdempotencyKeyRotatesOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	p := s.people()
	path := "/keys/" + s.liveKey(p).String() + "/rotate"
	first := s.call(http.MethodPost, path, p.applicant, map[string]any{"grace_s": 0, "reason": "fuite"}, "Idempotency-Key", "une-intention")
	again := s.call(http.MethodPost, path, p.applicant, map[string]any{"grace_s": 0, "reason": "fuite"}, "Idempotency-Key", "une-intention")
	if first.status != http.StatusAccepted || string(first.body) != string(again.body) || again.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("%d %s then %d %s", first.status, first.body, again.status, again.body)
	}
	var n int
	if err := s.pool.QueryRow(t.Context(), `select count(*) from rotation`).Scan(&n); err != nil || n != 1 {
		t.Errorf("%d rotations, %v", n, err)
	}
}

func TestAProlongationMovesTheEndOrSaysThatItIsARotation(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	p := s.people()
	id := s.liveKey(p)
	path := "/keys/" + id.String()
	before := s.shown(id, p.applicant).ExpiresAt
	s.call(http.MethodPost, path+"/prolong", p.applicant, nil).into(http.StatusAccepted, nil)
	after := s.shown(id, p.applicant)
	if !after.ExpiresAt.After(before.AddDate(1, 0, 0)) || after.State != "active" {
		t.Errorf("%s, then %s, %s", before, after.ExpiresAt, after.State)
	}
	if got := s.call(http.MethodPost, path+"/prolong", p.applicant, nil).problem(); got != "409 prolong_too_early" {
		t.Errorf("long before its end: %s", got)
	}
	s.can.FixedExpiry, s.can.NativeExpiry = true, true
	other := "/keys/" + s.liveKey(p).String()
	var plan struct {
		Way string `json:"way"`
	}
	s.get(other+"/prolongation", p.applicant).into(http.StatusOK, &plan)
	if plan.Way != "rotation" {
		t.Error(plan.Way)
	}
	if got := s.call(http.MethodPost, other+"/prolong", p.applicant, nil).problem(); got != "409 prolong_is_rotated /accept_rotation" {
		t.Error(got)
	}
	var done struct {
		NewID *uuid.UUID `json:"new_id"`
	}
	s.call(http.MethodPost, other+"/prolong", p.applicant, map[string]any{"accept_rotation": true}).into(http.StatusAccepted, &done)
	if done.NewID == nil {
		t.Error("no new key")
	}
}

func TestARevokedKeyShowsTheMeasuredDelayAndIsFinal(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	p := s.people()
	id := s.liveKey(p)
	path := "/keys/" + id.String()
	if got := s.call(http.MethodPost, path+"/revoke", p.applicant, nil).problem(); got != "422 corps /reason" {
		t.Error(got)
	}
	s.call(http.MethodPost, path+"/revoke", p.applicant, map[string]any{"reason": "inutile"}).into(http.StatusAccepted, nil)
	if k := s.shown(id, p.applicant); k.State != "revoked_at_hub" || k.Revocation == nil || k.Revocation.DelayMS != nil || k.Revocation.BoundMS != 5000 {
		t.Errorf("%+v", k)
	}
	s.record(&registry.RevocationVerified{CredentialID: id})
	if k := s.shown(id, p.applicant); k.State != "revoked_verified" || k.Revocation.DelayMS == nil {
		t.Errorf("%+v", k)
	}
	for _, action := range []string{"rotate", "prolong"} {
		if got := s.call(http.MethodPost, path+"/"+action, p.applicant, nil).problem(); got != "409 key_state" {
			t.Errorf("%s: %s", action, got)
		}
	}
	s.call(http.MethodPost, path+"/revoke", p.applicant, map[string]any{"reason": "encore"}).into(http.StatusAccepted, nil)
}

func TestAllowedAddressesAreCheckedKeptInOneFormAndFollowARotation(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	p := s.people()
	path := "/keys/" + s.liveKey(p).String()
	for name, c := range map[string]struct {
		body any
		want string
	}{
		"no list":            {nil, "422 corps /allowed_ips"},
		"not a list":         {map[string]any{"allowed_ips": "192.0.2.1"}, "422 corps /allowed_ips"},
		"a name":             {map[string]any{"allowed_ips": []string{"192.0.2.1", "passerelle.example"}}, "422 allowed_ips /allowed_ips/1"},
		"a zone":             {map[string]any{"allowed_ips": []string{"fe80::1%eth0"}}, "422 allowed_ips /allowed_ips/0"},
		"too many":           {map[string]any{"allowed_ips": make([]string, 101)}, "422 allowed_ips /allowed_ips/100"},
		"a prefix of nobody": {map[string]any{"allowed_ips": []string{"192.0.2.0/99"}}, "422 allowed_ips /allowed_ips/0"},
	} {
		if got := s.call(http.MethodPut, path+"/allowed-ips", p.applicant, c.body).problem(); got != c.want {
			t.Errorf("%s: %s", name, got)
		}
	}
	s.call(http.MethodPut, path+"/allowed-ips", p.applicant, map[string]any{"allowed_ips": []string{"192.0.2.77/24", "2001:db8::1", "::ffff:198.51.100.4", "192.0.2.0/24"}}).into(http.StatusOK, nil)
	var rotated struct {
		NewID uuid.UUID `json:"new_id"`
	}
	s.call(http.MethodPost, path+"/rotate", p.applicant, nil).into(http.StatusAccepted, &rotated)
	got, err := json.Marshal(s.shown(rotated.NewID, p.applicant).AllowedIPs)
	if err != nil || string(got) != `["192.0.2.0/24","198.51.100.4","2001:db8::1"]` {
		t.Error(string(got), err)
	}
}

func TestBadInputAboutKeysIsNamedAndDoesNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	p := s.people()
	id := s.liveKey(p)
	path := "/keys/" + id.String()
	for name, c := range map[string]struct {
		method, path string
		body         any
		want         string
	}{
		"a key that is no UUID":  {http.MethodGet, "/keys/abc", nil, "404 introuvable"},
		"an unknown key":         {http.MethodPost, "/keys/" + uuid.NewString() + "/rotate", nil, "404 introuvable"},
		"a grace beyond 90 days": {http.MethodPost, path + "/rotate", map[string]any{"grace_s": 90*86400 + 1}, "422 corps /grace_s"},
		"a negative grace":       {http.MethodPost, path + "/rotate", map[string]any{"grace_s": -1}, "422 corps /grace_s"},
		"half a second":          {http.MethodPost, path + "/rotate", map[string]any{"grace_s": 0.5}, "422 corps /grace_s"},
		"an unknown word":        {http.MethodPost, path + "/rotate", map[string]any{"force": true}, "422 corps /force"},
		"not JSON":               {http.MethodPost, path + "/revoke", "{", "400 json"},
	} {
		if got := s.call(c.method, c.path, p.applicant, c.body).problem(); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	if got := s.shown(id, p.applicant).State; got != "active" {
		t.Errorf("the key is %s", got)
	}
}
