package habilitation

import "strconv"

// SubjectRef is the id under which API managers know a request: "dp-1234". It
// depends on the request alone, so that a repeated job finds what it made
// (api-managers.md, 2.1).
func SubjectRef(requestID int64) string { return "dp-" + strconv.FormatInt(requestID, 10) }

// CredentialRef is the id of the n-th credential of a request, from 1:
// "dp-1234-c1". n counts issues and rotations and is never used again.
func CredentialRef(requestID int64, n int) string {
	return SubjectRef(requestID) + "-c" + strconv.Itoa(n)
}
