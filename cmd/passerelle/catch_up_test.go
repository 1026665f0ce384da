package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/passerelle-hub/passerelle/connectors/datapass/datapasstest"
)

func TestAnApprovalMadeWhileTheHubWasDownStillBecomesAKeyOnce(t *testing.T) {
	t.Parallel()
	w := openProgram(t, io.Discard)
	if err := w.stopHub(); err != nil {
		t.Fatal(err)
	}
	w.hub.close()
	w.stopHub, w.hub = nil, nil
	ctx := t.Context()
	filed, err := w.datapass.Create(ctx, datapasstest.APIParticulier())
	if err != nil {
		t.Fatal(err)
	}
	_, submitted := w.datapass.Submit(ctx, filed.ID)
	_, approved := w.datapass.Approve(ctx, filed.ID, datapasstest.Approval{})
	if err := errors.Join(submitted, approved); err != nil {
		t.Fatal(err)
	}
	for _, d := range w.datapass.Deliveries() {
		if d.RequestID == filed.ID && d.State != datapasstest.Lost {
			t.Fatalf("%s is %s: somebody heard it", d.Event, d.State)
		}
	}

	w.startHub(t, io.Discard)
	await(t, func() error {
		if n := w.gravitee.Counts(); n.LiveKeys != 1 {
			return fmt.Errorf("%d keys", n.LiveKeys)
		}
		return nil
	})

	// The network had only kept the webhooks: they arrive now.
	var answered string
	for _, d := range w.datapass.Deliveries() {
		if d.RequestID != filed.ID {
			continue
		}
		header := http.Header{"X-Hub-Signature-256": {datapasstest.Sign(w.secret, d.Body)}, "Content-Type": {"application/json"}}
		status, body, _ := w.post(t, "/webhooks/datapass/"+demoSource, header, string(d.Body))
		var answer struct {
			TokenID string `json:"token_id"`
		}
		if err := json.Unmarshal([]byte(body), &answer); err != nil || status != http.StatusOK {
			t.Fatalf("%s: %d %s", d.Event, status, body)
		}
		if d.Event == datapasstest.EventApprove {
			answered = answer.TokenID
		}
	}
	await(t, func() error {
		var waiting int
		err := w.hub.pool.QueryRow(ctx, `select count(*) from inbound_event where state = 'received'`).Scan(&waiting)
		if err == nil && waiting > 0 {
			err = fmt.Errorf("%d webhooks wait", waiting)
		}
		return err
	})
	var keys, theirs int
	if err := w.hub.pool.QueryRow(ctx, `select count(*), count(*) filter (where id::text = $1) from credential`, answered).Scan(&keys, &theirs); err != nil {
		t.Fatal(err)
	}
	if keys != 1 || theirs != 1 || w.gravitee.Counts().LiveKeys != 1 {
		t.Errorf("%d keys, %d under the id that DataPass was answered, %d at the manager", keys, theirs, w.gravitee.Counts().LiveKeys)
	}
}
