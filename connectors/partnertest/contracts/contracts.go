// Package contracts finds the partners' official files, which are not part of the
// repository: simulators and formats are checked against them where they are at hand.
package contracts

import (
	"os"
	"path/filepath"
	"testing"
)

// Dir is the folder of the wire contracts: PASSERELLE_CONTRACTS, or the folder
// shared/contracts in one above. The test is skipped where there is none.
func Dir(t testing.TB) string {
	t.Helper()
	if dir := os.Getenv("PASSERELLE_CONTRACTS"); dir != "" { //nolint:forbidigo // for tests, which have no settings
		return dir
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		candidate := filepath.Join(dir, "shared", "contracts")
		if _, err := os.Stat(candidate); err == nil {
			return candidate
		}
	}
	t.Skip("the wire contracts are not on this machine")
	return ""
}
