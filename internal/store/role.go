package store

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Two roles keep history what it is: the owner migrates, the app works and can
// neither update nor delete what is append-only. These are their names where
// the hub makes both.
const (
	OwnerRole = "passerelle_owner"
	AppRole   = "passerelle_app"
)

// Login is a role that connects. Without a password the server must trust it,
// as a private one does.
type Login struct{ Name, Password string }

// appendOnly are the tables of which the app may insert and read lines, and
// nothing else.
var appendOnly = []string{"history", "audit_seal", "audit_head", "role_change", "endpoint_change", "journey_trace"}

// ownersOnly are the tables that the app may only read.
var ownersOnly = []string{"goose_db_version", "river_migration", "journey_trace_purged"}

// EnsureRoles makes those of the two roles that are missing, and lets the owner
// migrate the database. A role that is there keeps its password. The error says
// what to run where the connection may not make roles.
func EnsureRoles(ctx context.Context, adminURL string, owner, app Login) error {
	conn, err := pgx.Connect(ctx, adminURL)
	if err != nil {
		return fmt.Errorf("open the database to make its roles: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for _, login := range []Login{owner, app} {
		if err := createRole(ctx, conn, login); err != nil {
			return err
		}
	}
	if conn.Config().User == owner.Name {
		return nil
	}
	to, database := quoted(owner.Name), quoted(conn.Config().Database)
	for _, statement := range []string{
		"grant connect, create, temporary on database " + database + " to " + to,
		"grant connect, temporary on database " + database + " to " + quoted(app.Name),
		"alter schema public owner to " + to,
		"revoke create on schema public from public",
	} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("let the role %s migrate: %w", owner.Name, err)
		}
	}
	return nil
}

// createRole makes a role that logs in; another process may be first.
func createRole(ctx context.Context, conn *pgx.Conn, l Login) error {
	var exists bool
	if err := conn.QueryRow(ctx, "select exists (select from pg_roles where rolname = $1)", l.Name).Scan(&exists); err != nil || exists {
		return err
	}
	statement := "create role " + quoted(l.Name) + " login"
	if l.Password != "" {
		// A utility statement takes no parameter; the password is quoted by the server.
		if err := conn.QueryRow(ctx, "select format('%s password %L', $1::text, $2::text)", statement, l.Password).Scan(&statement); err != nil {
			return err
		}
	}
	_, err := conn.Exec(ctx, statement)
	var pgErr *pgconn.PgError
	switch {
	case !errors.As(err, &pgErr):
		return err
	case pgErr.Code == "42710", pgErr.Code == "23505": // duplicate_object, unique_violation
		return nil
	case pgErr.Code == "42501": // insufficient_privilege
		return fmt.Errorf("the role %s does not exist and this one may not make it: have it made (create role %s login password '...')", l.Name, quoted(l.Name))
	}
	return fmt.Errorf("make the role %s: %s", l.Name, pgErr.Message) // without the statement: it holds the password
}

// GrantApp gives the app its rights on what the owner has migrated, and takes
// from it every other right on what is append-only. It follows each migration.
func GrantApp(ctx context.Context, ownerURL, app string) error {
	conn, err := pgx.Connect(ctx, ownerURL)
	if err != nil {
		return fmt.Errorf("open the database to grant rights: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	to := quoted(app)
	statements := []string{
		"grant usage on schema public to " + to,
		"grant select, insert, update, delete on all tables in schema public to " + to,
		"grant usage, select, update on all sequences in schema public to " + to,
		"grant execute on all functions in schema public to " + to,
	}
	for _, table := range slices.Concat(appendOnly, ownersOnly) {
		statements = append(statements, "revoke all on "+quoted(table)+" from "+to, "grant select on "+quoted(table)+" to "+to)
	}
	for _, table := range appendOnly {
		statements = append(statements, "grant insert on "+quoted(table)+" to "+to)
	}
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		for _, statement := range statements {
			if _, err := tx.Exec(ctx, statement); err != nil {
				return fmt.Errorf("%s: %w", statement, err)
			}
		}
		return nil
	})
}

// AppendOnly says whether the connection's role is kept from changing history:
// false where it owns the tables, or is a superuser.
func (s *Store) AppendOnly(ctx context.Context) (bool, error) {
	for _, table := range appendOnly {
		var may bool
		err := s.pool.QueryRow(ctx, "select has_table_privilege($1, 'update') or has_table_privilege($1, 'delete') or has_table_privilege($1, 'truncate')", table).Scan(&may)
		if err != nil || may {
			return false, err
		}
	}
	return true, nil
}

// WithUser gives a connection URL for another role; its password is left out.
func WithUser(databaseURL, user string) (string, error) {
	u, err := url.Parse(databaseURL)
	if err != nil {
		return "", errors.New("store: the database's URL cannot be read") // its own words may quote the password
	}
	u.User = url.User(user)
	return u.String(), nil
}

// LoginOf gives the role of a connection URL.
func LoginOf(databaseURL string) (Login, error) {
	c, err := pgx.ParseConfig(databaseURL)
	if err != nil {
		return Login{}, errors.New("store: the database's URL cannot be read") // its own words may quote the password
	}
	return Login{Name: c.User, Password: c.Password}, nil
}

func quoted(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
