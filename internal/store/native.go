package store

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/passerelle-hub/passerelle/internal/habilitation"
)

// SaveNative writes what a command made of a native request, changed under a
// set of definitions, and gives it with its id and version.
func (t *Tx) SaveNative(ctx context.Context, change habilitation.Change, definitionSet string, now time.Time) (habilitation.Request, error) {
	return t.saveRequest(ctx, change, change.Request.Organization.ID, change.Request.Applicant.ID, definitionSet, now)
}

// FirstOwnID is where our ids start: a lower number is a source's
// (migrations/0003_applications.sql).
const FirstOwnID = 1_000_000_000

// RequestsNamed gives the requests that a number names: the one of that id, or
// those of sources, one a source.
func (s *Store) RequestsNamed(ctx context.Context, shown int64) ([]int64, error) {
	if shown >= FirstOwnID {
		return []int64{shown}, nil
	}
	return s.q.RequestsNamed(ctx, shown)
}

// RequestsOfHabilitation gives the requests whose habilitation a number names.
func (s *Store) RequestsOfHabilitation(ctx context.Context, shown int64) ([]int64, error) {
	return s.q.RequestsOfHabilitation(ctx, shown)
}

// LockKey serialises the writers of something that has no row of its own until
// the end of the transaction.
func (t *Tx) LockKey(ctx context.Context, key string) error { return t.q.LockKey(ctx, key) }

// Siblings gives the other requests of an organisation for a definition.
func (t *Tx) Siblings(ctx context.Context, organizationID int64, definition string, except int64) ([]habilitation.Sibling, error) {
	rows, err := t.q.SiblingsOf(ctx, organizationID, definition, except)
	list := make([]habilitation.Sibling, len(rows))
	for i, row := range rows {
		list[i] = habilitation.Sibling{State: habilitation.State(row.State), Scopes: habilitation.DecodeList(row.Scopes)}
	}
	return list, err
}

// FranceConnectIDs gives an organisation's active FranceConnect habilitations,
// as requests name them.
func (t *Tx) FranceConnectIDs(ctx context.Context, o habilitation.Organization) ([]string, error) {
	rows, err := t.q.FranceConnectIDs(ctx, o.ID, o.SIRET)
	list := make([]string, len(rows))
	for i, id := range rows {
		list[i] = strconv.FormatInt(id, 10)
	}
	return list, err
}

// KnownAnswers gives what was known of a request's answers at its last
// changelog: the form's prefill that it started from, and every difference told
// since (datapass.md, 1.4).
func (t *Tx) KnownAnswers(ctx context.Context, requestID int64) (habilitation.Data, error) {
	rows, known := t.changelogs[requestID]
	if !known {
		var err error
		if rows, err = t.q.ChangelogsOf(ctx, requestID); err != nil {
			return nil, err
		}
	}
	delete(t.changelogs, requestID) // what is written next is one more
	answers := habilitation.Data{}
	for _, row := range rows {
		var detail struct {
			Prefill habilitation.Data `json:"prefill"`
			Diff    habilitation.Diff `json:"diff"`
		}
		if err := json.Unmarshal(row.Detail, &detail); err != nil {
			return nil, err
		}
		if detail.Prefill != nil {
			answers = detail.Prefill
		}
		answers = detail.Diff.Apply(answers)
	}
	return answers, nil
}
