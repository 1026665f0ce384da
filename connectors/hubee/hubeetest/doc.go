// Package hubeetest is HubEE V1 as a partner: a real HTTP server on a loopback
// address with every route of HubEE's two published files, the organisations
// and processes that they leave out, and its token endpoint.
//
// It holds each request, and each of its own answers, to the published rules,
// which are written here in Go: the files are not needed to run it. What those
// do not say (who may set which status, events, the queue that all processes
// of an organisation share, antivirus, purge) follows hubee.md, sections 2 to
// 13; where that page leaves two readings open, Switches choose.
//
// It is imported by tests, by `passerelle demo` and by `passerelle simulate`,
// and imports connectors/partnertest, chi, uuid and the standard library only.
// It shares no code with the hub's own client, so that a mistake in one shows
// in the other.
package hubeetest
