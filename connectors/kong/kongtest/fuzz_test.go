package kongtest

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

var january = time.Date(2026, 1, 1, 10, 20, 0, 0, time.UTC)

// Whatever is sent, the admin API answers with a status of its own and never
// keeps a row without id.
func FuzzWrites(f *testing.F) {
	f.Add("PUT", "consumers/dp-9001", "application/json", `{"custom_id":"dp-9001","tags":["a",""]}`)
	f.Add("POST", "consumers", "application/x-www-form-urlencoded", "custom_id=a&tags[]=b&consumer.id=c")
	f.Add("PUT", "consumers/dp-9001/key-auth/k", "application/json", `{"key":null,"ttl":"3","consumer":{"id":3}}`)
	f.Add("POST", "key-auths", "application/json", `{"consumer":{"username":"dp-9001"},"id":null}`)
	f.Add("PATCH", "consumers/dp-9001/acls/g", "application/json", `{"group":null}`)
	f.Add("POST", "consumers/dp-9001/jwt", "multipart/form-data; boundary=x", "--x\r\n\r\n--x--")
	f.Add("POST", "consumers/dp-9001/oauth2", "application/json", `{"name":[],"redirect_uris":[3,"x:"]}`)
	s := &Server{opts: Options{}}
	s.Server = partnertest.New(partnertest.Options{Name: "kong", Reset: s.reset})
	handler := s.admin()
	f.Fuzz(func(t *testing.T, method, path, media, body string) {
		switch method {
		case http.MethodPut, http.MethodPost, http.MethodPatch, http.MethodDelete:
		default:
			method = http.MethodPut
		}
		s.Reset()
		if _, err := s.AddConsumer(Consumer{Username: "dp-9001", Groups: []string{"g"}}); err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequestWithContext(t.Context(), method, "/", strings.NewReader(body))
		r.URL.Path = "/" + path
		r.Header.Set("Content-Type", media)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code < 200 || w.Code > 599 {
			t.Errorf("status %d", w.Code)
		}
		for _, of := range schemas {
			for _, e := range s.tables[of].order {
				if e.id() == "" || (of != consumers && s.tables[consumers].byID[e.consumer] == nil) {
					t.Errorf("%s: a row without id or consumer: %v", of.name, e.values)
				}
			}
		}
	})
}

func FuzzOffsets(f *testing.F) {
	f.Add("WyJhIl0", "100", "a,b")
	f.Add("", "1e3", "a/b")
	f.Fuzz(func(t *testing.T, offset, size, tags string) {
		query := map[string][]string{"offset": {offset}, "size": {size}, "tags": {tags}}
		filter, err := readTags(query)
		if err == nil {
			_, err = paged(nil, consumers, query, filter, january, func(string) string { return "" })
		}
		var refused *refusal
		if err != nil && (!errors.As(err, &refused) || refused.status != http.StatusBadRequest) {
			t.Errorf("not a refusal: %v", err)
		}
	})
}
