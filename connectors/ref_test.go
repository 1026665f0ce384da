package connectors

import "testing"

func TestASubjectIsReadFromItsCredential(t *testing.T) {
	for ref, want := range map[string]string{
		"dp-1234-c1": "dp-1234", "dp-1234-c12": "dp-1234", "dp-1234": "", "dp-1234-c": "", "dp-1234-cx": "", "-c1": "", "": "",
	} {
		if got := SubjectRef(ref); got != want {
			t.Errorf("%q: %q, want %q", ref, got, want)
		}
	}
}
