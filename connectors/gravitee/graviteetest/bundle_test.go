package graviteetest_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/passerelle-hub/passerelle/connectors/gravitee/graviteetest"
	"github.com/passerelle-hub/passerelle/connectors/partnertest"
	"github.com/passerelle-hub/passerelle/connectors/partnertest/answer"
)

const (
	v1         = "/management/organizations/DEFAULT/environments/DEFAULT"
	v2         = "/management/v2/organizations/DEFAULT/environments/DEFAULT"
	automation = "/automation/organizations/DEFAULT/environments/DEFAULT"
	subs       = v2 + "/apis/" + graviteetest.DemoAPI + "/subscriptions"

	oldKey = "psk_test_7Qm2Zr9LxT4cVb8NwKd3Hs6YpFjG1a240k77"
	newKey = "psk_test_Bf5Rt1Xv9Zc3Mn7Lk2Jh6Gd4Sa8Pq04PWoe1"
)

var january = time.Date(2026, 1, 1, 10, 20, 0, 0, time.UTC)

type object = answer.Object

type bundle struct {
	*graviteetest.Server
	t *testing.T
}

// start runs a simulator whose clock stands still at january.
func start(t *testing.T, opts graviteetest.Options) *bundle {
	t.Helper()
	if opts.Clock == nil {
		opts.Clock = partnertest.NewFrozenClock(january)
	}
	srv, err := graviteetest.Start(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = srv.Close() })
	return &bundle{srv, t}
}

func (b *bundle) bearer() http.Header {
	return http.Header{"Authorization": {"Bearer " + b.Token()}}
}

// call speaks to the management listener.
func (b *bundle) call(method, path string, body any) answer.Answer {
	b.t.Helper()
	return answer.ToJSON(b.t, method, b.ManagementURL()+path, b.bearer(), body)
}

func (b *bundle) application(ref string) string {
	b.t.Helper()
	return b.call("POST", v1+"/applications", object{
		"name": "Commune de Valfleury", "description": "DataPass 9001", "clientId": ref, "api_key_mode": "EXCLUSIVE",
	}).Want(201).Str("id")
}

// subscribe makes an accepted subscription of a new application with a key of ours.
func (b *bundle) subscribe(ref, key string) (sub, keyID string) {
	b.t.Helper()
	body := object{"applicationId": b.application(ref), "planId": graviteetest.DemoPlan}
	if key != "" {
		body["customApiKey"] = key
	}
	sub = b.call("POST", subs, body).Want(201).Str("id")
	return sub, b.keys(sub).Str("data.0.id")
}

func (b *bundle) keys(sub string) answer.Answer {
	b.t.Helper()
	return b.call("GET", subs+"/"+sub+"/api-keys", nil).Want(200)
}

// gateway calls the demo API with a key.
func (b *bundle) gateway(key string) int {
	b.t.Helper()
	return answer.ToJSON(b.t, "GET", b.GatewayURL()+graviteetest.DemoPath+"/v1/qf", http.Header{"X-Gravitee-Api-Key": {key}}, nil).Status
}

// lives checks a key on both gateways: the HTTP one and Probe.
func (b *bundle) lives(key string, want bool) {
	b.t.Helper()
	status := 401
	if want {
		status = 200
	}
	probe, _ := b.Probe(key)
	if got := b.gateway(key); got != status || probe != status {
		b.t.Errorf("gateway %d, probe %d, want %d", got, probe, status)
	}
}
