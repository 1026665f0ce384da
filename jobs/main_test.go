package jobs

import (
	"flag"
	"os"
	"testing"
)

// These tests mostly wait: side by side they take as long as the longest.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}
