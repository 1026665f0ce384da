package kongtest_test

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/passerelle-hub/passerelle/connectors/kong/kongtest"
)

func TestAPutOfAConsumerAnswers200WhetherItCreatesOrReplaces(t *testing.T) {
	t.Parallel()
	b := start(t, kongtest.Options{})
	first := b.consumer()
	b.Advance(time.Hour)
	again := b.call("PUT", "/consumers/dp-9001", object{"custom_id": "dp-9001", "tags": []string{"hub"}}).Want(200)
	again.Is("id", first).Is("updated_at", float64(january.Add(time.Hour).Unix())).Is("tags", []any{"hub"})
	if counts := b.Counts(); counts.Consumers != 1 || counts.Groups != 1 {
		t.Errorf("counts: %+v", counts)
	}
}

func TestAPutOfAConsumerWithoutTagsDropsThem(t *testing.T) {
	t.Parallel()
	b := start(t, kongtest.Options{})
	b.consumer()
	b.call("PUT", "/consumers/dp-9001", object{"custom_id": "dp-9001"}).Want(200).Is("tags", nil)
	b.call("PUT", "/consumers/dp-9001", object{"tags": []string{"hub"}}).Want(200).Is("custom_id", nil)
}

func TestAPatchOfAConsumerKeepsWhatItLeavesOut(t *testing.T) {
	t.Parallel()
	b := start(t, kongtest.Options{})
	b.consumer()
	b.call("PATCH", "/consumers/dp-9001", object{"custom_id": "dp-9001-bis"}).Want(200).
		Is("username", "dp-9001").Is("tags", []any{"hub", "datapass-9001"}).Is("custom_id", "dp-9001-bis")
}

func TestAConsumerIsFoundByNameIdAndCustomID(t *testing.T) {
	t.Parallel()
	b := start(t, kongtest.Options{})
	id := b.consumer()
	byName := b.call("GET", "/consumers/dp-9001", nil).Want(200)
	byID := b.call("GET", "/consumers/"+id, nil).Want(200)
	byCustomID := b.call("GET", "/consumers?custom_id=dp-9001", nil).Want(200)
	if byName.Text != byID.Text || byName.Str("id") != byCustomID.Str("data.0.id") {
		t.Errorf("%s\n%s\n%s", byName.Text, byID.Text, byCustomID.Text)
	}
	b.call("GET", "/consumers?custom_id=dp-9002", nil).Want(200).Body(`{"data":[],"next":null}`)
	b.call("GET", "/consumers?custom_id=", nil).Want(400).Body(`{"message":"custom_id must be an unempty string"}`)
	b.call("GET", "/consumers/dp-9002", nil).Want(404).Body(`{"message":"Not found"}`)
	b.call("GET", "/consumers/00000000-0000-4000-8000-0000000000ff", nil).Want(404).Body(`{"message":"Not found"}`)
}

func TestASecondPostOfAConsumerIsAConflict(t *testing.T) {
	t.Parallel()
	b := start(t, kongtest.Options{})
	b.call("POST", "/consumers", object{"username": "dp-9001", "custom_id": "dp-9001"}).Want(201)
	b.call("POST", "/consumers", object{"username": "dp-9001"}).Want(409).Body(
		`{"code":5,"name":"unique constraint violation","message":"UNIQUE violation detected on '{username=\"dp-9001\"}'","fields":{"username":"dp-9001"}}`)
	b.call("PUT", "/consumers/dp-9002", object{"custom_id": "dp-9001"}).Want(409).Is("code", 5.0).Is("fields", map[string]any{"custom_id": "dp-9001"})
	b.call("PUT", "/consumers/dp-9002", object{"custom_id": "dp-9002"}).Want(200)
	b.call("PATCH", "/consumers/dp-9002", object{"custom_id": "dp-9001"}).Want(409).Is("code", 5.0)
}

func TestAnUnknownConsumerAnswers404ExceptToATopLevelDelete(t *testing.T) {
	t.Parallel()
	b := start(t, kongtest.Options{})
	b.call("PATCH", "/consumers/nope", object{"custom_id": "x"}).Want(404).Body(
		`{"code":6,"name":"not found","message":"could not find the entity with '{username=\"nope\"}'","fields":{"username":"nope"}}`)
	b.call("DELETE", "/consumers/nope", nil).Want(204)
	for _, call := range [][2]string{
		{"GET", "acls"},
		{"POST", "acls"},
		{"PUT", "acls/g"},
		{"DELETE", "acls/g"},
		{"GET", "key-auth"},
		{"POST", "key-auth"},
		{"PUT", "key-auth/" + oldID},
		{"PATCH", "key-auth/" + oldID},
		{"DELETE", "key-auth/" + oldID},
		{"POST", "jwt"},
		{"POST", "oauth2"},
	} {
		b.call(call[0], "/consumers/nope/"+call[1], object{}).Want(404).Body(`{"message":"Not found"}`)
	}
}

func TestDeletingAConsumerDeletesWhatBelongsToIt(t *testing.T) {
	t.Parallel()
	b := start(t, kongtest.Options{})
	b.consumer()
	b.issue(oldID, oldKey)
	b.issue(newID, newKey)
	b.call("POST", "/consumers/dp-9001/jwt", object{}).Want(201)
	b.call("POST", "/consumers/dp-9001/oauth2", object{"name": "commune"}).Want(201)
	b.answers(oldKey, 200)
	b.call("DELETE", "/consumers/dp-9001", nil).Want(204)
	if diff := cmp.Diff(kongtest.Counts{}, b.Counts()); diff != "" {
		t.Error(diff)
	}
	b.answers(oldKey, 401)
	b.call("GET", "/key-auths/"+newID, nil).Want(404)
}

func TestConsumersAreListedAPageAtATime(t *testing.T) {
	t.Parallel()
	b := start(t, kongtest.Options{})
	const total = 230
	for i := range total {
		tags := []string{"hub"}
		if i%50 == 0 {
			tags = append(tags, "fifty")
		}
		if _, err := b.AddConsumer(kongtest.Consumer{Username: fmt.Sprintf("dp-%d", i), Tags: tags}); err != nil {
			t.Fatal(err)
		}
	}
	walk := func(path string) (names map[string]bool, pages int) {
		names = map[string]bool{}
		for path != "" {
			reply := b.call("GET", path, nil).Want(200)
			pages++
			list, _ := reply.Get("data").([]any)
			for _, item := range list {
				names[item.(map[string]any)["username"].(string)] = true
			}
			path = reply.Str("next")
			if offset := reply.Str("offset"); (offset != "") != (path != "") {
				t.Fatalf("offset %q, next %q", offset, path)
			}
		}
		return names, pages
	}
	for _, tt := range []struct {
		name, path   string
		total, pages int
	}{
		{"a hundred by default", "/consumers", total, 3},
		{"the size asked for", "/consumers?size=230", total, 1},
		{"with one tag", "/consumers?tags=fifty&size=2", 5, 3},
		{"with both tags", "/consumers?tags=hub,fifty", 5, 1},
		{"with either tag", "/consumers?tags=fifty/hub&size=120", total, 2},
		{"with a tag nobody has", "/consumers?tags=none", 0, 1},
	} {
		if names, pages := walk(tt.path); len(names) != tt.total || pages != tt.pages {
			t.Errorf("%s: %d consumers on %d pages, want %d on %d", tt.name, len(names), pages, tt.total, tt.pages)
		}
	}
}

func TestAFaultyPageIsRefused(t *testing.T) {
	t.Parallel()
	b := start(t, kongtest.Options{})
	for _, tt := range []struct {
		name, query string
		code        float64
		message     string
	}{
		{"a size that is no number", "size=many", 9, "size must be a number"},
		{"a size of zero", "size=0", 9, "size must be an integer between 1 and 1000"},
		{"a size above the limit", "size=1001", 9, "size must be an integer between 1 and 1000"},
		{"an offset that is not base64", "offset=!", 7, "'!' is not a valid offset: bad base64 encoding"},
		{"an offset that is not JSON", "offset=YWJj", 7, "'YWJj' is not a valid offset: bad json encoding"},
		{"no tag", "tags=", 11, "invalid option (tags: cannot be null)"},
		{"and with or", "tags=a,b/c", 11, "invalid option (tags: invalid filter syntax)"},
		{"six tags", "tags=a,b,c,d,e,f", 11, "invalid option (tags: cannot query more than 5 tags)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			reply := b.call("GET", "/consumers?"+tt.query, nil).Want(400)
			reply.Is("code", tt.code).Is("message", tt.message)
		})
	}
}

func TestAFaultyConsumerIsRefusedWithEachFault(t *testing.T) {
	t.Parallel()
	b := start(t, kongtest.Options{})
	for _, tt := range []struct {
		name    string
		body    object
		message string
	}{
		{"an unknown field", object{"username": "a", "ttl": 3}, "schema violation (ttl: unknown field)"},
		{"a number for a name", object{"username": 3}, "2 schema violations (at least one of these fields must be non-empty: 'custom_id', 'username'; username: expected a string)"},
		{"an id that is none", object{"username": "a", "id": "x"}, "schema violation (id: expected a valid UUID)"},
		{"a tag with a comma", object{"username": "a", "tags": []string{"fine", "b,c"}}, "schema violation (tags.2: invalid tag 'b,c': expected printable ascii (except `,` and `/`) or valid utf-8 sequences)"},
		{"tags that are an object", object{"username": "a", "tags": object{"b": 1}}, "schema violation (tags: expected a set)"},
		{"an empty name", object{"username": ""}, "schema violation (at least one of these fields must be non-empty: 'custom_id', 'username')"},
		{"a date that is no number", object{"username": "a", "created_at": 1.5}, "schema violation (created_at: expected an integer)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b.call("POST", "/consumers", tt.body).Want(400).Is("code", 2.0).Is("name", "schema violation").Is("message", tt.message)
		})
	}
	b.call("POST", "/consumers", object{"id": sampleConsumer, "username": "a"}).Want(201)
	b.call("POST", "/consumers", object{"id": sampleConsumer, "username": "b"}).Want(400).Is("code", 3.0)
}

func TestABodyIsJSONOrAForm(t *testing.T) {
	t.Parallel()
	b := start(t, kongtest.Options{})
	const multipart = "--x\r\nContent-Disposition: form-data; name=\"custom_id\"\r\n\r\nfrom-multipart\r\n--x--\r\n"
	for _, tt := range []struct {
		name, contentType, body string
		status                  int
		reply                   string
	}{
		{"JSON with a charset", "application/json; charset=utf-8", `{"custom_id":"a"}`, 200, ""},
		{"a form", "application/x-www-form-urlencoded", "custom_id=a&tags=one&tags=two", 200, ""},
		{"a form with indices", "application/x-www-form-urlencoded", "custom_id=a&tags[]=one", 200, ""},
		{"multipart", "multipart/form-data; boundary=x", multipart, 200, ""},
		{"broken multipart", "multipart/form-data; boundary=x", "--x", 400, `{"message":"Cannot parse form body"}`},
		{"a broken form", "application/x-www-form-urlencoded", "a=%zz", 400, `{"message":"Cannot parse form body"}`},
		{"half of a JSON", "application/json", `{"custom_id":`, 400, `{"message":"Cannot parse JSON body"}`},
		{"JSON that is no object", "application/json", `[1]`, 400, `{"message":"Cannot parse JSON body"}`},
		{"JSON that is empty", "application/json", ``, 400, `{"message":"Cannot parse JSON body"}`},
		{"no body and no type", "", ``, 200, ""},
		{"a body without type", "", `{"custom_id":"a"}`, 415, ""},
		{"another type", "text/plain", `custom_id=a`, 415, ""},
		{"XML", "application/xml", `<a/>`, 415, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			reply := b.written("PUT", "/consumers/dp-9001", tt.contentType, tt.body).Want(tt.status)
			switch {
			case tt.reply != "":
				reply.Body(tt.reply)
			case tt.status == http.StatusUnsupportedMediaType && reply.Text != "":
				t.Errorf("415 has a body: %q", reply.Text)
			}
		})
	}
	b.written("PUT", "/consumers/dp-9001", "application/x-www-form-urlencoded", "custom_id=a&tags=one&tags=two").
		Is("tags", []any{"one", "two"})
	b.written("PUT", "/consumers/dp-9001", "application/x-www-form-urlencoded", "tags=one").Is("tags", []any{"one"})
}

func TestPathsAndMethodsThatKongDoesNotHave(t *testing.T) {
	t.Parallel()
	b := start(t, kongtest.Options{})
	b.consumer()
	b.issue(oldID, oldKey)
	b.call("GET", "/nope", nil).Want(404).Body(`{"message":"Not found"}`)
	b.call("DELETE", "/consumers", nil).Want(405).Body(`{"message":"Method not allowed"}`)
	b.call("POST", "/consumers/dp-9001", object{}).Want(405).Body(`{"message":"Method not allowed"}`)
	b.call("DELETE", "/key-auths/"+oldID+"/consumer", nil).Want(405)
	if allow := b.call("OPTIONS", "/consumers", nil).Want(204).Header.Get("Allow"); allow != "GET, HEAD, OPTIONS, POST" {
		t.Errorf("Allow: %q", allow)
	}
	if reply := b.call("HEAD", "/consumers/dp-9001", nil).Want(200); reply.Text != "" {
		t.Errorf("HEAD has a body: %q", reply.Text)
	}
	b.call("GET", "/consumers/dp-9001/", nil).Want(200).Is("username", "dp-9001")
}

func TestANameMayHoldWhatAPathEncodes(t *testing.T) {
	t.Parallel()
	b := start(t, kongtest.Options{})
	const name = "commune/a b%é"
	b.call("PUT", "/consumers/"+url.PathEscape(name), object{}).Want(200).Is("username", name)
	b.call("GET", "/consumers/"+url.PathEscape(name), nil).Want(200).Is("username", name)
}
