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
)

func TestTheSecretIsEchoedOnceAndNeverReadBack(t *testing.T) {
	t.Parallel()
	b := start(t, hydratest.Options{})
	made := b.call("POST", "/admin/clients", object{"client_id": "dp-9001", "client_secret": oldSecret}).want(201)
	made.is("client_secret", oldSecret)
	if location := made.Header.Get("Location"); location != client {
		t.Errorf("Location: %q", location)
	}
	for _, path := range []string{client, "/admin/clients", "/admin/clients?owner="} {
		if answer := b.call("GET", path, nil).want(200); strings.Contains(answer.Text, oldSecret) || strings.Contains(answer.Text, "client_secret\"") {
			t.Errorf("%s shows a secret: %s", path, answer.Text)
		}
	}
	if state := b.call("GET", "/_admin/state", nil).want(200); strings.Contains(state.Text, oldSecret) {
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
	made := b.call("POST", "/admin/clients", object{"grant_types": []string{"client_credentials"}}).want(201)
	if secret := made.str("client_secret"); len(secret) != 26 {
		t.Errorf("a secret of %d characters", len(secret))
	}
	if status, _ := b.ProbeClient(made.str("client_id"), made.str("client_secret")); status != 200 {
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
	token := b.token(oldSecret).want(200).str("access_token")
	b.setSecret(newSecret).want(200).is("client_secret", newSecret).is("owner", "datapass:9001")
	b.opens(oldSecret, false)
	b.opens(newSecret, true)
	if !b.active(token) {
		t.Error("a token that was issued before is dead")
	}
	b.setSecret("abc").want(400).is("error", "invalid_client_metadata")
	b.opens(newSecret, true)
}

func TestAPutResetsWhatItLeavesOutAndKeepsTheSecret(t *testing.T) {
	t.Parallel()
	b := start(t, hydratest.Options{})
	b.create()
	token := b.token(oldSecret).want(200).str("access_token")
	b.Advance(time.Hour / 2)
	put := b.call("PUT", client, object{"client_name": "renamed", "grant_types": []string{"client_credentials"}, "scope": "dgfip"}).want(200)
	put.is("owner", "").is("metadata", map[string]any{}).is("audience", []any{}).is("access_token_strategy", nil).
		is("client_credentials_grant_access_token_lifespan", nil).is("created_at", "2026-01-01T10:50:00Z")
	b.opens(oldSecret, true)
	c, _ := b.Client("dp-9001")
	if c.Owner != "" || c.Strategy != "" || string(c.Metadata) != "{}" || c.ClientCredentialsAccessToken.Set {
		t.Errorf("%+v", c)
	}
	// The answer alone shows another creation date.
	b.call("GET", client, nil).want(200).is("created_at", "2026-01-01T10:20:00Z")
	if b.call("GET", "/admin/clients?owner=datapass:9001", nil).want(200); len(b.Clients()) != 1 {
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
	first := b.call("GET", "/admin/clients?owner=owner-1&page_size=2", nil).want(200)
	first.is("0.client_id", "c1").is("1.client_id", "c3").is("2", nil)
	if total := first.Header.Get("X-Total-Count"); total != "5" {
		t.Errorf("X-Total-Count: %s", total)
	}
	next := nextOf(first)
	if next == "" {
		t.Fatal("no next link")
	}
	if empty := b.call("GET", next, nil).want(200); empty.Text != "[]" {
		t.Errorf("the next page: %s", empty.Text)
	}
}

func nextOf(r result) string {
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
				answer := b.call("GET", path, nil).want(200)
				var list []hydratest.Client
				if err := json.Unmarshal([]byte(answer.Text), &list); err != nil {
					t.Fatal(err)
				}
				for _, c := range list {
					ids = append(ids, c.ID)
				}
				path = nextOf(answer)
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
	b.call("GET", "/admin/clients?page_token=eyJvZmZzZXQiOiIyIiwidiI6Mn0", nil).want(400)
	b.call("GET", "/admin/clients?page_size=many", nil).want(400)
	if total := b.call("GET", "/admin/clients", nil).want(200).Header.Get("X-Total-Count"); total != "" {
		t.Errorf("X-Total-Count: %q", total)
	}
}

func TestTheTwo404MeanDifferentThings(t *testing.T) {
	t.Parallel()
	b := start(t, hydratest.Options{})
	b.create()
	missing := b.call("GET", "/admin/clients/nope", nil).want(404)
	if _, isText := missing.get("error").(string); !isText {
		t.Errorf("a missing client: %s", missing.Text)
	}
	wrong := b.call("POST", rotate, nil).want(404)
	if _, isObject := wrong.get("error").(map[string]any); !isObject {
		t.Errorf("a wrong path: %s", wrong.Text)
	}
	page := b.send("POST", b.AdminURL()+rotate, nil, "").want(404)
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
		answer := b.call("POST", rotate, nil).want(200)
		if strings.Contains(answer.Text, "rotated") {
			t.Errorf("shows old secrets: %s", answer.Text)
		}
		secrets = append(secrets, answer.str("client_secret"))
	}
	for i, secret := range secrets {
		b.opens(secret, i >= len(secrets)-6) // one current, five old
	}
	if live := b.LiveSecrets("dp-9001"); live != 6 {
		t.Errorf("%d secrets", live)
	}

	// Another field leaves them alone.
	b.call("PATCH", client, []object{{"op": "replace", "path": "/scope", "value": "dgfip"}}).want(200)
	b.opens(secrets[2], true)

	b.call("DELETE", rotate, nil).want(200).is("client_secret", nil)
	for i, secret := range secrets {
		b.opens(secret, i == len(secrets)-1)
	}
}

func TestANewSecretOfOursClearsTheRotatedOnes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		set  func(*bundle) result
	}{
		{"by PATCH", func(b *bundle) result { return b.setSecret(newSecret) }},
		{"by PUT", func(b *bundle) result {
			return b.call("PUT", client, object{"grant_types": []string{"client_credentials"}, "client_secret": newSecret})
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := start(t, hydratest.Options{Version: hydratest.VersionRotating})
			b.create()
			rotated := b.call("POST", rotate, nil).want(200).str("client_secret")
			b.opens(oldSecret, true)
			tt.set(b).want(200)
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
	}).want(201)
	for _, method := range []string{"POST", "DELETE"} {
		b.call(method, rotate, nil).want(400).is("error_description",
			"The client is configured to use the 'private_key_jwt' authentication method, which does not support client secret rotation.")
		b.call(method, "/admin/clients/nope/secrets/rotate", nil).want(404).is("error", "Unable to locate the resource")
	}
	b.call("GET", rotate, nil).want(405)
}

func TestAReleaseCanBeSwitched(t *testing.T) {
	t.Parallel()
	b := start(t, hydratest.Options{})
	b.create()
	b.call("POST", rotate, nil).want(404)
	b.call("GET", "/version", nil).want(200).is("version", "v2.3.0")
	b.SetVersion(hydratest.VersionRotating)
	b.call("POST", rotate, nil).want(200)
	b.call("GET", "/version", nil).want(200).is("version", "v26.3.0")
}

func TestAnEncodedClientIDIsTheSameClient(t *testing.T) {
	t.Parallel()
	b := start(t, hydratest.Options{})
	if err := b.AddClient(hydratest.Client{ID: "a/b c"}); err != nil {
		t.Fatal(err)
	}
	b.call("GET", "/admin/clients/a%2Fb%20c", nil).want(200).is("client_id", "a/b c")
}

func TestWithoutItsDatabaseHydraIsAliveAndNotReady(t *testing.T) {
	t.Parallel()
	b := start(t, hydratest.Options{})
	b.create()
	b.SetDatabaseReachable(false)
	b.call("GET", "/health/alive", nil).want(200)
	b.call("GET", "/health/ready", nil).want(503)
	b.send("GET", b.PublicURL()+"/.well-known/jwks.json", nil, "").want(200)
	for _, call := range [][2]string{
		{"GET", "/admin/clients"},
		{"GET", client},
		{"PUT", client},
		{"POST", "/admin/clients"},
		{"DELETE", client},
		{"DELETE", "/admin/oauth2/tokens?client_id=dp-9001"},
	} {
		b.call(call[0], call[1], object{}).want(500)
	}
	b.token(oldSecret).want(500).is("error", "server_error")
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
		answer, err := http.DefaultClient.Do(req)
		if err == nil {
			_ = answer.Body.Close()
			if answer.StatusCode != 201 {
				return fmt.Errorf("status %d", answer.StatusCode)
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
