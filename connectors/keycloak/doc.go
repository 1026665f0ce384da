// Package keycloak opens, changes and closes access at a Keycloak realm (26)
// through its admin REST API (api-managers.md, 2, 3.6, 3.10 and 4).
//
// A subject is a confidential client whose clientId is the hub's reference, with
// its owner in its attributes; its credential is the client's secret; rights are
// optional client scopes. The package has two ways of rotating:
//
//   - without a client policy, the hub makes the value and a new secret ends the
//     old one at once;
//   - with the policy secret-rotation (Config.RotatedPeriod), Keycloak makes the
//     value and takes the old one for its own period. Any PUT of the client would
//     end that grace, so this way no PUT is ever sent.
//
// Which of the hub's credentials a secret is, nothing at Keycloak can say in the
// second way. The ledger keeps a record per subject with the SHA-256 of each
// credential's value, to be compared with the secrets that Keycloak shows its
// administrators.
//
//	client/<ref>   definition, prints by credential, the rotation under way
//
// The package imports connectors and connectors/outbound.
package keycloak
