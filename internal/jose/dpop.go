package jose

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwk"
)

const (
	dpopType = "dpop+jwt"
	// DPoPWindow: how far the time of a proof may be from ours (editors.md, 13).
	DPoPWindow = 60 * time.Second
)

// DPoPCall is the call that a proof must be made for (RFC 9449, 4.3).
type DPoPCall struct {
	Method      string
	URL         string // as the caller sees it; query and fragment are ignored
	AccessToken string // compared with ath; "" at the token endpoint, where there is none yet
	Nonce       string // the server's; "" asks for none
	Now         time.Time
}

// DPoPProof is a proof that fits its call. That ID is used once (for 120 s), and
// that Thumbprint is one of the caller's keys, is for the caller to check.
type DPoPProof struct {
	ID         string // jti
	Thumbprint string // jkt
	IssuedAt   time.Time
}

// VerifyDPoP checks the value of a DPoP header: signed by the key it carries
// with ES256 or EdDSA, for this call, now. ErrDPoP when it fits another call,
// ErrNonce when the server's nonce is asked and missing.
func VerifyDPoP(proof string, call DPoPCall) (DPoPProof, error) {
	if call.Method == "" || call.URL == "" || call.Now.IsZero() {
		return DPoPProof{}, ErrConfig
	}
	t, err := parseCompact(proof, MaxToken)
	if err != nil {
		return DPoPProof{}, err
	}
	if t.typ != dpopType {
		return DPoPProof{}, ErrType
	}
	if !t.alg.ours() {
		return DPoPProof{}, ErrAlgorithm
	}
	key, err := ParsePublicKey(t.header["jwk"])
	if err != nil {
		return DPoPProof{}, err
	}
	if key.alg != t.alg {
		return DPoPProof{}, ErrAlgorithm
	}
	if err := verifySignature(t.raw, key); err != nil {
		return DPoPProof{}, err
	}
	if err := t.fits(call); err != nil {
		return DPoPProof{}, err
	}
	c, err := t.claims()
	if err != nil {
		return DPoPProof{}, err
	}
	if c.ID == "" || len(c.ID) > 256 || c.IssuedAt.IsZero() {
		return DPoPProof{}, fmt.Errorf("%w: jti, iat", ErrClaim)
	}
	if age := call.Now.Sub(c.IssuedAt); age > DPoPWindow {
		return DPoPProof{}, ErrExpired
	} else if age < -DPoPWindow {
		return DPoPProof{}, ErrNotYetValid
	}
	if call.Nonce != "" && subtle.ConstantTimeCompare([]byte(c.Nonce), []byte(call.Nonce)) != 1 {
		return DPoPProof{}, ErrNonce
	}
	thumb, err := key.Thumbprint()
	if err != nil {
		return DPoPProof{}, err
	}
	return DPoPProof{ID: c.ID, Thumbprint: thumb, IssuedAt: c.IssuedAt}, nil
}

func (t compact) fits(call DPoPCall) error {
	method, methodOK := t.payload.text("htm")
	target, targetOK := t.payload.text("htu")
	hash, hashOK := t.payload.text("ath")
	want, wantOK := comparableURL(call.URL)
	got, gotOK := comparableURL(target)
	if !methodOK || !targetOK || !hashOK || !wantOK || !gotOK || method != call.Method || got != want {
		return ErrDPoP
	}
	if call.AccessToken == "" {
		return nil
	}
	sum := sha256.Sum256([]byte(call.AccessToken))
	if subtle.ConstantTimeCompare([]byte(hash), []byte(base64.RawURLEncoding.EncodeToString(sum[:]))) != 1 {
		return ErrDPoP
	}
	return nil
}

// comparableURL gives scheme, host and path in one form (RFC 3986, 6.2.2 and
// 6.2.3), without query and fragment.
func comparableURL(s string) (string, bool) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil || !slices.Contains([]string{"http", "https"}, strings.ToLower(u.Scheme)) {
		return "", false
	}
	scheme, host := strings.ToLower(u.Scheme), strings.ToLower(u.Hostname())
	if port := u.Port(); port != "" && (scheme != "https" || port != "443") && (scheme != "http" || port != "80") {
		host += ":" + port
	}
	path := u.EscapedPath()
	if path == "" {
		path = "/"
	}
	return scheme + "://" + host + path, true
}

// SignDPoP makes a proof for a call: the caller's side, for tests, the demo and
// the samples of the documentation.
func (k PrivateKey) SignDPoP(id string, call DPoPCall) (string, error) {
	public, err := jwk.FromRaw(k.public.raw)
	if err != nil {
		return "", ErrKey
	}
	claims := map[string]any{"jti": id, "htm": call.Method, "htu": call.URL, "iat": call.Now.Unix()}
	if call.AccessToken != "" {
		sum := sha256.Sum256([]byte(call.AccessToken))
		claims["ath"] = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	if call.Nonce != "" {
		claims["nonce"] = call.Nonce
	}
	return k.signWith(map[string]any{"typ": dpopType, "jwk": public}, claims)
}
