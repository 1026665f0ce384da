// Package sirene asks API Sirene 3.11 of INSEE for an establishment: GET
// /siret/{siret}, whose answer is kept whole (datapass.md, 2.4). The key goes in
// X-INSEE-Api-Key-Integration, as INSEE's portal gives it to an application.
//
// An answer that is not of the establishment asked for is refused: it would put
// one organization's name on another.
//
// It imports connectors and connectors/outbound.
package sirene
