// Package partnertest is the common base of every partner simulator: a small
// real HTTP server on a loopback address whose faults, clock and answers a test
// controls, and whose calls it can count.
//
// A simulator writes an http.Handler (chi or ServeMux) that behaves as the
// partner does, and gives it to a Server of this package, which adds: latency,
// faults before and after the work, hooks at the same two points, a log of
// calls, a check that no secret travels in a URL, and an admin surface under
// /_admin/ for a simulator that runs as a process of its own.
//
// Simulators are used by tests, by `passerelle demo` and by `passerelle
// simulate`: this package does not import "testing", and imports the standard
// library, chi and yaml only. The rules it serves are in api-managers.md, section 5.
package partnertest
