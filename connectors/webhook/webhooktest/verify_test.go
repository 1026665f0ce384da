package webhooktest

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The published examples of both dialects: GitHub's page on validating webhook
// deliveries, and the libraries of Standard Webhooks.
const (
	hubSecret    = "It's a Secret to Everybody"
	hubBody      = "Hello, World!"
	hubSignature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"

	standardSecret    = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	standardID        = "msg_p5jXN8AQM9LWM0D4loKWxJek"
	standardTime      = 1614265330
	standardBody      = `{"test": 2432232314}`
	standardSignature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
)

func secretsOf(t *testing.T, values ...string) []secret {
	t.Helper()
	var out []secret
	for _, value := range values {
		s, err := newSecret(value)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, s)
	}
	return out
}

func TestDataPassSignatures(t *testing.T) {
	t.Parallel()
	const other = "0000000000000000000000000000000000000000000000000000000000000000"
	cases := map[string]struct {
		secrets []string
		values  []string
		body    string
		fault   string
	}{
		"the published example":          {[]string{hubSecret}, []string{hubSignature}, hubBody, ""},
		"one of two secrets":             {[]string{other, hubSecret}, []string{hubSignature}, hubBody, ""},
		"another secret":                 {[]string{other}, []string{hubSignature}, hubBody, "X-Hub-Signature-256: signed with no secret of ours"},
		"a body with one more byte":      {[]string{hubSecret}, []string{hubSignature}, hubBody + "\n", "X-Hub-Signature-256: signed with no secret of ours"},
		"capital letters":                {[]string{hubSecret}, []string{"sha256=" + strings.ToUpper(hubSignature[7:])}, hubBody, "X-Hub-Signature-256: signed with no secret of ours"},
		"without its prefix":             {[]string{hubSecret}, []string{hubSignature[7:]}, hubBody, "X-Hub-Signature-256: signed with no secret of ours"},
		"no signature":                   {[]string{hubSecret}, nil, hubBody, "X-Hub-Signature-256: 0 values"},
		"two signatures, one of a thief": {[]string{hubSecret}, []string{hubSignature, hubSignature}, hubBody, "X-Hub-Signature-256: 2 values"},
		"no secret at all":               {nil, []string{hubSignature}, hubBody, "X-Hub-Signature-256: signed with no secret of ours"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := verifier{dialect: DataPassOnly, secrets: secretsOf(t, c.secrets...)}
			sameFaults(t, c.fault, v.faults(http.Header{hubHeader: c.values}, []byte(c.body), time.Time{}))
		})
	}
}

func sameFaults(t *testing.T, want string, got []string) {
	t.Helper()
	var wanted []string
	if want != "" {
		wanted = []string{want}
	}
	if diff := cmp.Diff(wanted, got); diff != "" {
		t.Error(diff)
	}
}

func TestStandardSignatures(t *testing.T) {
	t.Parallel()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	signed := fmt.Sprintf("%s.%d.%s", standardID, standardTime, standardBody)
	v1a := "v1a," + base64.StdEncoding.EncodeToString(ed25519.Sign(private, []byte(signed)))
	const (
		otherSecret = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
		notOurs     = "webhook-signature: signed with no secret of ours"
		stale       = "v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
	)
	good := map[string]string{idHeader: standardID, timestampHeader: fmt.Sprint(standardTime), signatureHeader: standardSignature}
	cases := map[string]struct {
		secrets []string
		change  map[string]string
		late    time.Duration
		body    string
		fault   string
	}{
		"the published example":         {[]string{standardSecret}, nil, 0, standardBody, ""},
		"several signatures, one ours":  {[]string{standardSecret}, map[string]string{signatureHeader: stale + " v2,YQ== " + standardSignature}, 0, standardBody, ""},
		"one of two secrets":            {[]string{otherSecret, standardSecret}, nil, 0, standardBody, ""},
		"another secret":                {[]string{otherSecret}, nil, 0, standardBody, notOurs},
		"an asymmetric one":             {[]string{otherSecret}, map[string]string{signatureHeader: v1a}, 0, standardBody, ""},
		"an asymmetric one called v1":   {[]string{otherSecret}, map[string]string{signatureHeader: "v1" + v1a[3:]}, 0, standardBody, notOurs},
		"another body":                  {[]string{standardSecret}, nil, 0, standardBody + " ", notOurs},
		"another id":                    {[]string{standardSecret}, map[string]string{idHeader: "msg_2"}, 0, standardBody, notOurs},
		"another time, close":           {[]string{standardSecret}, map[string]string{timestampHeader: fmt.Sprint(standardTime + 1)}, 0, standardBody, notOurs},
		"five minutes late":             {[]string{standardSecret}, nil, 5 * time.Minute, standardBody, ""},
		"later":                         {[]string{standardSecret}, nil, 5*time.Minute + time.Second, standardBody, "webhook-timestamp: 5m1s from our clock"},
		"from the future":               {[]string{standardSecret}, nil, -6 * time.Minute, standardBody, "webhook-timestamp: -6m0s from our clock"},
		"a time in words":               {[]string{standardSecret}, map[string]string{timestampHeader: "hier"}, 0, standardBody, "webhook-timestamp: not Unix seconds"},
		"no id":                         {[]string{standardSecret}, map[string]string{idHeader: ""}, 0, standardBody, "webhook-id: missing"},
		"an id that moves the boundary": {[]string{standardSecret}, map[string]string{idHeader: "a.b"}, 0, standardBody, "webhook-id: has a dot"},
		"no signature":                  {[]string{standardSecret}, map[string]string{signatureHeader: ""}, 0, standardBody, "webhook-signature: missing"},
		"a signature that is no base64": {[]string{standardSecret}, map[string]string{signatureHeader: "v1,!"}, 0, standardBody, "webhook-signature: v1 is not base64"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := verifier{
				dialect: StandardOnly, secrets: secretsOf(t, c.secrets...), keys: []ed25519.PublicKey{public}, tolerance: DefaultTolerance,
			}
			h := http.Header{}
			for name, value := range good {
				h.Set(name, value)
			}
			for name, value := range c.change {
				h.Set(name, value)
			}
			sameFaults(t, c.fault, v.faults(h, []byte(c.body), time.Unix(standardTime, 0).Add(c.late)))
		})
	}
}

func TestOneSecretServesBothDialects(t *testing.T) {
	t.Parallel()
	const text = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
	fromText := secretsOf(t, text)[0]
	fromStandard := secretsOf(t, "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")[0]
	if diff := cmp.Diff(fromText, fromStandard, cmp.AllowUnexported(secret{})); diff != "" || string(fromText.text) != text {
		t.Error(diff)
	}
	for _, bad := range []string{"", "whsec_!"} {
		if _, err := newSecret(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	for _, bad := range []string{"", "whpk_AAAA", base64.StdEncoding.EncodeToString(make([]byte, 32))} {
		if _, err := newPublicKey(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestDialects(t *testing.T) {
	t.Parallel()
	hub := http.Header{hubHeader: {"sha256=00"}}
	none := http.Header{}
	cases := []struct {
		dialect Dialect
		header  http.Header
		faults  int
	}{
		{Both, none, 2},
		{Both, hub, 2},
		{DataPassOnly, none, 1},
		{StandardOnly, none, 1},
		{AnyOfThem, none, 1},
		{AnyOfThem, hub, 1},
		{WithoutChecking, hub, 0},
	}
	for _, c := range cases {
		v := verifier{dialect: c.dialect}
		if got := v.faults(c.header, nil, time.Time{}); len(got) != c.faults {
			t.Errorf("%q with %d headers: %v", c.dialect, len(c.header), got)
		}
	}
}

func FuzzFaultsNeverTrustsAStranger(f *testing.F) {
	f.Add(standardID, fmt.Sprint(standardTime), standardSignature, hubSignature, []byte(standardBody))
	f.Add("", "", "v1, v1a, ,", "sha256=", []byte(nil))
	s, err := newSecret("whsec_////////////////////////////////")
	if err != nil {
		f.Fatal(err)
	}
	v := verifier{dialect: AnyOfThem, secrets: []secret{s}, tolerance: DefaultTolerance}
	f.Fuzz(func(t *testing.T, id, stamp, signature, hub string, body []byte) {
		h := http.Header{idHeader: {id}, timestampHeader: {stamp}, signatureHeader: {signature}, hubHeader: {hub}}
		if len(v.faults(h, body, time.Unix(standardTime, 0))) == 0 {
			t.Error("trusted without knowing the secret")
		}
	})
}
