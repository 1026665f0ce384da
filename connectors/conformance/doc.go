// Package conformance holds the suite that every connectors.KeyManager passes:
// against its simulator, and against the real peer where one can be had
// (api-managers.md, 4; peers.md, 2.5).
//
// A connector's test gives a Fixture: the manager, the capabilities that it must
// declare, the gateway's answer to a secret, the clocks, the partner whose faults
// are under control. Run then proves what connectors.KeyManager promises. What a
// manager cannot do is read from its capabilities, and is checked to be refused,
// not ignored.
//
// Each fault strikes each single call of each operation, before and after the
// partner's work, and the operation is then repeated: the outcome must be that of
// a call without faults. `go test -v -run 'Contract/faults' ./connectors/kong`
// prints it as a table. Where there is no partner the calls to what the hub lends
// (records, tasks) are struck in its place.
//
// It is imported by tests alone, and imports testing, connectors and
// connectors/partnertest.
package conformance
