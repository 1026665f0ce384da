package conformance

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
)

// Memory is a connectors.Ledger and a connectors.Gate for tests. Fail, when set,
// is the error of every call of the ledger.
type Memory struct {
	Fail error

	mu    sync.Mutex
	rows  map[string][]byte
	locks map[string]bool
}

var (
	_ connectors.Ledger = (*Memory)(nil)
	_ connectors.Gate   = (*Memory)(nil)
)

// NewMemory gives an empty one.
func NewMemory() *Memory { return &Memory{rows: map[string][]byte{}, locks: map[string]bool{}} }

// Get gives the record, or false.
func (m *Memory) Get(_ context.Context, key string) ([]byte, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	value, found := m.rows[key]
	return slices.Clone(value), found, m.Fail
}

// Put writes it.
func (m *Memory) Put(_ context.Context, key string, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.Fail == nil {
		m.rows[key] = slices.Clone(value)
	}
	return m.Fail
}

// PutNew writes it when the key is free.
func (m *Memory) PutNew(_ context.Context, key string, value []byte) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, taken := m.rows[key]; taken || m.Fail != nil {
		return false, m.Fail
	}
	m.rows[key] = slices.Clone(value)
	return true, nil
}

// Delete removes it.
func (m *Memory) Delete(_ context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.Fail == nil {
		delete(m.rows, key)
	}
	return m.Fail
}

// Contains tells whether a record holds the text: no clear secret may.
func (m *Memory) Contains(text string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, row := range m.rows {
		if bytes.Contains(row, []byte(text)) {
			return true
		}
	}
	return false
}

// Lock takes the named lock. It does not end by itself.
func (m *Memory) Lock(_ context.Context, name string, _ time.Duration) (release func(), ok bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.locks[name] {
		return nil, false, nil
	}
	m.locks[name] = true
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.locks, name)
	}, true, nil
}

// Take always gives a token.
func (m *Memory) Take(context.Context, string, float64, int) (time.Duration, error) { return 0, nil }
