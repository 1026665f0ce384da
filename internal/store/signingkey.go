package store

import (
	"context"
	"slices"

	"github.com/passerelle-hub/passerelle/internal/jose"
	"github.com/passerelle-hub/passerelle/internal/store/db"
)

var _ jose.KeyStore = (*Store)(nil)

func signingKeyAD(kid string) []byte { return []byte("signing_key/" + kid) }

// LoadSigningKeys gives all keys of a purpose, their private parts opened.
func (s *Store) LoadSigningKeys(ctx context.Context, purpose string) ([]jose.SigningKey, error) {
	rows, err := s.q.SigningKeys(ctx, purpose)
	if err != nil {
		return nil, err
	}
	keys := make([]jose.SigningKey, len(rows))
	for i, row := range rows {
		k := jose.SigningKey{
			KID: row.Kid, Purpose: row.Purpose, Alg: jose.Alg(row.Alg),
			CreatedAt: row.CreatedAt, SignFrom: row.SignFrom, RetireAt: row.RetireAt, RemoveAt: row.RemoveAt,
		}
		if k.Public, err = jose.ParsePublicKey(row.PublicJwk); err != nil {
			return nil, err
		}
		private, err := s.ring.Open(row.PrivateSealed, signingKeyAD(row.Kid))
		if err != nil {
			return nil, err
		}
		if k.Private, err = jose.ParsePrivateKey(private); err != nil {
			return nil, err
		}
		keys[i] = k
	}
	return keys, nil
}

// InsertSigningKey keeps k if the keys of its purpose are still exactly those
// named by known: of two replicas that rotate at once, one makes the key.
func (s *Store) InsertSigningKey(ctx context.Context, k jose.SigningKey, known []string) (bool, error) {
	public, err := k.Public.JWK()
	if err != nil {
		return false, err
	}
	private, err := k.Private.JWK()
	if err != nil {
		return false, err
	}
	sealed, err := s.ring.Seal(private, signingKeyAD(k.KID))
	if err != nil {
		return false, err
	}
	inserted := false
	err = s.InTx(ctx, func(tx *Tx) error {
		if err := tx.q.LockSigningKeys(ctx, k.Purpose); err != nil {
			return err
		}
		rows, err := tx.q.SigningKeys(ctx, k.Purpose)
		if err != nil {
			return err
		}
		kids := make([]string, len(rows))
		for i, row := range rows {
			kids[i] = row.Kid
		}
		slices.Sort(kids)
		if expected := slices.Sorted(slices.Values(known)); !slices.Equal(kids, expected) {
			return nil
		}
		inserted = true
		return tx.q.InsertSigningKey(ctx, db.InsertSigningKeyParams{
			Kid: k.KID, Purpose: k.Purpose, Alg: string(k.Alg), PublicJwk: public, PrivateSealed: sealed,
			CreatedAt: k.CreatedAt, SignFrom: k.SignFrom, RetireAt: k.RetireAt, RemoveAt: k.RemoveAt,
		})
	})
	return inserted && err == nil, err
}

// DeleteSigningKey forgets a key. Deleting one that is gone succeeds.
func (s *Store) DeleteSigningKey(ctx context.Context, purpose, kid string) error {
	return s.q.DeleteSigningKey(ctx, purpose, kid)
}
