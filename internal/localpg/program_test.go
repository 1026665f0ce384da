package localpg

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFindPrograms(t *testing.T) {
	install := func(t *testing.T, dir string, names ...string) {
		t.Helper()
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"), 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	both := []string{"initdb", "postgres"}

	for name, tc := range map[string]struct {
		arrange func(t *testing.T, root string) (setting, path string)
		want    string // directory below root, "" for ErrNoPrograms
		says    []string
	}{
		"the setting wins over PATH": {
			arrange: func(t *testing.T, root string) (string, string) {
				install(t, filepath.Join(root, "set"), both...)
				install(t, filepath.Join(root, "path"), both...)
				return filepath.Join(root, "set"), filepath.Join(root, "path")
			},
			want: "set",
		},
		"a setting without the programs is an error even when PATH has them": {
			arrange: func(t *testing.T, root string) (string, string) {
				install(t, filepath.Join(root, "path"), both...)
				return filepath.Join(root, "empty"), filepath.Join(root, "path")
			},
			says: []string{"initdb", "postgres", "empty", "DATABASE_URL"},
		},
		"PATH wins over the packages' directories": {
			arrange: func(t *testing.T, root string) (string, string) {
				install(t, filepath.Join(root, "path"), both...)
				install(t, filepath.Join(root, "lib/17/bin"), both...)
				return "", filepath.Join(root, "path")
			},
			want: "path",
		},
		"a link in PATH leads to the directory that has both": {
			arrange: func(t *testing.T, root string) (string, string) {
				install(t, filepath.Join(root, "real"), both...)
				install(t, filepath.Join(root, "path"))
				if err := os.Symlink(filepath.Join(root, "real/postgres"), filepath.Join(root, "path/postgres")); err != nil {
					t.Fatal(err)
				}
				return "", filepath.Join(root, "path")
			},
			want: "real",
		},
		"the newest version is taken by number and not by name": {
			arrange: func(t *testing.T, root string) (string, string) {
				install(t, filepath.Join(root, "lib/9.6/bin"), both...)
				install(t, filepath.Join(root, "lib/15/bin"), both...)
				install(t, filepath.Join(root, "lib/16/bin"), "postgres")
				return "", ""
			},
			want: "lib/15/bin",
		},
		"without any the error names the programs and the way out": {
			arrange: func(t *testing.T, root string) (string, string) { return "", "" },
			says:    []string{"initdb", "postgres", "PATH", "lib/*/bin", "make setup", "DATABASE_URL"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			root, err := filepath.EvalSymlinks(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			setting, path := tc.arrange(t, root)
			t.Setenv("PATH", path)
			got, err := findPrograms(setting, []string{filepath.Join(root, "lib/*/bin")})
			if tc.want == "" {
				if !errors.Is(err, ErrNoPrograms) {
					t.Fatalf("got %+v, %v; want ErrNoPrograms", got, err)
				}
				for _, word := range tc.says {
					if !strings.Contains(err.Error(), word) {
						t.Errorf("error %q does not name %q", err, word)
					}
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if want := filepath.Join(root, tc.want, "initdb"); got.initdb != want {
				t.Errorf("initdb is %s, want %s", got.initdb, want)
			}
			if want := filepath.Join(root, tc.want, "postgres"); got.postgres != want {
				t.Errorf("postgres is %s, want %s", got.postgres, want)
			}
		})
	}
}

func TestStartWithoutProgramsNamesThem(t *testing.T) {
	_, err := Start(t.Context(), Options{Dir: t.TempDir(), BinDir: "/nonexistent"})
	if !errors.Is(err, ErrNoPrograms) {
		t.Fatalf("got %v, want ErrNoPrograms", err)
	}
}
