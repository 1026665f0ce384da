package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/config"
	"github.com/passerelle-hub/passerelle/config/definitions"
	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/pgtest"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// copied is a folder with the catalogue that the program brings along.
func copied(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, definitions.Catalogue()); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		return os.Chmod(path, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// edit replaces text in a file of a folder.
func edit(t *testing.T, dir, file, old, new string) {
	t.Helper()
	path := filepath.Join(dir, file)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(content, []byte(old)) {
		t.Fatalf("%s does not hold %q", file, old)
	}
	if err := os.WriteFile(path, bytes.ReplaceAll(content, []byte(old), []byte(new)), 0o600); err != nil {
		t.Fatal(err)
	}
	// A file system may keep times by the second.
	later := time.Now().Add(time.Minute)
	if err := os.Chtimes(path, later, later); err != nil {
		t.Fatal(err)
	}
}

const entrepriseFile = "authorization_definitions/api_entreprise.yml"

func TestDefinitionsCheckTellsEveryFaultAndTheTotals(t *testing.T) {
	passerelle := func(args ...string) (int, string) {
		t.Helper()
		var out bytes.Buffer
		status := run(t.Context(), environment{stdout: &out, stderr: &out}, append([]string{"definitions"}, args...))
		return status, out.String()
	}
	sound := copied(t)
	if status, out := passerelle("check", sound); status != 0 || !strings.Contains(out, " definitions, ") || !strings.Contains(out, "0 faults") {
		t.Errorf("%d %s", status, out)
	}
	broken := copied(t)
	edit(t, broken, entrepriseFile, "kind:", "kindd:")
	edit(t, broken, "authorization_request_forms/hubee.yml", "authorization_request:", "authorization_reques:")
	status, out := passerelle("check", broken)
	if status != 1 || !strings.Contains(out, entrepriseFile+":") || !strings.Contains(out, "hubee.yml:") || !strings.Contains(out, "^") || !strings.Contains(out, "the folder cannot be used") {
		t.Errorf("%d %s", status, out)
	}
	for name, c := range map[string]struct {
		args   []string
		status int
	}{
		"no word": {nil, 2}, "another word": {[]string{"verify", sound}, 2}, "no folder": {[]string{"check"}, 2},
		"a folder that is not there": {[]string{"check", filepath.Join(sound, "none")}, 1},
		"a file":                     {[]string{"check", filepath.Join(sound, entrepriseFile)}, 1},
	} {
		if status, out := passerelle(c.args...); status != c.status {
			t.Errorf("%s: %d %s", name, status, out)
		}
	}
}

// replica is a process's catalogue over a database that others share.
func replica(t *testing.T, url, dir string, log *bytes.Buffer) *hub {
	t.Helper()
	h, err := begun(t, url, dir, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.close)
	return h
}

func begun(t *testing.T, url, dir string, log *bytes.Buffer) (*hub, error) {
	t.Helper()
	c, err := config.Load("", []string{
		"PASSERELLE_HUB_PUBLIC_URL=https://hub.example", "DATABASE_URL=" + url, "PASSERELLE_DEFINITIONS_DIR=" + dir,
		"PASSERELLE_SEALING_KEYS_0_ID=a", "PASSERELLE_SEALING_KEYS_0_KEY=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
	})
	if err != nil {
		t.Fatal(err)
	}
	return build(t.Context(), c, zerolog.New(log))
}

func TestAFirstStartWithABrokenFolderIsRefused(t *testing.T) {
	folder := copied(t)
	edit(t, folder, entrepriseFile, "kind:", "kindd:")
	var log bytes.Buffer
	if h, err := begun(t, pgtest.URL(t, store.Migrate), folder, &log); err == nil || !strings.Contains(err.Error(), "definitions check") {
		if err == nil {
			h.close()
		}
		t.Errorf("it starts, or does not say why it does not: %v", err)
	}
}

func TestAChangedFolderIsTakenUpByAllProcessesOrRefusedAsAWhole(t *testing.T) {
	url := pgtest.URL(t, store.Migrate)
	folderA, folderB := copied(t), copied(t)
	edit(t, folderB, entrepriseFile, "API Entreprise", "API Entreprise") // the same, to the byte
	var log bytes.Buffer
	a, b := replica(t, url, folderA, &log), replica(t, url, folderB, &log)
	sync := func(all ...*hub) {
		t.Helper()
		for _, h := range all {
			if err := h.definitions.sync(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	name := func(h *hub) string {
		d, ok := h.catalogue.Definition("api_entreprise")
		if !ok {
			return "none"
		}
		return d.Name
	}
	sync(a, b)
	first := a.catalogue.Hash()
	if b.catalogue.Hash() != first {
		t.Fatal("the two begin with different sets")
	}
	made := create(t, a)

	edit(t, folderA, entrepriseFile, "API Entreprise", "API Entreprises")
	sync(a, b)
	if name(a) != "API Entreprises" || name(b) != "API Entreprises" {
		t.Errorf("after the change: %q and %q", name(a), name(b))
	}
	if second := create(t, b); setOf(t, a, made) != first || setOf(t, a, second) != a.catalogue.Hash() {
		t.Error("the requests do not know the sets that they were made under")
	}

	edit(t, folderA, entrepriseFile, "kind:", "kindd:")
	log.Reset()
	sync(a, b, a)
	if name(a) != "API Entreprises" || name(b) != "API Entreprises" || strings.Count(log.String(), "refused as a whole") != 1 {
		t.Errorf("after a broken change: %q and %q, log %s", name(a), name(b), log.String())
	}
	// A hub that starts meanwhile goes on with the set in force.
	log.Reset()
	late := replica(t, url, folderA, &log)
	sync(late)
	if name(late) != "API Entreprises" || strings.Count(log.String(), "refused as a whole; the set in force stays") != 1 || !strings.Contains(log.String(), "kindd") {
		t.Errorf("a start with the broken folder: %q, log %s", name(late), log.String())
	}
	edit(t, folderA, entrepriseFile, "kindd:", "kind:")
	sync(a, b, late)

	// An old process that starts again does not undo what is newer.
	log.Reset()
	old := replica(t, url, folderB, &log)
	sync(old, a, b)
	if name(old) != "API Entreprises" || name(a) != "API Entreprises" || !strings.Contains(log.String(), "was replaced since") {
		t.Errorf("after an old start: %q and %q, log %s", name(old), name(a), log.String())
	}

	var out bytes.Buffer
	env := environment{stdout: &out, stderr: &out, vars: []string{
		"PASSERELLE_HUB_PUBLIC_URL=https://hub.example", "DATABASE_URL=" + url,
		"PASSERELLE_SEALING_KEYS_0_ID=a", "PASSERELLE_SEALING_KEYS_0_KEY=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
	}}
	if status := run(t.Context(), env, []string{"definitions", "use", folderB}); status != 0 {
		t.Fatalf("%d %s", status, out.String())
	}
	sync(a, b, old)
	if name(a) != "API Entreprise" || a.catalogue.Hash() != first {
		t.Errorf("put back in force by hand: %q", name(a))
	}
	out.Reset()
	if status := run(t.Context(), env, []string{"definitions", "show"}); status != 0 || !strings.Contains(out.String(), first) {
		t.Errorf("%d %s", status, out.String())
	}
}

// create makes a request and gives its id.
func create(t *testing.T, h *hub) int64 {
	t.Helper()
	var viewer habilitation.Viewer
	err := h.store.InTx(t.Context(), func(tx *store.Tx) error {
		person, err := tx.UpsertPerson(t.Context(), habilitation.Applicant{Email: "jeanne@valbrise.example"})
		if err != nil {
			return err
		}
		organization, err := tx.EnsureOrganization(t.Context(), "21380999900013")
		viewer.Actor = habilitation.Actor{Person: person.ID, Organization: organization.ID}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	cmd := &registry.CreateRequest{Caller: viewer, Definition: "api_entreprise"}
	if err := h.registry.Record(t.Context(), cmd); err != nil {
		t.Fatal(err)
	}
	return cmd.Request.ID
}

// setOf gives the set that a request was last changed under, which must be kept.
func setOf(t *testing.T, h *hub, id int64) string {
	t.Helper()
	var hash string
	err := h.pool.QueryRow(t.Context(), `select s.hash from request r join definition_set s on s.hash = r.definition_set where r.id = $1`, id).Scan(&hash)
	if err != nil {
		t.Fatal(err)
	}
	return hash
}
