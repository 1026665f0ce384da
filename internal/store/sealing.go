package store

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/passerelle-hub/passerelle/internal/store/db"
)

// Rewrapper is a Sealer whose keys change.
type Rewrapper interface {
	Sealer
	Active() string
	KeyIDs() []string
	// Reseal seals anew what was sealed with another key than the active one; false
	// when there was nothing to do.
	Reseal(sealed, associated []byte) ([]byte, bool, error)
}

// SealedColumn is one column of sealed values.
type SealedColumn struct {
	Table, Column string
	// Keys are the columns of the primary key, what else the associated data is
	// made of after them.
	Keys, More []string
	// Associated gives the associated data of a row from those, as text.
	Associated func(v []string) []byte
	// Where is a condition on the row, where not every value is sealed.
	Where string
}

// SealedColumns lists every column of sealed values. A test holds it against
// the schema: what is not here would be lost with its key.
func SealedColumns() []SealedColumn {
	id := func(ad func(uuid.UUID) []byte) func([]string) []byte {
		return func(v []string) []byte {
			id, err := uuid.Parse(v[0])
			if err != nil {
				return nil // does not open
			}
			return ad(id)
		}
	}
	endpoint := func(what string) func([]string) []byte {
		return func(v []string) []byte {
			id, err := strconv.ParseInt(v[0], 10, 64)
			if err != nil {
				return nil
			}
			return endpointAD(id, what)
		}
	}
	return []SealedColumn{
		{"signing_key", "private_sealed", []string{"kid"}, nil, func(v []string) []byte { return signingKeyAD(v[0]) }, ""},
		{"credential", "secret_sealed", []string{"id"}, []string{"ref"}, func(v []string) []byte {
			return id(func(id uuid.UUID) []byte { return credentialAD(Credential{db.Credential{ID: id, Ref: v[1]}}) })(v)
		}, ""},
		{"endpoint", "secrets_sealed", []string{"id"}, nil, endpoint("secrets"), ""},
		{"endpoint", "headers_sealed", []string{"id"}, nil, endpoint("headers"), ""},
		{"handover_link", "recipient_sealed", []string{"id"}, nil, id(linkAD), ""},
		{"mail", "recipient_sealed", []string{"id"}, nil, id(func(id uuid.UUID) []byte { return mailAD(id, "to") }), ""},
		{"mail", "params_sealed", []string{"id"}, nil, id(func(id uuid.UUID) []byte { return mailAD(id, "params") }), ""},
		{"inbound_event", "body_sealed", []string{"id"}, nil, id(inboundAD), ""},
		{"event", "datapass_sealed", []string{"id"}, nil, id(eventAD), ""},
		{"hand_task", "secret_sealed", []string{"id"}, nil, id(taskAD), ""},
		{"folder_content", "key_sealed", []string{"folder_id"}, nil, id(func(id uuid.UUID) []byte { return folderAD(id, "key") }), ""},
		{"editor_link_key", "key_sealed", []string{"id"}, nil, func(v []string) []byte { return linkKeyAD(v[0]) }, ""},
		{"idempotent_answer", "body", []string{"caller", "key"}, nil, func(v []string) []byte { return answerAD(AnswerKey{Caller: v[0], Key: v[1]}) }, "sealed"},
	}
}

func (c SealedColumn) where() string {
	if c.Where == "" {
		return "true"
	}
	return c.Where
}

// KeyUse is how many values of a column are sealed with a key.
type KeyUse struct {
	Table, Column string
	Key           string
	Values        int64
}

// header of a value that a key sealed: version, length, key id (package seal).
func sealHeader(key string) []byte { return append([]byte{1, byte(len(key))}, key...) }

// KeyUses counts the values by column and by key.
func (s *Store) KeyUses(ctx context.Context) ([]KeyUse, error) {
	var uses []KeyUse
	for _, c := range SealedColumns() {
		rows, err := s.pool.Query(ctx, fmt.Sprintf(
			`select encode(substring(%[1]s from 3 for get_byte(%[1]s, 1)), 'escape'), count(*) from %[2]s where %[1]s is not null and %[3]s group by 1 order by 1`,
			c.Column, c.Table, c.where()))
		if err != nil {
			return nil, err
		}
		use := KeyUse{Table: c.Table, Column: c.Column}
		if _, err := pgx.ForEachRow(rows, []any{&use.Key, &use.Values}, func() error { uses = append(uses, use); return nil }); err != nil {
			return nil, err
		}
	}
	return uses, nil
}

// Rewrapped is how a column came out of Rewrap.
type Rewrapped struct {
	Table, Column string
	Done          int64 // sealed anew
	Meanwhile     int64 // changed by others while they were: they are looked at again
	Lost          int64 // sealed with a key that this process does not have, or damaged
}

const rewrapBatch = 500

// Rewrap seals anew with the active key what another key sealed, column by
// column, a batch a transaction. It can be stopped and started again at any
// time, and run beside everything else: a value that somebody changes meanwhile
// stays as they left it. tell hears of each column when it is done.
func (s *Store) Rewrap(ctx context.Context, tell func(Rewrapped)) error {
	ring, ok := s.ring.(Rewrapper)
	if !ok {
		return fmt.Errorf("these sealing keys do not rotate")
	}
	for _, c := range SealedColumns() {
		done, err := s.rewrap(ctx, ring, c)
		if err != nil {
			return fmt.Errorf("%s.%s: %w", c.Table, c.Column, err)
		}
		tell(done)
	}
	return nil
}

func (s *Store) rewrap(ctx context.Context, ring Rewrapper, c SealedColumn) (Rewrapped, error) {
	total := Rewrapped{Table: c.Table, Column: c.Column}
	after := []string(nil)
	for {
		rows, err := s.sealedAfter(ctx, ring, c, after)
		if err != nil || len(rows) == 0 {
			return total, err
		}
		err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
			batch := Rewrapped{}
			for _, row := range rows {
				fresh, changed, err := ring.Reseal(row.sealed, c.Associated(row.names))
				if err != nil {
					batch.Lost++
					continue
				}
				if !changed {
					continue
				}
				n, err := replaceSealed(ctx, tx, c, row, fresh)
				if err != nil {
					return err
				}
				batch.Done += n
				batch.Meanwhile += 1 - n
			}
			total.Done, total.Meanwhile, total.Lost = total.Done+batch.Done, total.Meanwhile+batch.Meanwhile, total.Lost+batch.Lost
			return nil
		})
		if err != nil {
			return total, err
		}
		after = rows[len(rows)-1].names[:len(c.Keys)]
	}
}

type sealedRow struct {
	names  []string // Keys and More, as text
	sealed []byte
}

// sealedAfter gives the next rows, by key, that the active key did not seal.
func (s *Store) sealedAfter(ctx context.Context, ring Rewrapper, c SealedColumn, after []string) ([]sealedRow, error) {
	var columns []string
	for _, name := range slices.Concat(c.Keys, c.More) {
		columns = append(columns, name+"::text")
	}
	args := []any{sealHeader(ring.Active())}
	where := ""
	if after != nil {
		var marks []string
		for i, name := range c.Keys {
			args = append(args, after[i])
			marks = append(marks, fmt.Sprintf("$%d::text::%s", len(args), keyType(c.Table, name)))
		}
		where = fmt.Sprintf("and (%s) > (%s)", strings.Join(c.Keys, ", "), strings.Join(marks, ", "))
	}
	sql := fmt.Sprintf(`select array[%[1]s], %[2]s from %[3]s where %[2]s is not null and substring(%[2]s from 1 for length($1::bytea)) <> $1::bytea and %[4]s %[5]s order by %[6]s limit %[7]d`,
		strings.Join(columns, ", "), c.Column, c.Table, c.where(), where, strings.Join(c.Keys, ", "), rewrapBatch)
	rows, err := s.pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (sealedRow, error) {
		var r sealedRow
		err := row.Scan(&r.names, &r.sealed)
		return r, err
	})
}

// keyType is the type of a primary key's column: all of this schema are one of these.
func keyType(table, column string) string {
	switch {
	case table == "endpoint":
		return "bigint"
	case column == "kid", table == "idempotent_answer":
		return "text"
	default:
		return "uuid"
	}
}

func replaceSealed(ctx context.Context, tx pgx.Tx, c SealedColumn, row sealedRow, fresh []byte) (int64, error) {
	args := []any{fresh, row.sealed}
	var where []string
	for i, name := range c.Keys {
		args = append(args, row.names[i])
		where = append(where, fmt.Sprintf("%s = $%d::text::%s", name, len(args), keyType(c.Table, name)))
	}
	tag, err := tx.Exec(ctx, fmt.Sprintf(`update %[1]s set %[2]s = $1 where %[2]s = $2 and %[3]s`, c.Table, c.Column, strings.Join(where, " and ")), args...)
	return tag.RowsAffected(), err
}

// SealingProcess is a process of the hub that runs, with the keys it holds.
type SealingProcess = db.SealingProcess

// SealingSeen tells the others which keys this process holds.
func (s *Store) SealingSeen(ctx context.Context, id uuid.UUID, name string) error {
	ring, ok := s.ring.(Rewrapper)
	if !ok {
		return nil
	}
	return s.q.SealingProcessSeen(ctx, id, name, ring.Active(), ring.KeyIDs())
}

// SealingGone tells that a process has ended.
func (s *Store) SealingGone(ctx context.Context, id uuid.UUID) error {
	return s.q.SealingProcessGone(ctx, id)
}

// SealingProcesses gives the processes seen within a minute.
func (s *Store) SealingProcesses(ctx context.Context) ([]SealingProcess, error) {
	return s.q.SealingProcesses(ctx)
}

// PurgeSealingProcesses forgets the processes that were last seen days ago.
func (s *Store) PurgeSealingProcesses(ctx context.Context) (int64, error) {
	return s.q.PurgeSealingProcesses(ctx)
}

// SealingState is where a change of keys stands.
type SealingState struct {
	Active    string
	Uses      []KeyUse
	Processes []SealingProcess
}

// SealingState reads it.
func (s *Store) SealingState(ctx context.Context) (SealingState, error) {
	ring, ok := s.ring.(Rewrapper)
	if !ok {
		return SealingState{}, fmt.Errorf("these sealing keys do not rotate")
	}
	state := SealingState{Active: ring.Active()}
	var err error
	if state.Processes, err = s.SealingProcesses(ctx); err != nil {
		return state, err
	}
	state.Uses, err = s.KeyUses(ctx)
	return state, err
}

// Left gives the values that a key sealed and still seals, all columns together.
func (s SealingState) Left(key string) int64 {
	var n int64
	for _, use := range s.Uses {
		if use.Key == key {
			n += use.Values
		}
	}
	return n
}

// SealingWith names the processes that still seal with a key, and Without those
// that do not hold it.
func (s SealingState) SealingWith(key string) []string {
	return s.names(func(p SealingProcess) bool { return p.Active == key })
}

// Without names the processes that do not hold a key.
func (s SealingState) Without(key string) []string {
	return s.names(func(p SealingProcess) bool { return !slices.Contains(p.Keys, key) })
}

func (s SealingState) names(which func(SealingProcess) bool) []string {
	var list []string
	for _, p := range s.Processes {
		if which(p) {
			list = append(list, p.Name)
		}
	}
	return list
}
