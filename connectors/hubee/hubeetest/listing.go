package hubeetest

import (
	"cmp"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"time"
)

// orders are the columns of orderBy, snake_case as published, each with the text
// that it sorts by.
var orders = map[string]func(*subscription) string{
	"id":                     func(s *subscription) string { return s.id },
	"datapass_id":            func(s *subscription) string { return fmt.Sprintf("%020d", s.body.DatapassID) },
	"si_type":                func(s *subscription) string { return s.body.Subscriber.Type },
	"si_company_register":    func(s *subscription) string { return s.body.Subscriber.CompanyRegister },
	"si_branch_code":         func(s *subscription) string { return s.body.Subscriber.BranchCode },
	"notification_frequency": func(s *subscription) string { return s.body.NotificationFrequency },
	"access_mode":            func(s *subscription) string { return orEmpty(s.body.AccessMode) },
	"delegation_actor":       func(s *subscription) string { return s.delegate() },
	"email":                  func(s *subscription) string { return orEmpty(s.body.Email) },
	"local_admin":            func(s *subscription) string { return s.body.LocalAdministrator.Email },
	"rejection_reason":       func(s *subscription) string { return orEmpty(s.body.RejectionReason) },
	"status":                 func(s *subscription) string { return orEmpty(s.body.Status) },
	"activate_date_time":     func(s *subscription) string { return sortable(s.body.ActivateDateTime) },
	"validate_date_time":     func(s *subscription) string { return sortable(s.body.ValidateDateTime) },
	"reject_date_time":       func(s *subscription) string { return sortable(s.body.RejectDateTime) },
	"end_date_time":          func(s *subscription) string { return sortable(s.body.EndDateTime) },
	"update_date_time":       func(s *subscription) string { return sortable(s.body.UpdateDateTime) },
	"process_code":           func(s *subscription) string { return s.body.ProcessCode },
}

var orderPattern = regexp.MustCompile(`^(asc|desc)\(([a-z_]+)\)$`)

// delegate is the e-mail address or the name of whom it is delegated to.
func (s *subscription) delegate() string {
	d := s.body.DelegationActor
	switch {
	case d == nil:
		return ""
	case d.Email != nil:
		return *d.Email
	case d.Type != nil:
		return OrganizationID{*d.Type, orEmpty(d.CompanyRegister), orEmpty(d.BranchCode)}.String()
	default:
		return ""
	}
}

// listSubscriptions answers one page, with its place in Content-Range, spelled
// as HubEE spells it.
func (s *Server) listSubscriptions(c *call) (answer, *refusal) {
	picked := slices.DeleteFunc(slices.Clone(s.order), func(sub *subscription) bool { return !c.picks(sub) })
	if order := c.query.Get("orderBy"); order != "" {
		parts := orderPattern.FindStringSubmatch(order)
		if parts == nil || orders[parts[2]] == nil {
			return answer{}, refuse(http.StatusBadRequest, badRequest)
		}
		key, sign := orders[parts[2]], 1
		if parts[1] == "desc" {
			sign = -1
		}
		slices.SortStableFunc(picked, func(a, b *subscription) int { return sign * cmp.Compare(key(a), key(b)) })
	}
	total := len(picked)
	offset := min(max(0, c.number("offSet", 0)), total)
	page := picked[offset:min(total, offset+max(0, c.number("maxResult", defaultBatch)))]
	out := []subscriptionView{}
	for _, sub := range page {
		out = append(out, sub.view())
	}
	return answer{body: out, header: http.Header{
		"Content-Range": {fmt.Sprintf("Susbscriptions %d-%d/%d", offset, offset+max(0, len(page)-1), total)},
	}}, nil
}

func (c *call) picks(sub *subscription) bool {
	has := func(name, value string) bool { return !c.query.Has(name) || c.query.Get(name) == value }
	processes := c.query["processCode"]
	return (len(processes) == 0 || slices.Contains(processes, sub.body.ProcessCode)) &&
		has("status", orEmpty(sub.body.Status)) && has("companyRegister", sub.body.Subscriber.CompanyRegister) &&
		has("delegationActorEmail", sub.delegate()) && has("datapassId", strconv.FormatInt(sub.body.DatapassID, 10))
}

// number gives an integer of the query, which the gateway has checked.
func (c *call) number(name string, otherwise int) int {
	if value, err := strconv.Atoi(c.query.Get(name)); err == nil {
		return value
	}
	return otherwise
}

func orEmpty(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}

func sortable(at *time.Time) string {
	if at == nil {
		return ""
	}
	return at.UTC().Format(time.RFC3339Nano)
}
