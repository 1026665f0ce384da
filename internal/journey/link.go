package journey

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/passerelle-hub/passerelle/internal/store"
)

// Bounds of what a link carries (qf-form.md, D-2 and D-3).
const (
	maxExternalID = 255
	maxAddress    = 2048
	// maxLinkLife is how far ahead a signed link may expire.
	maxLinkLife = 31 * 24 * time.Hour
)

// Parameters of a link from an editor's site to a commune's page.
const (
	ParamExternalID = "external_id"  // the editor's id of the family: 255 printable ASCII characters at most
	ParamReturnTo   = "redirect_uri" // https address of the button at the end
	ParamExpires    = "expires"      // seconds since 1970, a month ahead at most
	ParamKey        = "key_id"       // id of the editor's key
	ParamSignature  = "signature"    // SignLink, in hexadecimal
)

// ErrLink: what a link carries is not to be believed. It is left aside: she may go
// on, without a way back to the editor's site.
var ErrLink = errors.New("journey: link not believed")

// Links reads what editors' links carry.
type Links struct {
	Store *store.Store
	Now   func() time.Time
	// Loopback lets plain http through on loopback addresses: for a sandbox.
	Loopback bool
}

// SignLink is the HMAC-SHA-256, in hexadecimal, of version, SIRET, id, address and
// expiry, a line each, under the key as it was given to the editor.
func SignLink(key []byte, siret string, e Entry, expires int64) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(strings.Join([]string{"v1", siret, e.ExternalID, e.ReturnTo, strconv.FormatInt(expires, 10)}, "\n")))
	return hex.EncodeToString(mac.Sum(nil))
}

// Read gives what a link carries for a commune: signed by the key of an editor of
// that commune, or going back to an address that this editor registered. An error
// other than ErrLink is the database's.
func (l Links) Read(ctx context.Context, r store.Receiver, q url.Values) (Entry, error) {
	e := Entry{ExternalID: q.Get(ParamExternalID), ReturnTo: q.Get(ParamReturnTo)}
	if e == (Entry{}) {
		return e, nil
	}
	for _, name := range []string{ParamExternalID, ParamReturnTo, ParamExpires, ParamKey, ParamSignature} {
		if len(q[name]) > 1 {
			return Entry{}, ErrLink
		}
	}
	if !printable(e.ExternalID) || len(e.ExternalID) > maxExternalID {
		return Entry{}, ErrLink
	}
	var target *url.URL
	if e.ReturnTo != "" {
		if target = l.address(e.ReturnTo); target == nil {
			return Entry{}, ErrLink
		}
	}
	rights, err := l.Store.RightsOf(ctx, r.ID)
	if err != nil {
		return Entry{}, err
	}
	var editors []string
	for _, right := range rights {
		if right.EditorID != "" {
			editors = append(editors, right.EditorID)
		}
	}
	switch {
	case q.Get(ParamSignature) != "":
		err = l.signed(ctx, r.Siret, e, q, editors)
	case target == nil:
		err = ErrLink
	default:
		err = l.registered(ctx, target, editors)
	}
	if err != nil {
		return Entry{}, err
	}
	return e, nil
}

func (l Links) signed(ctx context.Context, siret string, e Entry, q url.Values, editors []string) error {
	id := q.Get(ParamKey)
	if !printable(id) || len(id) > 64 {
		return ErrLink
	}
	expires, err := strconv.ParseInt(q.Get(ParamExpires), 10, 64)
	if err != nil {
		return ErrLink
	}
	now := l.Now()
	if at := time.Unix(expires, 0); !at.After(now) || at.After(now.Add(maxLinkLife)) {
		return ErrLink
	}
	k, key, err := l.Store.EditorLinkKey(ctx, id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return ErrLink
	case err != nil:
		return err
	case k.EndedAt != nil, !k.ExpiresAt.After(now), !slices.Contains(editors, k.EditorID),
		!hmac.Equal([]byte(SignLink(key, siret, e, expires)), []byte(q.Get(ParamSignature))):
		return ErrLink
	}
	return nil
}

func (l Links) registered(ctx context.Context, target *url.URL, editors []string) error {
	for _, editor := range editors {
		list, err := l.Store.EditorReturnAddresses(ctx, editor)
		if err != nil {
			return err
		}
		for _, a := range list {
			if known := l.address(a.Address); known != nil && within(target, known) {
				return nil
			}
		}
	}
	return ErrLink
}

// within: the same address, or one below an address that ends in a slash.
func within(target, known *url.URL) bool {
	if target.Scheme != known.Scheme || !strings.EqualFold(target.Host, known.Host) {
		return false
	}
	return target.Path == known.Path && target.RawQuery == known.RawQuery ||
		known.RawQuery == "" && strings.HasSuffix(known.Path, "/") && strings.HasPrefix(target.Path, known.Path)
}

// address reads an address to send her back to; nil when it is not one that a
// browser and we read alike: https, a host of plain letters, no name or password,
// no step upwards.
func (l Links) address(raw string) *url.URL {
	if len(raw) > maxAddress || !printable(raw) || strings.ContainsAny(raw, " \\\"<>`{}|^") {
		return nil
	}
	u, err := url.Parse(raw)
	if err != nil || u.Opaque != "" || u.User != nil || u.Host == "" || u.Hostname() == "" || u.Fragment != "" || strings.HasSuffix(u.Host, ":") {
		return nil
	}
	loopback := l.Loopback && (u.Hostname() == "127.0.0.1" || u.Hostname() == "localhost")
	if u.Scheme != "https" && (u.Scheme != "http" || !loopback) {
		return nil
	}
	lower := strings.ToLower(u.EscapedPath())
	for _, part := range []string{"//", "%2f", "%5c", "%2e"} {
		if strings.Contains(lower, part) {
			return nil
		}
	}
	for _, step := range strings.Split(u.Path, "/") {
		if step == "." || step == ".." {
			return nil
		}
	}
	return u
}

// ValidReturnAddress reports whether an editor may register an address.
func (l Links) ValidReturnAddress(raw string) bool { return l.address(raw) != nil }

func printable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
