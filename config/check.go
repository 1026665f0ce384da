package config

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
)

var (
	nameRule  = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	uidRule   = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,128}$`)
	queueRule = regexp.MustCompile(`^[a-z0-9]+([_-]?[a-z0-9]+)*$`) // River's own
	keyIDRule = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)
	userRule  = regexp.MustCompile(`^[a-zA-Z0-9._@-]{1,64}$`)
	hostRule  = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?$`)
)

// Bounds of secrets, in characters.
const (
	minSecret   = 16
	minPassword = 12
)

// maxNotice bounds a line of the legal notice, in bytes.
const (
	maxNotice = 500
)

// checker compares the settings with what they may be and with each other.
type checker struct {
	*report
	c *Config
}

// check notes every fault of c.
func check(c *Config, r *report) {
	ck := checker{r, c}
	ck.hub()
	ck.http()
	ck.ops()
	ck.database()
	ck.sealing()
	ck.log()
	ck.jobs()
	ck.sources()
	ck.issuers()
	ck.definitions()
	ck.connectors()
	ck.provisioning()
	ck.mail()
	ck.egress()
	ck.hubee()
	ck.citizens()
	ck.sirene()
	ck.journeys()
	ck.webhooks()
	between(ck, "introspection.tokens", c.Introspection.Tokens, 1000, 100_000_000)
	between(ck, "handover.link_lifetime", c.Handover.LinkLifetime, time.Minute, 30*24*time.Hour)
	between(ck, "introspection.max_age", c.Introspection.MaxAge, 0, time.Hour)
	between(ck, "rate_limits.per_client", c.RateLimits.PerClient, 1, 1_000_000)
	between(ck, "rate_limits.per_address", c.RateLimits.PerAddress, 1, 1_000_000)
	between(ck, "rate_limits.per_visitor", c.RateLimits.PerVisitor, 1, 1_000_000)
	between(ck, "rate_limits.editor_fetches", c.RateLimits.EditorFetches, 1, 1_000_000)
	between(ck, "handover.copy_lifetime", c.Handover.CopyLifetime, time.Hour, 90*24*time.Hour)
	between(ck, "handover.replace_grace", c.Handover.ReplaceGrace, 0, 90*24*time.Hour)
	between(ck, "editors.changes_retention", c.Editors.ChangesRetention, 24*time.Hour, 10*365*24*time.Hour)
	ck.placeholders()
}

func (ck checker) hub() {
	h := ck.c.Hub
	ck.name("hub.name", h.Name)
	ck.environment("hub.environment", h.Environment)
	if h.PublicURL == "" {
		ck.at("hub.public_url", "missing: http.listen is not loopback, so it cannot be guessed")
	} else if u := ck.url("hub.public_url", h.PublicURL); u != nil && (u.RawQuery != "" || u.Fragment != "") {
		ck.at("hub.public_url", "has a query or a fragment")
	}
	for key, text := range map[string]string{
		"hub.operator": h.Operator, "hub.address": h.Address, "hub.publisher": h.Publisher, "hub.host": h.Host, "hub.data_protection": h.DataProtection,
	} {
		switch {
		case len(text) > maxNotice:
			ck.at(key, "is longer than %d bytes", maxNotice)
		case text == "" && h.Environment == Production && ck.c.HubEE.Enabled():
			ck.at(key, "missing: families' pages must say it in production")
		}
	}
}

func (ck checker) http() {
	h := ck.c.HTTP
	ck.listen("http.listen", h.Listen)
	between(ck, "http.max_body", h.MaxBody, 1<<10, 64<<20)
	between(ck, "http.read_timeout", h.ReadTimeout, time.Second, 10*time.Minute)
	between(ck, "http.write_timeout", h.WriteTimeout, time.Second, 10*time.Minute)
	between(ck, "http.idle_timeout", h.IdleTimeout, time.Second, time.Hour)
	between(ck, "http.shutdown_timeout", h.ShutdownTimeout, time.Second, 10*time.Minute)
	switch {
	case h.TLS.CertFile == "" && h.TLS.KeyFile != "":
		ck.at("http.tls.cert_file", "missing: key_file is given without it")
	case h.TLS.CertFile != "" && h.TLS.KeyFile == "":
		ck.at("http.tls.key_file", "missing: cert_file is given without it")
	}
	ck.exists("http.tls.cert_file", h.TLS.CertFile, false)
	ck.exists("http.tls.key_file", h.TLS.KeyFile, false)
}

func (ck checker) ops() {
	o := ck.c.Ops
	ck.listen("ops.listen", o.Listen)
	if host, port, err := net.SplitHostPort(o.Listen); err == nil {
		if !isLoopback(host) && len(o.Users) == 0 {
			ck.at("ops.listen", "is not loopback: it demands at least one of ops.users")
		}
		if o.Listen == ck.c.HTTP.Listen && port != "0" {
			ck.at("ops.listen", "is http.listen too: operators have a listener of their own")
		}
	}
	ck.secret("ops.metrics_token", o.MetricsToken, minSecret)
	names := ck.unique()
	for i, u := range o.Users {
		key := index("ops.users", i)
		if !userRule.MatchString(u.Name) {
			ck.at(key+".name", "%q is not a name: letters, digits, . _ @ and -, 64 at most", u.Name)
		}
		names(key+".name", u.Name)
		oneOf(ck, key+".role", u.Role, Reader, Operator)
		switch {
		case u.Password.IsZero():
			ck.at(key+".password", "missing")
		case !u.Hashed():
			if strings.HasPrefix(u.Password.Reveal(), "$") {
				ck.at(key+".password", "looks like a hash, but is neither bcrypt's nor argon2id's")
			}
			ck.secret(key+".password", u.Password, minPassword)
		}
	}
}

func (ck checker) database() {
	d := ck.c.Database
	ck.databaseURL("database.url", d.URL)
	ck.databaseURL("database.owner_url", d.OwnerURL)
	if d.Private() {
		if !d.OwnerURL.IsZero() {
			ck.at("database.owner_url", "is given without database.url")
		}
		if d.DataDir == "" {
			ck.at("database.data_dir", "missing: the private Postgres needs it")
		}
	} else if len(ck.c.Sealing.Keys) == 0 {
		ck.at("sealing.keys", "missing: database.url demands at least one")
	}
	between(ck, "database.max_conns", d.MaxConns, 2, 1000)
	between(ck, "database.statement_timeout", d.StatementTimeout, 100*time.Millisecond, time.Hour)
	oneOf(ck, "database.migrate", d.Migrate, MigrateAuto, MigrateCheck)
}

// databaseURL checks what can be told without a connection. It quotes nothing:
// the URL holds a password.
func (ck checker) databaseURL(key string, s connectors.Secret) {
	text := s.Reveal()
	if text == "" || !strings.Contains(text, "://") && strings.Contains(text, "=") { // "host=... dbname=..."
		return
	}
	if u, err := url.Parse(text); err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		ck.at(key, "is not a Postgres URL (postgres://user:password@host/name)")
	}
}

func (ck checker) sealing() {
	s := ck.c.Sealing
	ids := ck.unique()
	known := map[string]bool{}
	values := map[string]string{} // key -> where it was given first
	for i, k := range s.Keys {
		key := index("sealing.keys", i)
		if !keyIDRule.MatchString(k.ID) {
			ck.at(key+".id", "%q is not an id: small letters, digits and -, 32 at most", k.ID)
		}
		ids(key+".id", k.ID)
		known[k.ID] = true
		raw, err := k.Bytes()
		switch first := values[string(raw)]; {
		case k.Key.IsZero():
			ck.at(key+".key", "missing")
		case err != nil || len(raw) != sealingKeyBytes:
			ck.at(key+".key", "is not %d bytes in base64 (openssl rand -base64 %d)", sealingKeyBytes, sealingKeyBytes)
		case bytes.Count(raw, raw[:1]) == len(raw):
			ck.at(key+".key", "repeats one byte: it was not drawn at random")
		case first != "":
			ck.at(key+".key", "is the key of %s too", first)
		default:
			values[string(raw)] = key
		}
	}
	if !s.FingerprintKey.IsZero() {
		if raw, err := base64.StdEncoding.DecodeString(s.FingerprintKey.Reveal()); err != nil || len(raw) != 32 {
			ck.at("sealing.fingerprint_key", "is not 32 bytes in base64")
		}
	}
	for _, role := range []struct{ key, id string }{{"sealing.active", s.Active}, {"sealing.fingerprints", s.Fingerprints}} {
		switch {
		case known[role.id], len(s.Keys) == 0 && role.id == "":
		case role.key == "sealing.fingerprints" && !s.FingerprintKey.IsZero():
		case role.id == "":
			ck.at(role.key, "missing: several keys are given")
		case ck.trail[role.key].derived == "":
			ck.at(role.key, "%q is not the id of one of sealing.keys", role.id)
		}
	}
}

func (ck checker) log() {
	oneOf(ck, "log.level", ck.c.Log.Level, "trace", "debug", "info", "warn", "error")
	oneOf(ck, "log.format", ck.c.Log.Format, LogJSON, LogConsole)
}

func (ck checker) jobs() {
	j := ck.c.Jobs
	between(ck, "jobs.timeout", j.Timeout, time.Second, time.Hour)
	if j.RescueAfter <= j.Timeout {
		ck.at("jobs.rescue_after", "%v is not more than jobs.timeout (%v): running jobs would be started again", short(j.RescueAfter), short(j.Timeout))
	}
	between(ck, "jobs.rescue_after", j.RescueAfter, time.Second, 24*time.Hour)
	between(ck, "jobs.fetch_cooldown", j.FetchCooldown, time.Millisecond, time.Second)
	for queue, n := range j.Workers {
		key := join("jobs.workers", queue)
		if len(queue) >= 128 || !queueRule.MatchString(queue) {
			ck.at(key, "is not the name of a queue: small letters, digits, - and _")
		}
		between(ck, key, n, 1, 10_000)
	}
	between(ck, "jobs.retention.completed", j.Retention.Completed, time.Minute, 90*24*time.Hour)
	between(ck, "jobs.retention.cancelled", j.Retention.Cancelled, time.Minute, 90*24*time.Hour)
	between(ck, "jobs.retention.discarded", j.Retention.Discarded, time.Minute, 90*24*time.Hour)
}

func (ck checker) mail() {
	m := ck.c.Mail
	oneOf(ck, "mail.smtp.tls", m.SMTP.TLS, SMTPNone, SMTPStartTLS, SMTPTLS)
	between(ck, "mail.smtp.port", m.SMTP.Port, 1, 65535)
	between(ck, "mail.timeout", m.Timeout, time.Second, 10*time.Minute)
	ck.secret("mail.bounce_secret", m.BounceSecret, minSecret)
	if m.From != "" {
		if _, err := mail.ParseAddress(m.From); err != nil {
			ck.at("mail.from", "%q is not a mail address", m.From)
		}
	}
	if m.Domain != "" && !hostRule.MatchString(m.Domain) {
		ck.at("mail.domain", "%q is not a domain", m.Domain)
	}
	for i, n := range m.ProviderNotices {
		at := index("mail.provider_notices", i)
		if n.Provider == "" {
			ck.at(at+".provider", "missing")
		}
		if slices.ContainsFunc(m.ProviderNotices[:i], func(o ProviderNotice) bool { return o.Provider == n.Provider }) {
			ck.at(at+".provider", "%q is given twice", n.Provider)
		}
		if len(n.To) == 0 {
			ck.at(at+".to", "missing: at least one address")
		}
		for j, to := range n.To {
			ck.address(index(at+".to", j), to)
		}
	}
	if m.FranceConnectSupport != "" {
		ck.address("mail.france_connect_support", m.FranceConnectSupport)
	}
	switch {
	case m.SMTP.Username == "" && !m.SMTP.Password.IsZero():
		ck.at("mail.smtp.username", "missing: a password is given without it")
	case m.SMTP.Username != "" && m.SMTP.Password.IsZero():
		ck.at("mail.smtp.password", "missing: a username is given without it")
	}
	if !m.Enabled() {
		if m.SMTP.Username != "" {
			ck.at("mail.smtp.host", "missing: a username is given without it")
		}
		return
	}
	if !hostRule.MatchString(m.SMTP.Host) && net.ParseIP(m.SMTP.Host) == nil {
		ck.at("mail.smtp.host", "%q is not a host", m.SMTP.Host)
	}
	if m.From == "" {
		ck.at("mail.from", "missing: mail.smtp.host demands it")
	}
	if m.SMTP.TLS == SMTPNone && m.SMTP.Username != "" && !isLoopback(m.SMTP.Host) {
		ck.at("mail.smtp.tls", "none would send the password in clear to another machine")
	}
}

// address wants a bare one, without a name.
func (ck checker) address(key, value string) {
	if a, err := mail.ParseAddress(value); err != nil || a.Address != value {
		ck.at(key, "%q is not a mail address", value)
	}
}

func (ck checker) egress() {
	e := ck.c.Egress
	for i, a := range e.Allow {
		_, err := netip.ParsePrefix(a)
		if err != nil && net.ParseIP(a) == nil && !hostRule.MatchString(a) {
			ck.at(index("egress.allow", i), "%q is neither a host nor a range of addresses", a)
		}
	}
	if len(e.Ports) == 0 {
		ck.at("egress.ports", "is empty: nothing could leave")
	}
	for i, p := range e.Ports {
		between(ck, index("egress.ports", i), p, 1, 65535)
	}
	if u, err := url.Parse(e.Proxy.URL.Reveal()); !e.Proxy.URL.IsZero() && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		ck.at("egress.proxy.url", "is not an http or https URL")
	}
	if e.Proxy.URL.IsZero() && e.Proxy.Guarded {
		ck.at("egress.proxy.guarded", "is set without egress.proxy.url")
	}
	ck.exists("egress.ca_file", e.CAFile, false)
	t := e.Timeouts
	between(ck, "egress.timeouts.connect", t.Connect, time.Millisecond, 5*time.Minute)
	between(ck, "egress.timeouts.tls", t.TLS, time.Millisecond, 5*time.Minute)
	between(ck, "egress.timeouts.first_byte", t.FirstByte, time.Millisecond, 5*time.Minute)
	between(ck, "egress.timeouts.total", t.Total, time.Millisecond, 5*time.Minute)
}

func (ck checker) webhooks() {
	w := ck.c.Webhooks
	if len(w.Schedule) == 0 {
		ck.at("webhooks.schedule", "is empty: a delivery would have no second try")
	}
	for i, wait := range w.Schedule {
		between(ck, index("webhooks.schedule", i), wait, time.Millisecond, 7*24*time.Hour)
	}
	between(ck, "webhooks.timeout", w.Timeout, 10*time.Millisecond, 5*time.Minute)
	between(ck, "webhooks.claim_for", w.ClaimFor, 10*time.Millisecond, 10*time.Minute)
	between(ck, "webhooks.max_attempts_age", w.MaxAttemptsAge, time.Second, 90*24*time.Hour)
	// A lane that is killed or outlives its lease delivers twice (webhooks.md, River, trap 5).
	if w.ClaimFor+w.Timeout >= ck.c.Jobs.Timeout {
		ck.at("webhooks.claim_for", "%v and webhooks.timeout (%v) are not less than jobs.timeout (%v) together: lanes would be cut", short(w.ClaimFor), short(w.Timeout), short(ck.c.Jobs.Timeout))
	}
	if w.Lease <= ck.c.Jobs.Timeout {
		ck.at("webhooks.lease", "%v is not more than jobs.timeout (%v): deliveries would be sent twice", short(w.Lease), short(ck.c.Jobs.Timeout))
	}
	between(ck, "webhooks.retry_after_cap", w.RetryAfterCap, 0, 7*24*time.Hour)
	between(ck, "webhooks.hold_for", w.HoldFor, time.Second, 90*24*time.Hour)
	between(ck, "webhooks.break_after", w.BreakAfter, 1, 1000)
	between(ck, "webhooks.rest", w.Rest, 10*time.Millisecond, time.Hour)
	between(ck, "webhooks.max_rest", w.MaxRest, w.Rest, 24*time.Hour)
	between(ck, "webhooks.disable_after", w.DisableAfter, time.Minute, 90*24*time.Hour)
	between(ck, "webhooks.replay_rate", w.ReplayRate, 0.1, 10_000)
	between(ck, "webhooks.max_endpoints", w.MaxEndpoints, 1, 1000)
	if w.AttemptRetention < w.MaxAttemptsAge {
		ck.at("webhooks.attempt_retention", "%v is less than webhooks.max_attempts_age (%v)", short(w.AttemptRetention), short(w.MaxAttemptsAge))
	}
	if w.PayloadRetention < w.MaxAttemptsAge {
		ck.at("webhooks.payload_retention", "%v is less than webhooks.max_attempts_age (%v): retries would have no body", short(w.PayloadRetention), short(w.MaxAttemptsAge))
	}
}

// between checks a bound of a number, a duration or a size.
func between[T cmp.Ordered](ck checker, key string, v, low, high T) {
	if v < low || v > high {
		ck.at(key, "%v is out of range: from %v to %v", short(v), short(low), short(high))
	}
}

// short drops the zeros of a duration: 5m, not 5m0s.
func short(v any) any {
	if d, ok := v.(time.Duration); ok {
		return tidy(d.String())
	}
	return v
}

// oneOf checks a word.
func oneOf[T ~string](ck checker, key string, v T, words ...T) {
	if slices.Contains(words, v) {
		return
	}
	list := make([]string, len(words))
	for i, w := range words {
		list[i] = string(w)
	}
	ck.at(key, "%q is not one of %s", v, strings.Join(list, ", "))
}

// exists checks that a file or folder of the settings is there.
func (ck checker) exists(key, path string, folder bool) {
	if path == "" {
		return
	}
	switch info, err := os.Stat(path); {
	case err != nil:
		ck.at(key, "cannot read %s: %v", path, cause(err))
	case folder && !info.IsDir():
		ck.at(key, "%s is not a folder", path)
	case !folder && !info.Mode().IsRegular():
		ck.at(key, "%s is not a file", path)
	}
}
