package kongtest_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/passerelle-hub/passerelle/connectors/kong/kongtest"
	"github.com/passerelle-hub/passerelle/connectors/partnertest"
	"github.com/passerelle-hub/passerelle/connectors/partnertest/answer"
)

const (
	oldKey = "psk_test_7Qm2Zr9LxT4cVb8NwKd3Hs6YpFjG1a240k77"
	newKey = "psk_test_Bf5Rt1Xv9Zc3Mn7Lk2Jh6Gd4Sa8Pq04PWoe1"

	oldID = "00000000-0000-4000-8000-000000000031"
	newID = "00000000-0000-4000-8000-000000000032"
)

var january = time.Date(2026, 1, 1, 10, 20, 0, 0, time.UTC)

type object = answer.Object

type bundle struct {
	*kongtest.Server
	t *testing.T
}

// start runs a simulator whose clock stands still at january.
func start(t *testing.T, opts kongtest.Options) *bundle {
	t.Helper()
	if opts.Clock == nil {
		opts.Clock = partnertest.NewFrozenClock(january)
	}
	srv, err := kongtest.Start(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = srv.Close() })
	return &bundle{srv, t}
}

// call speaks JSON to the admin API.
func (b *bundle) call(method, path string, body any) answer.Answer {
	b.t.Helper()
	return answer.ToJSON(b.t, method, b.AdminURL()+path, nil, body)
}

// written sends a body of any type.
func (b *bundle) written(method, path, contentType, body string) answer.Answer {
	b.t.Helper()
	header := http.Header{}
	if contentType != "" {
		header.Set("Content-Type", contentType)
	}
	return answer.To(b.t, method, b.AdminURL()+path, header, body)
}

// consumer makes dp-9001 with the group dgfip, and gives its id.
func (b *bundle) consumer() string {
	b.t.Helper()
	id := b.call("PUT", "/consumers/dp-9001", object{"custom_id": "dp-9001", "tags": []string{"hub", "datapass-9001"}}).
		Want(200).Str("id")
	b.call("PUT", "/consumers/dp-9001/acls/dgfip", object{}).Want(200)
	return id
}

func (b *bundle) issue(id, key string) answer.Answer {
	b.t.Helper()
	return b.call("PUT", "/consumers/dp-9001/key-auth/"+id, object{"key": key}).Want(200)
}

func (b *bundle) proxied(path, key string) answer.Answer {
	b.t.Helper()
	header := http.Header{}
	if key != "" {
		header.Set("apikey", key)
	}
	return answer.To(b.t, "GET", b.ProxyURL()+path, header, "")
}

// answers checks a key on both proxies: the HTTP one and Probe.
func (b *bundle) answers(key string, want int) {
	b.t.Helper()
	probe, _ := b.Probe(key)
	if got := b.proxied("/dgfip/v1/qf", key).Status; got != want || probe != want {
		b.t.Errorf("proxy %d, probe %d, want %d", got, probe, want)
	}
}
