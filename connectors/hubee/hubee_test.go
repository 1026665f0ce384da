package hubee

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/hubee/hubeetest"
	"github.com/passerelle-hub/passerelle/connectors/outbound"
	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

const (
	process   = "FormulaireQF"
	foldersAt = partnertest.Route("POST /teledossiers/v1/folders")
	secretary = "ŒUVRARD"
)

var (
	start     = time.Date(2026, 10, 5, 8, 12, 40, 0, time.UTC)
	majastres = connectors.OrganizationRef{Type: "SI", SIRET: "21040107100019", Branch: "04107"}
)

type bench struct {
	*Sender
	directory *Directory
	site      *hubeetest.Server
	clock     *partnertest.Clock
	log       *bytes.Buffer
	t         *testing.T
}

func open(t *testing.T) bench {
	t.Helper()
	clock := partnertest.NewFrozenClock(start)
	site, err := hubeetest.Start(hubeetest.Options{Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	log := &bytes.Buffer{}
	t.Cleanup(func() {
		for _, leak := range site.Leaks() {
			t.Errorf("a secret in the %s of %s %s", leak.Where, leak.Method, leak.Path)
		}
		_ = site.Close()
		for _, private := range []string{secretary, "Zoé", "Bearer ", "hubee-simulator-osl-secret"} {
			if strings.Contains(log.String(), private) {
				t.Errorf("the log tells %q", private)
			}
		}
	})
	b := bench{site: site, clock: clock, log: log, t: t}
	b.Sender, err = b.config(hubeetest.OSL).OpenSender(b.deps())
	if err != nil {
		t.Fatal(err)
	}
	b.directory, err = b.config(hubeetest.DataPass).OpenDirectory(b.deps())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (b bench) config(actor hubeetest.Actor) Config {
	c := Default()
	pair := b.site.Credential(actor)
	c.URL, c.TokenURL, c.Scope = b.site.URL(), b.site.TokenURL(), string(actor)
	c.ClientID, c.ClientSecret = pair.ClientID, connectors.NewSecret(pair.ClientSecret)
	none := 0
	c.Retries, c.Breaker.Failures = &none, 1000
	return c
}

func (b bench) deps() connectors.Deps {
	b.t.Helper()
	client, err := outbound.Partner("hubee-test", b.config(hubeetest.OSL).Settings, zerolog.New(b.log))
	if err != nil {
		b.t.Fatal(err)
	}
	return connectors.Deps{Name: "hubee-test", Owner: "passerelle-test", Now: b.clock.Now, Partner: client}
}

func draft(reference string) connectors.FolderDraft {
	return connectors.FolderDraft{
		Process: process, ExternalID: "Formulaire-QF-" + reference, CaseExternalID: "Formulaire-QF-" + reference + "-01",
		FirstNames: connectors.NewSecret("Zoé Aïcha"), LastName: connectors.NewSecret(secretary), Recipient: majastres,
		Files: []connectors.FolderFile{
			{Name: "FormulaireQF.json", Type: process, MIME: "application/json", Size: 2},
			{Name: "note.txt", Type: process, MIME: "text/plain", Size: 7},
		},
	}
}

// sent creates, fills and completes a folder.
func (b bench) sent(reference string) connectors.Folder {
	b.t.Helper()
	f, err := b.CreateFolder(b.t.Context(), draft(reference))
	b.must(err)
	b.must(b.Upload(b.t.Context(), f.ID, f.Files[0].ID, []byte("{}")))
	b.must(b.Upload(b.t.Context(), f.ID, f.Files[1].ID, []byte("bonjour")))
	b.must(b.CompleteFolder(b.t.Context(), f.ID))
	return f
}

func (b bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func wantClass(t *testing.T, err error, class connectors.Class, cause error) {
	t.Helper()
	if !connectors.Is(err, class) || cause != nil && !errors.Is(err, cause) {
		t.Errorf("got %v, want class %s and cause %v", err, class, cause)
	}
	if err != nil && (strings.Contains(err.Error(), secretary) || strings.Contains(err.Error(), "Zoé")) {
		t.Errorf("the error tells who it is about: %v", err)
	}
}

func TestAFolderIsCreatedFilledCompletedAndShowsWhatItHolds(t *testing.T) {
	t.Parallel()
	b := open(t)
	f := b.sent("AAAAAAAAAAAA1")
	got, err := b.Folder(t.Context(), f.ID)
	b.must(err)
	if got.ExternalID != "Formulaire-QF-AAAAAAAAAAAA1" || got.Status != connectors.FolderCompleted && got.Status != connectors.FolderNotified {
		t.Errorf("got %+v", got)
	}
	for _, file := range got.Files {
		if file.Status != connectors.FileReceived {
			t.Errorf("%s is %s", file.Name, file.Status)
		}
	}
	held := b.site.Folders("Formulaire-QF-AAAAAAAAAAAA1")
	if len(held) != 1 || len(held[0].Attachments) != 2 {
		t.Fatalf("HubEE holds %+v", held)
	}
	content, ok := b.site.File(held[0].Attachments[1].ID)
	if !ok || string(content) != "bonjour" {
		t.Errorf("HubEE holds %q", content)
	}
}

func TestEachCallSaysWhoWeAreAndUploadsCarryTheirDigest(t *testing.T) {
	t.Parallel()
	b := open(t)
	var headers []http.Header
	var mu sync.Mutex
	defer b.site.BeforeWork("PUT /teledossiers/v1/folders/*/attachments/*", func(c partnertest.Call) {
		mu.Lock()
		defer mu.Unlock()
		headers = append(headers, c.Header)
	})()
	b.sent("AAAAAAAAAAAA2")
	if len(headers) != 2 {
		t.Fatalf("%d uploads", len(headers))
	}
	for name, want := range map[string]string{
		"editorName": "Passerelle", "applicationName": "passerelle-qf", "softwareVersion": "1", "digest": "RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o=",
	} {
		if got := headers[0].Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestATokenIsAskedForOnceByManyCallersAndAgainAMinuteBeforeItsEnd(t *testing.T) {
	t.Parallel()
	b := open(t)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, err := b.Notices(t.Context(), process, 25); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	b.wantTokens(1)
	b.clock.Advance(58 * time.Minute)
	_, err := b.Notices(t.Context(), process, 25)
	b.must(err)
	b.wantTokens(1)
	b.clock.Advance(time.Minute + time.Second)
	_, err = b.Notices(t.Context(), process, 25)
	b.must(err)
	b.wantTokens(2)
}

func (b bench) wantTokens(want int) {
	b.t.Helper()
	if got := len(b.site.Calls("POST /oauth2/token")); got != want {
		b.t.Errorf("%d calls for a token, want %d", got, want)
	}
}

func TestATokenThatEndsInMidRunIsRenewedAndTheCallReplayedOnce(t *testing.T) {
	t.Parallel()
	b := open(t)
	f, err := b.CreateFolder(t.Context(), draft("AAAAAAAAAAAA3"))
	b.must(err)
	b.site.ExpireTokens()
	b.must(b.Upload(t.Context(), f.ID, f.Files[0].ID, []byte("{}")))
	b.wantTokens(2)

	b.site.Inject(partnertest.Answer("GET /teledossiers/v1/notifications", 401, "application/json",
		`{"errors":[{"code":900901,"message":"Invalid Credentials"}]}`))
	_, err = b.Notices(t.Context(), process, 25)
	wantClass(t, err, connectors.Unauthorized, nil)
	if got := len(b.site.Calls("GET /teledossiers/v1/notifications")); got != 2 {
		t.Errorf("%d calls, want 2", got)
	}
}

func TestACredentialThatIsRefusedIsNotAnOutage(t *testing.T) {
	t.Parallel()
	b := open(t)
	c := b.config(hubeetest.OSL)
	c.ClientSecret = connectors.NewSecret("another")
	s, err := c.OpenSender(b.deps())
	b.must(err)
	_, err = s.Folder(t.Context(), "3d0c6a7e-2f8b-4a55-9d6e-51c2f0a9e701")
	wantClass(t, err, connectors.Unauthorized, nil)
	c = b.config(hubeetest.OSL)
	c.Scope = "ADMIN"
	s, err = c.OpenSender(b.deps())
	b.must(err)
	_, err = s.Folder(t.Context(), "3d0c6a7e-2f8b-4a55-9d6e-51c2f0a9e701")
	wantClass(t, err, connectors.Unauthorized, nil)
}

func TestARecipientThatCannotReceiveIsToldApart(t *testing.T) {
	t.Parallel()
	b := open(t)
	d := draft("AAAAAAAAAAAA4")
	d.Recipient = connectors.OrganizationRef{Type: "SI", SIRET: "21350998700011", Branch: "35998"}
	_, err := b.CreateFolder(t.Context(), d)
	wantClass(t, err, connectors.Rejected, connectors.ErrNotSubscribed)
	d.Recipient.Branch = "35999"
	_, err = b.CreateFolder(t.Context(), d)
	wantClass(t, err, connectors.Rejected, connectors.ErrUnknownRecipient)
}

func TestWhatIsTooLongOrEmptyIsRefusedBeforeAnyCall(t *testing.T) {
	t.Parallel()
	b := open(t)
	for name, change := range map[string]func(*connectors.FolderDraft){
		"externalId":            func(d *connectors.FolderDraft) { d.ExternalID = strings.Repeat("x", 31) },
		"the case's externalId": func(d *connectors.FolderDraft) { d.CaseExternalID = strings.Repeat("é", 31) },
		"lastName":              func(d *connectors.FolderDraft) { d.LastName = connectors.NewSecret("") },
		"firstName":             func(d *connectors.FolderDraft) { d.FirstNames = connectors.NewSecret(strings.Repeat("Zoé ", 64)) },
		"a file":                func(d *connectors.FolderDraft) { d.Files = nil },
	} {
		d := draft("AAAAAAAAAAAA5")
		change(&d)
		_, err := b.CreateFolder(t.Context(), d)
		wantClass(t, err, connectors.Rejected, nil)
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v does not name %s", err, name)
		}
	}
	if got := len(b.site.Calls(foldersAt)); got != 0 {
		t.Errorf("%d calls", got)
	}
}

// Each fault before, during and after the work; the outcome of the last is unknown.
func TestEveryFaultSaysWhatToDoNext(t *testing.T) {
	t.Parallel()
	const page = "<html><body>Service indisponible</body></html>"
	for name, fault := range map[string]struct {
		partnertest.Fault
		class connectors.Class
		made  bool
	}{
		"reset before the work":  {partnertest.ResetBefore(foldersAt), connectors.Temporary, false},
		"reset after the work":   {partnertest.ResetAfter(foldersAt), connectors.Temporary, true},
		"half a body":            {partnertest.HalfBody(foldersAt), connectors.Temporary, true},
		"500":                    {partnertest.Status(foldersAt, 500), connectors.Temporary, false},
		"a page instead of JSON": {partnertest.Answer(foldersAt, 201, "text/html", page), connectors.Temporary, false},
		"another shape":          {partnertest.Answer(foldersAt, 201, "application/json", `{"id":12}`), connectors.Rejected, false},
		"no id":                  {partnertest.Answer(foldersAt, 201, "application/json", `{}`), connectors.Rejected, false},
		"429":                    {partnertest.RateLimited(foldersAt, time.Minute), connectors.RateLimited, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := open(t)
			b.site.Inject(fault.For(1))
			_, err := b.CreateFolder(t.Context(), draft("AAAAAAAAAAAA6"))
			wantClass(t, err, fault.class, nil)
			if made := len(b.site.Folders("Formulaire-QF-AAAAAAAAAAAA6")) == 1; made != fault.made {
				t.Errorf("made %v, want %v", made, fault.made)
			}
			_, err = b.CreateFolder(t.Context(), draft("AAAAAAAAAAAA6"))
			b.must(err)
		})
	}
}

func TestACallEndsWithItsContext(t *testing.T) {
	t.Parallel()
	b := open(t)
	b.site.Inject(partnertest.Hang(foldersAt))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := b.CreateFolder(ctx, draft("AAAAAAAAAAAA7"))
	wantClass(t, err, connectors.Temporary, nil)
}

func TestOnlyAFolderThatIsNotCompleteIsTakenBack(t *testing.T) {
	t.Parallel()
	b := open(t)
	f, err := b.CreateFolder(t.Context(), draft("AAAAAAAAAAAA8"))
	b.must(err)
	b.must(b.DeleteFolder(t.Context(), f.ID))
	b.must(b.DeleteFolder(t.Context(), f.ID)) // its answer may have been lost
	if _, err = b.Folder(t.Context(), f.ID); !connectors.Is(err, connectors.NotFound) {
		t.Errorf("got %v", err)
	}
	f = b.sent("AAAAAAAAAAAA9")
	wantClass(t, b.DeleteFolder(t.Context(), f.ID), connectors.Rejected, nil)
}

func TestAFileOfTwentyMegabytesArrivesWhole(t *testing.T) {
	t.Parallel()
	b := open(t)
	content := append([]byte("%PDF-1.7\n"), bytes.Repeat([]byte{0x00, 0xff, '\n', 0xe9}, 5<<20)...)
	d := draft("AAAAAAAAAAAAB")
	d.Files = []connectors.FolderFile{{Name: "gros.pdf", Type: process, MIME: "application/pdf", Size: int64(len(content))}}
	f, err := b.CreateFolder(t.Context(), d)
	b.must(err)
	b.must(b.Upload(t.Context(), f.ID, f.Files[0].ID, content))
	held, ok := b.site.File(f.Files[0].ID)
	if !ok || !bytes.Equal(held, content) {
		t.Errorf("HubEE holds %d bytes of %d", len(held), len(content))
	}
	wantClass(t, b.Upload(t.Context(), f.ID, f.Files[0].ID, content[1:]), connectors.Rejected, nil)
}

func TestAClockThatIsTenMinutesOffCostsACallNotAFolder(t *testing.T) {
	t.Parallel()
	for _, skew := range []time.Duration{-10 * time.Minute, 10 * time.Minute} {
		b := open(t)
		ours := partnertest.NewFrozenClock(start.Add(skew))
		deps := b.deps()
		deps.Now = ours.Now
		s, err := b.config(hubeetest.OSL).OpenSender(deps)
		b.must(err)
		for range 14 { // more than a token's life, in steps
			_, err := s.Notices(t.Context(), process, 25)
			b.must(err)
			ours.Advance(5 * time.Minute)
			b.clock.Advance(5 * time.Minute)
		}
		if n := len(b.site.Calls("POST /oauth2/token")); n > 2 {
			t.Errorf("skew %s: %d tokens for 70 minutes", skew, n)
		}
	}
}

func TestTheAnswerOfACommuneIsReadAndTheFolderClosedOnce(t *testing.T) {
	t.Parallel()
	b := open(t)
	f := b.sent("AAAAAAAAAAAAA")
	caseID := f.Cases[0].ID
	b.must(b.site.MarkCase(caseID, hubeetest.Mark{Status: "SI_RECEIVED", Message: "Dossier de Zoé pris en charge"}))
	b.must(b.site.MarkCase(caseID, hubeetest.Mark{Status: "DONE"}))

	var done connectors.FolderNotice
	notices, err := b.Notices(t.Context(), process, 25)
	b.must(err)
	for _, n := range notices {
		if n.Process != process {
			t.Errorf("a notice of %s", n.Process)
		}
		event, err := b.Event(t.Context(), n.CaseID, n.EventID)
		b.must(err)
		if event.NewStatus == connectors.CaseDone && n.CaseID == caseID {
			done = n
			if event.Status != "SENT" || event.Action != "STATUS_UPDATE" || event.At.IsZero() {
				t.Errorf("got %+v", event)
			}
		}
	}
	if done.ID == "" {
		t.Fatalf("no notice of the end among %+v", notices)
	}
	b.must(b.AcknowledgeEvent(t.Context(), caseID, done.EventID))

	// The event that tells of the end is lost once: the repeat does what is missing.
	b.site.Inject(partnertest.ResetBefore("POST /teledossiers/v1/cases/*/events").For(1))
	wantClass(t, b.CloseCase(t.Context(), caseID, "Passerelle", "Dossier traité par le service."), connectors.Temporary, nil)
	for range 2 {
		b.must(b.CloseCase(t.Context(), caseID, "Passerelle", "Dossier traité par le service."))
		b.must(b.CloseFolder(t.Context(), f.ID))
		b.must(b.DeleteNotice(t.Context(), done.ID))
	}
	got, err := b.Folder(t.Context(), f.ID)
	b.must(err)
	if got.Status != connectors.FolderClosed || got.Cases[0].Status != connectors.FolderClosed {
		t.Errorf("got %+v", got)
	}
	if n := len(b.site.Calls("POST /teledossiers/v1/cases/*/events")); n != 2 {
		t.Errorf("%d events posted, want one lost and one made", n)
	}
}

func TestACommuneIsRegisteredAndWhatExistsIsSaid(t *testing.T) {
	t.Parallel()
	b := open(t)
	ref := connectors.OrganizationRef{Type: "SI", SIRET: "21690387200018", Branch: "69387"}
	_, err := b.directory.Receiver(t.Context(), ref)
	wantClass(t, err, connectors.NotFound, nil)
	r := connectors.Receiver{
		Ref: ref, Name: "COMMUNE D'ESSAI", PostalCode: "69007", Territory: "69387",
		Email: connectors.NewSecret("mairie@essai.example.fr"), Phone: connectors.NewSecret("0400000000"),
	}
	b.must(b.directory.CreateReceiver(t.Context(), r))
	wantClass(t, b.directory.CreateReceiver(t.Context(), r), connectors.Conflict, connectors.ErrAlreadyExists)
	got, err := b.directory.Receiver(t.Context(), ref)
	b.must(err)
	if got.Ref != ref || got.Name != r.Name {
		t.Errorf("got %+v", got)
	}
	want := connectors.SubscriptionDraft{
		Process: process, Receiver: ref, DataPassID: 777, Email: r.Email, ValidatedAt: start,
		AdminEmail: r.Email, AdminFirstName: connectors.NewSecret("Zoé"), AdminLastName: connectors.NewSecret(secretary), AdminPhone: r.Phone,
	}
	sub, err := b.directory.CreateSubscription(t.Context(), want)
	b.must(err)
	if sub.ID == "" || sub.Active() || sub.Receiver != ref || sub.DataPassID != 777 {
		t.Errorf("got %+v", sub)
	}
	_, err = b.directory.CreateSubscription(t.Context(), want)
	wantClass(t, err, connectors.Conflict, connectors.ErrAlreadyExists)

	b.must(b.site.Activate(sub.ID, "API", hubeetest.OrganizationID{Type: "EDT", CompanyRegister: "91234567500017", BranchCode: "35238"}, 0))
	list, err := b.directory.Subscriptions(t.Context(), process, ref.SIRET)
	b.must(err)
	if len(list) != 1 || !list[0].Active() || list[0].Delegate != "EDT-91234567500017-35238" || list[0].AccessMode != "API" || list[0].ActivatedAt.IsZero() {
		t.Errorf("got %+v", list)
	}
}

func TestAllPagesOfSubscriptionsAreRead(t *testing.T) {
	t.Parallel()
	b := open(t)
	const many = 2*subscriptionPage + 1
	for i := range many {
		ref := connectors.OrganizationRef{Type: "SI", SIRET: "21690387200018", Branch: "A" + string(rune('0'+i/100)) + string(rune('0'+i/10%10)) + string(rune('0'+i%10))}
		b.must(b.directory.CreateReceiver(t.Context(), connectors.Receiver{
			Ref: ref, Name: "COMMUNE", PostalCode: "69007", Territory: "69387", Email: connectors.NewSecret("mairie@essai.example.fr"),
		}))
		_, err := b.directory.CreateSubscription(t.Context(), connectors.SubscriptionDraft{
			Process: process, Receiver: ref, DataPassID: int64(i + 1), Email: connectors.NewSecret("mairie@essai.example.fr"), ValidatedAt: start,
			AdminEmail: connectors.NewSecret("mairie@essai.example.fr"),
		})
		b.must(err)
	}
	list, err := b.directory.Subscriptions(t.Context(), process, "21690387200018")
	b.must(err)
	var branches []string
	for _, s := range list {
		branches = append(branches, s.Receiver.Branch)
	}
	slices.Sort(branches)
	if len(slices.Compact(branches)) != many {
		t.Errorf("%d subscriptions, want %d", len(slices.Compact(branches)), many)
	}
}

func TestAddressesAndNumbersTakeHubEEsFormOrGiveAdvice(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		" Mairie@Essai.FR ": "Mairie@essai.fr", "a.b-c_d@exemple.info": "a.b-c_d@exemple.info",
		"m+hubee@essai.fr": "signe +", "contact@ville.paris": "2 à 4 lettres", "élu@essai.fr": "sans accent", "essai.fr": "nom@domaine", "": "nom@domaine",
	} {
		got, err := Email(in)
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) {
			t.Errorf("%q gives %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]string{
		"04 92 00 00 00": "0492000000", "+33 (0)4.92-00/00 00": "+33492000000", "12": "10 à 20 chiffres", "04 92 00 00 00 poste 3": "10 à 20 chiffres",
	} {
		got, err := Phone(in)
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) {
			t.Errorf("%q gives %q, want %q", in, got, want)
		}
	}
}

func TestEveryFaultOfTheSettingsIsToldAtOnce(t *testing.T) {
	t.Parallel()
	err := Config{URL: "ftp://x", TokenURL: "https://u:p@x/y", ClientID: "a:b", Scope: "osl", EditorName: strings.Repeat("x", 51)}.Validate()
	for _, want := range []string{"url: not", "token_url: only", "client_id", "client_secret", "scope", "editor_name", "application_name"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not tell of %s", err, want)
		}
	}
}

func TestDelegationsAreReadInTheirThreeForms(t *testing.T) {
	t.Parallel()
	got := []string{}
	for _, text := range []string{
		`null`, `{"type":null,"companyRegister":null,"branchCode":null}`, `{"email":"support@editeur.example.fr"}`,
		`{"type":"EDT","companyRegister":"91234567500017","branchCode":"35238"}`, `[]`, ``,
	} {
		got = append(got, delegate([]byte(text)))
	}
	if diff := cmp.Diff([]string{"", "", "support@editeur.example.fr", "EDT-91234567500017-35238", "", ""}, got); diff != "" {
		t.Error(diff)
	}
}

// FuzzAnswers: whatever HubEE answers, a call ends with a folder that has an id
// or with a connector's error.
func FuzzAnswers(f *testing.F) {
	f.Add(201, `{"id":"x","globalStatus":"HUBEE_RECEIVED"}`)
	f.Add(400, `{"errors":[{"code":400,"message":"Case recipient SI-1-2 does not exist"}]}`)
	f.Add(200, `<html>`)
	f.Add(201, `{"id":"x","globalStatus":"A","attachments":[{"size":1e99}]}`)
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status < 200 || status > 599 || status == http.StatusUnauthorized {
			t.Skip()
		}
		c := &client{config: Default(), deps: connectors.Deps{Name: "hubee", Now: time.Now, Partner: canned{status, body}}, renewing: make(chan struct{}, 1)}
		c.config.URL = "https://hubee.example"
		c.token, c.renewAt = connectors.NewSecret("t"), time.Now().Add(time.Hour)
		folder, err := (&Sender{c}).CreateFolder(context.Background(), draft("AAAAAAAAAAAA1"))
		var e *connectors.Error
		if err == nil && folder.ID == "" || err != nil && !errors.As(err, &e) {
			t.Errorf("got %+v, %v", folder, err)
		}
	})
}

// canned answers the same to every call.
type canned struct {
	status int
	body   string
}

func (c canned) Do(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: c.status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(c.body))}, nil
}
