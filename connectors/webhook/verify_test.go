package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
)

func rawMAC(key, message string) []byte {
	h := hmac.New(sha256.New, []byte(key))
	h.Write([]byte(message))
	return h.Sum(nil)
}

func TestVerifySaysExactlyWhatIsWrong(t *testing.T) {
	t.Parallel()
	k := key(t, goldenHex)
	raw := k.bytes.Reveal()
	good := Headers(Message{ID: goldenID, At: goldenTime, Body: []byte(goldenBody)}, []Key{k}, nil)
	signed := goldenID + ".1774346720." + goldenBody
	standard := func(signature string) http.Header {
		return header(map[string]string{HeaderID: goldenID, HeaderTimestamp: "1774346720", HeaderSignature: signature})
	}
	v1 := func(key, message string) http.Header {
		return standard("v1," + base64.StdEncoding.EncodeToString(rawMAC(key, message)))
	}
	dataPass := func(key, message string) http.Header {
		return header(map[string]string{HeaderDataPass: "sha256=" + hex.EncodeToString(rawMAC(key, message))})
	}
	change := func(name, value string) http.Header {
		h := header(good)
		h.Del(name)
		if value != "" {
			h.Set(name, value)
		}
		return h
	}
	twice := header(good)
	twice.Add(HeaderSignature, "v1,AAAA")
	for name, c := range map[string]struct {
		h      http.Header
		reason Reason
		says   string
	}{
		"no header at all":                    {http.Header{}, NoSignature, "neither X-Hub-Signature-256 nor webhook-id"},
		"no id":                               {change(HeaderID, ""), NoHeader, "webhook-id is missing"},
		"no time":                             {change(HeaderTimestamp, ""), NoHeader, "webhook-timestamp is missing"},
		"no signature beside the id":          {change(HeaderSignature, ""), NoHeader, "webhook-signature is missing"},
		"two signature headers":               {twice, BadFormat, "webhook-signature is there 2 times"},
		"an id with a dot":                    {change(HeaderID, "a.b"), BadID, "holds a dot"},
		"a time in words":                     {change(HeaderTimestamp, "2026-03-24T10:00:00Z"), BadTimestamp, "not whole seconds"},
		"a time with a sign":                  {change(HeaderTimestamp, "+1774346720"), BadTimestamp, "not whole seconds"},
		"a time in milliseconds":              {change(HeaderTimestamp, "1774346720000"), BadTimestamp, "milliseconds"},
		"an old time":                         {change(HeaderTimestamp, "1774346100"), TooOld, "signed 10m20s ago, more than 5m0s"},
		"a time to come":                      {change(HeaderTimestamp, "1774347320"), TooNew, "10m0s in the future"},
		"a signature without a version":       {standard("UpyxA7/rllpw="), BadFormat, "a version, a comma and base64"},
		"a signature in hexadecimal":          {standard("v1," + hex.EncodeToString(rawMAC(raw, signed))), BadFormat, "hexadecimal, not in base64"},
		"a signature cut short":               {standard("v1,UpyxA7"), BadFormat, "not base64 of 32 bytes"},
		"a signature of another version only": {standard("v2,UpyxA7"), BadFormat, "neither a v1 nor a v1a"},
		"the hexadecimal text as key":         {v1(goldenHex, signed), Mismatch, "64 hexadecimal characters, which are for X-Hub-Signature-256"},
		"the base64 text as key":              {v1(strings.TrimPrefix(goldenWhsec, "whsec_"), signed), Mismatch, "must be decoded"},
		"the whole whsec_ text as key":        {v1(goldenWhsec, signed), Mismatch, "the whole text whsec_"},
		"the body alone signed":               {v1(raw, goldenBody), Mismatch, "the body alone was signed"},
		"no id in what is signed":             {v1(raw, "1774346720."+goldenBody), Mismatch, "timestamp.body was signed"},
		"no time in what is signed":           {v1(raw, goldenID+"."+goldenBody), Mismatch, "id.body was signed"},
		"no dots in what is signed":           {v1(raw, goldenID+"1774346720"+goldenBody), Mismatch, "dots"},
		"a line break in what is signed":      {v1(raw, signed+"\n"), Mismatch, "line break"},
		"the body encoded again by Python":    {v1(raw, goldenID+`.1774346720.{"event": "approve", "fired_at": 1774346718}`), Mismatch, "decoded and encoded again"},
		"two mistakes at once":                {v1(goldenWhsec, goldenBody), Mismatch, "the whole text whsec_…; the body alone was signed"},
		"another secret":                      {v1("x", signed), Mismatch, "another secret, or of other bytes than id.timestamp.body"},
		"DataPass, no prefix":                 {header(map[string]string{HeaderDataPass: hex.EncodeToString(rawMAC(goldenHex, goldenBody))}), BadFormat, "does not begin with sha256="},
		"DataPass, base64":                    {header(map[string]string{HeaderDataPass: "sha256=" + base64.StdEncoding.EncodeToString(rawMAC(goldenHex, goldenBody))}), BadFormat, "64 hexadecimal characters"},
		"DataPass, the decoded bytes as key":  {dataPass(raw, goldenBody), Mismatch, "as text"},
		"DataPass, whsec_ as key":             {dataPass(goldenWhsec, goldenBody), Mismatch, "whsec_"},
		"DataPass, id and time signed":        {dataPass(goldenHex, signed), Mismatch, "another secret, or of other bytes than the body"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Verify(c.h, []byte(goldenBody), []Key{k}, goldenTime, Tolerance)
			var f *Fault
			if !errors.As(err, &f) || f.Reason != c.reason || !strings.Contains(f.Error(), c.says) {
				t.Errorf("got %v (%+v), want %s: %s", err, f, c.reason, c.says)
			}
			for _, secret := range []string{goldenHex, goldenWhsec, raw, base64.StdEncoding.EncodeToString(rawMAC(raw, signed))} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the error shows a secret or a signature: %v", err)
				}
			}
		})
	}
}

func TestVerifyFindsOneGoodSignatureAmongOthers(t *testing.T) {
	t.Parallel()
	k := key(t, goldenHex)
	good := SignStandard(goldenID, goldenTime, []byte(goldenBody), []Key{k}, nil)
	h := header(map[string]string{HeaderID: goldenID, HeaderTimestamp: "1774346720", HeaderSignature: "v9,xx v1," +
		base64.StdEncoding.EncodeToString(make([]byte, 32)) + " " + good})
	verified, err := Verify(h, []byte(goldenBody), []Key{key(t, secondHex), k}, goldenTime.Add(Tolerance), Tolerance)
	if err != nil || verified.Key != 1 {
		t.Errorf("%+v %v", verified, err)
	}
	if _, err := Verify(h, []byte(goldenBody), nil, goldenTime, Tolerance); err == nil {
		t.Error("verified without a key")
	}
	if _, err := Verify(header(Headers(Message{ID: goldenID, At: goldenTime}, nil, nil)), nil, []Key{{}}, goldenTime, Tolerance); err == nil {
		t.Error("verified with an empty key")
	}
}

func FuzzVerify(f *testing.F) {
	k := key(f, goldenHex)
	private := privateKey(f)
	h := Headers(Message{ID: goldenID, At: goldenTime, Body: []byte(goldenBody)}, []Key{k}, private)
	f.Add(h[HeaderID], h[HeaderTimestamp], h[HeaderSignature], h[HeaderDataPass], []byte(goldenBody))
	f.Add("", "1", "v1,", "sha256=00", []byte("{}"))
	f.Fuzz(func(t *testing.T, id, at, signature, dataPass string, body []byte) {
		h := header(map[string]string{HeaderID: id, HeaderTimestamp: at, HeaderSignature: signature, HeaderDataPass: dataPass})
		verified, err := Verify(h, body, []Key{k}, goldenTime, Tolerance)
		var fault *Fault
		switch {
		case err != nil && !errors.As(err, &fault):
			t.Fatalf("not a fault: %v", err)
		case err != nil && (fault.Reason == "" || len(fault.Detail) > 300):
			t.Fatalf("fault %+v", fault)
		case err == nil && verified.At.Sub(goldenTime).Abs() > Tolerance:
			t.Fatalf("a time %s away passes", verified.At.Sub(goldenTime))
		case err == nil && !strings.Contains(signature, SignStandard(id, verified.At, body, []Key{k}, nil)):
			t.Fatal("verified what was not signed")
		}
	})
}

func BenchmarkVerifyMismatch(b *testing.B) {
	k := key(b, goldenHex)
	body := []byte(`{"data":"` + strings.Repeat("x", 20_000) + `"}`)
	h := header(map[string]string{HeaderDataPass: "sha256=" + strings.Repeat("00", 32)})
	for b.Loop() {
		_, _ = Verify(h, body, []Key{k}, time.Time{}, Tolerance)
	}
}
