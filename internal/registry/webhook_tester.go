package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/internal/eventtype"
	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// Tester sends test events to endpoints, in the process of whoever asks: the
// result is shown to him. It is no delivery: it is not tried again, and no
// attempt is stored (datapass.md, 2.6).
type Tester struct {
	Registry  *Registry
	Deliverer connectors.Deliverer
	// Sign gives the headers of a delivery (as lanes have them).
	Sign    func(l store.Lane, d store.Due, at time.Time) (map[string]string, error)
	Timeout time.Duration // of the whole test
}

// testEvery is the shortest time between two tests of an endpoint.
const testEvery = 2 * time.Second

// Test posts the test event of the endpoint's format, and keeps the result for
// the URL that was tested. The endpoint comes back in target. It goes on when
// ctx ends: what was sent is recorded.
func (t *Tester) Test(ctx context.Context, target *EndpointTarget) (store.EndpointTest, error) {
	ctx = context.WithoutCancel(ctx)
	start := &startTest{EndpointTarget: *target}
	if err := t.Registry.Record(ctx, start); err != nil {
		return store.EndpointTest{}, err
	}
	lane, err := t.Registry.store.Target(ctx, target.ID, start.at)
	if err != nil {
		return store.EndpointTest{}, err
	}
	body, err := testBody(lane, start.at)
	if err != nil {
		return store.EndpointTest{}, err
	}
	due := store.Due{EndpointID: lane.EndpointID, EventID: store.EventID(start.at), Type: eventtype.Test, Body: body, CreatedAt: start.at, OccurredAt: start.at}
	header, err := t.Sign(lane, due, start.at)
	if err != nil {
		return store.EndpointTest{}, err
	}
	call, cancel := context.WithTimeout(ctx, t.Timeout)
	defer cancel()
	result := t.Deliverer.Deliver(call, connectors.Delivery{URL: lane.URL, Header: header, Body: body})
	end := &endTest{EndpointTarget: *target, lane: lane, result: store.EndpointTest{
		At: t.Registry.now().UTC(), Passed: result.ErrorClass == "" && succeeded(lane.Format, result.Status), Status: result.Status,
		ErrorClass: result.ErrorClass, Error: result.Error, Duration: result.Duration, Answer: string(result.Body),
	}}
	if err := t.Registry.Record(ctx, end); err != nil {
		return store.EndpointTest{}, err
	}
	target.Endpoint = end.Endpoint
	return end.Endpoint.Test, nil
}

// testBody is {"test":true,...} for DataPass (datapass.md, 2.6), an envelope for
// Standard Webhooks.
func testBody(l store.Lane, at time.Time) ([]byte, error) {
	if l.Format == store.FormatDataPass {
		return json.Marshal(struct {
			Test      bool   `json:"test"`
			Timestamp string `json:"timestamp"`
		}{true, at.In(paris).Format(time.RFC3339)})
	}
	return json.Marshal(standardBody{Type: eventtype.Test, Timestamp: at, Data: map[string]any{"test": true, "endpoint_id": l.EndpointID}})
}

type startTest struct {
	EndpointTarget
	at time.Time // result
}

func (cmd *startTest) apply(ctx context.Context, u *unit) error {
	if err := cmd.lock(ctx, u); err != nil {
		return err
	}
	cmd.at = u.at
	free, err := u.tx.StartEndpointTest(ctx, cmd.ID, u.at, testEvery)
	if err == nil && !free {
		return &habilitation.Refusal{Code: RefusedTestTooSoon, Message: "Un test vient d’être envoyé : attendez deux secondes."}
	}
	return err
}

type endTest struct {
	EndpointTarget
	lane   store.Lane
	result store.EndpointTest
}

func (cmd *endTest) apply(ctx context.Context, u *unit) error {
	cmd.Version = 0 // its result counts for what was tested, whatever else changed
	if err := cmd.lock(ctx, u); err != nil {
		return err
	}
	same, err := u.tx.EndEndpointTest(ctx, cmd.ID, cmd.lane.URL, cmd.lane.Format, cmd.result)
	if err != nil {
		return err
	}
	if !same {
		return &habilitation.Refusal{Code: RefusedChangedMeanwhile, Message: "L’adresse a changé pendant le test : recommencez."}
	}
	detail := map[string]any{"passed": cmd.result.Passed, "url": bareURL(cmd.lane.URL), "status": cmd.result.Status, "class": cmd.result.ErrorClass}
	if err := u.noteEndpoint(ctx, cmd.Endpoint, "tested", detail); err != nil {
		return err
	}
	if cmd.Endpoint, err = u.tx.Endpoint(ctx, cmd.ID); err != nil {
		return fmt.Errorf("after its test: %w", err)
	}
	return nil
}
