package tyktest_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
	"github.com/passerelle-hub/passerelle/connectors/partnertest/answer"
	"github.com/passerelle-hub/passerelle/connectors/tyk/tyktest"
)

const (
	custom = "datapass9001k1"
	hashed = "be302e24a9c41644"
	token  = "eyJvcmciOiJkZWZhdWx0IiwiaWQiOiJkYXRhcGFzczkwMDFrMSIsImgiOiJtdXJtdXI2NCJ9"
)

var january = time.Date(2026, 1, 1, 10, 20, 0, 0, time.UTC)

type object = answer.Object

type bundle struct {
	*tyktest.Server
	t *testing.T
}

// start runs a simulator whose clock stands still at january.
func start(t *testing.T, opts tyktest.Options) *bundle {
	t.Helper()
	if opts.Clock == nil {
		opts.Clock = partnertest.NewFrozenClock(january)
	}
	srv, err := tyktest.Start(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = srv.Close() })
	return &bundle{srv, t}
}

// call speaks to the control API.
func (b *bundle) call(method, path string, body any) answer.Answer {
	b.t.Helper()
	header := http.Header{"X-Tyk-Authorization": {b.Secret()}}
	return answer.ToJSON(b.t, method, b.ControlURL()+path, header, body)
}

// key is the body of a key that the policy opens.
func key(changes ...func(object)) object {
	body := object{
		"alias": "dp-9001", "org_id": "default", "apply_policies": []string{"api-particulier"}, "expires": 1900000000,
		"meta_data": object{"hub_ref": "dp-9001-c1"}, "tags": []string{"dp-9001"},
	}
	for _, change := range changes {
		change(body)
	}
	return body
}

func with(name string, value any) func(object) { return func(body object) { body[name] = value } }

func without(names ...string) func(object) {
	return func(body object) {
		for _, name := range names {
			delete(body, name)
		}
	}
}

// add makes the custom key of the samples.
func (b *bundle) add(changes ...func(object)) answer.Answer {
	b.t.Helper()
	return b.call("POST", "/tyk/keys/"+custom, key(changes...)).Want(200)
}

func (b *bundle) put(changes ...func(object)) answer.Answer {
	b.t.Helper()
	return b.call("PUT", "/tyk/keys/"+token+"?suppress_reset=1", key(changes...))
}

// proxied calls an API with a key in one of its forms.
func (b *bundle) proxied(path, presented string) answer.Answer {
	b.t.Helper()
	header := http.Header{}
	if presented != "" {
		header.Set("X-Api-Key", presented)
	}
	return answer.To(b.t, "GET", b.ProxyURL()+path, header, "")
}

// answers checks a form of a key at the proxy.
func (b *bundle) answers(presented string, status int, message string) {
	b.t.Helper()
	got := b.proxied("/dgfip/v1/qf", presented)
	if got.Status != status || message != "" && got.Str("error") != message {
		b.t.Errorf("got %d %s, want %d %s", got.Status, got.Text, status, message)
	}
}

const (
	expired    = "Key has expired, please renew"
	inactive   = "Key is inactive, please renew"
	disallowed = "Access to this API has been disallowed"
)
