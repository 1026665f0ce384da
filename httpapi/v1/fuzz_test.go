package v1

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/passerelle-hub/passerelle/internal/store"
)

// FuzzBodies: whatever is sent is read, or refused with a status and a title of
// the API.
func FuzzBodies(f *testing.F) {
	for _, seed := range []string{
		`{"demande":{"form_uid":"api-entreprise","applicant":{"email":"a@b.fr"},"organization":{"siret":"21380999900013"},"data":{"scopes":["a"]}}}`,
		`{"demande":{"data":{"intitule":"a\u0000b"}}}`, `{"demande":[]}`, `{"demande":{"applicant":{"email":{}}}}`, `[]`, `null`, `{"demande":null}`, `{"DEMANDE":{}}`, `{`, ``,
		`{"demande":{"data":` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + `}}`,
	} {
		f.Add([]byte(seed))
	}
	h := &Handler{MaxBody: 1 << 16}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, into := range []any{&creation{}, &change{}} {
			r := httptest.NewRequest(http.MethodPost, "/demandes", strings.NewReader(string(body)))
			r.Header.Set("Content-Type", "application/json")
			raw, err := h.readJSON(httptest.NewRecorder(), r, into)
			if err == nil {
				if !json.Valid(raw) {
					t.Errorf("%q was taken", raw)
				}
				continue
			}
			var known *failure
			if !errors.As(err, &known) || !slices.Contains([]int{400, 413, 422}, known.status) || known.errors[0].Title == "" {
				t.Errorf("%q: %v", body, err)
			}
		}
	})
}

// FuzzLists: whatever is asked of a list is within its bounds, or 400 with the
// parameter at fault.
func FuzzLists(f *testing.F) {
	f.Add("10", "0", "", "2026-01-01", "draft")
	f.Add("-1", "99999999999999999999", encodeCursor(store.Cursor{At: time.Unix(1, 0), ID: 3}, false), "", "\x00")
	f.Add("1e3", "0x10", "e30", "2026-01-01T00:00:00 01:00", "")
	f.Fuzz(func(t *testing.T, limit, offset, cursor, since, state string) {
		r := httptest.NewRequest(http.MethodGet, "/demandes", nil)
		values := r.URL.Query()
		for name, value := range map[string]string{"limit": limit, "offset": offset, "cursor": cursor, "updated_since": since, "state[]": state} {
			values.Set(name, value)
		}
		r.URL.RawQuery = values.Encode()
		q, err := readQuery(r)
		var refused *failure
		switch {
		case errors.As(err, &refused):
			if refused.status != http.StatusBadRequest || refused.errors[0].Source == nil {
				t.Errorf("%v", refused.errors)
			}
		case err != nil:
			t.Error(err)
		case q.page.Limit < 1 || q.page.Limit > maxLimit || q.page.Offset < 0 || q.page.Offset > maxOffset:
			t.Errorf("%+v", q.page)
		case q.page.After != nil:
			again, err := readCursor(encodeCursor(*q.page.After, !q.updatedSince.IsZero()), !q.updatedSince.IsZero())
			if err != nil || again.ID != q.page.After.ID || !again.At.Equal(q.page.After.At) {
				t.Errorf("%+v %v", again, err)
			}
		}
	})
}

func FuzzIDs(f *testing.F) {
	for _, seed := range []string{"D123", "h1", "", "D", "123456789012345678901", "1_0", "+1", "١"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		id, err := readID(text, "D")
		if err == nil && id <= 0 || err != nil && !errors.Is(err, errNotFound) {
			t.Errorf("%q: %d %v", text, id, err)
		}
	})
}
