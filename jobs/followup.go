package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"
	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// Queues. A manager has its own: PartnerQueue.
const (
	QueueRegistry = "registry" // applying incoming events
	QueueMail     = "partner_" + registry.MailRelay
	QueueWebhooks = "webhooks" // a lane for each endpoint that has something due
	// QueueSlowWebhooks: lanes of receivers that are slow or being probed have
	// workers of their own.
	QueueSlowWebhooks = "webhooks_slow"
	QueueUpkeep       = "upkeep"
)

// PartnerQueue is the queue of a connector instance.
func PartnerQueue(manager string) string { return "partner_" + manager }

// Outbox puts what follows a change into River, in the transaction of the change.
type Outbox struct {
	client *river.Client[pgx.Tx]
	waker  *Waker
}

// NewOutbox gives an outbox over s. It works no jobs itself.
func NewOutbox(s *store.Store, fetchCooldown time.Duration, now func() time.Time, log zerolog.Logger) (*Outbox, error) {
	client, err := river.NewClient(riverpgxv5.New(s.Pool()), &river.Config{FetchCooldown: fetchCooldown})
	if err != nil {
		return nil, fmt.Errorf("open the queue: %w", err)
	}
	queue := func(ctx context.Context, jobs []river.InsertManyParams) error {
		_, err := client.InsertManyFast(ctx, jobs)
		return err
	}
	return &Outbox{client: client, waker: newWaker(s, queue, now, log)}, nil
}

// Waker starts lanes; the process's workers share it.
func (o *Outbox) Waker() *Waker { return o.waker }

// Committed wakes the lanes of what was published.
func (o *Outbox) Committed(events []registry.Followup) {
	for _, event := range events {
		switch e := event.(type) {
		case registry.EventPublished:
			o.waker.Wake(e.Endpoints...)
		case registry.EndpointChanged:
			o.waker.Renew(e.ID)
		}
	}
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
		case registry.SourceDoubted:
			add(ReadRequestArgs{Source: e.Key.Source, ExternalID: e.Key.ExternalID}, nil)
		case registry.ProvisioningRequested:
			add(ProvisionCredentialArgs{CredentialID: e.CredentialID}, &river.InsertOpts{Queue: PartnerQueue(e.Manager)})
		case registry.RevocationRequested:
			add(RevokeCredentialArgs{CredentialID: e.CredentialID}, &river.InsertOpts{Queue: PartnerQueue(e.Manager)})
		case registry.EndDue:
			add(EndCredentialArgs{CredentialID: e.CredentialID}, &river.InsertOpts{Queue: PartnerQueue(e.Manager), ScheduledAt: e.At})
		case registry.ArchiveEnds:
			add(RevokeArchivedArgs{CredentialID: e.CredentialID}, &river.InsertOpts{ScheduledAt: e.At})
		case registry.EventPublished, registry.EndpointChanged: // lanes are woken when it is committed
		case registry.ReplayDue:
			add(ReplayWebhooksArgs{EndpointID: e.EndpointID}, nil)
		case registry.ReceiverGranted:
			add(RegisterReceiverArgs{RequestID: e.RequestID}, nil)
		case registry.FolderDue:
			add(SendFolderArgs{FolderID: e.FolderID}, &river.InsertOpts{ScheduledAt: e.At})
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
			if err := store.RetryQueueNow(ctx, tx, PartnerQueue(e.Name), len(retryWaits)); err != nil {
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
