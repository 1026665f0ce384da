package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"

	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// Queues. A manager has its own: PartnerQueue.
const (
	QueueRegistry = "registry" // applying incoming events
	QueueMail     = "mail"
	QueueWebhooks = "webhooks"
	QueueUpkeep   = "upkeep"
)

// PartnerQueue is the queue of a connector instance.
func PartnerQueue(manager string) string { return "partner_" + manager }

// Outbox puts what follows a change into River, in the transaction of the change.
type Outbox struct{ client *river.Client[pgx.Tx] }

// NewOutbox gives an outbox over pool. It works no jobs itself.
func NewOutbox(pool *pgxpool.Pool, fetchCooldown time.Duration) (*Outbox, error) {
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{FetchCooldown: fetchCooldown})
	if err != nil {
		return nil, fmt.Errorf("open the queue: %w", err)
	}
	return &Outbox{client: client}, nil
}

var _ registry.Outbox = (*Outbox)(nil)

// Queue is the table from what follows to the jobs that do it.
func (o *Outbox) Queue(ctx context.Context, tx pgx.Tx, events []registry.Followup) error {
	var inserts []river.InsertManyParams
	add := func(args river.JobArgs, opts *river.InsertOpts) {
		inserts = append(inserts, river.InsertManyParams{Args: args, InsertOpts: opts})
	}
	for _, event := range events {
		switch e := event.(type) {
		case registry.InboundStored:
			for _, key := range e.Keys {
				add(ApplyInboundArgs{Source: key.Source, ExternalID: key.ExternalID}, nil)
			}
		case registry.ProvisioningRequested:
			add(ProvisionCredentialArgs{CredentialID: e.CredentialID}, &river.InsertOpts{Queue: PartnerQueue(e.Manager)})
		case registry.RevocationRequested:
			add(RevokeCredentialArgs{CredentialID: e.CredentialID}, &river.InsertOpts{Queue: PartnerQueue(e.Manager)})
		case registry.ArchiveEnds:
			add(RevokeArchivedArgs{CredentialID: e.CredentialID}, &river.InsertOpts{ScheduledAt: e.At})
		case registry.EventPublished:
			for _, id := range e.Deliveries {
				add(DeliverWebhookArgs{DeliveryID: id}, nil)
			}
		case registry.MailQueued:
			add(SendMailArgs{MailID: e.MailID}, nil)
		case registry.PartnerPaused:
			if err := o.client.QueuePauseTx(ctx, tx, PartnerQueue(e.Name), nil); err != nil && !errors.Is(err, rivertype.ErrNotFound) {
				return fmt.Errorf("pause the queue of %s: %w", e.Name, err)
			}
		case registry.PartnerResumed:
			if err := o.client.QueueResumeTx(ctx, tx, PartnerQueue(e.Name), nil); err != nil && !errors.Is(err, rivertype.ErrNotFound) {
				return fmt.Errorf("resume the queue of %s: %w", e.Name, err)
			}
			if err := store.RetryQueueNow(ctx, tx, PartnerQueue(e.Name)); err != nil {
				return fmt.Errorf("take up what waits for %s: %w", e.Name, err)
			}
		default:
			return fmt.Errorf("no job follows %T", event)
		}
	}
	if len(inserts) == 0 {
		return nil
	}
	if _, err := o.client.InsertManyFastTx(ctx, tx, inserts); err != nil {
		return fmt.Errorf("queue what follows: %w", err)
	}
	return nil
}
