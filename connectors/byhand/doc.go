// Package byhand is the manager that is a team of people: a provider without an
// API to call opens, replaces and ends keys itself, and says so on a page of the
// hub (36 of DataPass's definitions are served in this way).
//
// Every change is a task (connectors.Tasks): the hub mails the team a signed
// link, reminds it, and shows who is waited for. Until the team has answered the
// call is Pending; a refusal is Rejected with the team's words; a revocation is
// proved by the team's word alone, which is all that there is.
//
// A team that hands its keys over itself (hands_over) closes a task with its own
// reference of the key, which the hub never has. One whose system keeps one key
// of a holder only (one_key) replaces it without overlap, and is declared so.
//
// The ledger keeps what was asked for, so that a repeat asks for the same:
//
//	subject/<ref>     whose it is                            written once
//	credential/<ref>  what was asked for                     written once
//	issued/<ref>      the team made it, its reference        written once
//	current/<subject> the key asked for last, of one_key
//	rights/<ref>      the set last asked for, and last set
//	closed/<ref>      it is over; final                      written once
//
// The package imports connectors only.
package byhand
