package connectors

import "strings"

// SubjectRef gives the subject's id of a credential's ("dp-1234" of
// "dp-1234-c2"), or "" when ref is none of ours.
func SubjectRef(ref string) string {
	i := strings.LastIndex(ref, "-c")
	if i <= 0 || len(ref) == i+2 || strings.Trim(ref[i+2:], "0123456789") != "" {
		return ""
	}
	return ref[:i]
}
