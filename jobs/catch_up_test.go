package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/datapass/datapasstest"
	"github.com/passerelle-hub/passerelle/connectors/partnertest"
	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

const (
	submit  = datapasstest.EventSubmit
	approve = datapasstest.EventApprove
	reopen  = datapasstest.EventReopen
	update  = datapasstest.EventUpdate
)

func TestAnApprovalMadeWhileTheHubWasDownBecomesOneKey(t *testing.T) {
	m := newMirror(t)
	id := m.file(datapasstest.APIParticulier(), submit, approve) // an hour ago; nobody heard
	m.round()
	r := m.read(id)
	if r.State != habilitation.Validated || len(r.Habilitations) != 1 || r.Habilitations[0].State != habilitation.GrantActive {
		t.Fatalf("%s %+v", r.State, r.Habilitations)
	}
	if n := m.count(`select count(*) from credential`); n != 1 {
		t.Fatalf("%d keys", n)
	}
	if n := m.count(`select count(*) from river_job where kind = 'provision_credential'`); n != 1 {
		t.Errorf("%d jobs to provision it", n)
	}
	filed, err := m.site.Request(id)
	if err != nil {
		t.Fatal(err)
	}
	approvedAt := filed.Habilitations[0].CreatedAt
	var at time.Time
	if err := m.pool.QueryRow(t.Context(), `select at from history where event = 'approve'`).Scan(&at); err != nil || at.Sub(approvedAt).Abs() > time.Second {
		t.Errorf("the history dates the approval %v, DataPass %v (%v)", at, approvedAt, err)
	}

	// Then the webhooks arrive after all.
	tokenID := m.hear()
	m.round()
	if n := m.count(`select count(*) from credential where id = $1`, tokenID); n != 1 {
		t.Error("the late approval is answered another id than the key's")
	}
	if n := m.count(`select count(*) from credential`); n != 1 {
		t.Errorf("%d keys after the late webhooks", n)
	}
	if n := m.count(`select count(*) from inbound_event where state = 'late'`); n != 3 {
		t.Errorf("%d webhooks are late", n)
	}
	if after := m.read(id); after.Version != r.Version {
		t.Errorf("late webhooks made version %d of %d", after.Version, r.Version)
	}
	events, err := m.Store.EventsOfRequests(t.Context(), []int64{r.ID})
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, e := range events[r.ID] {
		names = append(names, string(e.Name))
	}
	if diff := cmp.Diff([]string{"create", "submit", "approve"}, names); diff != "" {
		t.Errorf("the story (-want +got)\n%s", diff)
	}
}

func TestWhatWebhooksBroughtIsNotChangedByCatchingUp(t *testing.T) {
	m := newMirror(t)
	lives := map[string][]datapasstest.EventName{
		"draft":     {},
		"submitted": {submit},
		"asked":     {submit, datapasstest.EventRequestChanges},
		"validated": {submit, approve},
		"refused":   {submit, datapasstest.EventRefuse},
		"archived":  {submit, datapasstest.EventRefuse, datapasstest.EventArchive},
		"revoked":   {submit, approve, datapasstest.EventRevoke},
		"reopened":  {submit, approve, reopen, update, submit},
		"twice":     {submit, approve, reopen, update, submit, approve},
		"undone":    {submit, approve, reopen, update, datapasstest.EventCancelReopening},
		"not again": {submit, approve, reopen, update, submit, datapasstest.EventRefuse},
	}
	n := 0
	for _, events := range lives {
		m.file(datapasstest.Invented(n), events...)
		n++
	}
	for _, filing := range datapasstest.Samples() {
		m.file(filing, submit, approve)
	}
	m.hear()
	m.round() // reopened_at is not in webhooks: it is learnt now
	versions := func() map[int64]int64 {
		out := map[int64]int64{}
		for _, r := range m.site.Requests() {
			out[r.ID] = m.read(r.ID).Version
		}
		return out
	}
	before, lines := versions(), m.count(`select count(*) from history`)
	m.round()
	m.round()
	if diff := cmp.Diff(before, versions()); diff != "" {
		t.Errorf("versions (-want +got)\n%s", diff)
	}
	if got := m.count(`select count(*) from history`); got != lines {
		t.Errorf("%d lines of history, %d before", got, lines)
	}
	for _, r := range m.site.Requests() {
		if mirrored := m.read(r.ID); string(mirrored.State) != string(r.State) || mirrored.Organization.Name == "" {
			t.Errorf("%d is %s here and %s there", r.ID, mirrored.State, r.State)
		}
	}
}

func TestCatchingUpFindsWhatHappenedToOldRequests(t *testing.T) {
	m := newMirror(t)
	m.site.Advance(-30 * 24 * time.Hour)
	approved := m.file(datapasstest.Invented(1), submit)
	revoked := m.file(datapasstest.Invented(2), submit, approve)
	archived := m.file(datapasstest.Invented(3), submit, datapasstest.EventRefuse)
	again := m.file(datapasstest.Invented(4), submit, approve)
	m.hear()
	m.round()
	m.site.Advance(30 * 24 * time.Hour)
	m.play(approved, approve)
	m.play(revoked, datapasstest.EventRevoke)
	m.play(archived, datapasstest.EventArchive)
	m.play(again, reopen, update, submit, approve)
	m.lose()
	m.round()
	for id, want := range map[int64]habilitation.State{
		approved: habilitation.Validated, revoked: habilitation.Revoked, archived: habilitation.Archived, again: habilitation.Validated,
	} {
		if got := m.read(id).State; got != want {
			t.Errorf("%d is %s, want %s", id, got, want)
		}
	}
	if grants := m.read(again).Habilitations; len(grants) != 2 || grants[0].State != habilitation.GrantObsolete || grants[1].State != habilitation.GrantActive {
		t.Errorf("%+v", grants)
	}
	if n := m.count(`select count(*) from credential where state in ('cancelled', 'revoked_at_hub') and request_id = $1`, m.read(revoked).ID); n != 1 {
		t.Error("the key of the revoked request lives")
	}
	if n := m.count(`select count(*) from credential c join request r on r.id = c.request_id where r.external_id = any ($1)`, []int64{approved, again}); n != 2 {
		t.Errorf("%d keys of the two that are valid", n)
	}
}

func TestARevocationThatNobodyHeardOfClosesTheTokenId(t *testing.T) {
	m := newMirror(t)
	id := m.file(datapasstest.Invented(1), submit, approve)
	first := m.hear()
	m.play(id, datapasstest.EventRevoke)
	m.lose()
	m.round()
	if n := m.count(`select count(*) from token_reservation where token_id = $1 and closed_at is not null`, first); n != 1 {
		t.Error("the token id of a revoked request is still reserved")
	}
}

// smallPages reads a source by few.
type smallPages struct {
	connectors.RequestSource
	size  int
	reads int
	fail  error // of the next read
}

func (s *smallPages) Requests(ctx context.Context, offset int) (connectors.SourcePage[connectors.SourceRequest], error) {
	s.reads++
	if err := s.fail; err != nil {
		s.fail = nil
		return connectors.SourcePage[connectors.SourceRequest]{}, err
	}
	page, err := s.RequestSource.Requests(ctx, offset)
	page.Items = page.Items[:min(s.size, len(page.Items))]
	return page, err
}

func (m *mirror) small(size int) *smallPages {
	source := m.Sources[sourceName]
	pages := &smallPages{RequestSource: source.API, size: size}
	source.API = pages
	m.Sources[sourceName] = source
	return pages
}

func TestALongRoundGoesOnFromItsLastPage(t *testing.T) {
	m := newMirror(t)
	for n := range 7 {
		m.file(datapasstest.Invented(n), submit)
	}
	pages := m.small(2)
	jobs := 0
	for ; ; jobs++ {
		err := m.work(&impatient{t.Context()})
		var snooze *rivertype.JobSnoozeError
		if err == nil {
			break
		}
		if !errors.As(err, &snooze) {
			t.Fatal(err)
		}
		if jobs == 1 {
			pages.fail = &connectors.Error{Class: connectors.Temporary, Partner: sourceName, Op: "list requests"}
			if err := m.work(&impatient{t.Context()}); err == nil || errors.As(err, &snooze) && snooze.Duration != goOnAfter {
				t.Fatalf("a failed page: %v", err)
			}
		}
	}
	if jobs < 3 || pages.reads != 6 { // 4 pages, an empty one, one that failed
		t.Errorf("%d jobs, %d reads", jobs, pages.reads)
	}
	if n := m.count(`select count(*) from request`); n != 7 {
		t.Errorf("%d requests", n)
	}
}

// impatient is a context whose half-time is over at once, although its end is far.
type impatient struct{ context.Context }

func (impatient) Deadline() (time.Time, bool) { return time.Now().Add(-time.Hour), true }

func TestTheWalkOverAllRequestsGoesOnFromRoundToRound(t *testing.T) {
	m := newMirror(t)
	m.site.Advance(-2 * overlap) // what is there is not new any more
	old := m.file(datapasstest.Invented(99), submit, datapasstest.EventRefuse)
	m.site.Advance(2 * time.Minute)
	for n := range 12 {
		m.file(datapasstest.Invented(n), submit)
	}
	m.hear()
	m.round()
	m.play(old, datapasstest.EventArchive) // neither new nor an habilitation: only the walk finds it
	m.lose()
	pages := m.small(1)
	rounds := 0
	for ; m.read(old).State != habilitation.Archived; rounds++ {
		pages.reads = 0
		m.round()
		if pages.reads > 13+walkPages+1 {
			t.Fatalf("%d pages in one round", pages.reads)
		}
		if rounds > 5 {
			t.Fatal("the walk does not come to the oldest request")
		}
	}
	if rounds < 2 {
		t.Errorf("found after %d rounds: the walk is not bounded", rounds)
	}
}

func TestASourceThatIsDownIsShownAndTriedAgain(t *testing.T) {
	m := newMirror(t)
	m.file(datapasstest.Invented(1), submit, approve)
	for name, c := range map[string]struct {
		fault partnertest.Fault
		want  string
	}{
		"down":             {partnertest.Status("GET /api/v1/demandes", 503), "retry"},
		"busy":             {partnertest.RateLimited("GET /api/v1/demandes", 7*time.Second), "snooze 7s"},
		"our rights ended": {partnertest.Answer("POST /api/v1/oauth/token", 401, "application/json", `{"error":"invalid_client"}`), "cancel"},
	} {
		m.site.RevokeTokens() // so that one is asked for
		m.site.Inject(c.fault)
		err := m.work(t.Context())
		m.site.ClearFaults()
		got := "retry"
		var snooze *rivertype.JobSnoozeError
		var cancel *rivertype.JobCancelError
		switch {
		case err == nil:
			got = "no error"
		case errors.As(err, &snooze):
			got = "snooze " + snooze.Duration.String()
		case errors.As(err, &cancel):
			got = "cancel"
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s (%v)", name, got, c.want, err)
		}
		if m.count(`select failures from partner where name = $1`, sourceName) == 0 {
			t.Errorf("%s: operators see nothing", name)
		}
	}
	m.round()
	if m.count(`select coalesce(sum(failures), 0) from partner`) != 0 {
		t.Error("operators still see a failure")
	}
	if m.count(`select count(*) from credential`) != 1 {
		t.Error("the approval did not become a key")
	}
}

func TestWhatIsOutsideTheSourcesScopeIsPassedOver(t *testing.T) {
	m := newMirror(t)
	source := m.Sources[sourceName]
	source.Definitions = []string{"api_entreprise"}
	m.Sources[sourceName] = source
	m.file(datapasstest.APIParticulier(), submit, approve)
	m.file(datapasstest.APIEntreprise(), submit, approve)
	m.round()
	m.round()
	if n := m.count(`select count(*) from request`); n != 1 {
		t.Errorf("%d requests", n)
	}
}

func TestOneBadRequestDoesNotHoldTheOthersBack(t *testing.T) {
	m := newMirror(t)
	bad := m.file(datapasstest.Invented(1), submit)
	m.file(datapasstest.Invented(2), submit)
	m.Sources[sourceName] = Source{API: &spoiling{m.Sources[sourceName].API, bad}}
	m.round()
	if n := m.count(`select count(*) from request`); n != 1 {
		t.Errorf("%d requests", n)
	}
	if log := m.log.String(); !strings.Contains(log, fmt.Sprint(bad)) || strings.Contains(log, "\x00") {
		t.Errorf("the log does not name the request that failed")
	}
}

// spoiling shows one request with a date that Postgres cannot hold.
type spoiling struct {
	connectors.RequestSource
	id int64
}

func (s *spoiling) Requests(ctx context.Context, offset int) (connectors.SourcePage[connectors.SourceRequest], error) {
	page, err := s.RequestSource.Requests(ctx, offset)
	for i := range page.Items {
		if page.Items[i].ID == s.id {
			page.Items[i].CreatedAt = time.Date(400_000, 1, 1, 0, 0, 0, 0, time.UTC)
		}
	}
	return page, err
}

func TestABodyThatCannotBeAllOfTheTruthHasTheSourceAsked(t *testing.T) {
	m := newMirror(t)
	id := m.file(datapasstest.Invented(1), submit, approve)
	deliveries := m.site.Deliveries()
	var body map[string]any
	if err := json.Unmarshal(deliveries[len(deliveries)-1].Body, &body); err != nil {
		t.Fatal(err)
	}
	body["data"].(map[string]any)["authorizations"] = []any{} // validated without any habilitation
	raw, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Registry.Receive(t.Context(), registry.Webhook{Source: sourceName, Environment: "sandbox", Body: raw}); err != nil {
		t.Fatal(err)
	}
	m.do(&registry.ApplyInbound{Key: store.InboundKey{Source: sourceName, ExternalID: id}})
	var args ReadRequestArgs
	var encoded []byte
	if err := m.pool.QueryRow(t.Context(), `select args from river_job where kind = 'read_request'`).Scan(&encoded); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(encoded, &args); err != nil || args != (ReadRequestArgs{sourceName, id}) {
		t.Fatalf("%+v %v", args, err)
	}
	worker := &readRequest{Workers: m.Workers}
	if err := worker.Work(t.Context(), &river.Job[ReadRequestArgs]{JobRow: &rivertype.JobRow{}, Args: args}); err != nil {
		t.Fatal(err)
	}
	if r := m.read(id); r.State != habilitation.Validated || len(r.Habilitations) != 1 {
		t.Errorf("%s %v", r.State, r.Habilitations)
	}
}

func TestOneProcessOfAllCatchesUpAtTheStart(t *testing.T) {
	m := newMirror(t)
	m.file(datapasstest.Invented(1), submit, approve)
	var clients []*river.Client[pgx.Tx]
	for range 3 {
		workers := *m.Workers
		client, err := NewClient(m.pool, &workers, Settings{
			Timeout: 10 * time.Second, RescueAfter: time.Minute, FetchCooldown: 10 * time.Millisecond,
			Completed: time.Hour, Cancelled: time.Hour, Discarded: time.Hour, WorkersFor: func(string) int { return 2 }, SoftStop: time.Second,
		}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		if err := client.Start(context.Background()); err != nil {
			t.Fatal(err)
		}
		clients = append(clients, client)
	}
	t.Cleanup(func() {
		for _, c := range clients {
			_ = c.StopAndCancel(context.Background())
		}
	})
	for start := time.Now(); m.count(`select count(*) from river_job where kind = 'catch_up' and state = 'completed'`) == 0; time.Sleep(20 * time.Millisecond) {
		if time.Since(start) > 30*time.Second {
			t.Fatal("nobody caught up")
		}
	}
	if n := m.count(`select count(*) from river_job where kind = 'catch_up'`); n != 1 {
		t.Errorf("%d jobs", n)
	}
	if m.count(`select count(*) from credential`) != 1 {
		t.Error("the approval did not become a key")
	}
	if n := len(m.site.Calls("GET /api/v1/demandes")); n != 2 {
		t.Errorf("the list was read %d times: a page and its end", n)
	}
}

func TestTheCatchUpLogsNobodysName(t *testing.T) {
	m := newMirror(t)
	id := m.file(datapasstest.APIParticulier(), submit, approve)
	m.round()
	r := m.read(id)
	for _, name := range []string{r.Applicant.Email, r.Applicant.FamilyName, r.Organization.SIRET, r.Organization.Name} {
		if strings.Contains(m.log.String(), name) {
			t.Errorf("the log holds %q", name)
		}
	}
	if !strings.Contains(m.log.String(), "caught up") {
		t.Error("the log says nothing")
	}
}
