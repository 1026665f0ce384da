package config

import (
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
)

// maxSecrets is how many secrets of one source are live at once: two while
// they rotate, and one to spare.
const maxSecrets = 3

func (ck checker) sources() {
	names := ck.unique()
	owner := map[string]string{} // secret -> key of its source
	for i, s := range ck.c.DataPass.Sources {
		key := index("datapass.sources", i)
		ck.name(key+".name", s.Name)
		names(key+".name", s.Name)
		ck.environment(key+".environment", s.Environment)
		for n, uid := range s.Definitions {
			ck.uid(index(key+".definitions", n), uid)
		}
		if len(s.Secrets) == 0 {
			ck.at(key+".secrets", "missing: webhooks could not be verified")
		}
		if len(s.Secrets) > maxSecrets {
			ck.at(key+".secrets", "%d secrets are given: %d at most", len(s.Secrets), maxSecrets)
		}
		for n, secret := range s.Secrets {
			at := index(key+".secrets", n)
			if secret.IsZero() {
				ck.at(at, "missing")
				continue
			}
			ck.secret(at, secret, minSecret)
			if other, taken := owner[secret.Reveal()]; taken {
				ck.at(at, "is the secret of %s too", other)
			}
			owner[secret.Reveal()] = at
		}
		ck.datapassAPI(key, s)
	}
}

func (ck checker) datapassAPI(key string, s Source) {
	api := key + ".api"
	if !s.API.Enabled() {
		if s.API.ClientID != "" || !s.API.ClientSecret.IsZero() {
			ck.at(api+".url", "missing: a client is given without it")
		}
		if s.CatchUpEvery != 0 {
			ck.at(key+".catch_up_every", "demands %s.url", api)
		}
		return
	}
	ck.url(api+".url", s.API.URL)
	if s.API.ClientID == "" {
		ck.at(api+".client_id", "missing")
	}
	if s.API.ClientSecret.IsZero() {
		ck.at(api+".client_secret", "missing")
	}
	if s.CatchUpEvery != 0 {
		between(ck, key+".catch_up_every", s.CatchUpEvery, time.Second, 7*24*time.Hour)
	}
}

func (ck checker) hubee() {
	h := ck.c.HubEE
	if !h.Enabled() {
		if h.TokenURL != "" || h.ClientID != "" || !h.ClientSecret.IsZero() || h.Onboarding.Enabled() {
			ck.at("hubee.url", "missing: a client is given without it")
		}
		return
	}
	ck.url("hubee.url", h.URL)
	ck.url("hubee.token_url", h.TokenURL)
	for key, v := range map[string]string{
		"hubee.client_id": h.ClientID, "hubee.client_secret": h.ClientSecret.Reveal(), "hubee.editor_name": h.EditorName, "hubee.application_name": h.Application,
	} {
		if v == "" {
			ck.at(key, "missing")
		}
	}
	if o := h.Onboarding; o.Enabled() {
		oneOf(ck, "hubee.onboarding.scope", o.Scope, "DATAPASS", "ADMIN")
		if o.ClientSecret.IsZero() {
			ck.at("hubee.onboarding.client_secret", "missing")
		}
	}
	ck.exists("hubee.ca_file", h.CAFile, false)
	between(ck, "hubee.notices_every", h.NoticesEvery, time.Second, time.Hour)
	between(ck, "hubee.follow_every", h.FollowEvery, time.Second, 24*time.Hour)
	between(ck, "hubee.check_after", h.CheckAfter, 0, time.Hour)
	between(ck, "hubee.give_up_after", h.GiveUpAfter, time.Minute, 30*24*time.Hour)
	between(ck, "hubee.keep", h.Keep, h.GiveUpAfter, 90*24*time.Hour) // what the families' pages may promise at most (qf-form.md, 7)
}

// maxClientSecrets: one while the other replaces it (franceconnect.md, FC-12).
const maxClientSecrets = 2

// citizens checks FranceConnect and API Particulier, which go together: the token
// of the one opens the other.
func (ck checker) citizens() {
	f, a := ck.c.FranceConnect, ck.c.APIParticulier
	if a.Enabled() {
		ck.url("api_particulier.url", a.URL)
		ck.exists("api_particulier.ca_file", a.CAFile, false)
	}
	if !f.Enabled() {
		if f.ClientID != "" || len(f.ClientSecrets) > 0 || !f.ClientKey.IsZero() {
			ck.at("franceconnect.issuer", "missing: a client is given without it")
		}
		if a.Enabled() {
			ck.at("api_particulier.url", "demands franceconnect.issuer: a citizen's token opens it")
		}
		return
	}
	if u := ck.url("franceconnect.issuer", f.Issuer); u != nil && (u.RawQuery != "" || u.Fragment != "" || strings.HasSuffix(u.Path, "/")) {
		ck.at("franceconnect.issuer", "is not an issuer: no query, and no slash at its end")
	}
	if f.ClientID == "" {
		ck.at("franceconnect.client_id", "missing")
	}
	switch {
	case f.ClientKey.IsZero() && len(f.ClientSecrets) == 0:
		ck.at("franceconnect.client_secrets", "missing")
	case !f.ClientKey.IsZero() && len(f.ClientSecrets) > 0:
		ck.at("franceconnect.client_key", "is given beside client_secrets: the client proves itself with one or the other")
	case len(f.ClientSecrets) > maxClientSecrets:
		ck.at("franceconnect.client_secrets", "%d secrets are given: %d at most", len(f.ClientSecrets), maxClientSecrets)
	}
	for i, secret := range f.ClientSecrets {
		at := index("franceconnect.client_secrets", i)
		if secret.IsZero() {
			ck.at(at, "missing")
		}
		ck.secret(at, secret, minSecret)
	}
	oneOf(ck, "franceconnect.algorithm", f.Algorithm, ES256, RS256)
	ck.exists("franceconnect.ca_file", f.CAFile, false)
	if !a.Enabled() {
		ck.at("franceconnect.issuer", "demands api_particulier.url: there would be nothing to show")
	}
	if !ck.c.HubEE.Enabled() {
		ck.at("franceconnect.issuer", "demands hubee.url: there would be nowhere to send a quotient")
	}
}

func (ck checker) sirene() {
	s := ck.c.Sirene
	if !s.Enabled() {
		if !s.Key.IsZero() {
			ck.at("sirene.url", "missing: a key is given without it")
		}
		return
	}
	ck.url("sirene.url", s.URL)
	if s.Key.IsZero() {
		ck.at("sirene.key", "missing")
	}
	between(ck, "sirene.per_minute", s.PerMinute, 1, 1000)
	between(ck, "sirene.refresh_after", s.RefreshAfter, time.Hour, 365*24*time.Hour)
	ck.exists("sirene.ca_file", s.CAFile, false)
}

func (ck checker) journeys() {
	j := ck.c.Journeys
	between(ck, "journeys.idle", j.Idle, time.Minute, 24*time.Hour)
	between(ck, "journeys.per_minute", j.PerMinute, 0, 1_000_000)
	between(ck, "journeys.per_hour", j.PerHour, 0, 1_000_000)
	between(ck, "journeys.per_habilitation", j.PerHabilitation, 0, 1_000_000)
	ck.name("journeys.egress", j.Egress)
	for i, scope := range j.FormScopes {
		oneOf(ck, index("journeys.form_scopes", i), scope, "cnaf_quotient_familial", "cnaf_allocataires", "cnaf_enfants")
	}
	if !slices.Contains(j.FormScopes, "cnaf_quotient_familial") {
		ck.at("journeys.form_scopes", "lacks cnaf_quotient_familial: there would be nothing to send")
	}
}

func (ck checker) issuers() {
	names := ck.unique()
	tokens := ck.unique()
	for i, s := range ck.c.Auth.Issuers {
		key := index("auth.issuers", i)
		ck.name(key+".name", s.Name)
		names(key+".name", s.Name)
		ck.url(key+".issuer", s.Issuer)
		tokens(key+".issuer", s.Issuer)
		ck.url(key+".jwks", s.JWKS)
		if s.Audience == "" {
			ck.at(key+".audience", "missing: tokens made for others would pass")
		}
	}
}

func (ck checker) definitions() {
	ck.exists("definitions.dir", ck.c.Definitions.Dir, true)
}

func (ck checker) connectors() {
	names := ck.unique()
	sources := map[string]string{} // their queues have the same form
	for i, s := range ck.c.DataPass.Sources {
		sources[s.Name] = index("datapass.sources", i) + ".name"
	}
	for i, p := range ck.c.Connectors {
		key := index("connectors", i)
		ck.name(key+".name", p.Name)
		names(key+".name", p.Name)
		if source, taken := sources[p.Name]; taken && p.Name != "" {
			ck.at(key+".name", "%q is the name of %s too", p.Name, source)
		}
		ck.name(key+".type", p.Type)
		ck.environment(key+".environment", p.Environment)
	}
}

// maxOfflineLifetime bounds a token that is checked without asking the hub
// (tokens.md, 7.5).
const maxOfflineLifetime = time.Hour

func (ck checker) provisioning() {
	managers := map[string]Environment{}
	for _, p := range ck.c.Connectors {
		managers[p.Name] = p.Environment
	}
	seen := map[string]string{}
	for i, p := range ck.c.Provisioning {
		key := index("provisioning", i)
		ck.uid(key+".definition", p.Definition)
		ck.environment(key+".environment", p.Environment)
		pair := p.Definition + " " + string(p.Environment)
		if first, twice := seen[pair]; twice {
			ck.at(key+".definition", "%s is listed twice for %s, first at %s", p.Definition, p.Environment, first)
		} else {
			seen[pair] = key
		}
		if len(p.Managers) == 0 {
			ck.at(key+".managers", "missing: an approval would open nothing")
		}
		unique := ck.unique()
		for n, name := range p.Managers {
			at := index(key+".managers", n)
			unique(at, name)
			if env, ok := managers[name]; !ok {
				ck.at(at, "%q is not the name of one of connectors", name)
			} else if env != p.Environment {
				ck.at(at, "%s is a connector for %s, this entry is for %s", name, env, p.Environment)
			}
		}
		ck.policy(key, p)
	}
}

func (ck checker) policy(key string, p Provisioning) {
	if p.TokenLifetime.longest() < time.Minute {
		ck.at(key+".token_lifetime", "%s is out of range: one minute at least", p.TokenLifetime)
	}
	if p.OfflineChecks && p.TokenLifetime.longest() > maxOfflineLifetime {
		ck.at(key+".token_lifetime", "%s is more than 1h, the most with offline_checks", p.TokenLifetime)
	}
	oneOf(ck, key+".archive_policy", p.ArchivePolicy, ArchiveRevoke, ArchiveKeep)
	if p.ArchivePolicy == ArchiveKeep && ck.trail.explicit(key+".archive_notice") {
		ck.at(key+".archive_notice", "has no meaning with archive_policy keep")
	}
	if !p.RotateAfter.IsZero() && p.RotateAfter.longest() <= p.RotationGrace {
		ck.at(key+".rotate_after", "%s is not more than rotation_grace (%s)", p.RotateAfter, p.RotationGrace)
	}
	between(ck, key+".rotation_grace", p.RotationGrace, 0, 90*24*time.Hour)
	oneOf(ck, key+".editor_fetch", p.EditorFetch, FetchNone, FetchDeclared, FetchConsented)
	for n, days := range p.Notices {
		at := index(key+".notices", n)
		between(ck, at, days, 0, 3650)
		if slices.Contains(p.Notices[:n], days) {
			ck.at(at, "%d is given twice", days)
		}
	}
}

// placeholder is in every secret of the example.
const placeholder = "change-me"

// placeholders refuses the example's secrets outside a sandbox.
func (ck checker) placeholders() {
	if ck.c.Hub.Environment == Sandbox {
		return
	}
	eachSecret(ck.c, func(key string, s connectors.Secret) {
		if strings.Contains(s.Reveal(), placeholder) {
			ck.at(key, "is the example's: change it")
		}
	})
	for i, k := range ck.c.Sealing.Keys {
		if raw, err := k.Bytes(); err == nil && strings.Contains(string(raw), placeholder) {
			ck.at(index("sealing.keys", i)+".key", "is the example's: change it")
		}
	}
}

func (ck checker) name(key, v string) {
	switch {
	case v == "":
		ck.at(key, "missing")
	case !nameRule.MatchString(v):
		ck.at(key, "%q is not a name: small letters, digits and -, 63 at most", v)
	}
}

// unique gives a check that refuses a value it has seen.
func (ck checker) unique() func(key, v string) {
	seen := map[string]string{}
	return func(key, v string) {
		if first, twice := seen[v]; twice && v != "" {
			ck.at(key, "%q is given twice, first at %s", v, first)
			return
		}
		seen[v] = key
	}
}

func (ck checker) uid(key, v string) {
	switch {
	case v == "":
		ck.at(key, "missing")
	case !uidRule.MatchString(v):
		ck.at(key, "%q is not the uid of a definition", v)
	}
}

// environment leaves alone what follows hub.environment: one fault is enough.
func (ck checker) environment(key string, e Environment) {
	if ck.trail[key].derived == "" {
		oneOf(ck, key, e, Production, Staging, Sandbox)
	}
}

// secret checks the length of a secret that is given.
func (ck checker) secret(key string, s connectors.Secret, shortest int) {
	if !s.IsZero() && len(s.Reveal()) < shortest {
		ck.at(key, "is too short: %d characters at least", shortest)
	}
}

func (ck checker) listen(key, v string) {
	host, port, err := net.SplitHostPort(v)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil || host != "" && net.ParseIP(host) == nil && !hostRule.MatchString(host) {
		ck.at(key, "%q is not an address to listen on, such as 127.0.0.1:8080", v)
	}
}

// url checks an address of ours or of the operator's: https unless loopback,
// no credentials. It does not quote it: a wrong one may hold a password.
func (ck checker) url(key, v string) *url.URL {
	u, err := url.Parse(v)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		ck.at(key, "is not an https URL")
	case u.User != nil:
		ck.at(key, "holds credentials: they have settings of their own")
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		ck.at(key, "must be https: only loopback may be http")
	default:
		return u
	}
	return nil
}

// isLoopback reports whether a host is this machine only.
func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
