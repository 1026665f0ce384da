package token

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/passerelle-hub/passerelle/connectors/partnertest/contracts"
)

// The vectors of tokens.md, 7.2.
var vectors = []struct {
	value string
	kind  Kind
	env   Env
	show  string
}{
	{"psk_live_0000000000000000000000000000004HT7zC", ClientKey, Live, "psk_live_…T7zC"},
	{"psk_test_7Qm2Zr9LxT4cVb8NwKd3Hs6YpFjG1a240k77", ClientKey, Test, "psk_test_…0k77"},
	{"pse_live_aZ09bY18cX27dW36eV45fU54gT63hS0I5N7u", EditorSecret, Live, "pse_live_…5N7u"},
}

func TestTheContractsVectorsAreRecognised(t *testing.T) {
	for _, v := range vectors {
		got, err := Parse(v.value)
		if err != nil {
			t.Fatalf("%s: %v", v.value, err)
		}
		if got.Kind() != v.kind || got.Env() != v.env || got.Value() != v.value || got.Display() != v.show {
			t.Errorf("%s is read as kind %s, environment %s, shown %s", v.value, got.Kind(), got.Env(), got.Display())
		}
	}
}

// The samples of the managers' contract hold secrets with a valid check sum:
// other people's fixtures, so an independent proof of ours.
func TestSecretsInTheContractsSamplesHaveAValidChecksum(t *testing.T) {
	dir := contracts.Dir(t)
	pattern := regexp.MustCompile(`ps[kehl]_(?:live|test)_[0-9A-Za-z]+`)
	seen := 0
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".json" {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, value := range pattern.FindAllString(string(content), -1) {
			seen++
			if _, err := Parse(value); err != nil {
				t.Errorf("%s: %s: %v", filepath.Base(path), value, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen == 0 {
		t.Error("the samples hold no secret: the pattern or the folder is wrong")
	}
}

func TestParseTellsWhatIsWrong(t *testing.T) {
	good := vectors[0].value
	tests := map[string]struct {
		value string
		want  error
	}{
		"nothing":                         {"", ErrMalformed},
		"one character short":             {good[:Len-1], ErrMalformed},
		"one character long":              {good + "0", ErrMalformed},
		"unknown kind":                    {"psx" + good[3:], ErrMalformed},
		"kind in capitals":                {"PSK" + good[3:], ErrMalformed},
		"unknown environment":             {"psk_prod_" + good[9:], ErrMalformed},
		"dash instead of underscore":      {"psk-live-" + good[9:], ErrMalformed},
		"a character outside base62":      {good[:20] + "-" + good[21:], ErrMalformed},
		"a letter that is not ASCII":      {good[:20] + "é" + good[22:], ErrMalformed},
		"space in front":                  {" " + good[:Len-1], ErrMalformed},
		"two characters exchanged":        {"pse_live_Za09bY18cX27dW36eV45fU54gT63hS0I5N7u", ErrChecksum},
		"check sum of another kind":       {"psh" + good[3:], ErrChecksum},
		"check sum beyond 32 bits":        {good[:Len-sumLen] + "zzzzzz", ErrChecksum},
		"another environment, same check": {"psk_test" + good[8:], ErrChecksum},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := Parse(tt.value)
			if !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if !got.IsZero() {
				t.Error("a refused value still gives a token")
			}
			if len(tt.value) > 12 && strings.Contains(err.Error(), tt.value[9:]) {
				t.Error("the error shows the value")
			}
		})
	}
}

func TestAHubRefusesASoundValueOfTheOtherEnvironment(t *testing.T) {
	for _, v := range vectors {
		other := Live
		if v.env == Live {
			other = Test
		}
		if _, err := ParseIn(v.env, v.value); err != nil {
			t.Errorf("%s in %s: %v", v.value, v.env, err)
		}
		if _, err := ParseIn(other, v.value); !errors.Is(err, ErrEnvironment) {
			t.Errorf("%s in %s: got %v, want ErrEnvironment", v.value, other, err)
		}
		// A typo is a typo first: the environment of a damaged value means nothing.
		if _, err := ParseIn(other, flip(v.value, Len-1)); !errors.Is(err, ErrChecksum) {
			t.Errorf("damaged value in %s: got %v, want ErrChecksum", other, err)
		}
	}
}

func TestOneFlippedCharacterIsRefusedAtEachPosition(t *testing.T) {
	for _, v := range vectors {
		for i := range v.value {
			for _, c := range base62 + "_" {
				if byte(c) == v.value[i] {
					continue
				}
				damaged := v.value[:i] + string(c) + v.value[i+1:]
				_, err := Parse(damaged)
				switch {
				case err == nil:
					t.Fatalf("%s with %q at %d is accepted", v.value, c, i)
				case i >= prefixLen && c != '_' && !errors.Is(err, ErrChecksum):
					t.Fatalf("%s with %q at %d: got %v, want ErrChecksum", v.value, c, i, err)
				}
			}
		}
	}
}

func TestNewValuesAreParsedAndDiffer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom([]Kind{ClientKey, EditorSecret, HubToken, OneTimeLink}).Draw(t, "kind")
		env := rapid.SampledFrom([]Env{Live, Test}).Draw(t, "env")
		made, err := New(kind, env)
		if err != nil {
			t.Fatal(err)
		}
		read, err := ParseIn(env, made.Value())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(made.Value(), read.Value()); diff != "" || read.Kind() != kind {
			t.Fatalf("read back as %s: %s", read.Kind(), diff)
		}
		again, _ := New(kind, env)
		if again.Value() == made.Value() {
			t.Fatal("two new values are the same")
		}
	})
}

func TestNewRefusesAnUnknownKindOrEnvironment(t *testing.T) {
	for _, ask := range []struct {
		kind Kind
		env  Env
	}{{"psx", Live}, {ClientKey, "prod"}, {"", ""}} {
		if _, err := New(ask.kind, ask.env); !errors.Is(err, ErrUnknownKind) {
			t.Errorf("New(%q, %q): got %v", ask.kind, ask.env, err)
		}
	}
}

// A modulo instead of a redraw would make the first 8 characters of the
// alphabet a quarter more frequent: 8 standard deviations here.
func TestEveryCharacterOfTheAlphabetIsEquallyLikely(t *testing.T) {
	const draws = 62 * 2000
	counts := map[rune]int{}
	for _, c := range randomBase62(draws) {
		counts[c]++
	}
	for _, c := range base62 {
		if n := counts[c]; n < 1700 || n > 2300 {
			t.Errorf("%q came %d times, about 2000 expected", c, n)
		}
	}
}

func TestATokenNeverPrintsItsValue(t *testing.T) {
	tok, err := New(EditorSecret, Live)
	if err != nil {
		t.Fatal(err)
	}
	inJSON, err := json.Marshal(map[string]any{"token": tok})
	if err != nil {
		t.Fatal(err)
	}
	random := tok.Value()[prefixLen : prefixLen+randomLen]
	for _, printed := range []string{
		fmt.Sprint(tok), fmt.Sprintf("%v %+v %#v %s %q %x %d", tok, tok, tok, tok, tok, tok, tok),
		fmt.Sprintf("%+v", struct{ T Token }{tok}), string(inJSON), tok.String(),
	} {
		if strings.Contains(printed, random[:6]) || !strings.Contains(printed, tok.Display()) {
			t.Errorf("printed %s", printed)
		}
	}
	if got := fmt.Sprint(Token{}); got != "" {
		t.Errorf("an empty token prints %q", got)
	}
}

func FuzzParse(f *testing.F) {
	for _, v := range vectors {
		f.Add(v.value)
	}
	f.Add("psk_live_")
	f.Fuzz(func(t *testing.T, value string) {
		tok, err := Parse(value)
		if err == nil {
			if tok.Value() != value || !tok.Kind().known() || !tok.Env().known() {
				t.Fatalf("accepted %q as %q", value, tok.Value())
			}
			return
		}
		if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrChecksum) {
			t.Fatalf("unexpected error %v", err)
		}
	})
}

func flip(value string, i int) string {
	c := byte('0')
	if value[i] == c {
		c = '1'
	}
	return value[:i] + string(c) + value[i+1:]
}
