package partnertest

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestASeedIsReadOrItsFaultNamesTheLine(t *testing.T) {
	t.Parallel()
	type seed struct {
		COG    string  `yaml:"cog"`
		Faults []Fault `yaml:"faults"`
	}
	wanted := seed{COG: "04107", Faults: []Fault{Delay("GET /**", 2*time.Second).For(3)}}
	cases := map[string]struct {
		text  string
		want  seed
		fault string
	}{
		"YAML, a code with a leading zero kept":         {"cog: 04107\nfaults: [{route: GET /**, kind: delay, delay: 2s, times: 3}]", wanted, ""},
		"JSON":                                          {`{"cog":"04107","faults":[{"route":"GET /**","kind":"delay","delay":"2s","times":3}]}`, wanted, ""},
		"nothing at all":                                {"", seed{}, ""},
		"an unknown key is named with its line":         {"\ncgo: x", seed{}, "line 2"},
		"a fault that cannot be is named with its line": {"cog: a\nfaults:\n- kind: half", seed{}, "line 3"},
		"two documents":                                 {"cog: a\n---\ncog: b", seed{}, "one document"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got seed
			err := DecodeSeed([]byte(c.text), &got)
			if c.fault != "" {
				if err == nil || !strings.Contains(err.Error(), c.fault) {
					t.Fatalf("got %v, want %q", err, c.fault)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
