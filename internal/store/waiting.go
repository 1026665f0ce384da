package store

import "context"

// Waiting is everything that waits, and why: what operators look at first.
type Waiting struct {
	Credentials []WaitingCredential
	Parked      []ParkedEvent
	Partners    []Partner
	Deliveries  []WaitingDelivery
	Mails       []WaitingMail
	Tasks       []WaitingTask // people of a provider are waited for
}

// Empty reports that nothing waits.
func (w Waiting) Empty() bool {
	return len(w.Credentials)+len(w.Parked)+len(w.Partners)+len(w.Deliveries)+len(w.Mails)+len(w.Tasks) == 0
}

// Waiting reads it, at most limit rows of each kind.
func (s *Store) Waiting(ctx context.Context, limit int) (Waiting, error) {
	var w Waiting
	var err error
	if w.Credentials, err = s.WaitingCredentials(ctx, limit); err != nil {
		return w, err
	}
	if w.Parked, err = s.ParkedEvents(ctx, limit); err != nil {
		return w, err
	}
	partners, err := s.Partners(ctx)
	if err != nil {
		return w, err
	}
	for _, p := range partners {
		if p.PausedUntil != nil || p.Failures > 0 {
			w.Partners = append(w.Partners, p)
		}
	}
	if w.Deliveries, err = s.WaitingDeliveries(ctx, limit); err != nil {
		return w, err
	}
	if w.Mails, err = s.WaitingMails(ctx, limit); err != nil {
		return w, err
	}
	w.Tasks, err = s.WaitingTasks(ctx, limit)
	return w, err
}
