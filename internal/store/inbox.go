package store

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/passerelle-hub/passerelle/internal/store/db"
)

// Incoming is one webhook of a DataPass source, verified and read, to be stored.
type Incoming struct {
	Source      string
	Hash        [32]byte // SHA-256 of the raw body: what makes two deliveries the same
	Body        []byte   // raw
	Event       string
	Definition  string
	ExternalID  int64
	Environment string
	FiredAt     time.Time
	Reserve     bool // an approve: reserve a token id
	Close       bool // the request is revoked: its open reservation is over
	Correlation string
	Parked      string // why it cannot be applied yet; "" when it can
}

// InboundKey names the request that an incoming event belongs to.
type InboundKey struct {
	Source     string
	ExternalID int64
}

// String is "<source>/<external id>".
func (k InboundKey) String() string { return k.Source + "/" + strconv.FormatInt(k.ExternalID, 10) }

// Receipt is the answer that belongs to an incoming event, the same however
// often it comes.
type Receipt struct {
	ID        uuid.UUID
	TokenID   uuid.UUID // uuid.Nil unless an approve
	Duplicate bool
}

// Inbox stores incoming webhooks, many in one commit: whatever arrives while a
// commit is under way goes into the next one (group commit), so that a burst
// costs few fsyncs and a lone event waits for none.
//
// One commit is under way at a time: several small ones cost more processor than
// a larger one, and all wait longer. Only behind one that is late (a lock held
// elsewhere, a slow disk) the next one starts.
type Inbox struct {
	store *Store
	wake  func(ctx context.Context, tx pgx.Tx, keys []InboundKey) error
	queue chan *pending
	turn  chan struct{} // held by the flusher whose turn it is
}

type pending struct {
	in     Incoming
	id     uuid.UUID
	sealed []byte
	done   chan outcome
}

type outcome struct {
	receipt Receipt
	err     error
}

const (
	maxBatch      = 128
	inboxFlushers = 3
	flushTimeout  = 10 * time.Second
	flushLate     = 50 * time.Millisecond // the next flusher no longer waits
)

// NewInbox gives an inbox; wake queues, in the same transaction, the job that
// applies what was stored. Run must be running for Put to answer.
func (s *Store) NewInbox(wake func(ctx context.Context, tx pgx.Tx, keys []InboundKey) error) *Inbox {
	return &Inbox{store: s, wake: wake, queue: make(chan *pending, 4*maxBatch), turn: make(chan struct{}, 1)}
}

// Run stores what Put hands over until ctx ends, then finishes what is queued.
func (b *Inbox) Run(ctx context.Context) {
	stopped := make(chan struct{})
	for range inboxFlushers {
		go func() {
			defer func() { stopped <- struct{}{} }()
			for {
				select {
				case first := <-b.queue:
					b.inTurn(first)
				case <-ctx.Done():
					select {
					case first := <-b.queue:
						b.inTurn(first)
					default:
						return
					}
				}
			}
		}()
	}
	for range inboxFlushers {
		<-stopped
	}
}

// Put stores one incoming event and gives its receipt once it is committed.
// When ctx ends first the event may still be stored: the sender repeats it and
// gets the same receipt.
func (b *Inbox) Put(ctx context.Context, in Incoming) (Receipt, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return Receipt{}, err
	}
	sealed, err := b.store.ring.Seal(pack(in.Body), inboundAD(id))
	if err != nil {
		return Receipt{}, err
	}
	in.Body = nil
	p := &pending{in: in, id: id, sealed: sealed, done: make(chan outcome, 1)}
	select {
	case b.queue <- p:
	case <-ctx.Done():
		return Receipt{}, ctx.Err()
	}
	select {
	case o := <-p.done:
		return o.receipt, o.err
	case <-ctx.Done():
		return Receipt{}, ctx.Err()
	}
}

func inboundAD(id uuid.UUID) []byte { return []byte("inbound_event/" + id.String()) }

func (b *Inbox) gather(first *pending) []*pending {
	batch := append(make([]*pending, 0, maxBatch), first)
	for len(batch) < maxBatch {
		select {
		case p := <-b.queue:
			batch = append(batch, p)
		default:
			return batch
		}
	}
	return batch
}

// inTurn commits an event with all that is queued once it is this flusher's turn.
func (b *Inbox) inTurn(first *pending) {
	b.turn <- struct{}{}
	end := sync.OnceFunc(func() { <-b.turn })
	late := time.AfterFunc(flushLate, end)
	b.flush(b.gather(first))
	late.Stop()
	end()
}

// flush commits a batch. One that fails for another reason than an unreachable
// database is tried again event by event: one bad event never refuses the others.
func (b *Inbox) flush(batch []*pending) {
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	err := b.commit(ctx, batch)
	switch {
	case err == nil:
	case len(batch) == 1 || Unavailable(err):
		for _, p := range batch {
			p.done <- outcome{err: err}
		}
	default:
		for _, p := range batch {
			b.flush([]*pending{p})
		}
	}
}

func (b *Inbox) commit(ctx context.Context, batch []*pending) error {
	// One order for every transaction, so that two replicas never wait for each other in a circle.
	slices.SortFunc(batch, func(x, y *pending) int {
		if x.in.Source != y.in.Source {
			return bytes.Compare([]byte(x.in.Source), []byte(y.in.Source))
		}
		return bytes.Compare(x.in.Hash[:], y.in.Hash[:])
	})
	var receipts []Receipt
	err := b.store.InTx(ctx, func(tx *Tx) error {
		if err := tx.closeReservations(ctx, batch); err != nil {
			return err
		}
		known, err := tx.storeInbound(ctx, batch)
		if err != nil {
			return err
		}
		for _, p := range batch {
			if _, ok := known[p.key()]; ok {
				continue
			}
			if known, err = tx.findInbound(ctx, batch); err != nil { // another transaction was first with some
				return err
			}
			break
		}
		if err := b.wakeFor(ctx, tx, batch, known); err != nil {
			return err
		}
		receipts = make([]Receipt, len(batch))
		for i, p := range batch {
			row, ok := known[p.key()]
			if !ok {
				return fmt.Errorf("incoming event %s vanished while it was stored", p.id)
			}
			receipts[i] = Receipt{ID: row.ID, TokenID: val(row.TokenID), Duplicate: row.ID != p.id}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i, p := range batch {
		p.done <- outcome{receipt: receipts[i]}
	}
	return nil
}

type bodyKey struct {
	source string
	hash   [32]byte
}

func (p *pending) key() bodyKey { return bodyKey{p.in.Source, p.in.Hash} }

// wakeFor queues the application of what this transaction stored, once per
// request. What another one stored first is woken there.
func (b *Inbox) wakeFor(ctx context.Context, tx *Tx, batch []*pending, known map[bodyKey]db.FindInboundRow) error {
	seen := make(map[InboundKey]bool, len(batch))
	keys := make([]InboundKey, 0, len(batch))
	for _, p := range batch {
		k := InboundKey{p.in.Source, p.in.ExternalID}
		if p.in.Parked == "" && known[p.key()].ID == p.id && !seen[k] {
			seen[k] = true
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	if err := b.wake(ctx, tx.SQL, keys); err != nil {
		return fmt.Errorf("queue the application of incoming events: %w", err)
	}
	return nil
}

func (t *Tx) findInbound(ctx context.Context, batch []*pending) (map[bodyKey]db.FindInboundRow, error) {
	bySource := map[string][][]byte{}
	for _, p := range batch {
		bySource[p.in.Source] = append(bySource[p.in.Source], p.in.Hash[:])
	}
	found := make(map[bodyKey]db.FindInboundRow, len(batch))
	for source, hashes := range bySource {
		rows, err := t.q.FindInbound(ctx, source, hashes)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			found[bodyKey{row.Source, [32]byte(row.BodySha256)}] = row
		}
	}
	return found, nil
}

// storeInbound stores what is new and gives every row that is there, but for
// those that another transaction stores at the same time.
func (t *Tx) storeInbound(ctx context.Context, batch []*pending) (map[bodyKey]db.FindInboundRow, error) {
	var a db.StoreInboundParams
	for _, p := range batch {
		state, reserve := "received", uuid.Nil
		if p.in.Parked != "" {
			state = "parked"
		}
		if p.in.Reserve {
			reserve = uuid.New()
		}
		a.Ids = append(a.Ids, p.id)
		a.Sources = append(a.Sources, p.in.Source)
		a.Hashes = append(a.Hashes, p.in.Hash[:])
		a.Bodies = append(a.Bodies, p.sealed)
		a.Events = append(a.Events, p.in.Event)
		a.Definitions = append(a.Definitions, p.in.Definition)
		a.ExternalIds = append(a.ExternalIds, p.in.ExternalID)
		a.Environments = append(a.Environments, p.in.Environment)
		a.FiredAts = append(a.FiredAts, p.in.FiredAt)
		a.TokenIds = append(a.TokenIds, reserve)
		a.Correlations = append(a.Correlations, p.in.Correlation)
		a.States = append(a.States, state)
		a.Reasons = append(a.Reasons, p.in.Parked)
	}
	rows, err := t.q.StoreInbound(ctx, a)
	known := make(map[bodyKey]db.FindInboundRow, len(rows))
	for _, row := range rows {
		known[bodyKey{row.Source, [32]byte(row.BodySha256)}] = db.FindInboundRow(row)
	}
	return known, err
}

// closeReservations ends those of the requests that new events say revoked,
// before the batch reserves others.
func (t *Tx) closeReservations(ctx context.Context, batch []*pending) error {
	var sources []string
	var hashes [][]byte
	var requests []int64
	var firedAt []time.Time
	for _, p := range batch {
		if p.in.Close {
			sources, hashes = append(sources, p.in.Source), append(hashes, p.in.Hash[:])
			requests, firedAt = append(requests, p.in.ExternalID), append(firedAt, p.in.FiredAt)
		}
	}
	if len(sources) == 0 {
		return nil
	}
	return t.q.CloseReservationsOfNew(ctx, sources, hashes, requests, firedAt)
}
