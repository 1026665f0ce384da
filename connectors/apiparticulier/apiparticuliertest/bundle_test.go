package apiparticuliertest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
	"github.com/passerelle-hub/passerelle/connectors/partnertest/contracts"
)

const (
	majastres = "21040107100019"
	plouvenez = "21350998700011"
	keyMaj    = "api-particulier-simulator-key-majastres"
	keyPlou   = "api-particulier-simulator-key-plouvenez"
	keyEditor = "api-particulier-simulator-key-editor"

	byFC = "/v3/dss/quotient_familial/france_connect"
	byID = "/v3/dss/quotient_familial/identite"
)

// september is a day when the CAF has computed, in the month of the samples.
var september = time.Date(2026, 9, 21, 8, 0, 0, 0, time.UTC)

type bundle struct {
	*Server
	t     *testing.T
	clock *partnertest.Clock
}

func start(t *testing.T, change ...func(*Switches)) *bundle {
	t.Helper()
	return startWith(t, Options{}, change...)
}

func startWith(t *testing.T, opts Options, change ...func(*Switches)) *bundle {
	t.Helper()
	clock := opts.Clock
	if clock == nil {
		clock = partnertest.NewFrozenClock(september)
		opts.Clock = clock
	}
	s, err := Start(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	for _, one := range change {
		s.SetSwitches(one)
	}
	return &bundle{s, t, clock}
}

func april(s *Switches)     { s.Numbering = April }
func unlimited(s *Switches) { s.FCPerMinute, s.FCPerHour, s.KeyPerMinute = -1, -1, -1 }
func freed(s *Switches)     { s.LockFreed = true }

type result struct {
	t      *testing.T
	Status int
	Header http.Header
	Text   string
}

func (r result) want(status int) result {
	r.t.Helper()
	if r.Status != status {
		r.t.Fatalf("got %d %s, want %d", r.Status, r.Text, status)
	}
	return r
}

// codes lists the codes of errors[].
func (r result) codes() string {
	r.t.Helper()
	var body struct {
		Errors []struct {
			Code string `json:"code"`
		} `json:"errors"`
	}
	if err := json.Unmarshal([]byte(r.Text), &body); err != nil {
		r.t.Fatalf("%v: %s", err, r.Text)
	}
	var out []string
	for _, one := range body.Errors {
		out = append(out, one.Code)
	}
	return strings.Join(out, " ")
}

func (r result) refused(status int, codes string) result {
	r.t.Helper()
	if r.Status != status || r.codes() != codes {
		r.t.Errorf("got %d %s, want %d %s", r.Status, r.Text, status, codes)
	}
	return r
}

// get walks the JSON with a path like "data.quotient_familial.valeur".
func (r result) get(path string) any {
	r.t.Helper()
	var at any
	if err := json.Unmarshal([]byte(r.Text), &at); err != nil {
		r.t.Fatalf("%d %q: %v", r.Status, r.Text, err)
	}
	for name := range strings.SplitSeq(path, ".") {
		switch value := at.(type) {
		case map[string]any:
			at = value[name]
		case []any:
			var i int
			if _, err := fmt.Sscan(name, &i); err != nil || i >= len(value) {
				return nil
			}
			at = value[i]
		default:
			return nil
		}
	}
	return at
}

func (b *bundle) send(method, path, token, body string, header ...string) result {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, b.URL()+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	answered, err := http.DefaultClient.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = answered.Body.Close() }()
	text, err := io.ReadAll(answered.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return result{b.t, answered.StatusCode, answered.Header, string(text)}
}

// citizen calls with a FranceConnect token of the seed: "fontanel".
func (b *bundle) citizen(person, recipient, more string, header ...string) result {
	b.t.Helper()
	return b.send("GET", byFC+"?recipient="+recipient+more, "fc-"+person, "", header...)
}

// identity are good parameters of a person of the seed.
func (b *bundle) identity(person string, change ...func(url.Values)) url.Values {
	b.t.Helper()
	for _, p := range b.seed.People {
		if p.ID != person {
			continue
		}
		i := p.Identity
		values := url.Values{
			"recipient": {majastres}, "nomNaissance": {i.FamilyName}, "prenoms[]": i.GivenNames, "sexeEtatCivil": {i.Gender},
			"codeCogInseePaysNaissance": {i.Birthcountry}, "anneeDateNaissance": {i.Birthdate[:4]},
		}
		if i.Birthplace != "" {
			values.Set("codeCogInseeCommuneNaissance", i.Birthplace)
		}
		if len(i.Birthdate) == 10 {
			values.Set("moisDateNaissance", i.Birthdate[5:7])
			values.Set("jourDateNaissance", i.Birthdate[8:])
		}
		for _, one := range change {
			one(values)
		}
		return values
	}
	b.t.Fatalf("no person %s", person)
	return nil
}

func set(name string, values ...string) func(url.Values) {
	return func(v url.Values) {
		v[name] = values
		if len(values) == 0 {
			delete(v, name)
		}
	}
}

func (b *bundle) ask(key string, values url.Values, header ...string) result {
	b.t.Helper()
	return b.send("GET", byID+"?"+values.Encode(), key, "", header...)
}

func same(t *testing.T, name, text string) {
	t.Helper()
	want, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	var wanted, got any
	if err := json.Unmarshal(want, &wanted); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	if diff := cmp.Diff(wanted, got); diff != "" {
		t.Errorf("%s (-sample +answer):\n%s", name, diff)
	}
}

func TestTestdataIsTheContracts(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(contracts.Dir(t), "api-particulier")
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal(err, len(files))
	}
	for _, file := range files {
		want, err := os.ReadFile(filepath.Join(dir, filepath.Base(file)))
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if string(want) != string(got) {
			t.Errorf("%s is not the contract's", file)
		}
	}
}
