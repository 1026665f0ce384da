// Package kong opens, changes and closes access at a Kong Gateway (3.x) through
// its admin API (api-managers.md, 2, 3.2, 3.10 and 4).
//
// A subject is a consumer whose username and custom_id are the hub's reference,
// tagged with its owner; a credential is a key-auth key of that consumer, whose
// value the hub has made and whose id is derived from the hub's reference; rights
// are groups of the plugin acl. Kong's PUT replaces without a word: every method
// reads first, adopts what an earlier call with a lost answer left, and stops
// with a Conflict before what is not the hub's.
//
// Kong keeps keys in clear, and its open-source edition asks for no
// credential on its admin API: it must be isolated from every other network.
//
// The package imports connectors and connectors/outbound.
package kong
