package main

import (
	"testing"
)

func TestACitizenSendsHerQuotientWithoutScript(t *testing.T) {
	t.Parallel()
	log := &lockedBuffer{}
	w := openProgram(t, log)
	if _, err := w.openCommune(t.Context()); err != nil {
		t.Fatal(err, log.String())
	}
	got, err := w.citizenSends(t.Context(), "fontanel")
	if err != nil {
		t.Fatal(err, "\n", log.String())
	}
	t.Log(got)
}
