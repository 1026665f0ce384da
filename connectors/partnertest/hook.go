package partnertest

import "sync"

// Hook sees a call at one point of it and holds it until it returns. The call's
// Status is the one the work gave; in a hook before the work it is 0.
type Hook func(Call)

type moment int

const (
	before moment = iota
	after
)

type hooks struct {
	mu   sync.Mutex
	next int
	list []hookSlot
}

type hookSlot struct {
	id    int
	at    moment
	route Route
	run   Hook
}

// BeforeWork runs hook on each call that the route picks, before its work. The
// answer removes it.
func (s *Server) BeforeWork(route Route, hook Hook) (remove func()) {
	return s.hooks.add(before, route, hook)
}

// AfterWork runs hook on each call that the route picks, once its work is done
// and before its answer leaves: the point where a lost answer or a killed client
// hurts most. The answer removes it.
func (s *Server) AfterWork(route Route, hook Hook) (remove func()) {
	return s.hooks.add(after, route, hook)
}

func (h *hooks) add(at moment, route Route, hook Hook) (remove func()) {
	if err := route.Valid(); err != nil {
		panic(err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.next++
	id := h.next
	h.list = append(h.list, hookSlot{id: id, at: at, route: route, run: hook})
	return func() { h.remove(id) }
}

func (h *hooks) remove(id int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	kept := h.list[:0:0]
	for _, slot := range h.list {
		if slot.id != id {
			kept = append(kept, slot)
		}
	}
	h.list = kept
}

func (h *hooks) clear() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.list = nil
}

// run calls the hooks outside the lock: a hook may add or remove hooks.
func (h *hooks) run(at moment, call Call, path string) {
	h.mu.Lock()
	list := h.list
	h.mu.Unlock()
	for _, slot := range list {
		if slot.at == at && slot.route.Matches(call.Side, call.Method, path) {
			slot.run(call)
		}
	}
}
