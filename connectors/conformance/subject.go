package conformance

import (
	"sync"

	"github.com/google/go-cmp/cmp"

	"github.com/passerelle-hub/passerelle/connectors"
)

// StrangersName is the hub that Fixture.Stranger is opened with.
const StrangersName = "passerelle-elsewhere"

var declarationTests = []test{
	{"the capabilities are those declared", nil, func(b *bench) {
		if diff := cmp.Diff(b.Declared, b.can); diff != "" {
			b.t.Error(diff)
		}
	}},
	{"the capabilities are those of the interfaces", nil, func(b *bench) {
		if _, lists := b.Manager.(connectors.Lister); lists != b.can.List {
			b.t.Errorf("List declared %t, implemented %t", b.can.List, lists)
		}
		if b.can.MultiSecret != (b.can.Grace != connectors.GraceNone) {
			b.t.Errorf("two live secrets %t, but grace %s", b.can.MultiSecret, b.can.Grace)
		}
	}},
}

var subjectTests = []test{
	{"the same reference twice is the same subject", nil, func(b *bench) {
		first, err := b.ensure(b.subject)
		b.must(err)
		second, err := b.ensure(b.subject)
		b.must(err)
		if first != second {
			b.t.Errorf("%s, then %s", first, second)
		}
		b.oneSubject()
	}},
	{"a subject whose name and labels changed keeps its id", nil, func(b *bench) {
		first, err := b.ensure(b.subject)
		b.must(err)
		changed := b.subject
		changed.Name, changed.Labels = "Commune de Valfleury - périscolaire", map[string]string{"datapass_id": "1", "siret": "21380999900013"}
		second, err := b.ensure(changed)
		b.must(err)
		if first != second {
			b.t.Errorf("%s, then %s", first, second)
		}
		b.oneSubject()
	}},
	{"two references are two subjects", nil, func(b *bench) {
		first, err := b.ensure(b.subject)
		b.must(err)
		second, err := b.ensure(b.newSubject())
		b.must(err)
		if first == second {
			b.t.Errorf("%s twice", first)
		}
	}},
	{"concurrent calls make one subject", nil, func(b *bench) {
		const callers = 8
		ids, errs := make([]string, callers), make([]error, callers)
		var group sync.WaitGroup
		for i := range callers {
			group.Go(func() { ids[i], errs[i] = b.Manager.EnsureSubject(b.ctx, b.subject) })
		}
		group.Wait()
		made := ""
		for i, err := range errs {
			if b.watch(err) != nil {
				b.wantClass(err, connectors.Temporary, connectors.RateLimited) // another worker is busy with it
				continue
			}
			if made == "" {
				made = ids[i]
			}
			if ids[i] != made {
				b.t.Errorf("%s and %s", made, ids[i])
			}
		}
		if made == "" {
			b.t.Error("no call succeeded")
		}
		b.oneSubject()
	}},
	{"another owner's subject is a conflict and stays as it is", nil, func(b *bench) {
		stranger := b.subject
		stranger.Owner, stranger.Name = StrangersName, "Another hub's"
		id, err := b.ensure(stranger)
		b.must(err)
		_, err = b.ensure(b.subject)
		b.wantClass(err, connectors.Conflict)
		again, err := b.ensure(stranger)
		if err != nil || again != id {
			b.t.Errorf("the stranger's subject was %s, and is %s, %v", id, again, err)
		}
	}},
	{"a subject without reference or owner is rejected", nil, func(b *bench) {
		nameless, ownerless := b.subject, b.subject
		nameless.Ref, ownerless.Owner = "", ""
		for _, s := range []connectors.Subject{nameless, ownerless} {
			_, err := b.ensure(s)
			b.wantClass(err, connectors.Rejected)
		}
	}},
}

func (b *bench) oneSubject() {
	b.t.Helper()
	if b.Subjects == nil {
		return
	}
	if n := b.Subjects(b.subject.Ref); n != 1 {
		b.t.Errorf("%d subjects %s, want one", n, b.subject.Ref)
	}
}

var grantTests = []test{
	{"rights are added and removed until they are the set", nil, func(b *bench) {
		live := b.holder()
		b.must(b.setGrants(live, b.Scopes[0]))
		b.holds(live, b.Scopes[0])
		for _, scopes := range [][]string{b.Scopes[:], b.Scopes[1:]} {
			err := b.setGrants(live, scopes...)
			if b.FinalEnds {
				b.wantClass(err, connectors.Rejected)
				b.holds(live, b.Scopes[0])
				continue
			}
			b.must(err)
			b.holds(live, scopes...)
		}
	}},
	{"a right is added to a live key", nil, func(b *bench) {
		id, err := b.ensure(b.subject)
		b.must(err)
		b.subjectID = id
		r := b.request()
		r.Grants = b.grants(b.Scopes[0])
		b.must(b.setGrants(nil, b.Scopes[0]))
		issued, err := b.issue(r)
		b.must(err)
		b.holds([]connectors.Handle{issued.Handle}, b.Scopes[0])
		b.must(b.setGrants([]connectors.Handle{issued.Handle}, b.Scopes[:]...))
		b.holds([]connectors.Handle{issued.Handle}, b.Scopes[:]...)
	}},
	{"an empty set takes every scope away", nil, func(b *bench) {
		live := b.holder()
		err := b.setGrants(live)
		if b.NoEmptyGrants {
			b.wantClass(err, connectors.Rejected)
			b.holds(live, b.Scopes[:]...)
			return
		}
		b.must(err)
		b.holds(live)
	}},
	{"the same set twice writes once", nil, func(b *bench) {
		live := b.holder()
		b.must(b.setGrants(live, b.Scopes[:1]...))
		before := b.writes()
		b.must(b.setGrants(live, b.Scopes[:1]...))
		if after := b.writes(); after != before {
			b.t.Errorf("%d calls that write", after-before)
		}
		b.holds(live, b.Scopes[:1]...)
	}},
	{"a scope without a mapping is rejected and nothing changes", nil, func(b *bench) {
		live := b.holder()
		b.wantClass(b.setGrants(live, b.Scopes[0], "unmapped_scope"), connectors.Rejected)
		b.holds(live, b.Scopes[:]...)
	}},
	{"a definition without a mapping is rejected and nothing changes", nil, func(b *bench) {
		live := b.holder()
		err := b.watch(b.Manager.EnsureGrants(b.ctx, b.subjectID, live, connectors.Grants{Definition: "unmapped"}))
		b.wantClass(err, connectors.Rejected)
		b.holds(live, b.Scopes[:]...)
	}},
	{"a key with a scope without a mapping is not issued", nil, func(b *bench) {
		b.prepare()
		r := b.request()
		r.Grants.Scopes = append(r.Grants.Scopes, "unmapped_scope")
		_, err := b.issue(r)
		b.wantClass(err, connectors.Rejected)
		b.live(0)
	}},
	{"without a live key rights are only checked, or held ready", nil, func(b *bench) {
		b.prepare()
		b.wantClass(b.setGrants(nil, "unmapped_scope"), connectors.Rejected)
		b.must(b.setGrants(nil, b.Scopes[0]))
		b.live(0)
	}},
	{"what an approval would do is told without doing it", []need{plans}, func(b *bench) {
		calls := b.calls()
		planner := b.Manager.(connectors.Planner)
		steps, err := planner.Plan(b.grants(b.Scopes[:]...))
		if b.watch(err) != nil || len(steps) == 0 {
			b.t.Errorf("%v, %v", steps, err)
		}
		_, err = planner.Plan(b.grants("unmapped_scope"))
		b.wantClass(b.watch(err), connectors.Rejected)
		if b.calls() != calls {
			b.t.Error("a plan calls the partner")
		}
	}},
}

// holder gives a live credential with both scopes.
func (b *bench) holder() []connectors.Handle {
	b.t.Helper()
	return []connectors.Handle{b.issued().Handle}
}

func (b *bench) holds(live []connectors.Handle, scopes ...string) {
	b.t.Helper()
	if diff := cmp.Diff(b.Native(scopes...), b.Rights(b.subjectID, live)); diff != "" {
		b.t.Errorf("rights (-want +got):\n%s", diff)
	}
	found, err := b.lookup(live[0])
	if err != nil {
		b.t.Error(err)
	} else if diff := cmp.Diff(append([]string{}, scopes...), append([]string{}, found.Scopes...)); diff != "" {
		b.t.Errorf("scopes looked up (-want +got):\n%s", diff)
	}
}

func (b *bench) calls() int {
	if b.Partner == nil {
		return 0
	}
	return b.Partner.Count(b.Admin)
}

// writes counts the calls that may change something.
func (b *bench) writes() int {
	n := 0
	if b.Partner != nil {
		for _, call := range b.Partner.Calls(b.Admin) {
			if call.Method != "GET" && call.Method != "HEAD" {
				n++
			}
		}
	}
	return n
}
