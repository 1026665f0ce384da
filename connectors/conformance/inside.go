package conformance

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/passerelle-hub/passerelle/connectors"
)

// Inside strikes the calls that a manager makes to what the hub lends it, for
// managers that have no partner whose calls could be struck: the database that
// keeps their records and tasks goes away, or its answer is lost.
type Inside struct {
	mu     sync.Mutex
	blow   *insideBlow
	calls  int
	struck int
}

// insideBlow strikes call number at: before its work or after it, alone or with
// all that follow.
type insideBlow struct {
	name         string
	after, lasts bool
	kills        bool // another process goes on
}

var insideBlows = []insideBlow{
	{name: "the hub's database is away", lasts: true},
	{name: "a connection reset before the work"},
	{name: "an answer lost after the work", after: true},
	{name: "a process killed after the work", after: true, lasts: true, kills: true},
}

var errStruck = errors.New("connection reset by peer")

func (i *Inside) call(work func() error) error {
	i.mu.Lock()
	hit := i.blow != nil && (i.calls == 0 || i.calls < 0 && i.blow.lasts)
	first := hit && i.calls == 0
	i.calls--
	if hit {
		i.struck++
	}
	after := first && i.blow.after
	i.mu.Unlock()
	if hit && !after {
		return errStruck
	}
	if err := work(); err != nil || !hit {
		return err
	}
	return errStruck
}

// strike arms the blow for call number n from now.
func (i *Inside) strike(b insideBlow, n int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.blow, i.calls, i.struck = &b, n, 0
}

// rest ends it, and tells whether a call was struck.
func (i *Inside) rest() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.blow = nil
	return i.struck > 0
}

// Ledger gives l, struck.
func (i *Inside) Ledger(l connectors.Ledger) connectors.Ledger { return struckLedger{l, i} }

// Tasks gives t, struck.
func (i *Inside) Tasks(t connectors.Tasks) connectors.Tasks { return struckTasks{t, i} }

type struckLedger struct {
	connectors.Ledger
	in *Inside
}

func (l struckLedger) Get(ctx context.Context, key string) (value []byte, found bool, err error) {
	err = l.in.call(func() (err error) { value, found, err = l.Ledger.Get(ctx, key); return err })
	return value, found && err == nil, err
}

func (l struckLedger) Put(ctx context.Context, key string, value []byte) error {
	return l.in.call(func() error { return l.Ledger.Put(ctx, key, value) })
}

func (l struckLedger) PutNew(ctx context.Context, key string, value []byte) (isNew bool, err error) {
	err = l.in.call(func() (err error) { isNew, err = l.Ledger.PutNew(ctx, key, value); return err })
	return isNew && err == nil, err
}

func (l struckLedger) Delete(ctx context.Context, key string) error {
	return l.in.call(func() error { return l.Ledger.Delete(ctx, key) })
}

type struckTasks struct {
	connectors.Tasks
	in *Inside
}

func (t struckTasks) Ask(ctx context.Context, task connectors.Task) (answer connectors.TaskAnswer, err error) {
	err = t.in.call(func() (err error) { answer, err = t.Tasks.Ask(ctx, task); return err })
	return answer, err
}

func (t struckTasks) Read(ctx context.Context, id string) (answer connectors.TaskAnswer, found bool, err error) {
	err = t.in.call(func() (err error) { answer, found, err = t.Tasks.Read(ctx, id); return err })
	return answer, found && err == nil, err
}

func (t struckTasks) Withdraw(ctx context.Context, id string) error {
	return t.in.call(func() error { return t.Tasks.Withdraw(ctx, id) })
}

// maxInside bounds the calls of one operation to what the hub lends.
const maxInside = 200

// runInside strikes each call of each operation to what the hub lends with each blow.
func runInside(t *testing.T, open func(*testing.T) *Fixture, sample *Fixture) {
	t.Helper()
	runMatrix(t, sample, insideBlows, func(b insideBlow) string { return b.name }, maxInside,
		func(t *testing.T, op operation, b insideBlow, n int) (struck, told bool) {
			return strikeInside(t, open, op, b, n)
		})
}

// strikeInside lets the blow hit the operation's call number n to what the hub
// lends, and tells whether there is one and whether the operation failed by it.
func strikeInside(t *testing.T, open func(*testing.T) *Fixture, op operation, b insideBlow, n int) (struck, told bool) {
	t.Helper()
	t.Run(fmt.Sprintf("call %d", n+1), func(t *testing.T) {
		a := &attempt{bench: newBench(t, open)}
		op.begin(a)
		a.Inside.strike(b, n)
		err := op.run(a)
		struck, told = a.Inside.rest(), err != nil
		if b.kills {
			a.Manager = a.Reopen()
		}
		if live := a.Live(a.subject.Ref); op.most > 0 && live > op.most {
			t.Errorf("%d keys live after the fault", live)
		}
		switch {
		case err != nil && !struck:
			t.Fatal(err)
		case err == nil && struck:
			t.Error("no failure was told of a call that was struck")
		case err != nil:
			a.wantClass(err, connectors.Temporary)
			if err := op.run(a); err != nil {
				t.Fatalf("the repeat: %v", err)
			}
		}
		op.holds(a)
	})
	return struck, told
}
