package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// Her token dies with the process that held it: nobody can go on. She is told,
// nothing was sent, and she starts again with a click.
func TestKilledDuringACallForACitizenTheHubTellsHerAndSheStartsAgain(t *testing.T) {
	if testing.Short() {
		t.Skip("waits until a dead process is found out")
	}
	t.Parallel()
	w, hub := openKillable(t, quickRescue)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	_, err := w.openCommune(ctx)
	mustDo(t, err)
	fc, ap := w.citizen.franceconnect, w.citizen.particulier
	type when func(s *partnertest.Server, route partnertest.Route, hook partnertest.Hook) func()
	before := when(func(s *partnertest.Server, r partnertest.Route, h partnertest.Hook) func() { return s.BeforeWork(r, h) })
	after := when(func(s *partnertest.Server, r partnertest.Route, h partnertest.Hook) func() { return s.AfterWork(r, h) })
	moments := []struct {
		name          string
		partner       *partnertest.Server
		call          partnertest.Route
		when          when
		citizen, hers string
	}{
		{"before the code is exchanged", fc.Server, tokenCall, before, "garrigue", "GARRIGUE"},
		{"once the code is exchanged", fc.Server, tokenCall, after, "sissoko", "SISSOKO"},
		{"before userinfo answers", fc.Server, userinfoCall, before, "le-bihan", "LE BIHAN"},
		{"before the quotient is asked", ap.Server, questionCall, before, "delmas", "DELMAS"},
		{"once the quotient is asked", ap.Server, questionCall, after, "rouviere", "ROUVIÈRE"},
	}
	var visitors []*visitor
	held := len(w.citizen.hubee.Folders(""))
	for _, m := range moments {
		v := newVisitor()
		mustDo(t, v.open(ctx, w.communePage()), v.press(ctx, "/demarrer", nil))
		struck := make(chan struct{})
		remove := m.when(m.partner, m.call, func(partnertest.Call) {
			if hub.kill() {
				close(struck)
			}
		})
		if err := v.identify(ctx, m.citizen); err == nil && v.heading() == pageReview {
			t.Fatalf("%s: the hub was not killed", m.name)
		}
		<-struck
		remove()
		// She has the address and the cookie from before; her browser showed an error.
		callback, err := v.at.Parse(w.publicURL + callbackPath)
		mustDo(t, err)
		for _, c := range v.client.Jar.Cookies(callback) {
			if id, ok := strings.CutPrefix(c.Name, "retour-"); ok {
				v.at = callback.JoinPath("..", "demarche", id)
			}
		}
		hub.start()
		mustDo(t, w.awaitReady(ctx))
		visitors = append(visitors, v)
	}
	ap.ClearLocks() // a call whose caller died keeps its recipient's for a minute (api-particulier.md, 5)
	for i, m := range moments {
		v := visitors[i]
		mustDo(t, v.open(ctx, v.at.String()), v.until(ctx, pageStopped))
		id, cookie := v.transaction()
		kept, err := w.left(ctx, id, cookie)
		mustDo(t, err)
		if kept != "" || !strings.Contains(v.body, "Rien n’a été transmis") || !strings.Contains(v.body, "attestation") {
			t.Errorf("%s: %q is kept of her, she reads %s", m.name, kept, v.body)
		}
		if _, err := w.hub.store.Folder(ctx, id); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: something was sent", m.name)
		}
		mustDo(t, v.press(ctx, "/partir", nil), v.identify(ctx, m.citizen), v.until(ctx, pageReview), v.press(ctx, "/envoyer", nil), v.until(ctx, pageSent))
		if _, err := w.folderOf(shownReference.FindStringSubmatch(v.body)[1], m.hers, demoCommune.SIRET); err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
		if again, _ := v.transaction(); again != id || id == uuid.Nil {
			t.Errorf("%s: another transaction", m.name)
		}
	}
	if n := len(w.citizen.hubee.Folders("")) - held; n != len(moments) {
		t.Errorf("HubEE holds %d folders of %d citizens", n, len(moments))
	}
	if n := fc.Snapshot().Counts["token_invalid_grant"]; n != 0 {
		t.Errorf("%d codes were sent twice", n)
	}
}
