// Package byhand is the manager that is a team of people: a provider without an
// API to call opens, replaces and ends keys itself, and says so on a page of the
// hub (36 of DataPass's definitions are served in this way).
//
// Every change is a task (connectors.Tasks): the hub mails the team a signed
// link, reminds it, and shows who is waited for. Until the team has answered the
// call is Pending; a refusal is Rejected with the team's words; a revocation is
// proved by the team's word alone, which is all that there is.
//
// The ledger keeps what was asked for, so that a repeat asks for the same:
//
//	subject/<ref>     whose it is                            written once
//	credential/<ref>  what was asked for                     written once
//	issued/<ref>      the team made it                       written once
//	rights/<ref>      the set last asked for, and last set
//	closed/<ref>      it is over; final                      written once
//
// The package imports connectors only.
package byhand
