package apiparticuliertest

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

const (
	lockLife  = time.Minute
	cacheLife = 24 * time.Hour
)

// fetched is what the caisses answered, before the scopes cut it down.
type fetched struct {
	family   Family
	quotient quotient
	expires  time.Time
}

// byFranceConnect is GET /v3/dss/quotient_familial/france_connect.
func (s *Server) byFranceConnect(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	w.Header().Set("X-Request-ID", uuid.NewString())
	if failed := s.allowFranceConnect(w.Header(), caller(r)); failed != nil {
		s.refuse(w, failed)
		return
	}
	// All citizens are the same technical user: the lock knows the recipient only.
	release, failed := s.lock("france_connect?" + query.Encode())
	if failed != nil {
		s.refuse(w, failed)
		return
	}
	defer s.enter(query.Get("recipient"))()
	failed = checkRecipient(query)
	var who Identity
	var scopes []string
	if failed == nil {
		who, scopes, failed = s.byToken(r.Context(), bearer(r))
	}
	asked, wrong := s.month(query)
	if failed = slices.Concat(failed, wrong); failed != nil {
		s.preCheckRefused(release)
		s.refuse(w, failed)
		return
	}
	defer release()
	// The cache does not see the month: a second question gets the first answer.
	s.answer(w, r, "france_connect|"+who.key(), who, asked, scopes)
}

// byIdentity is GET /v3/dss/quotient_familial/identite.
func (s *Server) byIdentity(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	w.Header().Set("X-Request-ID", uuid.NewString())
	granted, failed := s.authorize(r, query)
	if failed != nil {
		// An editor's call without a recipient has no delegation to look for.
		if missing := checkRecipient(query); missing != nil && failed[0].status == http.StatusForbidden {
			failed = missing
		}
		s.refuse(w, failed)
		return
	}
	if failed := s.allowKey(w.Header(), granted.habilitation.ID); failed != nil {
		s.refuse(w, failed)
		return
	}
	release, failed := s.lock("identite?" + query.Encode() + "&" + granted.key.Token)
	if failed != nil {
		s.refuse(w, failed)
		return
	}
	defer s.enter(query.Get("recipient"))()
	failed = checkRecipient(query)
	who, wrong := readIdentity(query, paris(s.Now()))
	asked, late := s.month(query)
	if failed = slices.Concat(failed, wrong, late); failed != nil {
		s.preCheckRefused(release)
		s.refuse(w, failed)
		return
	}
	defer release()
	s.answer(w, r, "identite|"+who.key()+"|"+asked.String(), who, asked, dataScopes(granted.habilitation.Scopes))
}

func (s *Server) month(query url.Values) (month, []failure) {
	return readMonth(query, paris(s.Now()), s.Switches().Numbering)
}

// answer asks the cache, then the caisses, and cuts down to the scopes.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, key string, who Identity, asked month, scopes []string) {
	s.mu.Lock()
	s.asked(who.key(), asked)
	held, cached := s.cache[key]
	cached = cached && s.Now().Before(held.expires) && !strings.Contains(r.Header.Get("Cache-Control"), "no-cache")
	s.mu.Unlock()
	if !cached {
		var failed []failure
		if held, failed = s.fetch(r.Context(), who, asked); failed != nil {
			s.refuse(w, failed)
			return
		}
		s.mu.Lock()
		held.expires = s.Now().Add(cacheLife)
		s.cache[key] = held
		s.mu.Unlock()
	}
	w.Header().Set("X-Response-Cached", strconv.FormatBool(cached))
	w.Header().Set("X-Cache-Expires-in", strconv.Itoa(int(held.expires.Sub(s.Now())/time.Second)))
	body := map[string]any{"data": held.family.data(held.quotient, scopes), "links": map[string]any{}, "meta": map[string]any{}}
	switches := s.Switches()
	if switches.ExtraKeys {
		body["nouveau"] = true
		data, _ := body["data"].(map[string]any)
		data["nouvelle_cle"] = []int{1}
	}
	if proof := r.Header.Get("X-Generate-Proof"); switches.Proofs && (proof == "proof-only" || proof == "pdf") {
		s.addProof(body, proof == "pdf")
	}
	writeJSON(w, http.StatusOK, body)
}

// fetch plays the chain: gate, register, caisses.
func (s *Server) fetch(ctx context.Context, who Identity, asked month) (fetched, []failure) {
	s.mu.Lock()
	switches := s.switches
	ordered := s.nextFailure()
	i := slices.IndexFunc(s.people, func(p Someone) bool { return who.matches(p.Identity) })
	var person Someone
	if i >= 0 {
		person = s.people[i]
	}
	family := s.families[person.Family]
	s.mu.Unlock()
	if !pause(ctx, time.Duration(switches.ProviderDelay)) {
		return fetched{}, fail("timeout")
	}
	if ordered != nil {
		return fetched{}, ordered
	}
	if i < 0 {
		return fetched{}, notRecognised(switches.Numbering)
	}
	if person.Outcome == Slow && !pause(ctx, time.Duration(switches.SlowDelay)) {
		return fetched{}, fail("timeout")
	}
	if failed := person.refusal(switches.Numbering); failed != nil {
		return fetched{}, failed
	}
	q, failed := family.of(asked, paris(s.Now()))
	return fetched{family: family, quotient: q}, failed
}

func notRecognised(n Numbering) []failure {
	if n == April {
		return fail("not_recognised_old")
	}
	return fail("not_recognised")
}

// gateMessages are invented: the real ones are not published.
var gateMessages = map[int]string{
	40003: "Nom de naissance refusé", 40013: "Code commune de naissance inconnu", 40014: "Sexe inconnu", 40019: "Département de naissance inconnu",
}

// refusal is what the person's outcome gives, nil for his file.
func (s Someone) refusal(n Numbering) []failure {
	switch s.Outcome {
	case NoFile:
		return fail("no_file_" + strings.ToLower(s.Fund))
	case NotReferenced:
		return fail("not_referenced")
	case NotRecognised:
		return notRecognised(n)
	case AtTheGate:
		name := "gate"
		if n == April {
			name = "gate_old"
		}
		return fail(name, withMeta("provider_error_code", s.ProviderCode), withMeta("provider_error_message", gateMessages[s.ProviderCode]))
	case Broken:
		return fail("internal", withMeta("provider_error_code", 40000))
	case Unexpected:
		if n == April {
			return fail("unexpected")
		}
		return fail("internal")
	default:
		return nil
	}
}

// pause waits in real time, and reports whether the caller is still there.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// lock is the server's: one call at a time for the same operation, query and
// user; it ends with the call, or after a minute.
func (s *Server) lock(key string) (release func(), failed []failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Now().Before(s.locks[key]) {
		s.conflicts++
		return nil, fail("conflict")
	}
	s.locks[key] = s.Now().Add(lockLife)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.locks, key)
	}, nil
}

// preCheckRefused: such a call leaves its lock behind (api-particulier.md, 5).
func (s *Server) preCheckRefused(release func()) {
	if s.Switches().LockFreed {
		release()
	}
}

func (s *Server) refuse(w http.ResponseWriter, failed []failure) {
	writeFailures(w, s.Switches(), failed)
}
