package store
import "github.com/passerelle-hub/passerelle/internal/store/seal"
var _ Sealer = (*seal.Keyring)(nil)
