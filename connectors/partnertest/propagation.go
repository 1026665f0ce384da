package partnertest

import "time"

// Propagation holds back what a partner's gateway learns of changes made on its
// administration side: each change is applied once it is Delay old, in order.
// It has no lock of its own: the simulator's guards it.
type Propagation struct {
	Delay time.Duration // 0: at once

	waiting []waitingChange
}

type waitingChange struct {
	at    time.Time
	apply func()
}

// Publish tells the gateway of a change made at a moment of the partner's clock.
// apply must hold copies: what it was made of may change before it runs.
func (p *Propagation) Publish(at time.Time, apply func()) {
	if p.Delay <= 0 && len(p.waiting) == 0 {
		apply()
		return
	}
	p.waiting = append(p.waiting, waitingChange{at, apply})
}

// CatchUp applies what the gateway knows by now. Call it before the gateway decides.
func (p *Propagation) CatchUp(now time.Time) {
	known := 0
	for _, change := range p.waiting {
		if change.at.Add(p.Delay).After(now) {
			break
		}
		change.apply()
		known++
	}
	p.waiting = p.waiting[known:]
}
