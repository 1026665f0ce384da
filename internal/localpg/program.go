package localpg

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// ErrNoPrograms is wrapped by Start when initdb and postgres are not found
// together in one directory.
var ErrNoPrograms = errors.New("PostgreSQL's programs initdb and postgres are not installed")

// installed lists where packages put the programs without adding them to PATH:
// Debian and Ubuntu, then Homebrew on Apple silicon, Intel and Linux.
var installed = []string{
	"/usr/lib/postgresql/*/bin",
	"/opt/homebrew/opt/postgresql*/bin",
	"/usr/local/opt/postgresql*/bin",
	"/home/linuxbrew/.linuxbrew/opt/postgresql*/bin",
}

// programs are the absolute paths of the two programs that a server needs.
type programs struct {
	initdb   string
	postgres string
}

// findPrograms looks in the setting alone when there is one, else in PATH, then
// in the newest directory of the first installed pattern that has them.
func findPrograms(setting string, patterns []string) (programs, error) {
	if setting != "" {
		if found, ok := programsIn(setting); ok {
			return found, nil
		}
		return programs{}, fmt.Errorf("%w in %s, the directory that the settings name: correct it, or set DATABASE_URL to a running server",
			ErrNoPrograms, setting)
	}
	if path, err := exec.LookPath("postgres"); err == nil {
		if target, err := filepath.EvalSymlinks(path); err == nil {
			path = target
		}
		if found, ok := programsIn(filepath.Dir(path)); ok {
			return found, nil
		}
	}
	for _, pattern := range patterns {
		dirs, err := filepath.Glob(pattern)
		if err != nil {
			return programs{}, fmt.Errorf("localpg: pattern %q: %w", pattern, err)
		}
		slices.SortFunc(dirs, func(a, b string) int { return compareVersions(b, a) })
		for _, dir := range dirs {
			if found, ok := programsIn(dir); ok {
				return found, nil
			}
		}
	}
	return programs{}, fmt.Errorf("%w (looked in PATH, %s): install the package postgresql (make setup does), or set DATABASE_URL to a running server",
		ErrNoPrograms, strings.Join(patterns, ", "))
}

func programsIn(dir string) (programs, bool) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return programs{}, false
	}
	found := programs{initdb: filepath.Join(dir, "initdb"), postgres: filepath.Join(dir, "postgres")}
	return found, executable(found.initdb) && executable(found.postgres)
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// compareVersions orders two paths of the same pattern by the numbers in them:
// 9.6 before 10, an unnumbered Homebrew "postgresql" before "postgresql@17".
func compareVersions(a, b string) int {
	if c := slices.Compare(numbers(a), numbers(b)); c != 0 {
		return c
	}
	return strings.Compare(a, b)
}

func numbers(path string) []int {
	var out []int
	for _, digits := range strings.FieldsFunc(path, func(r rune) bool { return r < '0' || r > '9' }) {
		if n, err := strconv.Atoi(digits); err == nil {
			out = append(out, n)
		}
	}
	return out
}

// localeArgs select Unicode by code point. macOS has no C.UTF-8: its character
// type "UTF-8" under the C collation is the same order.
func localeArgs() []string {
	if runtime.GOOS == "darwin" {
		return []string{"--locale=C", "--lc-ctype=UTF-8"}
	}
	return []string{"--locale=C.UTF-8"}
}
