package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/passerelle-hub/passerelle/internal/store/db"
)

// EndpointsOf chooses endpoints: those of definitions and of editors, or all.
type EndpointsOf struct {
	Everything           bool
	Definitions, Editors []string
	After                int64 // ids above only
	Limit                int
}

// EndpointsOf gives a page of endpoints, by id.
func (s *Store) EndpointsOf(ctx context.Context, of EndpointsOf) ([]Endpoint, error) {
	rows, err := s.q.EndpointsOf(ctx, db.EndpointsOfParams{
		Everything: of.Everything, Definitions: of.Definitions, Editors: of.Editors, After: of.After, MaxRows: int32(of.Limit),
	})
	list := make([]Endpoint, len(rows))
	for i, row := range rows {
		list[i] = endpointOf(db.EndpointByIDRow(row))
	}
	return list, err
}

// CountEndpoints counts those of one owner.
func (t *Tx) CountEndpoints(ctx context.Context, definition, editor string) (int, error) {
	n, err := t.q.CountEndpoints(ctx, definition, editor)
	return int(n), err
}

// SaveEndpoint writes what its owner may change. headers nil keeps those it has.
func (t *Tx) SaveEndpoint(ctx context.Context, e Endpoint, headers map[string]string, now time.Time) error {
	row, err := t.q.SealedOfEndpoint(ctx, e.ID)
	if err != nil {
		return notFound(err, "endpoint", e.ID)
	}
	if headers != nil {
		if row.HeadersSealed, err = t.sealHeaders(e.ID, headers); err != nil {
			return err
		}
		e.HeaderNames = names(headers)
	}
	return t.q.UpdateEndpoint(ctx, db.UpdateEndpointParams{
		ID: e.ID, Url: e.URL, Description: e.Description, Events: e.Events, Format: e.Format, HeadersSealed: row.HeadersSealed,
		HeaderNames: e.HeaderNames, Ordered: e.Ordered, RateLimit: ptr(e.Rate), MaxInFlight: int32(e.MaxInFlight), Environment: e.Environment,
		Contact: e.Contact, TestedUrl: e.TestedURL, Now: now,
	})
}

// EnableEndpoint has deliveries begin, or begin again: what failed before is forgotten.
func (t *Tx) EnableEndpoint(ctx context.Context, id int64, now time.Time) error {
	if err := t.q.ResetHealth(ctx, id); err != nil {
		return err
	}
	return t.q.EnableEndpoint(ctx, now, id)
}

// EndpointSecrets opens the secrets of an endpoint, newest first.
func (t *Tx) EndpointSecrets(ctx context.Context, id int64) ([]EndpointSecret, error) {
	row, err := t.q.SealedOfEndpoint(ctx, id)
	if err != nil {
		return nil, notFound(err, "endpoint", id)
	}
	return openSecrets(t.ring, id, row.SecretsSealed)
}

// SaveEndpointSecrets replaces the secrets of an endpoint. changed makes a new
// version of it: not when an old one is only forgotten.
func (t *Tx) SaveEndpointSecrets(ctx context.Context, id int64, secrets []EndpointSecret, changed bool, now time.Time) error {
	sealed, err := t.sealJSON(secrets, endpointAD(id, "secrets"))
	if err != nil {
		return err
	}
	p := db.SaveEndpointSecretsParams{ID: id, SecretsSealed: sealed, Now: now}
	if len(secrets) > 1 {
		p.PreviousUntil = timePtr(secrets[1].NotAfter)
	}
	if changed {
		p.Bump = 1
	}
	return t.q.SaveEndpointSecrets(ctx, p)
}

// EndpointsWithOldSecrets gives endpoints that keep a secret which is over.
func (s *Store) EndpointsWithOldSecrets(ctx context.Context, now time.Time, limit int) ([]int64, error) {
	return s.q.EndpointsWithOldSecrets(ctx, &now, int32(limit))
}

// StartEndpointTest notes that a test begins; false when one began less than
// wait ago.
func (t *Tx) StartEndpointTest(ctx context.Context, id int64, now time.Time, wait time.Duration) (bool, error) {
	since := now.Add(-wait)
	n, err := t.q.StartEndpointTest(ctx, &now, id, &since)
	return n > 0, err
}

// EndEndpointTest keeps the result of a test of a URL in a format; false when
// the endpoint has others by now.
func (t *Tx) EndEndpointTest(ctx context.Context, id int64, url, format string, r EndpointTest) (bool, error) {
	n, err := t.q.EndEndpointTest(ctx, db.EndEndpointTestParams{
		ID: id, Url: url, Format: format, Now: &r.At, Passed: r.Passed, Status: ptr(int32(r.Status)), ErrorClass: r.ErrorClass, Error: text(r.Error, 1000),
		DurationMs: int32(r.Duration.Milliseconds()), Answer: text(r.Answer, maxTestAnswer),
	})
	return n > 0, err
}

// maxTestAnswer is how much of the answer to a test is shown, in characters.
const maxTestAnswer = 1000

// DeleteEndpoint deletes a subscription; what is owed to it is removed later,
// by RemoveEndpointRows.
func (t *Tx) DeleteEndpoint(ctx context.Context, id int64, now time.Time) error {
	if err := t.q.NoteRemoval(ctx, id, now); err != nil {
		return err
	}
	return t.q.DeleteEndpoint(ctx, id)
}

// RemovedEndpoints gives deleted endpoints that have rows left.
func (s *Store) RemovedEndpoints(ctx context.Context, limit int) ([]int64, error) {
	return s.q.RemovedEndpoints(ctx, int32(limit))
}

// RemoveEndpointRows removes deliveries and tries of a deleted endpoint, at most
// limit of each; true when none is left.
func (s *Store) RemoveEndpointRows(ctx context.Context, id int64, limit int) (bool, error) {
	deliveries, err := s.q.RemoveDeliveries(ctx, id, int32(limit))
	if err != nil {
		return false, err
	}
	attempts, err := s.q.RemoveAttempts(ctx, id, int32(limit))
	if err != nil || deliveries == int64(limit) || attempts == int64(limit) {
		return false, err
	}
	if err := s.q.RemoveLane(ctx, id); err != nil {
		return false, err
	}
	return true, s.q.EndRemoval(ctx, id)
}

// EndpointChange is a line of what was done to an endpoint.
type EndpointChange struct {
	ID     int64
	At     time.Time
	Actor  string
	Event  string
	Detail json.RawMessage
}

// AppendEndpointChange writes a line.
func (t *Tx) AppendEndpointChange(ctx context.Context, id int64, l Line) error {
	detail := json.RawMessage("{}")
	if len(l.Detail) > 0 {
		var err error
		if detail, err = json.Marshal(l.Detail); err != nil {
			return err
		}
	}
	return t.q.InsertEndpointChange(ctx, db.InsertEndpointChangeParams{
		EndpointID: id, At: l.At, Actor: l.Actor, Event: l.Event, Detail: detail, Correlation: l.Correlation,
	})
}

// EndpointChanges gives what was done to an endpoint, newest first.
func (s *Store) EndpointChanges(ctx context.Context, id int64, limit int) ([]EndpointChange, error) {
	rows, err := s.q.EndpointChanges(ctx, id, int32(limit))
	list := make([]EndpointChange, len(rows))
	for i, r := range rows {
		list[i] = EndpointChange(r)
	}
	return list, err
}

// LaneHeld reports whether a process delivers to an endpoint now.
func (s *Store) LaneHeld(ctx context.Context, id int64) (bool, error) { return s.q.LaneHeld(ctx, id) }

// EndpointState is how an endpoint does, for people.
type EndpointState struct {
	db.EndpointStatesRow
	Now time.Time
}

// MostCounted bounds what EndpointStates counts.
const MostCounted = 10_000

// EndpointStates tells how endpoints above an id do, or the one with that id.
func (s *Store) EndpointStates(ctx context.Context, after, id int64, limit int, now time.Time) ([]EndpointState, error) {
	rows, err := s.q.EndpointStates(ctx, MostCounted, after, id, int32(limit))
	list := make([]EndpointState, len(rows))
	for i, r := range rows {
		list[i] = EndpointState{r, now}
	}
	return list, err
}

// EndpointState tells how one endpoint does. ErrNotFound for none.
func (s *Store) EndpointState(ctx context.Context, id int64, now time.Time) (EndpointState, error) {
	list, err := s.EndpointStates(ctx, 0, id, 1, now)
	if err == nil && len(list) == 0 {
		err = fmt.Errorf("endpoint %d: %w", id, ErrNotFound)
	}
	if err != nil {
		return EndpointState{}, err
	}
	return list[0], nil
}

// Resting reports whether its breaker is open: nothing is sent before RestUntil.
func (e EndpointState) Resting() bool { return e.RestUntil != nil && e.RestUntil.After(e.Now) }

// Tested reports whether the last test of its present URL passed.
func (e EndpointState) Tested() bool { return e.TestedUrl != "" && e.TestedUrl == e.Url }

// EndpointEditors gives the editors that have endpoints, by id or SIRET.
func (s *Store) EndpointEditors(ctx context.Context) ([]string, error) {
	return s.q.EndpointEditors(ctx)
}
