package jwtissuer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/internal/jose"
)

// Signer signs with the hub's keys of this purpose: *jose.Keys.
type Signer interface {
	SignAccessToken(ctx context.Context, t jose.AccessToken) (jose.Signed, error)
	// Ready is nil when a token could be signed now.
	Ready(ctx context.Context) error
}

var (
	_ Signer                = (*jose.Keys)(nil)
	_ connectors.KeyManager = (*Issuer)(nil)
	_ connectors.Planner    = (*Issuer)(nil)
)

// Issuer is the built-in key manager.
type Issuer struct {
	config Config
	name   string
	now    func() time.Time
	signer Signer
	book   book
}

// Open makes the issuer. Config must be valid.
func (c Config) Open(deps connectors.Deps, signer Signer) (*Issuer, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", deps.Name, err)
	}
	if deps.Ledger == nil || deps.Now == nil || signer == nil {
		return nil, fmt.Errorf("%s: the built-in issuer needs a ledger, a clock and a signer", deps.Name)
	}
	return &Issuer{config: c, name: deps.Name, now: deps.Now, signer: signer, book: book{deps.Ledger}}, nil
}

// Capabilities says what the issuer can do. The secret is the token itself, made
// here, and made again at each repeat. It cannot be lengthened, only replaced.
func (i *Issuer) Capabilities() connectors.Capabilities {
	return connectors.Capabilities{
		MultiSecret: true, Grace: connectors.GraceAny, NativeExpiry: true, FixedExpiry: true, LookupByRef: true,
		RevocationBound: time.Second, GrantModel: connectors.GrantsAtIntrospection,
	}
}

// EnsureSubject keeps whose the reference is; the provider's id is the reference.
func (i *Issuer) EnsureSubject(ctx context.Context, s connectors.Subject) (string, error) {
	const op = "subject"
	if s.Ref == "" || s.Owner == "" {
		return "", i.fault(op, connectors.Rejected, "a subject needs a reference and an owner")
	}
	isNew, err := i.book.putNew(ctx, subjectKey(s.Ref), subjectRecord{Owner: s.Owner})
	if err != nil {
		return "", i.failed(op, err)
	}
	if !isNew {
		if err := i.subject(ctx, op, s.Ref, s.Owner); err != nil {
			return "", err
		}
	}
	return s.Ref, nil
}

// subject checks that a subject is known and, unless owner is "", whose it is.
func (i *Issuer) subject(ctx context.Context, op, id, owner string) error {
	have, found, err := get[subjectRecord](ctx, i.book, subjectKey(id))
	switch {
	case err != nil:
		return i.failed(op, err)
	case !found:
		return i.fault(op, connectors.NotFound, "unknown subject")
	case owner != "" && have.Owner != owner:
		return i.fault(op, connectors.Conflict, "the subject belongs to another owner")
	default:
		return nil
	}
}

// EnsureGrants writes the scopes of the live credentials, which Lookup and a
// later signature tell. The definition cannot change: it is the token's audience.
func (i *Issuer) EnsureGrants(ctx context.Context, subjectID string, live []connectors.Handle, g connectors.Grants) error {
	const op = "grants"
	if err := i.subject(ctx, op, subjectID, ""); err != nil {
		return err
	}
	if _, _, err := i.mapped(op, g); err != nil {
		return err
	}
	for _, h := range live {
		s, err := i.issued(ctx, op, h)
		switch {
		case err != nil:
			return err
		case s.Subject != subjectID:
			return i.fault(op, connectors.Conflict, "the credential belongs to another subject")
		case s.Definition != g.Definition:
			return i.fault(op, connectors.Rejected, "the credential is for another definition: issue one for this one")
		case s.revoked:
			continue
		}
		if err := i.book.put(ctx, grantsKey(h.Ref), grantsRecord{Scopes: sorted(g.Scopes)}); err != nil {
			return i.failed(op, err)
		}
	}
	return nil
}

// Issue signs a token for a reference. A repeat signs the same jti again.
func (i *Issuer) Issue(ctx context.Context, r connectors.IssueRequest) (connectors.Issued, error) {
	return i.issue(ctx, "issue", r)
}

func (i *Issuer) issue(ctx context.Context, op string, r connectors.IssueRequest) (connectors.Issued, error) {
	if r.Ref == "" || r.Public == "" || r.Subject.Owner == "" {
		return connectors.Issued{}, i.fault(op, connectors.Rejected, "a credential needs a reference, a public id and an owner")
	}
	if !r.Secret.IsZero() {
		return connectors.Issued{}, i.fault(op, connectors.Rejected, "the built-in issuer makes its own secrets")
	}
	if err := i.subject(ctx, op, r.SubjectID, r.Subject.Owner); err != nil {
		return connectors.Issued{}, err
	}
	if _, _, err := i.mapped(op, r.Grants); err != nil {
		return connectors.Issued{}, err
	}
	asked, err := i.record(op, r)
	if err != nil {
		return connectors.Issued{}, err
	}
	s, err := i.book.standing(ctx, r.Ref)
	if err != nil {
		return connectors.Issued{}, i.failed(op, err)
	}
	if s.revoked {
		return connectors.Issued{}, i.fault(op, connectors.Rejected, "the reference was revoked, which is final: issue under a new one")
	}
	isNew, err := i.book.putNew(ctx, credentialKey(r.Ref), asked)
	if err != nil {
		return connectors.Issued{}, i.failed(op, err)
	}
	if s, err = i.issued(ctx, op, connectors.Handle{Ref: r.Ref}); err != nil {
		return connectors.Issued{}, err
	}
	if s.Public != asked.Public || s.Subject != asked.Subject || s.Owner != asked.Owner || s.Definition != asked.Definition {
		return connectors.Issued{}, i.fault(op, connectors.Conflict, "the reference was issued for something else")
	}
	return i.sign(ctx, op, r.Ref, s, !isNew)
}

// record is what a request asks to be written. Times are whole seconds: a token
// holds no more.
func (i *Issuer) record(op string, r connectors.IssueRequest) (credentialRecord, error) {
	now := i.now().UTC()
	end := r.ExpiresAt.UTC()
	if r.ExpiresAt.IsZero() {
		end = now.Add(i.config.Lifetime)
	}
	end = end.Truncate(time.Second)
	if !end.After(now) {
		return credentialRecord{}, i.fault(op, connectors.Rejected, "the end has passed: issue under a new reference")
	}
	if end.After(now.Add(i.config.MaxLifetime)) {
		return credentialRecord{}, i.fault(op, connectors.Rejected, "the end is later than max_lifetime allows")
	}
	return credentialRecord{
		Public: r.Public, Subject: r.SubjectID, Owner: r.Subject.Owner, Definition: r.Grants.Definition,
		Scopes: sorted(r.Grants.Scopes), IssuedAt: now.Truncate(time.Second), ExpiresAt: end,
	}, nil
}

// sign makes the token of what the records say, whatever this call asked for.
func (i *Issuer) sign(ctx context.Context, op, ref string, s standing, adopted bool) (connectors.Issued, error) {
	if !s.ExpiresAt.After(i.now()) {
		return connectors.Issued{}, i.fault(op, connectors.Rejected, "the end has passed: issue under a new reference")
	}
	audience, scopes, err := i.mapped(op, connectors.Grants{Definition: s.Definition, Scopes: s.Scopes})
	if err != nil {
		return connectors.Issued{}, err
	}
	signed, err := i.signer.SignAccessToken(ctx, jose.AccessToken{
		ID: s.Public, Issuer: i.config.Issuer, Audience: audience, Subject: s.Subject, ClientID: s.Subject,
		Scopes: scopes, IssuedAt: s.IssuedAt, ExpiresAt: s.ExpiresAt,
	})
	if err != nil {
		return connectors.Issued{}, i.failed(op, err)
	}
	return connectors.Issued{
		Handle:    connectors.Handle{Ref: ref, Subject: s.Subject, ID: s.Public, Extra: map[string]string{"kid": signed.KID}},
		Secret:    connectors.NewSecret(signed.Token),
		ExpiresAt: s.ExpiresAt,
		Adopted:   adopted,
	}, nil
}

// mapped gives the audience and the token's scopes for grants; a definition or a
// scope without a mapping is Rejected.
func (i *Issuer) mapped(op string, g connectors.Grants) (audience string, scopes []string, err error) {
	d, ok := i.config.Definitions[g.Definition]
	if !ok {
		return "", nil, i.fault(op, connectors.Rejected, fmt.Sprintf("the settings map no definition %q", g.Definition))
	}
	for _, name := range g.Scopes {
		scope, ok := d.Scopes[name]
		if !ok {
			return "", nil, i.fault(op, connectors.Rejected, fmt.Sprintf("the settings map no scope %q of %s", name, g.Definition))
		}
		scopes = append(scopes, scope)
	}
	return d.Audience, sorted(scopes), nil
}

// Plan says what an approval would issue.
func (i *Issuer) Plan(g connectors.Grants) ([]string, error) {
	audience, scopes, err := i.mapped("plan", g)
	if err != nil {
		return nil, err
	}
	return []string{fmt.Sprintf("émettre un jeton signé pour %s, portées : %v", audience, scopes)}, nil
}

// Health tells whether a token could be signed and recorded now.
func (i *Issuer) Health(ctx context.Context) (connectors.Health, error) {
	const op = "health"
	began := i.now()
	if err := i.signer.Ready(ctx); err != nil {
		return connectors.Health{}, i.failed(op, err)
	}
	if err := i.book.put(ctx, healthKey, endRecord{At: began}); err != nil {
		return connectors.Health{}, i.failed(op, err)
	}
	return connectors.Health{Version: "RFC 9068", Latency: i.now().Sub(began)}, nil
}

func (i *Issuer) fault(op string, class connectors.Class, detail string) error {
	return &connectors.Error{Class: class, Partner: i.name, Op: op, Detail: detail}
}

// failed gives the error of the ledger or of the keys. What a token or a clock
// would never mend is Rejected; the rest is tried again.
func (i *Issuer) failed(op string, err error) error {
	class, detail := connectors.Temporary, "the ledger or the signing keys cannot be used now"
	switch {
	case errors.Is(err, jose.ErrNoSigningKey):
		detail = "no signing key may sign now: the rotation of keys has not run"
	case errors.Is(err, jose.ErrLifetime):
		detail = "the signing key was made for shorter tokens: the next one, made by the rotation, is not"
	case errors.Is(err, jose.ErrTooLarge), errors.Is(err, jose.ErrClaim):
		class, detail = connectors.Rejected, "no token can say this: "+err.Error()
	}
	return &connectors.Error{Class: class, Partner: i.name, Op: op, Detail: detail, Err: err}
}

func sorted(names []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(names)))
}
