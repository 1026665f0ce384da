// Package answer holds what the tests of the simulators ask with: a call over real
// HTTP, and its answer with the checks that fail the test.
package answer

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Object is a JSON object.
type Object map[string]any

// Answer is what came back, its body read whole.
type Answer struct {
	t      testing.TB
	Status int
	Header http.Header
	Text   string
}

// client takes answers as they are sent, and follows nothing.
var client = &http.Client{
	Transport:     &http.Transport{DisableCompression: true, DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// To sends a body as it is; an answer that does not come fails the test.
func To(t testing.TB, method, url string, header http.Header, body string) Answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		req.Header[name] = values
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return Answer{t, resp.StatusCode, resp.Header, string(text)}
}

// ToJSON sends a value as JSON; none is sent for nil.
func ToJSON(t testing.TB, method, url string, header http.Header, body any) Answer {
	t.Helper()
	if body == nil {
		return To(t, method, url, header, "")
	}
	var text bytes.Buffer
	if err := json.NewEncoder(&text).Encode(body); err != nil {
		t.Fatal(err)
	}
	header = header.Clone()
	if header == nil {
		header = http.Header{}
	}
	header.Set("Content-Type", "application/json")
	return To(t, method, url, header, text.String())
}

// Get walks the answer's JSON with a path like "data.0.id", "" being the whole; what
// is not there is nil.
func (a Answer) Get(path string) any {
	a.t.Helper()
	var at any
	if err := json.Unmarshal([]byte(a.Text), &at); err != nil {
		a.t.Fatalf("%d %q: %v", a.Status, a.Text, err)
	}
	if path == "" {
		return at
	}
	for name := range strings.SplitSeq(path, ".") {
		switch value := at.(type) {
		case map[string]any:
			at = value[name]
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i >= len(value) {
				return nil
			}
			at = value[i]
		default:
			return nil
		}
	}
	return at
}

// Str is Get of a text; "" when it is none.
func (a Answer) Str(path string) string {
	a.t.Helper()
	text, _ := a.Get(path).(string)
	return text
}

// Time is Get of an instant of RFC 3339.
func (a Answer) Time(path string) time.Time {
	a.t.Helper()
	at, err := time.Parse(time.RFC3339Nano, a.Str(path))
	if err != nil {
		a.t.Fatalf("%s in %s: %v", path, a.Text, err)
	}
	return at
}

// Want ends the test unless the status is this one.
func (a Answer) Want(status int) Answer {
	a.t.Helper()
	if a.Status != status {
		a.t.Fatalf("got %d %s, want %d", a.Status, a.Text, status)
	}
	return a
}

// Is checks one value of the answer.
func (a Answer) Is(path string, want any) Answer {
	a.t.Helper()
	if diff := cmp.Diff(want, a.Get(path)); diff != "" {
		a.t.Errorf("%s (-want +got):\n%s", path, diff)
	}
	return a
}

// Body compares the whole JSON answer, and checks that it says what it is.
func (a Answer) Body(want string) Answer {
	a.t.Helper()
	var wanted any
	if err := json.Unmarshal([]byte(want), &wanted); err != nil {
		a.t.Fatal(err)
	}
	if diff := cmp.Diff(wanted, a.Get("")); diff != "" {
		a.t.Errorf("body (-want +got):\n%s", diff)
	}
	if media := a.Header.Get("Content-Type"); !strings.HasPrefix(media, "application/json") {
		a.t.Errorf("content type %q", media)
	}
	return a
}
