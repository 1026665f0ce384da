package auth

import (
	"crypto/sha256"
	"net/http"
	"sync"
	"time"

	"github.com/passerelle-hub/passerelle/internal/habilitation"
)

// Remembered knows the few machines that ask thousands of times a second
// without reading their rights each time. A right that is taken away, or a token
// that ends, is obeyed For later at the most.
type Remembered struct {
	Callers     *Authenticator
	Definitions func() []*habilitation.Definition
	For         time.Duration

	mu   sync.Mutex
	held map[[sha256.Size]byte]*rememberedCaller
}

type rememberedCaller struct {
	mu     sync.Mutex // one reads, the others wait for what it read
	readAt time.Time
	about  []string
}

// maxRemembered bounds the machines that are kept; nobody has as many.
const maxRemembered = 1000

// Introspecting gives the definitions that the calling machine may ask about
// ("*" for all). Errors are those of Machine.
func (m *Remembered) Introspecting(r *http.Request) ([]string, error) {
	entry := m.entry(sha256.Sum256([]byte(r.Header.Get("Authorization"))))
	entry.mu.Lock()
	defer entry.mu.Unlock()
	if now := time.Now(); entry.readAt.IsZero() || now.Sub(entry.readAt) >= m.For {
		caller, err := m.Callers.Machine(r, ScopeIntrospect)
		if err != nil {
			entry.readAt = time.Time{}
			return nil, err
		}
		entry.readAt, entry.about = now, caller.Introspectable(m.Definitions())
	}
	return entry.about, nil
}

func (m *Remembered) entry(key [sha256.Size]byte) *rememberedCaller {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.held == nil || len(m.held) > maxRemembered { // strangers fill it: begin again
		m.held = map[[sha256.Size]byte]*rememberedCaller{}
	}
	entry, known := m.held[key]
	if !known {
		entry = &rememberedCaller{}
		m.held[key] = entry
	}
	return entry
}
