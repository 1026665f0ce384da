package hubeetest

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

const defaultBatch = 25 // notifications (hubee.md, 8)

// notify puts a notification into the queue that all processes of the recipient
// share. It needs the lock.
func (s *Server) notify(c *caseFile, e *event, from, to OrganizationID) {
	n := &notification{
		id: s.opts.NewID(), recipient: to, transmitter: from, processCode: c.folder.processCode, file: c, event: e, at: s.now(),
	}
	s.notifications[n.id] = n
	s.queues[to] = append(s.queues[to], n)
}

func (s *Server) listNotifications(c *call) (answer, *refusal) {
	limit := defaultBatch
	if text := c.query.Get("maxResult"); text != "" {
		value, _ := strconv.ParseFloat(text, 64) // the gateway checked it
		limit = max(0, int(value))
	}
	processes, first := c.query["processCode"], c.query["processPriority"]
	var picked []*notification
	for _, n := range s.queueOf(c.caller) {
		if s.ofItsProcess(c.caller, n.processCode) && (len(processes) == 0 || slices.Contains(processes, n.processCode)) {
			picked = append(picked, n)
		}
	}
	// No order is promised: what relies on one must fail.
	s.shuffle.Shuffle(len(picked), func(i, j int) { picked[i], picked[j] = picked[j], picked[i] })
	slices.SortStableFunc(picked, func(a, b *notification) int {
		return rank(first, a.processCode) - rank(first, b.processCode)
	})
	out := []notificationBody{}
	for _, n := range picked[:min(limit, len(picked))] {
		out = append(out, n.body(c.query.Get("eventDetails") == "true"))
	}
	return answer{body: out}, nil
}

func rank(first []string, process string) int {
	if i := slices.Index(first, process); i >= 0 {
		return i
	}
	return len(first)
}

// queueOf gives the queue of the caller's organisation, and all of them to an
// administrator. It needs the lock.
func (s *Server) queueOf(who Credential) []*notification {
	if who.Actor != Admin {
		return s.queues[who.Organization]
	}
	var all []*notification
	for _, n := range s.notifications {
		all = append(all, n)
	}
	slices.SortFunc(all, func(a, b *notification) int { return strings.Compare(a.id, b.id) })
	return all
}

func (s *Server) deleteNotification(c *call) (answer, *refusal) {
	n := s.notifications[c.param("notificationId")]
	switch {
	case n == nil:
		return answer{}, refuse(http.StatusNotFound, "Notification is not found")
	case c.caller.Actor != Admin && (n.recipient != c.caller.Organization || !s.ofItsProcess(c.caller, n.processCode)):
		return answer{}, forbidden()
	}
	s.dropNotifications(n.recipient, func(held *notification) bool { return held == n })
	return answer{}, nil
}

// dropNotifications needs the lock.
func (s *Server) dropNotifications(of OrganizationID, which func(*notification) bool) {
	s.queues[of] = slices.DeleteFunc(s.queues[of], func(n *notification) bool {
		if !which(n) {
			return false
		}
		delete(s.notifications, n.id)
		return true
	})
}

// moveNotifications needs the lock.
func (s *Server) moveNotifications(from, to OrganizationID) {
	for _, n := range s.notifications {
		if n.transmitter == from {
			n.transmitter = to
		}
	}
	for _, n := range s.queues[from] {
		n.recipient = to
	}
	s.queues[to] = append(s.queues[to], s.queues[from]...)
	delete(s.queues, from)
}

// sendMail tells the administration where its subscription asks for a mail each
// time (hubee.md, 10). It needs the lock.
func (s *Server) sendMail(c *caseFile, reason string) {
	sub := s.bySubscriber[subscriberKey{c.recipient, c.folder.processCode}]
	if sub == nil || !strings.EqualFold(sub.body.NotificationFrequency, "unitaire") || sub.body.Email == nil {
		return
	}
	s.mails = append(s.mails, Mail{
		At: s.now(), To: *sub.body.Email, Organization: c.recipient.String(), ProcessCode: c.folder.processCode,
		CaseID: c.id, Reason: reason,
	})
}

// Mails lists the mails that would have left, oldest first.
func (s *Server) Mails() []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	return slices.Clone(s.mails)
}
