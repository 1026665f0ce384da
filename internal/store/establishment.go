package store

import (
	"context"
	"time"

	"github.com/passerelle-hub/passerelle/internal/store/db"
)

// DueOrganization is a native organization that INSEE is to be asked of.
type DueOrganization struct {
	ID    int64
	SIRET string
}

// OrganizationsDue lists native organizations that INSEE is to be asked of at
// that time, those that wait longest first.
func (s *Store) OrganizationsDue(ctx context.Context, at time.Time, most int) ([]DueOrganization, error) {
	rows, err := s.q.OrganizationsDue(ctx, at, int32(most))
	list := make([]DueOrganization, len(rows))
	for i, row := range rows {
		list[i] = DueOrganization{ID: row.ID, SIRET: row.Siret}
	}
	return list, err
}

// SaveEstablishment keeps INSEE's answer for a native organization, under the
// name that it gives ("" keeps the one that is there), until it is due again.
func (t *Tx) SaveEstablishment(ctx context.Context, id int64, payload []byte, name string, at, due time.Time) error {
	t.rights = true
	_, err := t.q.SaveEstablishment(ctx, db.SaveEstablishmentParams{Payload: payload, Name: name, DueAt: due, At: at, ID: id})
	return err
}

// SaveEstablishmentProblem keeps why INSEE gave no answer, and when it is asked again.
func (t *Tx) SaveEstablishmentProblem(ctx context.Context, id int64, problem string, due time.Time) error {
	_, err := t.q.SaveEstablishmentProblem(ctx, problem, due, id)
	return err
}

// EstablishmentProblem gives why INSEE gave no answer for a native organization;
// "" when it did, or was not asked yet.
func (s *Store) EstablishmentProblem(ctx context.Context, id int64) (string, error) {
	problem, err := s.q.EstablishmentProblem(ctx, id)
	return problem, notFound(err, "organization", id)
}

// RightsWaitingForINSEE gives the requests of a native organization whose right
// to receive folders waits for where it is.
func (t *Tx) RightsWaitingForINSEE(ctx context.Context, organization int64) ([]int64, error) {
	return t.q.RightsWaitingForINSEE(ctx, organization)
}
