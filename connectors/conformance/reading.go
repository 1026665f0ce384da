package conformance

import (
	"cmp"
	"slices"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/passerelle-hub/passerelle/connectors"
)

var readingTests = []test{
	{"a lookup tells handle, owner, rights and end", nil, func(b *bench) {
		b.prepare()
		r := b.request()
		if b.can.NativeExpiry {
			r.ExpiresAt = b.Now().Add(grace)
		}
		issued, err := b.issue(r)
		b.must(err)
		found, err := b.lookup(issued.Handle)
		b.must(err)
		if found.Handle.Ref != r.Ref || found.Handle.Subject != r.SubjectID || found.Handle.ID != issued.Handle.ID {
			b.t.Errorf("handle %+v, want %+v", found.Handle, issued.Handle)
		}
		if found.Owner != b.Owner || found.Live != connectors.Alive || !near(found.ExpiresAt, issued.ExpiresAt) {
			b.t.Errorf("owner %s, %s, ends %s", found.Owner, found.Live, found.ExpiresAt)
		}
		if diff := gocmp.Diff(b.Scopes[:], found.Scopes); diff != "" {
			b.t.Errorf("scopes (-want +got):\n%s", diff)
		}
	}},
	{"a lookup by our reference alone finds it", []need{lookupByRef}, func(b *bench) {
		issued := b.issued()
		found, err := b.lookup(connectors.Handle{Ref: issued.Handle.Ref, Subject: issued.Handle.Subject})
		b.must(err)
		if found.Handle.ID != issued.Handle.ID {
			b.t.Errorf("handle %+v, want %+v", found.Handle, issued.Handle)
		}
	}},
	{"what is not there is not found", nil, func(b *bench) {
		b.prepare()
		_, err := b.lookup(b.unissued())
		b.wantClass(err, connectors.NotFound)
	}},
	{"what was revoked is not found, or dead", nil, func(b *bench) {
		issued := b.issued()
		b.must(b.revoke(issued.Handle))
		found, err := b.lookup(issued.Handle)
		if err != nil {
			b.wantClass(err, connectors.NotFound)
		} else if found.Live != connectors.Dead {
			b.t.Errorf("%s", found.Live)
		}
	}},
	{"the pages list each of our keys once, and nobody else's", []need{lists}, func(b *bench) {
		var want []string
		for range 2*cmp.Or(b.Page, 2) + 1 {
			want = append(want, b.issued().Handle.Ref)
			b.subject, b.subjectID, b.refs = b.newSubject(), "", 0
		}
		if b.Stranger != nil {
			ours := b.Manager
			b.Manager, b.subject.Owner = b.Stranger, StrangersName
			b.issued()
			b.Manager = ours
		}
		found, pages := b.list()
		refs := []string{}
		for _, f := range found {
			// A real peer also holds what other tests left.
			if slices.Contains(want, f.Handle.Ref) || f.Owner != b.Owner {
				refs = append(refs, f.Handle.Ref)
			}
		}
		slices.Sort(refs)
		slices.Sort(want)
		if diff := gocmp.Diff(want, refs); diff != "" {
			b.t.Errorf("(-want +got):\n%s", diff)
		}
		if pages < 2 {
			b.t.Errorf("%d page of %d: Fixture.Page says less than the truth", pages, len(found))
		}
	}},
	{"the list shows what a lookup shows", []need{lists}, func(b *bench) {
		issued := b.issued()
		want, err := b.lookup(issued.Handle)
		b.must(err)
		found, _ := b.list()
		i := slices.IndexFunc(found, func(f connectors.Found) bool { return f.Handle.Ref == issued.Handle.Ref })
		if i < 0 {
			b.t.Fatal("not listed")
		}
		if diff := gocmp.Diff(want, found[i]); diff != "" {
			b.t.Errorf("(-lookup +list):\n%s", diff)
		}
	}},
	{"settings that fit the manager have no fault", []need{checks}, func(b *bench) {
		checker := b.Manager.(connectors.Checker)
		if faults, err := checker.CheckConfig(b.ctx); b.watch(err) != nil || len(faults) > 0 {
			b.t.Errorf("%q, %v", faults, err)
		}
	}},
	{"settings that name what is not there have a fault", []need{misconfigured}, func(b *bench) {
		faults, err := b.Misconfigured.(connectors.Checker).CheckConfig(b.ctx)
		if b.watch(err) != nil || len(faults) == 0 {
			b.t.Errorf("%q, %v", faults, err)
		}
	}},
}

// list walks all pages.
func (b *bench) list() (found []connectors.Found, pages int) {
	b.t.Helper()
	lister := b.Manager.(connectors.Lister)
	for cursor := ""; ; {
		page, next, err := lister.List(b.ctx, cursor)
		b.must(b.watch(err))
		for _, f := range page {
			b.watch(nil, f.Handle)
		}
		found = append(found, page...)
		pages++
		if next == "" {
			return found, pages
		}
		if next == cursor || pages > 10_000 {
			b.t.Fatal("the cursor does not advance")
		}
		cursor = next
	}
}

var partnerTests = []test{
	{"a healthy partner is told so, with its latency", nil, func(b *bench) {
		health, err := b.Manager.Health(b.ctx)
		b.must(b.watch(err))
		if health.Latency < 0 || (b.Partner != nil && health.Latency == 0) {
			b.t.Errorf("latency %s", health.Latency)
		}
	}},
	{"a partner that answers 200 and cannot write is not healthy", []need{sickness}, func(b *bench) {
		b.Sick()
		_, err := b.Manager.Health(b.ctx)
		b.wantClass(b.watch(err), connectors.Temporary, connectors.Rejected)
	}},
	{"a refused credential of ours is unauthorized, whatever is asked", []need{refusal}, func(b *bench) {
		issued := b.issued()
		b.Refuse()
		b.each(issued, func(name string, err error) {
			if !connectors.Is(err, connectors.Unauthorized) {
				b.t.Errorf("%s: %v, want unauthorized", name, err)
			}
		})
	}},
	{"a partner that is gone is a temporary fault, whatever is asked", []need{partner}, func(b *bench) {
		issued := b.issued()
		b.must(b.Partner.Close())
		b.each(issued, func(name string, err error) {
			if !connectors.Is(err, connectors.Temporary) {
				b.t.Errorf("%s: %v, want temporary", name, err)
			}
		})
	}},
	{"an answer that repeats the secret does not pass it on", []need{partner, callerSecret}, func(b *bench) {
		issued := b.issued()
		value := issued.Secret.Reveal()
		b.Partner.Inject(answer(b.Admin, 400, `{"message":"bad value `+value+`","error":"`+value+`","description":"`+value+`"}`))
		b.each(issued, func(name string, err error) {
			if err == nil {
				b.t.Errorf("%s succeeds on a 400", name)
			}
		})
	}},
}

// each asks for everything once, with a live credential.
func (b *bench) each(issued connectors.Issued, check func(name string, err error)) {
	b.t.Helper()
	again := b.request()
	again.Secret = issued.Secret
	if !b.can.CallerSecret {
		again.Secret = connectors.Secret{}
	}
	_, err := b.ensure(b.subject)
	if b.Subjects != nil {
		check("subject", err)
	}
	check("grants", b.setGrants([]connectors.Handle{issued.Handle}, b.Scopes[0]))
	_, err = b.issue(again)
	check("issue", err)
	_, err = b.rotate(b.rotation(issued, grace))
	check("rotate", err)
	if b.can.NativeExpiry {
		check("expire", b.expire(issued.Handle, b.Now().Add(time.Hour)))
	}
	check("revoke", b.revoke(issued.Handle))
	live, err := b.verify(issued.Handle)
	check("verify", err)
	if live == connectors.Dead {
		b.t.Error("a partner that cannot be asked proves a key dead")
	}
	_, err = b.lookup(issued.Handle)
	check("lookup", err)
	_, err = b.Manager.Health(b.ctx)
	check("health", b.watch(err))
	if lister, ok := b.Manager.(connectors.Lister); ok {
		_, _, err = lister.List(b.ctx, "")
		check("list", b.watch(err))
	}
}
