package problem_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/httpapi/problem"
)

type shape struct {
	embedded
	Text    string            `json:"text"`
	Absent  string            `json:"absent,omitempty"`
	List    []string          `json:"list"`
	Nothing *int              `json:"nothing"`
	At      time.Time         `json:"at"`
	Never   time.Time         `json:"never"`
	ID      uuid.UUID         `json:"id"`
	Any     any               `json:"any"`
	Texts   map[string]string `json:"texts"`
	Raw     json.RawMessage   `json:"raw"`
	Inner   []*embedded       `json:"inner,omitempty"`
	hidden  string
}

type embedded struct {
	Number int64   `json:"number"`
	Ratio  float64 `json:"ratio"`
	Yes    bool    `json:"yes"`
}

// Answers are written by another encoder than the standard library's: byte for
// byte they are the same.
func TestAnswersAreWrittenAsTheStandardLibraryWouldWriteThem(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "Élodie <script>&amp;\"'\\/", "\x00\x01\x1f\x7f\b\f\n\r\t", "\u2028 \u2029 \ufeff \U0001F600", "coupé \xff\xc3\x28 là", "\xed\xa0\x80",
	} {
		for _, v := range []any{
			shape{Text: text, hidden: text},
			&shape{
				embedded: embedded{-1 << 62, 1e21, true}, Text: text, Absent: text, List: []string{}, At: time.Date(2026, 3, 24, 11, 5, 18, 120_000_000, time.FixedZone("", 3600)),
				ID: uuid.MustParse("00000000-0000-4000-8000-5152454e4551"), Raw: json.RawMessage(`{"b":1,"a":[null]}`),
				Any:   map[string]any{"z": text, "a": []string{text}, "é": 12, "m": true, "n": nil, text: []any{1.5, "x"}},
				Texts: map[string]string{"b": text, "a": "", "A": "x", text: text}, Inner: []*embedded{{Ratio: 0.1}, nil},
			},
			map[string]any{"list": []any{}, "none": map[string]string(nil)},
			[]string(nil), text, 12, nil,
		} {
			var want bytes.Buffer
			if err := json.NewEncoder(&want).Encode(v); err != nil {
				t.Fatal(err)
			}
			got := httptest.NewRecorder()
			problem.JSON(got, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody), http.StatusOK, v)
			if got.Body.String() != want.String() {
				t.Errorf("%q:\n%s%s", text, got.Body, &want)
			}
			if length := got.Header().Get("Content-Length"); length != strconv.Itoa(want.Len()) {
				t.Errorf("Content-Length is %s, want %d", length, want.Len())
			}
		}
	}
}

func TestAListIsSentPartByPart(t *testing.T) {
	t.Parallel()
	broken := errors.New("the database is gone")
	for name, c := range map[string]struct {
		parts [][]int
		fails int // at this part; -1: never
		want  string
	}{
		"nothing": {nil, -1, "[]\n"}, "an empty part": {[][]int{{}}, -1, "[]\n"}, "one part": {[][]int{{1, 2}}, -1, "[1,2]\n"},
		"parts, one empty": {[][]int{{1}, {}, {2, 3}}, -1, "[1,2,3]\n"}, "a fault before the first": {[][]int{{1}}, 0, "told"}, "a later one": {[][]int{{1}, {2}}, 1, "cut"},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			err := problem.List(w, r, func(yield func([]int, error) bool) {
				for i, part := range c.parts {
					if i == c.fails {
						yield(nil, broken)
						return
					}
					if !yield(part, nil) {
						return
					}
				}
			})
			if err != nil {
				http.Error(w, "told", http.StatusServiceUnavailable)
			}
		}))
		t.Cleanup(server.Close)
		resp, err := http.Get(server.URL)
		if err != nil {
			if c.want != "cut" {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		switch {
		case c.want == "cut":
			if err == nil {
				t.Errorf("%s: %d %q, whole", name, resp.StatusCode, body)
			}
		case c.want == "told":
			if resp.StatusCode != http.StatusServiceUnavailable {
				t.Errorf("%s: %d %q", name, resp.StatusCode, body)
			}
		case string(body) != c.want || err != nil:
			t.Errorf("%s: %q %v", name, body, err)
		}
	}
}
