package hydratest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/passerelle-hub/passerelle/connectors/hydra/hydratest"
	"github.com/passerelle-hub/passerelle/connectors/partnertest"
	"github.com/passerelle-hub/passerelle/connectors/partnertest/answer"
)

func TestTheSecretIsEchoedOnceAndNeverReadBack(t *testing.T) {
	t.Parallel()
	b := start(t, hydratest.Options{})
	made := b.call("POST", "/admin/clients", object{"client_id": "dp-9001", "client_secret": oldSecret}).Want(201)
	made.Is("client_secret", oldSecret)
	if location := made.Header.Get("Location"); location != client {
		t.Errorf("Location: %q", location)
	}
	for _, path := range []string{client, "/admin/clients", "/admin/clients?owner="} {
		if reply := b.call("GET", path, nil).Want(200); strings.Contains(reply.Text, oldSecret) || strings.Contains(reply.Text, "client_secret\"") {
			t.Errorf("%s shows a secret: %s", path, reply.Text)
		}
	}
	if state := b.call("GET", "/_admin/state", nil).Want(200); strings.Contains(state.Text, oldSecret) {
		t.Error("the state shows a secret")
	}
	for _, call := range b.Calls("") {
		if text := fmt.Sprint(call); strings.Contains(text, oldSecret) {
			t.Errorf("a secret in the log: %s", text)
		}
	}
}

func TestWithoutASecretHydraMakesOne(t *testing.T) {
	t.Parallel()
	b := start(t, hydratest.Options{})
	made := b.call("POST", "/admin/clients", object{"grant_types": []string{"client_credentials"}}).Want(201)
	if secret := made.Str("client_secret"); len(secret) != 26 {
		t.Errorf("a secret of %d characters", len(secret))
	}
	if status, _ := b.ProbeClient(made.Str("client_id"), made.Str("client_secret")); status != 200 {
		t.Errorf("probe: %d", status)
	}
}

func TestOfSixConcurrentCreatesOneIsMade(t *testing.T) {
	t.Parallel()
	b := start(t, hydratest.Options{})
	var clients sync.WaitGroup
	statuses := make([]int, 6)
	for i := range statuses {
		clients.Go(func() { statuses[i] = b.call("POST", "/admin/clients", object{"client_id": "dp-9001"}).Status })
	}
	clients.Wait()
	slices.Sort(statuses)
	if diff := cmp.Diff([]int{201, 409, 409, 409, 409, 409}, statuses); diff != "" {
		t.Error(diff)
	}
	if counts := b.Counts(); counts.Clients != 1 {
		t.Errorf("%+v", counts)
	}
}

func TestAPatchOfTheSecretKillsTheOldOneAtOnce(t *testing.T) {
	t.Parallel()
	b := start(t, hydratest.Options{})
	b.create()
	token := b.token(oldSecret).Want(200).Str("access_token")
	b.setSecret(newSecret).Want(200).Is("client_secret", newSecret).Is("owner", "datapass:9001")
	b.opens(oldSecret, false)
	b.opens(newSecret, true)
	if !b.active(token) {
		t.Error("a token that was issued before is dead")
	}
	b.setSecret("abc").Want(400).Is("error", "invalid_client_metadata")
	b.opens(newSecret, true)
}

func TestAPutResetsWhatItLeavesOutAndKeepsTheSecret(t *testing.T) {
	t.Parallel()
	b := start(t, hydratest.Options{})
	b.create()
	token := b.token(oldSecret).Want(200).Str("access_token")
	b.Advance(time.Hour / 2)
	put := b.call("PUT", client, object{"client_name": "renamed", "grant_types": []string{"client_credentials"}, "scope": "dgfip"}).Want(200)
	put.Is("owner", "").Is("metadata", map[string]any{}).Is("audience", []any{}).Is("access_token_strategy", nil).
		Is("client_credentials_grant_access_token_lifespan", nil).Is("created_at", "2026-01-01T10:50:00Z")
	b.opens(oldSecret, true)
	c, _ := b.Client("dp-9001")
	if c.Owner != "" || c.Strategy != "" || string(c.Metadata) != "{}" || c.ClientCredentialsAccessToken.Set {
		t.Errorf("%+v", c)
	}
	// The reply alone shows another creation date.
	b.call("GET", client, nil).Want(200).Is("created_at", "2026-01-01T10:20:00Z")
	if b.call("GET", "/admin/clients?owner=datapass:9001", nil).Want(200); len(b.Clients()) != 1 {
		t.Error("found by an owner that it has no more")
	}
	if b.active(token) {
		t.Error("a JWT stays active although its client's strategy is another one")
	}
}

func TestAListNeverCountsItsFilter(t *testing.T) {
	t.Parallel()
	b := start(t, hydratest.Options{})
	for i := range 5 {
		if err := b.AddClient(hydratest.Client{ID: fmt.Sprintf("c%d", i), Owner: fmt.Sprintf("owner-%d", i%2)}); err != nil {
			t.Fatal(err)
		}
	}
	first := b.call("GET", "/admin/clients?owner=owner-1&page_size=2", nil).Want(200)
	first.Is("0.client_id", "c1").Is("1.client_id", "c3").Is("2", nil)
	if total := first.Header.Get("X-Total-Count"); total != "5" {
		t.Errorf("X-Total-Count: %s", total)
	}
	next := nextOf(first)
	if next == "" {
		t.Fatal("no next link")
	}
	if empty := b.call("GET", next, nil).Want(200); empty.Text != "[]" {
		t.Errorf("the next page: %s", empty.Text)
	}
}

func nextOf(r answer.Answer) string {
	match := regexp.MustCompile(`<([^>]+)>; rel="next"`).FindStringSubmatch(r.Header.Get("Link"))
	if match == nil {
		return ""
	}
	return match[1]
}

func TestEveryClientIsOnOnePage(t *testing.T) {
	t.Parallel()
	for _, version := range []hydratest.Version{hydratest.Version230, hydratest.VersionRotating} {
		b := start(t, hydratest.Options{Version: version})
		const total = 23
		for i := range total {
			if err := b.AddClient(hydratest.Client{ID: fmt.Sprintf("c%02d", i)}); err != nil {
				t.Fatal(err)
			}
		}
		for _, size := range []int{1, 5, 23, 500} {
			var ids []string
			path := fmt.Sprintf("/admin/clients?page_size=%d", size)
			for path != "" {
				reply := b.call("GET", path, nil).Want(200)
				var list []hydratest.Client
				if err := json.Unmarshal([]byte(reply.Text), &list); err != nil {
					t.Fatal(err)
				}
				for _, c := range list {
					ids = append(ids, c.ID)
				}
				path = nextOf(reply)
			}
			if len(ids) != total || !slices.IsSorted(ids) {
				t.Errorf("%s, %d a page: %v", version, size, ids)
			}
		}
	}
}

func TestALaterReleaseRefusesATokenOfAnother(t *testing.T) {
	t.Parallel()
	b := start(t, hydratest.Options{Version: hydratest.VersionRotating})
	b.call("GET", "/admin/clients?page_token=eyJvZmZzZXQiOiIyIiwidiI6Mn0", nil).Want(400)
	b.call("GET", "/admin/clients?page_size=many", nil).Want(400)
	if total := b.call("GET", "/admin/clients", nil).Want(200).Header.Get("X-Total-Count"); total != "" {
		t.Errorf("X-Total-Count: %q", total)
	}
}

func TestTheTwo404MeanDifferentThings(t *testing.T) {
	t.Parallel()
	b := start(t, hydratest.Options{})
	b.create()
	missing := b.call("GET", "/admin/clients/nope", nil).Want(404)
	if _, isText := missing.Get("error").(string); !isText {
		t.Errorf("a missing client: %s", missing.Text)
	}
	wrong := b.call("POST", rotate, nil).Want(404)
	if _, isObject := wrong.Get("error").(map[string]any); !isObject {
		t.Errorf("a wrong path: %s", wrong.Text)
	}
	page := answer.To(b.t, "POST", b.AdminURL()+rotate, nil, "").Want(404)
	if media := page.Header.Get("Content-Type"); !strings.HasPrefix(media, "text/html") || !strings.Contains(page.Text, "<!DOCTYPE html>") {
		t.Errorf("without Accept: %s %s", media, page.Text)
	}
	b.opens(oldSecret, true)
}

func TestALaterReleaseKeepsFiveOldSecrets(t *testing.T) {
	t.Parallel()
	b := start(t, hydratest.Options{Version: hydratest.VersionRotating})
	b.create()
	secrets := []string{oldSecret}
	for range 7 {
		reply := b.call("POST", rotate, nil).Want(200)
		if strings.Contains(reply.Text, "rotated") {
			t.Errorf("shows old secrets: %s", reply.Text)
		}
		secrets = append(secrets, reply.Str("client_secret"))
	}
	for i, secret := range secrets {
		b.opens(secret, i >= len(secrets)-6) // one current, five old
	}
	if live := b.LiveSecrets("dp-9001"); live != 6 {
		t.Errorf("%d secrets", live)
	}

	// Another field leaves them alone.
	b.call("PATCH", client, []object{{"op": "replace", "path": "/scope", "value": "dgfip"}}).Want(200)
	b.opens(secrets[2], true)

	b.call("DELETE", rotate, nil).Want(200).Is("client_secret", nil)
	for i, secret := range secrets {
		b.opens(secret, i == len(secrets)-1)
	}
}

func TestANewSecretOfOursClearsTheRotatedOnes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		set  func(*bundle) answer.Answer
	}{
		{"by PATCH", func(b *bundle) answer.Answer { return b.setSecret(newSecret) }},
		{"by PUT", func(b *bundle) answer.Answer {
			return b.call("PUT", client, object{"grant_types": []string{"client_credentials"}, "client_secret": newSecret})
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := start(t, hydratest.Options{Version: hydratest.VersionRotating})
			b.create()
			rotated := b.call("POST", rotate, nil).Want(200).Str("client_secret")
			b.opens(oldSecret, true)
			tt.set(b).Want(200)
			b.opens(oldSecret, false)
			b.opens(rotated, false)
			b.opens(newSecret, true)
		})
	}
}

func TestOtherMethodsOfAuthenticationCannotRotate(t *testing.T) {
	t.Parallel()
	b := start(t, hydratest.Options{Version: hydratest.VersionRotating})
	b.call("POST", "/admin/clients", object{
		"client_id": "dp-9001", "token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "https://commune.example.test/jwks",
	}).Want(201)
	for _, method := range []string{"POST", "DELETE"} {
		b.call(method, rotate, nil).Want(400).Is("error_description",
			"The client is configured to use the 'private_key_jwt' authentication method, which does not support client secret rotation.")
		b.call(method, "/admin/clients/nope/secrets/rotate", nil).Want(404).Is("error", "Unable to locate the resource")
	}
	b.call("GET", rotate, nil).Want(405)
}

func TestAReleaseCanBeSwitched(t *testing.T) {
	t.Parallel()
	b := start(t, hydratest.Options{})
	b.create()
	b.call("POST", rotate, nil).Want(404)
	b.call("GET", "/version", nil).Want(200).Is("version", "v2.3.0")
	b.SetVersion(hydratest.VersionRotating)
	b.call("POST", rotate, nil).Want(200)
	b.call("GET", "/version", nil).Want(200).Is("version", "v26.3.0")
}

func TestAnEncodedClientIDIsTheSameClient(t *testing.T) {
	t.Parallel()
	b := start(t, hydratest.Options{})
	if err := b.AddClient(hydratest.Client{ID: "a/b c"}); err != nil {
		t.Fatal(err)
	}
	b.call("GET", "/admin/clients/a%2Fb%20c", nil).Want(200).Is("client_id", "a/b c")
}

func TestWithoutItsDatabaseHydraIsAliveAndNotReady(t *testing.T) {
	t.Parallel()
	b := start(t, hydratest.Options{})
	b.create()
	b.SetDatabaseReachable(false)
	b.call("GET", "/health/alive", nil).Want(200)
	b.call("GET", "/health/ready", nil).Want(503)
	answer.To(b.t, "GET", b.PublicURL()+"/.well-known/jwks.json", nil, "").Want(200)
	for _, call := range [][2]string{
		{"GET", "/admin/clients"},
		{"GET", client},
		{"PUT", client},
		{"POST", "/admin/clients"},
		{"DELETE", client},
		{"DELETE", "/admin/oauth2/tokens?client_id=dp-9001"},
	} {
		b.call(call[0], call[1], object{}).Want(500)
	}
	b.token(oldSecret).Want(500).Is("error", "server_error")
	if status, _ := b.Probe(oldSecret); status != 500 {
		t.Errorf("probe: %d", status)
	}
	b.SetDatabaseReachable(true)
	b.opens(oldSecret, true)
}

func TestALostAnswerLeavesItsWorkAndAnEarlyFaultDoesNot(t *testing.T) {
	t.Parallel()
	b := start(t, hydratest.Options{})
	create := func() error {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.AdminURL()+"/admin/clients",
			strings.NewReader(`{"client_id":"dp-9001","client_secret":"`+oldSecret+`"}`))
		if err != nil {
			t.Fatal(err)
		}
		reply, err := http.DefaultClient.Do(req)
		if err == nil {
			_ = reply.Body.Close()
			if reply.StatusCode != 201 {
				return fmt.Errorf("status %d", reply.StatusCode)
			}
		}
		return err
	}
	b.Inject(partnertest.ResetBefore("POST /admin/clients").For(1))
	if err := create(); err == nil || b.Counts().Clients != 0 {
		t.Errorf("before the work: %v, %+v", err, b.Counts())
	}
	b.Inject(partnertest.ResetAfter("admin:POST /admin/clients").For(1))
	if err := create(); err == nil || b.Counts().Clients != 1 {
		t.Errorf("after the work: %v, %+v", err, b.Counts())
	}
	if err := create(); err == nil || err.Error() != "status 409" {
		t.Errorf("again: %v", err)
	}
}
