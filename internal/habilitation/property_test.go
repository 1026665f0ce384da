package habilitation_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	hab "github.com/passerelle-hub/passerelle/internal/habilitation"
)

// anyCommand draws a command, sensible or not, by somebody who may or may not.
func anyCommand(t *rapid.T, r hab.Request, at time.Time) hab.Command {
	actor := rapid.SampledFrom([]hab.Actor{applicant, applicant, applicant, instructor, instructor, instructor, member, developer, admin, system, stranger}).Draw(t, "actor")
	by := hab.By{Actor: actor, At: at}
	reason := rapid.SampledFrom([]string{"Motif.", "Motif.", ""}).Draw(t, "reason")
	targets := []int64{0, 0, 999}
	for _, h := range r.Habilitations {
		targets = append(targets, h.ID)
	}
	target := rapid.SampledFrom(targets).Draw(t, "habilitation")
	data := copyData(r.Data)
	data["scopes"] = rapid.SampledFrom([]string{`["a"]`, `["a", "b"]`, `["openid"]`}).Draw(t, "scopes")
	return rapid.SampledFrom([]hab.Command{
		hab.Update{By: by, Data: data},
		hab.Update{By: by, Data: data, ByAPI: true},
		hab.Submit{By: by, Since: answers()},
		hab.Submit{By: by, Since: answers()},
		hab.RequestChanges{By: by, Reason: reason},
		hab.Approve{By: by},
		hab.Approve{By: by},
		hab.Refuse{By: by, Reason: reason},
		hab.Revoke{By: by, Reason: reason, Habilitation: target},
		hab.Archive{By: by},
		hab.Reopen{By: by, Habilitation: target},
		hab.Reopen{By: by},
		hab.CancelReopening{By: by, Reason: reason},
		hab.StartNextStage{By: by},
		hab.CancelNextStage{By: by},
		hab.TransferToUser{By: by, To: &samir, Member: true},
		hab.TransferToOrganization{By: by, To: &ormes},
	}).Draw(t, "command")
}

// Whatever is asked of a request, by whomever, in any order.
func TestARequestIsAlwaysSound(t *testing.T) {
	thoroughly(t, func(rt *rapid.T) {
		d := facts[rapid.SampledFrom([]string{"api_entreprise", "api_ficoba_sandbox", "api_particulier"}).Draw(rt, "definition")]
		w := newWorld(t, d, embedded())
		ledger := rights{}
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			before := w.request
			w.now = w.now.Add(time.Second)
			cmd := anyCommand(rt, before, w.now)
			if err := w.try(cmd, facts[before.Definition]); err != nil {
				continue
			}
			ledger.apply(rt, w.change.Consequences)
			checkStep(rt, before, w.change, cmd)
			checkRequest(rt, w.request, ledger)
		}
	})
}

// checkStep: what one change may do.
func checkStep(t *rapid.T, before hab.Request, change hab.Change, cmd hab.Command) {
	after := change.Request
	if before.State == hab.Archived && after.State != hab.Archived || before.State == hab.Revoked && after.State != hab.Revoked && after.State != hab.Archived {
		t.Fatalf("%T brought a request that is %s back to %s", cmd, before.State, after.State)
	}
	if len(change.Events) > 0 && after.Version != before.Version+1 || len(change.Events) == 0 && after.Version != before.Version {
		t.Fatalf("%T: version %d after %d with %d events", cmd, after.Version, before.Version, len(change.Events))
	}
	_, approved := cmd.(hab.Approve)
	if !approved && !after.LastValidatedAt.Equal(before.LastValidatedAt) {
		t.Fatalf("%T moved last_validated_at", cmd)
	}
	if _, submitted := cmd.(hab.Submit); !submitted && !after.LastSubmittedAt.Equal(before.LastSubmittedAt) {
		t.Fatalf("%T moved last_submitted_at", cmd)
	}
	own := 0
	for _, i := range change.Created {
		if after.Habilitations[i].ParentID == 0 {
			own++
		}
	}
	if approved != (own == 1) {
		t.Fatalf("%T granted %d habilitations", cmd, own)
	}
	revoked := 0
	for i, was := range before.Habilitations {
		now := after.Habilitations[i]
		if was.State != now.State != slices.Contains(change.Altered, i) {
			t.Fatalf("%T: altered %v, habilitation %d went from %s to %s", cmd, change.Altered, i, was.State, now.State)
		}
		if was.State == hab.GrantActive && now.State == hab.GrantRevoked {
			revoked++
		}
		now.State = was.State
		if diff := cmp.Diff(was, now); diff != "" {
			t.Fatalf("%T edited a snapshot:\n%s", cmd, diff)
		}
	}
	if _, ok := cmd.(hab.Revoke); ok && (revoked == 0 || len(change.Events) != revoked) {
		t.Fatalf("%d habilitations revoked, %d events", revoked, len(change.Events))
	}
}

// checkRequest: what a request is at any time.
func checkRequest(t *rapid.T, r hab.Request, ledger rights) {
	active := map[string]int{}
	want := rights{}
	for _, h := range r.Habilitations {
		if h.ID <= 0 || h.ParentID < 0 {
			t.Fatalf("a stand-in id is left: %+v", h)
		}
		if h.State == hab.GrantActive {
			active[h.Definition]++
			want[h.Definition] = h.Data["scopes"]
		}
	}
	for definition, n := range active {
		if n > 1 {
			t.Fatalf("%d active habilitations of %s", n, definition)
		}
	}
	switch {
	case r.State == hab.Validated && len(active) == 0:
		t.Fatal("validated without an active habilitation")
	case (r.State == hab.Revoked || r.State == hab.Archived) && len(active) > 0:
		t.Fatalf("%s with an active habilitation", r.State)
	case r.Reopening && r.State != hab.Draft && r.State != hab.Submitted && r.State != hab.ChangesRequested:
		t.Fatalf("reopening while %s", r.State)
	}
	if diff := cmp.Diff(want, ledger); diff != "" {
		t.Fatalf("the credentials do not follow the habilitations:\n%s", diff)
	}
}

// rights is what the credentials would grant once every consequence is carried
// out: definition -> scopes.
type rights map[string]string

func (r rights) apply(t *rapid.T, consequences []hab.Consequence) {
	for _, c := range consequences {
		switch c := c.(type) {
		case hab.IssueCredentials:
			if _, there := r[c.Definition]; there {
				t.Fatalf("issued twice: %+v", c)
			}
			r[c.Definition] = hab.EncodeList(c.Scopes)
		case hab.UpdateGrants:
			if _, there := r[c.Definition]; !there {
				t.Fatalf("nothing to update: %+v", c)
			}
			r[c.Definition] = hab.EncodeList(c.Scopes)
		case hab.RevokeCredentials:
			if _, there := r[c.Definition]; !there {
				t.Fatalf("nothing to revoke: %+v", c)
			}
			delete(r, c.Definition)
		}
	}
}

// Dropping an update gives the request back as it was.
func TestDroppingAnUpdateChangesNothing(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t, single, answers("a")).follow(submit, approve)
		before := deepCopy(w.request)
		w.follow(reopen)
		w.follow(rapid.SliceOf(rapid.Just(update)).Draw(rt, "updates")...)
		w.follow(cancelReopening)
		before.Version, before.ReopenedAt = w.request.Version, w.request.ReopenedAt
		if diff := cmp.Diff(before, w.request); diff != "" {
			rt.Fatal(diff)
		}
	})
}

func TestARefusalSaysItIsOne(t *testing.T) {
	_, err := hab.Decide(hab.Request{State: hab.Archived}, single, hab.Approve{By: hab.By{Actor: instructor}})
	var refusal *hab.Refusal
	if !errors.As(err, &refusal) || refusal.Error() == "" || refusal.Event != approve || refusal.State != hab.Archived {
		t.Errorf("got %v", err)
	}
}
