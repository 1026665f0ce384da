package editor_test

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/httpapi/editor"
	"github.com/passerelle-hub/passerelle/internal/registry"
)

func TestAnEditorFindsFetchesAndAcknowledgesTheKeyOfItsClient(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	us := s.machine(ourEditor)
	g, foreign := s.approve(ourEditor), s.approve(other)

	var clients struct {
		Data []struct{ SIRET, Name string }
	}
	s.get("/clients", us).into(http.StatusOK, &clients)
	if len(clients.Data) != 1 || clients.Data[0].SIRET != "21350998700011" {
		t.Errorf("clients: %+v", clients.Data)
	}
	var habilitations struct {
		Data []struct {
			ID      int64
			Request struct {
				ID         int64 `json:"id"`
				DataPassID int64 `json:"datapass_id"`
			}
			Link struct {
				MayFetch bool `json:"may_fetch"`
			}
		}
	}
	s.get("/habilitations?state=active&siret=21350998700011", us).into(http.StatusOK, &habilitations)
	if len(habilitations.Data) != 1 || habilitations.Data[0].Request.DataPassID != g.source || !habilitations.Data[0].Link.MayFetch {
		t.Errorf("habilitations: %+v", habilitations.Data)
	}
	var keys struct{ Data []struct{ ID uuid.UUID } }
	s.get("/keys?hand_over=ready", us).into(http.StatusOK, &keys)
	if len(keys.Data) != 1 || keys.Data[0].ID != g.id {
		t.Fatalf("keys: %+v", keys.Data)
	}
	first, second := s.fetch(us, g.id), s.fetch(us, g.id)
	if first.Secret != g.secret || second.Secret != g.secret || first.FetchID == second.FetchID || first.Format != "clear" {
		t.Errorf("fetched %+v then %+v", first, second)
	}
	sum := sha256.Sum256([]byte(first.Secret))
	ack := map[string]any{"fetch_id": first.FetchID, "fingerprint": hex.EncodeToString(sum[:8])}
	path := "/keys/" + g.id.String()
	if got := s.post(path+"/ack", us, map[string]any{"fetch_id": first.FetchID, "fingerprint": "0000000000000000"}).problem(); got != "422 cle-fingerprint /fingerprint" {
		t.Errorf("another fingerprint: %s", got)
	}
	if n := s.count(`select count(*) from credential where id = $1 and secret_sealed is not null`, g.id); n != 1 {
		t.Error("a refused acknowledgement destroyed the copy")
	}
	for range 3 { // replayed: the same answer, one effect
		s.post(path+"/ack", us, ack).into(http.StatusNoContent, nil)
	}
	s.post(path+"/ack", us, map[string]any{"fetch_id": second.FetchID, "fingerprint": hex.EncodeToString(sum[:8])}).into(http.StatusNoContent, nil)
	if n := s.count(`select count(*) from credential where id = $1 and secret_sealed is not null`, g.id); n != 0 {
		t.Error("the sealed copy is still there")
	}
	if got := s.post(path+"/fetch", us, nil).problem(); got != "410 cle-gone" {
		t.Errorf("after the acknowledgement: %s", got)
	}
	for event, want := range map[string]int{"token.fetched": 2, "token.acknowledged": 1, "token.ack_mismatch": 1} {
		if n := s.count(`select count(*) from history where request_id = $1 and event = $2 and actor like 'client:%'`, g.request, event); n != want {
			t.Errorf("%d lines %s, want %d", n, event, want)
		}
	}
	if n := s.count(`select count(*) from mail where template = $1 and request_id = $2`, registry.LetterKeyFetched, g.request); n < 2 {
		t.Errorf("%d contacts were told", n)
	}
	var links int
	if links = s.count(`select count(*) from handover_link where credential_id = $1 and cancelled_at is null`, g.id); links != 0 {
		t.Error("the holder's link still leads to the key")
	}
	if got := s.feed(us, "").types(); got != "link.created request.approved key.ready key.acknowledged" {
		t.Errorf("feed: %s", got)
	}
	if n := s.count(`select count(*) from credential where id = $1 and secret_sealed is not null`, foreign.id); n != 1 {
		t.Error("the other editor's key was touched")
	}
}

func TestADeclaredLinkSeesButDoesNotFetchWhereConsentIsAsked(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	us := s.machine(ourEditor)
	g := s.approve(ourEditor)
	if _, err := s.pool.Exec(t.Context(), `update credential set definition = 'api_entreprise' where id = $1`, g.id); err != nil {
		t.Fatal(err)
	}
	var key struct {
		HandOver string `json:"hand_over"`
	}
	s.get("/keys/"+g.id.String(), us).into(http.StatusOK, &key)
	if key.HandOver != "not_allowed" {
		t.Errorf("hand_over is %s", key.HandOver)
	}
	a := s.post("/keys/"+g.id.String()+"/fetch", us, nil)
	if got := a.problem(); got != "403 cle-not_allowed" || strings.Contains(string(a.body), g.secret) {
		t.Errorf("%s", a.body)
	}
	if n := s.count(`select count(*) from key_fetch`); n != 0 {
		t.Error("a fetch was recorded")
	}
}

func TestAKeyIsReadTenTimesThenItMustBeAcknowledged(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	us := s.machine(ourEditor)
	g := s.approve(ourEditor)
	for range registry.MaxFetches {
		s.fetch(us, g.id)
	}
	if got := s.post("/keys/"+g.id.String()+"/fetch", us, nil).problem(); got != "409 cle-too_often" {
		t.Error(got)
	}
}

func TestTheCopyOfAKeyEndsAtItsDeadline(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	us := s.machine(ourEditor)
	g := s.approve(ourEditor)
	f := s.fetch(us, g.id)
	s.later(30*24*time.Hour + time.Minute)
	us = s.machine(ourEditor)
	if got := s.post("/keys/"+g.id.String()+"/fetch", us, nil).problem(); got != "410 cle-gone" {
		t.Errorf("before the sweep came by: %s", got)
	}
	s.record(&registry.DestroyCopy{CredentialID: g.id})
	s.record(&registry.DestroyCopy{CredentialID: g.id})
	if n := s.count(`select count(*) from credential where id = $1 and secret_sealed is null and state = 'active'`, g.id); n != 1 {
		t.Error("the copy is still there, or the key is not live any more")
	}
	if got := s.post("/keys/"+g.id.String()+"/ack", us, map[string]any{"fetch_id": f.FetchID, "fingerprint": f.Fingerprint}).problem(); got != "410 cle-gone" {
		t.Errorf("an acknowledgement after the deadline: %s", got)
	}
	if n := s.count(`select count(*) from history where request_id = $1 and event = 'token.copy_destroyed'`, g.request); n != 1 {
		t.Errorf("%d lines", n)
	}
	if n := s.count(`select count(*) from mail where template = $1`, registry.LetterCopyDestroyed); n < 2 {
		t.Errorf("%d letters", n)
	}
}

func TestManyKeysAreFetchedAndAcknowledgedAtOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	us := s.machine(ourEditor)
	mine := []granted{s.approve(ourEditor), s.approve(ourEditor), s.approve(ourEditor)}
	foreign := s.approve(other)
	ids := []string{foreign.id.String(), uuid.NewString()}
	for _, g := range mine {
		ids = append(ids, g.id.String())
	}
	var batch struct {
		Complete bool
		Data     []struct {
			ID     string
			Status int
			Result *fetched
		}
	}
	a := s.post("/keys/fetch", us, map[string]any{"ids": ids})
	a.into(http.StatusOK, &batch)
	if strings.Contains(string(a.body), foreign.secret) {
		t.Fatal("another editor's key")
	}
	var acks []map[string]any
	for i, item := range batch.Data {
		if item.ID != ids[i] {
			t.Errorf("result %d is of %s", i, item.ID)
		}
		if i < 2 {
			if item.Status != http.StatusNotFound || item.Result != nil {
				t.Errorf("a foreign or unknown key: %+v", item)
			}
			continue
		}
		if item.Status != http.StatusOK || item.Result.Secret != mine[i-2].secret {
			t.Errorf("result %d: %+v", i, item)
		}
		acks = append(acks, map[string]any{"id": item.ID, "fetch_id": item.Result.FetchID, "fingerprint": item.Result.Fingerprint})
	}
	for range 2 {
		batch.Data = nil
		s.post("/keys/ack", us, map[string]any{"acks": acks}).into(http.StatusOK, &batch)
		for _, item := range batch.Data {
			if item.Status != http.StatusNoContent {
				t.Errorf("%+v", item)
			}
		}
	}
	if n := s.count(`select count(*) from credential where secret_sealed is not null`); n != 1 {
		t.Errorf("%d sealed copies are left, want the other editor's", n)
	}
}

func TestARefusedKeyStaysReadyAndItsHistorySaysWhy(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	us := s.machine(ourEditor)
	g := s.approve(ourEditor)
	f := s.fetch(us, g.id)
	path := "/keys/" + g.id.String()
	s.post(path+"/nack", us, map[string]any{"fetch_id": f.FetchID, "reason": "Le logiciel de ce client est arrêté."}).into(http.StatusNoContent, nil)
	if s.fetch(us, g.id).Secret != g.secret {
		t.Error("it is not ready any more")
	}
	if n := s.count(`select count(*) from history where event = 'token.refused' and reason <> ''`); n != 1 {
		t.Errorf("%d lines", n)
	}
	if got := s.post(path+"/nack", us, map[string]any{"fetch_id": f.FetchID, "reason": " "}).problem(); got != "422 corps /reason" {
		t.Error(got)
	}
}

// Two replicas answer: the editor's fetches are counted together, and what is
// refused leaves no trace of a fetch.
func TestFetchesOfAnEditorAreLimitedWhicheverReplicaAnswers(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(h *editor.Handler) { h.Fetches = 2 })
	replica := httptest.NewServer(http.StripPrefix("/editor/v1", s.handler.Router()))
	t.Cleanup(replica.Close)
	us := s.machine(ourEditor)
	g := s.approve(ourEditor)
	s.fetch(us, g.id)
	s.fetch(us, g.id)
	for name, at := range map[string]string{"this replica": s.url, "the other": replica.URL} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, at+"/editor/v1/keys/"+g.id.String()+"/fetch", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+us)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		wait, err := strconv.Atoi(resp.Header.Get("Retry-After"))
		if resp.StatusCode != http.StatusTooManyRequests || err != nil || wait < 1 || wait > 30 || resp.Header.Get("RateLimit-Reset") == "" {
			t.Errorf("%s: %d %v", name, resp.StatusCode, resp.Header)
		}
	}
	if fetches, told := s.count(`select count(*) from key_fetch`), s.count(`select count(*) from history where event = 'token.fetched'`); fetches != 2 || told != 2 {
		t.Errorf("%d fetches, %d lines of the journal", fetches, told)
	}
}

func TestFetchesOfAnEditorAreLimitedWhicheverMachineAsks(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(h *editor.Handler) { h.Fetches = 2 })
	one, two := s.machine(ourEditor), s.machine(ourEditor)
	g := s.approve(ourEditor)
	path := "/keys/" + g.id.String() + "/fetch"
	s.fetch(one, g.id)
	s.fetch(two, g.id)
	a := s.post(path, one, nil)
	if a.problem() != "429 trop-de-requetes" || a.header.Get("Retry-After") == "" || a.header.Get("RateLimit-Limit") != "2" || a.header.Get("RateLimit-Remaining") != "0" {
		t.Errorf("%d %v", a.status, a.header)
	}
	s.get("/keys", one).into(http.StatusOK, nil)
	if n := s.count(`select count(*) from key_fetch`); n != 2 {
		t.Errorf("%d fetches", n)
	}
}
