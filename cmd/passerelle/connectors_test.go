package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/passerelle-hub/passerelle/config"
)

func TestFaultsOfConnectorsAreShownAtOnceWithTheOthersEachWithKeyAndLine(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "passerelle.yml")
	file := `hub: {name: h, environment: sandbox}
log:
  level: loud
connectors:
  - name: gravitee-x
    type: gravitee
    config:
      url: not-an-address
      grants:
        api_particulier: {api: "", plan: p}
  - name: kong-x
    type: kong
    config:
      uri: https://kong.example
  - name: other
    type: gravity
`
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := loadConfig(path, nil)
	var faults config.FaultsError
	if !errors.As(err, &faults) {
		t.Fatalf("%T %v", err, err)
	}
	text := err.Error()
	for key, line := range map[string]string{
		"log.level:": ":3: ", "connectors[0].config.url:": ":8: ", "connectors[0].config.grants": ":10: ",
		"connectors[1].config.uri:": ":14: ", "connectors[2].type: no connector \"gravity\": there are ": ":16: ",
	} {
		found := false
		for fault := range strings.SplitSeq(text, "\n") {
			found = found || strings.Contains(fault, key) && strings.Contains(fault, "passerelle.yml"+line)
		}
		if !found {
			t.Errorf("no fault of %q at line %q in\n%s", key, line, text)
		}
	}
}
