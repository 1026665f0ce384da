package registry

import (
	"context"
	"crypto/sha256"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unique"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/internal/store"
)

const (
	// lookEvery is how often a replica looks for what changed, and staleAfter how
	// long it believes what it keeps after its last look began. A change committed
	// anywhere is obeyed here staleAfter later at the most (tokens.md, 7.7: within
	// one second), whatever becomes of this process or of its database: what
	// cannot be known is asked of the database, or refused.
	lookEvery  = 150 * time.Millisecond
	staleAfter = 700 * time.Millisecond
	lookLimit  = 500 * time.Millisecond
	// askLimit bounds a read of the database: a gateway waits for it.
	askLimit = 2 * time.Second
	// rememberLooks: a read that began longer ago is not kept.
	rememberLooks = 64
)

// KeySetPurpose names the signing keys of access tokens.
const KeySetPurpose = "access-token"

// Introspector answers introspections from memory, as long as it knows that
// nothing changed since (RFC 7662; tokens.md, 7.7). What it keeps: which
// credential a token stands for, and what was read of that credential. The first
// never changes, while no signing key is withdrawn; the second is forgotten when
// the database tells that it changed.
type Introspector struct {
	registry *Registry
	tokens   TokenReader
	feed     *store.ChangeFeed
	most     int // tokens kept
	log      zerolog.Logger
	began    time.Time
	freshAt  atomic.Int64 // after began, in nanoseconds: when the last good look began

	mu      sync.RWMutex
	refs    map[[16]byte]keptRef
	held    map[uuid.UUID]*held
	looks   uint64               // good ones
	changed map[uuid.UUID]uint64 // at which look, for the last rememberLooks
	next    int64
	keys    string
}

type keptRef struct {
	id      uuid.UUID
	expires int64 // unix seconds; 0: none
}

// NewIntrospector gives one that keeps up to most tokens. Without Run, it asks
// the database each time.
func NewIntrospector(r *Registry, tokens TokenReader, most int, log zerolog.Logger) *Introspector {
	i := &Introspector{registry: r, tokens: tokens, feed: r.store.NewChangeFeed(KeySetPurpose), most: most, log: log, began: time.Now()}
	i.forgetAll()
	i.freshAt.Store(-int64(time.Hour))
	return i
}

// Run looks for changes until ctx ends.
func (i *Introspector) Run(ctx context.Context) {
	defer i.feed.Close()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	failing := false
	for {
		err := i.look(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !failing:
			i.log.Warn().Err(err).Msg("introspection cannot tell what changed: it asks the database each time")
		case err == nil && failing:
			i.log.Info().Msg("introspection answers from memory again")
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// look obeys what changed, then says that all it keeps was true when it began.
func (i *Introspector) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	began := time.Since(i.began)
	changes, err := i.feed.Since(ctx, i.next)
	if err != nil {
		return err
	}
	if changes.Keys != i.keys {
		if err := i.tokens.Refresh(ctx, 0); err != nil {
			return err
		}
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.looks++
	last := time.Duration(i.freshAt.Load())
	if changes.Next < i.next || began-last > store.KeepChanges/2 { // another database, or too long away
		i.forgetAll()
	}
	if withdrawn(i.keys, changes.Keys) {
		i.refs = map[[16]byte]keptRef{}
	}
	for _, id := range changes.Credentials {
		delete(i.held, id)
		i.changed[id] = i.looks
	}
	for id, at := range i.changed {
		if i.looks-at > rememberLooks {
			delete(i.changed, id)
		}
	}
	i.next, i.keys = changes.Next, changes.Keys
	i.freshAt.Store(int64(began))
	return nil
}

// withdrawn: a key that was there is gone. What it signed stands for nothing.
func withdrawn(before, after string) bool {
	known := map[string]bool{}
	for _, kid := range strings.Fields(after) {
		known[kid] = true
	}
	for _, kid := range strings.Fields(before) {
		if !known[kid] {
			return true
		}
	}
	return false
}

func (i *Introspector) forgetAll() {
	i.refs, i.held, i.changed = map[[16]byte]keptRef{}, map[uuid.UUID]*held{}, map[uuid.UUID]uint64{}
}

func (i *Introspector) fresh() bool {
	return time.Since(i.began)-time.Duration(i.freshAt.Load()) < staleAfter
}

// Kept is how many tokens are known now.
func (i *Introspector) Kept() int {
	i.mu.RLock()
	defer i.mu.RUnlock()
	return len(i.refs)
}

// Introspect says what Registry.Introspect does.
func (i *Introspector) Introspect(ctx context.Context, value string, definitions []string) (Introspection, error) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	sum := sha256.Sum256([]byte(value))
	key := [16]byte(sum[:16])
	if i.fresh() {
		i.mu.RLock()
		ref, known := i.refs[key]
		h := i.held[ref.id]
		i.mu.RUnlock()
		if known && h != nil {
			return i.registry.answer(h, ref.ends(), definitions), nil
		}
		return i.read(ctx, key, ref, known, value, definitions)
	}
	if err := i.tokens.Refresh(ctx, staleAfter); err != nil {
		return Introspection{}, err
	}
	return i.registry.Introspect(ctx, i.tokens, value, definitions)
}

func (r keptRef) ends() time.Time {
	if r.expires == 0 {
		return time.Time{}
	}
	return time.Unix(r.expires, 0)
}

// read asks the database, and keeps the answer unless it changed meanwhile.
func (i *Introspector) read(ctx context.Context, key [16]byte, ref keptRef, known bool, value string, definitions []string) (Introspection, error) {
	i.mu.RLock()
	look, keys := i.looks, i.keys
	i.mu.RUnlock()
	if !known {
		read, err := i.registry.tokenRef(ctx, i.tokens, value)
		switch {
		case errors.Is(err, ErrNotOurs), errors.Is(err, store.ErrNotFound):
			return Introspection{}, nil
		case err != nil:
			return Introspection{}, err
		}
		ref = keptRef{id: read.ID}
		if !read.ExpiresAt.IsZero() {
			ref.expires = read.ExpiresAt.Unix()
		}
	}
	live, err := i.registry.store.LiveCredential(ctx, ref.id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return Introspection{}, nil
	case err != nil:
		return Introspection{}, err
	}
	h := heldOf(live)
	h.definition, h.scope = unique.Make(h.definition).Value(), unique.Make(h.scope).Value()
	if h.passes(i.registry.now().UnixNano()) { // what is over is not worth a place
		i.keep(key, ref, &h, look, keys)
	}
	return i.registry.answer(&h, ref.ends(), definitions), nil
}

func (i *Introspector) keep(key [16]byte, ref keptRef, h *held, look uint64, keys string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.looks-look >= rememberLooks || i.changed[ref.id] > look || i.keys != keys {
		return
	}
	for old := range i.refs { // any one: which does not matter much when there is room for all that are used
		if len(i.refs) < i.most {
			break
		}
		delete(i.refs, old)
	}
	for old := range i.held {
		if len(i.held) < i.most {
			break
		}
		delete(i.held, old)
	}
	i.refs[key], i.held[ref.id] = ref, h
}

// Forget drops what is kept of a credential that this process just changed, so
// that it does not have to wait for its own next look.
func (i *Introspector) Forget(id uuid.UUID) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.held, id)
	i.changed[id] = i.looks + 1
}
