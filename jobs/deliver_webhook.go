package jobs

import (
	"context"
	"time"

	"github.com/riverqueue/river"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/internal/registry"
)

// DeliverWebhookArgs names a delivery.
type DeliverWebhookArgs struct {
	DeliveryID int64 `json:"delivery_id"`
}

// Kind is the job's name in the queue.
func (DeliverWebhookArgs) Kind() string { return "deliver_webhook" }

// InsertOpts puts it into its queue. One try a job: the delivery's own row says
// when the next one is due, and the sweep queues it.
func (DeliverWebhookArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{
		Queue: QueueWebhooks, MaxAttempts: maxAttempts,
	}
}

type deliverWebhook struct {
	river.WorkerDefaults[DeliverWebhookArgs]
	*Workers
}

// deliverySchedule is webhooks.md's: what waits between the tries, then the end.
var deliverySchedule = []time.Duration{
	5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour,
	10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
}

// Work posts the event, signed in both dialects, and records what came of it.
// The webhook-id is the event's id through all tries.
func (w *deliverWebhook) Work(ctx context.Context, job *river.Job[DeliverWebhookArgs]) error {
	now := w.Now()
	claimed, err := w.Store.ClaimDelivery(ctx, job.Args.DeliveryID, now, now.Add(w.LeaseFor))
	if err != nil || !claimed {
		return err
	}
	d, err := w.Store.Delivery(ctx, job.Args.DeliveryID, now)
	if err != nil {
		return err
	}
	body, header, err := w.SignEvent(d, now)
	if err != nil {
		return err
	}
	result := w.Deliverer.Deliver(connectors.WithCorrelation(ctx, d.Correlation), connectors.Delivery{URL: d.Url, Header: header, Body: body})
	return w.Registry.Record(ctx, &registry.DeliveryOutcome{Delivery: d, At: now, Result: result, Schedule: deliverySchedule})
}
