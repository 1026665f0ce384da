package webhook

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/passerelle-hub/passerelle/connectors"
)

const (
	goldenHex   = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
	goldenWhsec = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	secondHex   = "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f"
	goldenID    = "0198c5d0-7a5e-7c3e-9a55-3f0f3a1b2c4d"
	goldenBody  = `{"event":"approve","fired_at":1774346718}`
)

var goldenTime = time.Unix(1774346720, 0)

func key(t testing.TB, text string) Key {
	t.Helper()
	k, err := ParseKey(connectors.NewSecret(text))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// The seed of RFC 8032, 7.1, test 1.
func privateKey(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	seed, _ := hex.DecodeString("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
	k, err := ParsePrivateKey(connectors.NewSecret("whsk_" + base64.StdEncoding.EncodeToString(seed)))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// The signatures were computed with Python's hmac and cryptography.
func TestGoldenVectors(t *testing.T) {
	t.Parallel()
	got := Headers(
		Message{ID: goldenID, At: goldenTime, Attempt: 2, Environment: "staging", Body: []byte(goldenBody)},
		[]Key{key(t, goldenHex), key(t, secondHex)}, privateKey(t),
	)
	want := map[string]string{
		"Content-Type":        "application/json",
		"User-Agent":          "Passerelle",
		"X-App-Environment":   "staging",
		"X-Hub-Signature-256": "sha256=78a41e28b11f78a846080361df3eada35f0c547848ecbd712017d9160cc3b747",
		// A receiver that has the new secret already: one header holds one value.
		"X-Hub-Signature-256-New": "sha256=b55658db99d01e971d379552ad9f304dd73f869f4ceec315b713eb9fa9869a69",
		"webhook-id":              goldenID,
		"webhook-timestamp":       "1774346720",
		"webhook-attempt":         "2",
		"webhook-signature": "v1,UpyxA7/rllpwK94Tomoe7X4SH+3COrtYN21q8nnpEt4= v1,gS14AUoehGV4BoV2by43KNN5qF68E3/RVuPIFDsqui8= " +
			"v1a,FZ0YCLw1Q0sLUsVsDPoQIHT0DZBGcJgRfmGl5yHR8wRJr3hHjVBxJbT6+F7eJ9nXt8TH7mwpPXe1d56mBvbxAA==",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// The vector that the specification's libraries share, and the one of GitHub's
// documentation of X-Hub-Signature-256.
func TestPublishedVectors(t *testing.T) {
	t.Parallel()
	k := key(t, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	got := SignStandard("msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`), []Key{k}, nil)
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	github := keyOf("It's a Secret to Everybody", nil)
	if got, want := SignDataPass([]byte("Hello, World!"), github), "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestOneSecretHasTwoForms(t *testing.T) {
	t.Parallel()
	fromHex, fromWhsec := key(t, goldenHex), key(t, goldenWhsec)
	if fromHex != fromWhsec || fromHex.Hex().Reveal() != goldenHex || fromHex.Whsec().Reveal() != goldenWhsec {
		t.Error("the two forms are not the same secret")
	}
	upper := key(t, strings.ToUpper(secondHex))
	if upper.Hex().Reveal() != strings.ToUpper(secondHex) || upper.Whsec() != key(t, secondHex).Whsec() {
		t.Error("the case of a secret taken over from DataPass is part of its key")
	}
	made := NewKey()
	if made == NewKey() || len(made.Hex().Reveal()) != 64 || key(t, made.Whsec().Reveal()) != made {
		t.Error("a new secret is not what it should be")
	}
	if text := fmt.Sprintf("%v %+v %#v %s", made, made, made, made); strings.Contains(text, made.Hex().Reveal()) {
		t.Errorf("a key prints itself: %s", text)
	}
}

func TestKeysThatCannotBeReadAreRefusedWithoutBeingShown(t *testing.T) {
	t.Parallel()
	short := base64.StdEncoding.EncodeToString([]byte("shortsecretvalue"))
	for name, parse := range map[string]func() error{
		"an empty secret":             func() error { _, err := ParseKey(connectors.NewSecret("")); return err },
		"hexadecimal of 31 bytes":     func() error { _, err := ParseKey(connectors.NewSecret(goldenHex[2:])); return err },
		"whsec_ of 16 bytes":          func() error { _, err := ParseKey(connectors.NewSecret("whsec_" + short)); return err },
		"whsec_ that is no base64":    func() error { _, err := ParseKey(connectors.NewSecret("whsec_*" + short)); return err },
		"a private key of 16 bytes":   func() error { _, err := ParsePrivateKey(connectors.NewSecret("whsk_" + short)); return err },
		"a private key without whsk_": func() error { _, err := ParsePrivateKey(connectors.NewSecret(short)); return err },
		"two halves of two keys": func() error {
			_, err := ParsePrivateKey(connectors.NewSecret("whsk_" + base64.StdEncoding.EncodeToString(append(privateKey(t)[:63:63], 1))))
			return err
		},
		"a public key of 16 bytes": func() error { _, err := ParsePublicKey("whpk_" + short); return err },
	} {
		if err := parse(); err == nil || strings.Contains(err.Error(), short) || strings.Contains(err.Error(), goldenHex[2:10]) {
			t.Errorf("%s: %v", name, err)
		}
	}
	public := privateKey(t).Public().(ed25519.PublicKey)
	if again, err := ParsePublicKey(FormatPublicKey(public)); err != nil || !again.Equal(public) {
		t.Errorf("public key: %v", err)
	}
	whole := connectors.NewSecret("whsk_" + base64.StdEncoding.EncodeToString(privateKey(t)))
	if again, err := ParsePrivateKey(whole); err != nil || !again.Equal(privateKey(t)) {
		t.Errorf("private key of 64 bytes: %v", err)
	}
}

func header(pairs map[string]string) http.Header {
	h := http.Header{}
	for name, value := range pairs {
		h.Set(name, value)
	}
	return h
}

func TestWhatIsSignedVerifiesAndNothingElse(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		bytesOf := rapid.SliceOfN(rapid.Byte(), KeySize, KeySize)
		draw := func(label string) Key {
			raw := bytesOf.Draw(t, label)
			return keyOf(hex.EncodeToString(raw), raw)
		}
		signers := []Key{draw("old"), draw("new")}
		body := rapid.SliceOf(rapid.Byte()).Draw(t, "body")
		at := time.Unix(rapid.Int64Range(1e9, 9e10).Draw(t, "at"), 0)
		m := Message{ID: rapid.StringMatching(`[a-z0-9-]{1,36}`).Draw(t, "id"), At: at, Attempt: 1, Body: body}
		h := header(Headers(m, signers, nil))

		knows := rapid.IntRange(0, 1).Draw(t, "the receiver's key")
		verified, err := Verify(h, body, []Key{signers[knows]}, at, Tolerance)
		if err != nil || verified.ID != m.ID || !verified.At.Equal(at) || verified.Dialect != Standard {
			t.Fatalf("%+v %v", verified, err)
		}
		for _, name := range []string{HeaderID, HeaderTimestamp, HeaderSignature} {
			h.Del(name)
		}
		if verified, err := Verify(h, body, []Key{signers[0]}, at, Tolerance); err != nil || verified.Dialect != DataPass {
			t.Fatalf("%+v %v", verified, err)
		}

		stranger := draw("stranger")
		if stranger == signers[0] || stranger == signers[1] {
			t.Skip()
		}
		changed := append([]byte("x"), body...)
		for what, check := range map[string]func() error{
			"another key": func() error {
				_, err := Verify(header(Headers(m, signers, nil)), body, []Key{stranger}, at, Tolerance)
				return err
			},
			"another body": func() error {
				_, err := Verify(header(Headers(m, signers, nil)), changed, signers, at, Tolerance)
				return err
			},
			"another id": func() error {
				h := header(Headers(m, signers, nil))
				h.Set(HeaderID, m.ID+"x")
				_, err := Verify(h, body, signers, at, Tolerance)
				return err
			},
			"another time": func() error {
				h := header(Headers(m, signers, nil))
				h.Set(HeaderTimestamp, fmt.Sprint(at.Unix()+1))
				_, err := Verify(h, body, signers, at, Tolerance)
				return err
			},
			"DataPass, another body": func() error {
				_, err := Verify(header(map[string]string{HeaderDataPass: SignDataPass(body, signers[0])}), changed, signers, at, Tolerance)
				return err
			},
		} {
			var f *Fault
			if err := check(); !errors.As(err, &f) || f.Reason != Mismatch {
				t.Fatalf("%s: %v", what, err)
			}
		}
	})
}

func TestAPublicKeyVerifiesV1a(t *testing.T) {
	t.Parallel()
	private := privateKey(t)
	m := Message{ID: goldenID, At: goldenTime, Body: []byte(goldenBody)}
	h := header(Headers(m, nil, private))
	verified, err := Verify(h, m.Body, nil, goldenTime, Tolerance, private.Public().(ed25519.PublicKey))
	if err != nil || verified.Key != -1 {
		t.Errorf("%+v %v", verified, err)
	}
	var f *Fault
	if _, err := Verify(h, []byte("{}"), nil, goldenTime, Tolerance, private.Public().(ed25519.PublicKey)); !errors.As(err, &f) || f.Reason != Mismatch {
		t.Errorf("another body: %v", err)
	}
	if _, err := Verify(h, m.Body, []Key{key(t, goldenHex)}, goldenTime, Tolerance); !errors.As(err, &f) || f.Reason != NoKey {
		t.Errorf("no public key: %v", err)
	}
}
