package hydratest_test

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/passerelle-hub/passerelle/connectors/hydra/hydratest"
	"github.com/passerelle-hub/passerelle/connectors/partnertest"
	"github.com/passerelle-hub/passerelle/connectors/partnertest/answer"
)

// observed is a long conversation with a running Hydra 2.3.0.
type observed struct {
	Steps []struct {
		Name    string            `json:"name"`
		Side    string            `json:"side"`
		Method  string            `json:"method"`
		Path    string            `json:"path"`
		Headers map[string]string `json:"headers"`
		Body    string            `json:"body"`    // {{name}} stands for a token that was captured
		Capture string            `json:"capture"` // name of the access token of the answer
		Answer  struct {
			Status  int               `json:"status"`
			Headers map[string]string `json:"headers"`
			JSON    any               `json:"json"`
			Text    *string           `json:"text"`
		} `json:"answer"`
	} `json:"steps"`
}

// alike puts what differs from run to run in the recording's form.
func alike(got, want any) any {
	switch got := got.(type) {
	case map[string]any:
		wanted, _ := want.(map[string]any)
		out := map[string]any{}
		for name, value := range got {
			if wanted[name] == "<"+name+">" && value != nil && value != "" {
				out[name] = wanted[name]
				continue
			}
			out[name] = alike(value, wanted[name])
		}
		return out
	case []any:
		wanted, _ := want.([]any)
		out := make([]any, len(got))
		for i, value := range got {
			var w any
			if i < len(wanted) {
				w = wanted[i]
			}
			out[i] = alike(value, w)
		}
		return out
	default:
		return got
	}
}

func TestTheSimulatorAnswersAsARunningHydraDid(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/observed-2.3.0.json")
	if err != nil {
		t.Fatal(err)
	}
	var recording observed
	if err := json.Unmarshal(text, &recording); err != nil || len(recording.Steps) < 100 {
		t.Fatalf("%d steps, %v", len(recording.Steps), err)
	}
	b := start(t, hydratest.Options{Clock: partnertest.NewClock()})
	tokens := []string{}
	for _, step := range recording.Steps {
		base := b.AdminURL()
		if step.Side == hydratest.SidePublic {
			base = b.PublicURL()
		}
		header := http.Header{}
		for name, value := range step.Headers {
			header.Set(name, value)
		}
		got := answer.To(b.t, step.Method, base+step.Path, header, strings.NewReplacer(tokens...).Replace(step.Body))
		if got.Status != step.Answer.Status {
			t.Errorf("%s: got %d %s, want %d", step.Name, got.Status, got.Text, step.Answer.Status)
			continue
		}
		for name, want := range step.Answer.Headers {
			if value := got.Header.Get(name); value != want {
				t.Errorf("%s: %s: got %q, want %q", step.Name, name, value, want)
			}
		}
		switch {
		case step.Answer.JSON != nil:
			var value any
			if err := json.Unmarshal([]byte(got.Text), &value); err != nil {
				t.Errorf("%s: %q: %v", step.Name, got.Text, err)
				continue
			}
			if diff := cmp.Diff(step.Answer.JSON, alike(value, step.Answer.JSON)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", step.Name, diff)
			}
		case step.Answer.Text != nil && strings.TrimSpace(*step.Answer.Text) != strings.TrimSpace(got.Text):
			t.Errorf("%s: got %q, want %q", step.Name, got.Text, *step.Answer.Text)
		}
		if step.Capture != "" {
			tokens = append(tokens, "{{"+step.Capture+"}}", got.Str("access_token"))
		}
	}
}
