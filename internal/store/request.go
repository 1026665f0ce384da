package store

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/store/db"
)

// LockExternal serialises the writers of one mirrored request until the end of
// the transaction, also before its row exists, and gives its id, 0 when there
// is none yet.
func (t *Tx) LockExternal(ctx context.Context, key InboundKey) (int64, error) {
	if err := t.q.LockExternalRequest(ctx, key.String()); err != nil {
		return 0, err
	}
	id, err := t.q.RequestIDByExternal(ctx, key.Source, &key.ExternalID)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, nil
	}
	return id, err
}

// LockRequest locks a request's row until the end of the transaction and reads
// it, with what those who change it will ask for.
func (t *Tx) LockRequest(ctx context.Context, id int64, ahead ...Ahead) (habilitation.Request, error) {
	_, _ = t.later().LockRequest(ctx, id) // told by what follows
	t.foresee(ctx, id)
	for _, read := range ahead {
		read(ctx, t, id)
	}
	return readRequest(ctx, t.q, id)
}

// Ahead reads, together with a request and under its lock, what a command will
// ask for.
type Ahead func(ctx context.Context, t *Tx, requestID int64)

// GrantAhead is for a command that makes an habilitation: its id, and the number
// of a credential.
func GrantAhead(ctx context.Context, t *Tx, requestID int64) {
	_, _ = t.laterRows(func(rows pgx.Rows) error {
		var err error
		t.habilitationIDs, err = pgx.CollectRows(rows, pgx.RowTo[int64])
		return err
	}).ReserveHabilitationID(ctx)
	_, _ = t.laterRows(func(rows pgx.Rows) error {
		number, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[int32])
		t.numbers[requestID] = number
		return err
	}).NextCredentialNumber(ctx, requestID)
}

// AnswersAhead is for a command that asks for KnownAnswers.
func AnswersAhead(ctx context.Context, t *Tx, requestID int64) {
	_, _ = t.laterRows(func(rows pgx.Rows) error {
		changelogs, err := pgx.CollectRows(rows, pgx.RowToStructByPos[db.ChangelogsOfRow])
		t.changelogs[requestID] = changelogs
		return err
	}).ChangelogsOf(ctx, requestID)
}

// foresee reads, with the next statement, what whoever changes a request asks
// for: its newest line and its declared editors. The caller holds its lock.
func (t *Tx) foresee(ctx context.Context, id int64) {
	if _, known := t.lines[id]; !known {
		_, _ = t.laterRows(func(rows pgx.Rows) error {
			last, err := pgx.CollectRows(rows, pgx.RowToStructByPos[db.LastHistoryRow])
			t.lines[id] = db.LastHistoryRow{}
			if len(last) > 0 {
				t.lines[id] = last[0]
			}
			return err
		}).LastHistory(ctx, id)
	}
	if _, known := t.declared[id]; !known {
		_, _ = t.laterRows(func(rows pgx.Rows) error {
			var err error
			t.declared[id], err = pgx.CollectRows(rows, pgx.RowTo[string])
			return err
		}).DeclaredEditors(ctx, id)
	}
}

// Request reads a request with its habilitations.
func (s *Store) Request(ctx context.Context, id int64) (habilitation.Request, error) {
	row, err := s.readings.read(ctx, id)
	if err != nil {
		return habilitation.Request{}, notFound(err, "request", id)
	}
	return requestOf(row)
}

// Request reads a request inside the transaction, without a lock.
func (t *Tx) Request(ctx context.Context, id int64) (habilitation.Request, error) {
	return readRequest(ctx, t.q, id)
}

// RequestByExternal gives the id of a mirrored request.
func (s *Store) RequestByExternal(ctx context.Context, key InboundKey) (int64, error) {
	id, err := s.q.RequestIDByExternal(ctx, key.Source, &key.ExternalID)
	return id, notFound(err, "request", key)
}

func readRequest(ctx context.Context, q *db.Queries, id int64) (habilitation.Request, error) {
	rows, err := q.WholeRequests(ctx, []int64{id})
	if err == nil && len(rows) == 0 {
		err = pgx.ErrNoRows
	}
	if err != nil {
		return habilitation.Request{}, notFound(err, "request", id)
	}
	return requestOf(rows[0])
}

// readRequests reads requests in the order of their ids as given; what is not
// there is left out.
func readRequests(ctx context.Context, q *db.Queries, ids []int64) ([]habilitation.Request, error) {
	rows, err := q.WholeRequests(ctx, ids)
	if err != nil {
		return nil, err
	}
	byID := make(map[int64]habilitation.Request, len(rows))
	for i := range rows {
		r, err := requestOf(rows[i])
		if err != nil {
			return nil, err
		}
		byID[r.ID] = r
	}
	list := make([]habilitation.Request, 0, len(byID))
	for _, id := range ids {
		if r, ok := byID[id]; ok {
			list = append(list, r)
		}
	}
	return list, nil
}

func requestOf(row db.WholeRequestsRow) (habilitation.Request, error) {
	r := habilitation.Request{
		ID:         row.ID,
		Origin:     habilitation.Origin(row.Origin),
		Source:     row.Source,
		ExternalID: val(row.ExternalID),
		PublicID:   row.PublicID,
		Definition: row.Definition,
		Form:       row.Form,
		State:      habilitation.State(row.State),
		Reopening:  row.Reopening,
		Organization: habilitation.Organization{
			ID: shownID(row.OrganizationID, row.OrganizationExternalID), SIRET: val(row.Siret), Name: row.Name, INSEEPayload: row.InseePayload,
		},
		Applicant: habilitation.Applicant{
			ID: shownID(row.PersonID, row.PersonExternalID), UID: val(row.Uid), Email: row.Email, GivenName: row.GivenName,
			FamilyName: row.FamilyName, PhoneNumber: row.PhoneNumber, JobTitle: row.JobTitle,
		},
		CreatedAt:       row.CreatedAt,
		TermsAccepted:   row.TermsAccepted,
		DPOInformed:     row.DpoInformed,
		LastSubmittedAt: val(row.LastSubmittedAt),
		LastValidatedAt: val(row.LastValidatedAt),
		ReopenedAt:      val(row.ReopenedAt),
		AppliedAt:       val(row.AppliedAt),
		Version:         row.Version,
	}
	if row.ServiceProviderID != "" {
		r.ServiceProvider = &habilitation.ServiceProvider{
			ID:    row.ServiceProviderID,
			SIRET: row.ServiceProviderSiret,
			Type:  row.ServiceProviderType,
		}
	}
	if err := readStored(row.Data, &r.Data); err != nil {
		return r, err
	}
	var granted []grantedRow
	if err := readStored(row.Habilitations, &granted); err != nil {
		return r, err
	}
	for _, h := range granted {
		r.Habilitations = append(r.Habilitations, habilitation.Habilitation{
			ID: h.ID, ExternalID: h.ExternalID, Definition: h.Definition, Form: h.Form, State: h.State, ParentID: h.ParentID,
			Data: h.Data, Organization: h.Organization, Applicant: h.Applicant, Message: h.Message, CreatedAt: h.CreatedAt.Local(),
		})
	}
	return r, nil
}

// grantedRow is an habilitation as WholeRequests gives it; null leaves a zero.
type grantedRow struct {
	ID           int64                     `json:"id"`
	ExternalID   int64                     `json:"external_id"`
	Definition   string                    `json:"definition"`
	Form         string                    `json:"form"`
	State        habilitation.GrantState   `json:"state"`
	ParentID     int64                     `json:"parent_id"`
	Data         habilitation.Data         `json:"data"`
	Organization habilitation.Organization `json:"organization"`
	Applicant    habilitation.Applicant    `json:"applicant"`
	Message      string                    `json:"message"`
	CreatedAt    time.Time                 `json:"created_at"`
}

func organizationOf(row db.Organization) habilitation.Organization {
	return habilitation.Organization{
		ID: shownID(row.ID, row.ExternalID), SIRET: val(row.Siret), Name: row.Name, INSEEPayload: row.InseePayload,
	}
}

func applicantOf(row db.Person) habilitation.Applicant {
	return habilitation.Applicant{
		ID: shownID(row.ID, row.ExternalID), UID: val(row.Uid), Email: row.Email, GivenName: row.GivenName,
		FamilyName: row.FamilyName, PhoneNumber: row.PhoneNumber, JobTitle: row.JobTitle,
	}
}

// shownID is the source's id for what is mirrored, ours for what is native.
func shownID(id int64, external *int64) int64 {
	if external != nil {
		return *external
	}
	return id
}

func habilitationOf(row db.Habilitation) (habilitation.Habilitation, error) {
	h := habilitation.Habilitation{
		ID:         row.ID,
		ExternalID: val(row.ExternalID),
		Definition: row.Definition,
		Form:       row.Form,
		State:      habilitation.GrantState(row.State),
		ParentID:   val(row.ParentID),
		Message:    row.Message,
		CreatedAt:  row.CreatedAt,
	}
	for _, field := range []struct {
		raw json.RawMessage
		to  any
	}{{row.Data, &h.Data}, {row.Organization, &h.Organization}, {row.Applicant, &h.Applicant}} {
		if err := readStored(field.raw, field.to); err != nil {
			return h, err
		}
	}
	return h, nil
}

// ReserveHabilitationIDs gives n ids for habilitations to come.
func (t *Tx) ReserveHabilitationIDs(ctx context.Context, n int) ([]int64, error) {
	ids := make([]int64, n) // one or two
	for i := range ids {
		if len(t.habilitationIDs) > 0 {
			ids[i], t.habilitationIDs = t.habilitationIDs[0], t.habilitationIDs[1:]
			continue
		}
		var err error
		if ids[i], err = t.q.ReserveHabilitationID(ctx); err != nil {
			return nil, err
		}
	}
	return ids, nil
}

// SaveMirrored writes what a change made of a mirrored request and gives it
// with its id and version.
func (t *Tx) SaveMirrored(ctx context.Context, change habilitation.Change, now time.Time) (habilitation.Request, error) {
	r := change.Request
	orgID, err := t.q.UpsertExternalOrganization(ctx, db.UpsertExternalOrganizationParams{
		Source: r.Source, ExternalID: ptr(r.Organization.ID), Siret: ptr(r.Organization.SIRET),
		Name: r.Organization.Name, InseePayload: r.Organization.INSEEPayload,
	})
	if err != nil {
		return r, err
	}
	personID, err := t.q.UpsertExternalPerson(ctx, db.UpsertExternalPersonParams{
		Source: r.Source, ExternalID: ptr(r.Applicant.ID), Uid: ptr(r.Applicant.UID), Email: r.Applicant.Email,
		GivenName: r.Applicant.GivenName, FamilyName: r.Applicant.FamilyName,
		PhoneNumber: r.Applicant.PhoneNumber, JobTitle: r.Applicant.JobTitle,
	})
	if err != nil {
		return r, err
	}
	return t.saveRequest(ctx, change, orgID, personID, "", now)
}

func (t *Tx) saveRequest(ctx context.Context, change habilitation.Change, orgID, personID int64, definitionSet string, now time.Time) (habilitation.Request, error) {
	r := change.Request
	words := requestWords(r)
	data, err := json.Marshal(nonNil(r.Data))
	if err != nil {
		return r, err
	}
	var editor habilitation.ServiceProvider
	if r.ServiceProvider != nil {
		editor = *r.ServiceProvider
	}
	if r.ID == 0 {
		r.Version = 1
		r.ID, err = t.q.InsertRequest(ctx, db.InsertRequestParams{
			Origin: string(r.Origin), Source: r.Source, ExternalID: ptr(r.ExternalID), PublicID: r.PublicID,
			Definition: r.Definition, Form: r.Form, State: string(r.State), Reopening: r.Reopening, Data: data,
			OrganizationID: orgID, ApplicantID: personID, ServiceProviderID: editor.ID,
			ServiceProviderSiret: editor.SIRET, ServiceProviderType: editor.Type, CreatedAt: r.CreatedAt,
			TermsAccepted: r.TermsAccepted, DpoInformed: r.DPOInformed,
			LastSubmittedAt: timePtr(r.LastSubmittedAt), LastValidatedAt: timePtr(r.LastValidatedAt),
			ReopenedAt: timePtr(r.ReopenedAt), AppliedAt: timePtr(r.AppliedAt), UpdatedAt: now, DefinitionSet: definitionSet, Words: words,
		})
		t.lines[r.ID], t.declared[r.ID] = db.LastHistoryRow{}, nil // a new one has none
	} else {
		err = t.later().UpdateRequest(ctx, db.UpdateRequestParams{
			ID: r.ID, Definition: r.Definition, Form: r.Form, State: string(r.State), Reopening: r.Reopening, Data: data,
			OrganizationID: orgID, ApplicantID: personID, ServiceProviderID: editor.ID,
			ServiceProviderSiret: editor.SIRET, ServiceProviderType: editor.Type,
			TermsAccepted: r.TermsAccepted, DpoInformed: r.DPOInformed,
			LastSubmittedAt: timePtr(r.LastSubmittedAt), LastValidatedAt: timePtr(r.LastValidatedAt),
			ReopenedAt: timePtr(r.ReopenedAt), AppliedAt: timePtr(r.AppliedAt), UpdatedAt: now, DefinitionSet: definitionSet, Words: words,
		})
	}
	if err != nil {
		return r, err
	}
	for _, i := range change.Created {
		if err := t.insertHabilitation(ctx, r.ID, r.Habilitations[i]); err != nil {
			return r, err
		}
	}
	for _, i := range change.Altered {
		if err := t.later().UpdateHabilitationState(ctx, string(r.Habilitations[i].State), r.Habilitations[i].ID); err != nil {
			return r, err
		}
	}
	return r, nil
}

// TouchApplied records that an event changed nothing and that nothing older
// may be applied any more.
func (t *Tx) TouchApplied(ctx context.Context, id int64, at time.Time) error {
	return t.later().TouchApplied(ctx, timePtr(at), id)
}

func (t *Tx) insertHabilitation(ctx context.Context, requestID int64, h habilitation.Habilitation) error {
	data, err := json.Marshal(nonNil(h.Data))
	if err != nil {
		return err
	}
	organization, err := json.Marshal(h.Organization)
	if err != nil {
		return err
	}
	applicant, err := json.Marshal(h.Applicant)
	if err != nil {
		return err
	}
	return t.later().InsertHabilitation(ctx, db.InsertHabilitationParams{
		ID: h.ID, RequestID: requestID, ExternalID: ptr(h.ExternalID), Definition: h.Definition, Form: h.Form, State: string(h.State),
		ParentID: ptr(h.ParentID), Data: data, Organization: organization, Applicant: applicant, Message: h.Message, CreatedAt: h.CreatedAt,
	})
}

func nonNil(d habilitation.Data) habilitation.Data {
	if d == nil {
		return habilitation.Data{}
	}
	return d
}

// WaitingInbound is one stored event, opened, to be applied.
type WaitingInbound struct {
	ID          uuid.UUID
	Source      string
	Event       string
	Definition  string
	ExternalID  int64
	Environment string
	FiredAt     time.Time
	TokenID     uuid.UUID
	Correlation string
	Body        []byte
}

// WaitingInbound gives what is to be applied to one request, oldest first, and locks it.
func (t *Tx) WaitingInbound(ctx context.Context, key InboundKey) ([]WaitingInbound, error) {
	rows, err := t.q.WaitingInbound(ctx, key.Source, key.ExternalID)
	if err != nil {
		return nil, err
	}
	events := make([]WaitingInbound, len(rows))
	for i, row := range rows {
		packed, err := t.ring.Open(row.BodySealed, inboundAD(row.ID))
		if err != nil {
			return nil, err
		}
		body, err := unpack(packed)
		if err != nil {
			return nil, err
		}
		events[i] = WaitingInbound{
			ID: row.ID, Source: row.Source, Event: row.Event, Definition: row.Definition, ExternalID: row.ExternalID,
			Environment: row.Environment, FiredAt: row.FiredAt, TokenID: val(row.TokenID), Correlation: row.Correlation, Body: body,
		}
	}
	return events, nil
}

// SettleInbound closes one incoming event with its outcome: applied, late,
// no_effect or parked, and why. It is waited for: where the database refuses what
// was written for the event, that is told here, with its event.
func (t *Tx) SettleInbound(ctx context.Context, id uuid.UUID, state, reason string, requestID int64, now time.Time) error {
	return t.q.SettleInbound(ctx, db.SettleInboundParams{
		ID: id, State: state, Reason: reason, RequestID: ptr(requestID), AppliedAt: timePtr(now),
	})
}

// TakeUpInbound puts a parked event back in line.
func (t *Tx) TakeUpInbound(ctx context.Context, id uuid.UUID) (InboundKey, error) {
	row, err := t.q.TakeUpInbound(ctx, id)
	return InboundKey{row.Source, row.ExternalID}, notFound(err, "parked event", id)
}

// ReserveToken gives the token id of a mirrored request for a definition: the
// one answered to the source's approve, else one reserved now, so that an
// approve that comes late is answered the same. uuid.Nil when a credential has
// it already.
func (t *Tx) ReserveToken(ctx context.Context, key InboundKey, definition string, now time.Time) (uuid.UUID, error) {
	err := t.q.ReserveTokens(ctx, db.ReserveTokensParams{
		TokenIds: []uuid.UUID{uuid.New()}, Sources: []string{key.Source}, ExternalIds: []int64{key.ExternalID},
		Definitions: []string{definition}, FiredAts: []time.Time{now},
	})
	if err != nil {
		return uuid.Nil, err
	}
	id, err := t.q.LatestApproveToken(ctx, key.Source, key.ExternalID, definition)
	if errors.Is(err, pgx.ErrNoRows) {
		return uuid.Nil, nil
	}
	return id, err
}

// CloseReservation ends the reservation of a token id: the next approve of its
// request is answered with a new one. Nothing happens when it has none.
func (t *Tx) CloseReservation(ctx context.Context, tokenID uuid.UUID) error {
	return t.q.CloseReservation(ctx, tokenID)
}

// CloseReservations ends the token ids reserved for a request until a time: what
// it is granted later gets new ones.
func (t *Tx) CloseReservations(ctx context.Context, key InboundKey, until time.Time) error {
	return t.q.CloseReservations(ctx, []string{key.Source}, []int64{key.ExternalID}, []time.Time{until})
}

// MirroredRequests reads the mirrored requests of a source among some of its
// ids, by those ids.
func (s *Store) MirroredRequests(ctx context.Context, source string, externalIDs []int64) (map[int64]habilitation.Request, error) {
	ids, err := s.q.RequestIDsByExternal(ctx, source, externalIDs)
	if err != nil {
		return nil, err
	}
	list, err := s.RequestsByID(ctx, ids)
	found := make(map[int64]habilitation.Request, len(list))
	for _, r := range list {
		found[r.ExternalID] = r
	}
	return found, err
}

// MirroredStates gives the states of a source's habilitations among some of its
// ids, by those ids.
func (s *Store) MirroredStates(ctx context.Context, source string, externalIDs []int64) (map[int64]habilitation.GrantState, error) {
	rows, err := s.q.MirroredStates(ctx, source, externalIDs)
	states := make(map[int64]habilitation.GrantState, len(rows))
	for _, row := range rows {
		states[val(row.ExternalID)] = habilitation.GrantState(row.State)
	}
	return states, err
}

// ExternalOrganizationName is what a source called an organisation last, "" when
// it is not known.
func (t *Tx) ExternalOrganizationName(ctx context.Context, source string, externalID int64) (string, error) {
	name, err := t.q.ExternalOrganizationName(ctx, source, &externalID)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", nil
	}
	return name, err
}
