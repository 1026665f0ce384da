package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

const managersUsage = "connectors check | plan REQUEST | pause NAME | resume NAME   (REQUEST: 12, or D9001 as DataPass numbers it)"

// managersCommand looks at the managers that hold keys, and pauses them.
func managersCommand(ctx context.Context, env environment, args []string) error {
	fs, path := flags(env, "connectors")
	asJSON := fs.Bool("json", false, "print JSON")
	limit := fs.Duration("timeout", time.Minute, "longest check of one connector")
	if err := parse(fs, args); err != nil {
		return err
	}
	words := fs.Args()
	if len(words) == 0 {
		return &usageError{managersUsage}
	}
	if err := parse(fs, words[1:]); err != nil { // flags may follow the word
		return err
	}
	words = append(words[:1:1], fs.Args()...)
	if want := map[string]int{"check": 1, "plan": 2, "pause": 2, "resume": 2}[words[0]]; len(words) != want {
		return &usageError{managersUsage}
	}
	return withHub(ctx, env, *path, func(h *hub) error {
		switch words[0] {
		case "check":
			return h.checkManagers(ctx, env.stdout, *asJSON, *limit)
		case "plan":
			return h.planRequest(ctx, env.stdout, *asJSON, words[1])
		default:
			if _, ok := h.managers[words[1]]; !ok {
				return fmt.Errorf("no connector %q in the settings", words[1])
			}
			cmd, err := mending(words)
			if err != nil {
				return err
			}
			return h.registry.Record(registry.WithActor(ctx, "operator:"+whoami()), cmd)
		}
	})
}

// certificateNotice is how long before its end a certificate of ours is a fault.
const certificateNotice = 14 * 24 * time.Hour

// checked is what a check found of one connector.
type checked struct {
	Name         string                  `json:"name"`
	Type         string                  `json:"type"`
	Paused       string                  `json:"paused,omitempty"` // by whom
	Reachable    bool                    `json:"reachable"`        // and able to write, with our credentials
	Version      string                  `json:"version,omitempty"`
	LatencyMS    int64                   `json:"latency_ms"`
	Definitions  []string                `json:"definitions"` // that the settings give it
	Capabilities connectors.Capabilities `json:"capabilities"`
	Faults       []string                `json:"faults"`
}

func (h *hub) checkManagers(ctx context.Context, out io.Writer, asJSON bool, limit time.Duration) error {
	list := make([]checked, len(h.config.Connectors))
	var all sync.WaitGroup
	for i, c := range h.config.Connectors {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, limit)
			defer cancel()
			list[i] = h.checkManager(ctx, c.Name)
		})
	}
	all.Wait()
	faults := 0
	for _, c := range list {
		faults += len(c.Faults)
	}
	var err error
	if asJSON {
		err = json.NewEncoder(out).Encode(list)
	} else {
		err = printChecked(out, list)
	}
	if err == nil && faults > 0 {
		err = fmt.Errorf("%d fault(s)", faults)
	}
	return err
}

func (h *hub) checkManager(ctx context.Context, name string) checked {
	m := h.managers[name]
	c := checked{Name: name, Type: m.Type, Definitions: []string{}, Capabilities: m.Capabilities(), Faults: []string{}}
	fault := func(what string, err error) { c.Faults = append(c.Faults, what+": "+faultOf(err)) }
	if partner, err := h.store.Partner(ctx, name); err != nil {
		fault("state", err)
	} else if partner.PausedUntil != nil {
		c.Paused = partner.PausedBy
	} else if m.Paused {
		c.Paused = "passerelle.yml"
	}
	if health, err := m.Health(ctx); err != nil {
		fault("health", err)
	} else {
		c.Reachable, c.Version, c.LatencyMS = true, health.Version, health.Latency.Milliseconds()
		if checker, ok := m.KeyManager.(connectors.Checker); ok {
			faults, err := checker.CheckConfig(ctx)
			if err != nil {
				fault("settings", err)
			}
			c.Faults = append(c.Faults, faults...)
		}
		c.Capabilities = m.Capabilities() // some are known once the partner was asked
	}
	// One that has ended is told by the health check: no call leaves with it.
	if cert, end, ok := h.certificates[name].ClientCertificate(); ok && end.After(h.now()) && end.Before(h.now().Add(certificateNotice)) {
		c.Faults = append(c.Faults, fmt.Sprintf("our client certificate %q (tls.cert_file) ends on %s: renew it", cert, end.UTC().Format(time.RFC3339)))
	}
	for _, p := range h.config.Provisioning {
		if p.Environment != h.config.Hub.Environment || !slices.Contains(p.Managers, name) {
			continue
		}
		c.Definitions = append(c.Definitions, p.Definition)
		c.Faults = append(c.Faults, h.unmapped(m.KeyManager, p.Definition)...)
	}
	return c
}

// unmapped gives the scopes of a definition that an approval could grant and the
// connector would refuse.
func (h *hub) unmapped(m connectors.KeyManager, definition string) []string {
	planner, ok := m.(connectors.Planner)
	d, known := h.catalogue.Definition(definition)
	switch {
	case !known:
		return []string{definition + ": the catalogue has no such definition"}
	case !ok:
		return nil
	}
	if _, err := planner.Plan(connectors.Grants{Definition: definition}); err != nil && len(d.Scopes) == 0 {
		return []string{definition + ": " + faultOf(err)}
	}
	var faults []string
	seen := map[string]bool{}
	for _, s := range d.Scopes {
		if seen[s.Value] {
			continue
		}
		seen[s.Value] = true
		if _, err := planner.Plan(connectors.Grants{Definition: definition, Scopes: []string{s.Value}}); err != nil {
			if text := definition + ": " + faultOf(err); !slices.Contains(faults, text) {
				faults = append(faults, text)
			}
		}
	}
	return faults
}

// faultOf gives what people may read of an error: a connector's redacted words.
func faultOf(err error) string {
	var e *connectors.Error
	if !errors.As(err, &e) {
		return err.Error()
	}
	text := string(e.Class)
	if e.Status != 0 {
		text += fmt.Sprintf(" (%d)", e.Status)
	}
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	return text
}

func printChecked(out io.Writer, list []checked) error {
	t := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "name\ttype\tanswers\tlatency\tversion\tpaused by\tserves\tfaults")
	for _, c := range list {
		answers, latency := "no", "-"
		if c.Reachable {
			answers, latency = "yes", fmt.Sprintf("%d ms", c.LatencyMS)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\n", c.Name, c.Type, answers, latency, dash(c.Version), dash(c.Paused), dash(strings.Join(c.Definitions, ", ")), len(c.Faults))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, c := range list {
		for _, f := range c.Faults {
			if _, err := fmt.Fprintf(out, "%s: %s\n", c.Name, f); err != nil {
				return err
			}
		}
	}
	return nil
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// planned is what an approval would do at one manager.
type planned struct {
	registry.ManagerPlan
	Type  string   `json:"type"`
	Does  string   `json:"does"` // issue, or change the rights of what is there
	Key   string   `json:"key"`  // who makes it
	Steps []string `json:"steps"`
	Fault string   `json:"fault,omitempty"` // why it would be refused
}

// planRequest says what an approval would do. It asks no partner anything.
func (h *hub) planRequest(ctx context.Context, out io.Writer, asJSON bool, request string) error {
	id, err := h.requestID(ctx, request)
	if err != nil {
		return err
	}
	plan, err := h.registry.PlanApproval(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("no request %s", request)
	}
	if err != nil {
		return err
	}
	var list []planned
	refused := 0
	for _, at := range plan.Managers {
		m := h.managers[at.Manager]
		p := planned{ManagerPlan: at, Type: m.Type, Does: "issue a key", Key: "made by the manager"}
		if at.Credential != "" {
			p.Does, p.Key = "change the rights of "+at.Credential+" ("+at.State+")", "stays"
		} else if m.Capabilities().CallerSecret {
			p.Key = "made by the hub"
		} else if m.Capabilities().HandsOver {
			p.Key = "made and handed over by the provider"
		}
		if planner, ok := m.KeyManager.(connectors.Planner); ok {
			if p.Steps, err = planner.Plan(connectors.Grants{Definition: plan.Definition, Scopes: plan.Scopes}); err != nil {
				p.Fault = faultOf(err)
				refused++
			}
		}
		list = append(list, p)
	}
	if asJSON {
		err = json.NewEncoder(out).Encode(struct {
			registry.ApprovalPlan
			Managers []planned `json:"managers"`
		}{plan, list})
	} else {
		err = printPlan(out, plan, list)
	}
	if err == nil && refused > 0 {
		err = fmt.Errorf("%d manager(s) would refuse", refused)
	}
	return err
}

// requestID reads 12, our own number, or D9001, that of a DataPass whose
// requests are mirrored here.
func (h *hub) requestID(ctx context.Context, text string) (int64, error) {
	number, mirrored := strings.CutPrefix(text, "D")
	id, err := strconv.ParseInt(number, 10, 64)
	if err != nil || id <= 0 {
		return 0, &usageError{text + " is no request: 12, or D9001"}
	}
	if !mirrored {
		return id, nil
	}
	var found []int64
	for _, s := range h.config.DataPass.Sources {
		ours, err := h.store.RequestByExternal(ctx, store.InboundKey{Source: s.Name, ExternalID: id})
		if err == nil {
			found = append(found, ours)
		} else if !errors.Is(err, store.ErrNotFound) {
			return 0, err
		}
	}
	switch len(found) {
	case 0:
		return 0, fmt.Errorf("no request %s", text)
	case 1:
		return found[0], nil
	default:
		return 0, fmt.Errorf("%s is in several sources, as our %v: name one of these", text, found)
	}
}

func printPlan(out io.Writer, plan registry.ApprovalPlan, list []planned) error {
	var b strings.Builder
	fmt.Fprintf(&b, "request %d of %s, scopes: %s\n", plan.Request, plan.Definition, dash(strings.Join(plan.Scopes, ", ")))
	switch {
	case !plan.Configured:
		b.WriteString("no settings say who serves this definition: the key would wait for them\n")
	case len(list) == 0:
		b.WriteString("nothing is opened\n")
	}
	for _, p := range list {
		fmt.Fprintf(&b, "%s (%s): %s, as subject %s; key: %s\n", p.Manager, p.Type, p.Does, p.Subject, p.Key)
		for _, step := range p.Steps {
			fmt.Fprintf(&b, "  - %s\n", step)
		}
		if p.Fault != "" {
			fmt.Fprintf(&b, "  would be refused: %s\n", p.Fault)
		}
	}
	if len(list) > 0 {
		fmt.Fprintf(&b, "mails: for each new key that the hub has a one-time link to its %s\n", plan.KeyTo)
	}
	fmt.Fprintf(&b, "webhooks: %d endpoint(s)\n", len(plan.Endpoints))
	for _, e := range plan.Endpoints {
		fmt.Fprintf(&b, "  - %d %s\n", e.ID, e.Description)
	}
	_, err := io.WriteString(out, b.String())
	return err
}
