package config

import (
	"strings"
	"testing"
)

const withKey = "sealing: {keys: [{id: a, key: " + sealingKey1 + "}]}\n"

func TestOwnFaults(t *testing.T) {
	hash := "$2a$12$" + strings.Repeat("a", 53)
	runFaults(t, []faultCase{
		{"a hub's name with a space", "hub: {name: ma passerelle}", nil, `passerelle.yml:1: hub.name: "ma passerelle" is not a name: small letters, digits and -, 63 at most`},
		{"a hub without a name", "hub: {name: ''}", nil, "passerelle.yml:1: hub.name: missing"},
		{"an unknown environment is told once, not by all that follow it", "hub: {environment: prod}\nconnectors: [{name: a, type: b}]", nil, `passerelle.yml:1: hub.environment: "prod" is not one of production, staging, sandbox`},
		{"no public URL behind a proxy", "http: {listen: ':8080'}", nil, "passerelle.yml: hub.public_url: missing: http.listen is not loopback, so it cannot be guessed"},
		{"a public URL in clear", "hub: {public_url: 'http://exemple.fr'}", nil, "passerelle.yml:1: hub.public_url: must be https: only loopback may be http"},
		{"a public URL with a password is not quoted", "hub: {public_url: 'https://a:hunter2@exemple.fr'}", nil, "passerelle.yml:1: hub.public_url: holds credentials: they have settings of their own"},
		{"a public URL with a query", "hub: {public_url: 'https://exemple.fr/?a=b'}", nil, "passerelle.yml:1: hub.public_url: has a query or a fragment"},
		{"a public URL that is none", "hub: {public_url: exemple.fr}", nil, "passerelle.yml:1: hub.public_url: is not an https URL"},
		{"an address without a port", "http: {listen: localhost}\nhub: {public_url: 'https://a.fr'}", nil, `passerelle.yml:1: http.listen: "localhost" is not an address to listen on, such as 127.0.0.1:8080`},
		{"an address with a port too large", "http: {listen: '127.0.0.1:70000'}", nil, `passerelle.yml:1: http.listen: "127.0.0.1:70000" is not an address to listen on, such as 127.0.0.1:8080`},
		{"a body too small for a webhook", "http: {max_body: 10B}", nil, "passerelle.yml:1: http.max_body: 10 is out of range: from 1KiB to 64MiB"},
		{"no time to read", "http: {read_timeout: 0s}", nil, "passerelle.yml:1: http.read_timeout: 0s is out of range: from 1s to 10m"},
		{"no time to write", "http: {write_timeout: -1s}", nil, "passerelle.yml:1: http.write_timeout: -1s is out of range: from 1s to 10m"},
		{"an idle time too long", "http: {idle_timeout: 2h}", nil, "passerelle.yml:1: http.idle_timeout: 2h is out of range: from 1s to 1h"},
		{"a stop that never ends", "http: {shutdown_timeout: 1h}", nil, "passerelle.yml:1: http.shutdown_timeout: 1h is out of range: from 1s to 10m"},
		{"a key without its certificate", "http: {tls: {key_file: check_test.go}}", nil, "passerelle.yml:1: http.tls.cert_file: missing: key_file is given without it"},
		{"a certificate without its key", "http: {tls: {cert_file: check_test.go}}", nil, "passerelle.yml:1: http.tls.key_file: missing: cert_file is given without it"},
		{"a certificate that is not there", "http: {tls: {cert_file: /absent, key_file: check_test.go}}", nil, "passerelle.yml:1: http.tls.cert_file: cannot read /absent: no such file or directory"},
		{"a certificate that is a folder", "http: {tls: {cert_file: ., key_file: check_test.go}}", nil, "passerelle.yml:1: http.tls.cert_file: . is not a file"},

		{"operators on all addresses without a user", "ops: {listen: ':9090'}", nil, "passerelle.yml:1: ops.listen: is not loopback: it demands at least one of ops.users"},
		{"operators on the public listener", "ops: {listen: '127.0.0.1:8080'}", nil, "passerelle.yml:1: ops.listen: is http.listen too: operators have a listener of their own"},
		{"a short token for metrics", "ops: {metrics_token: short}", nil, "passerelle.yml:1: ops.metrics_token: is too short: 16 characters at least"},
		{"a user without a name", "ops: {users: [{password: '" + hash + "'}]}", nil, `passerelle.yml:1: ops.users[0].name: "" is not a name: letters, digits, . _ @ and -, 64 at most`},
		{"a user without a password", "ops:\n  users:\n    - name: a", nil, "passerelle.yml:3: ops.users[0].password: missing"},
		{"a short password", "ops: {users: [{name: a, password: azerty}]}", nil, "passerelle.yml:1: ops.users[0].password: is too short: 12 characters at least"},
		{"a hash of another kind is not taken for a clear password", "ops: {users: [{name: a, password: '$6$salt$whatever-it-is'}]}", nil, "passerelle.yml:1: ops.users[0].password: looks like a hash, but is neither bcrypt's nor argon2id's"},
		{"an unknown role", "ops: {users: [{name: a, password: correct-horse, role: root}]}", nil, `passerelle.yml:1: ops.users[0].role: "root" is not one of reader, operator`},
		{"two users of one name", "ops: {users: [{name: a, password: '" + hash + "'}, {name: a, password: '" + hash + "'}]}", nil, `passerelle.yml:1: ops.users[1].name: "a" is given twice, first at ops.users[0].name`},

		{"a database that is no Postgres", "database: {url: 'mysql://a:hunter2@b/c'}\n" + withKey, nil, "passerelle.yml:1: database.url: is not a Postgres URL (postgres://user:password@host/name)"},
		{"an owner that is no Postgres", "database: {url: 'postgres://b/c', owner_url: nope}\n" + withKey, nil, "passerelle.yml:1: database.owner_url: is not a Postgres URL (postgres://user:password@host/name)"},
		{"an owner without a database", "database: {owner_url: 'postgres://b/c'}", nil, "passerelle.yml:1: database.owner_url: is given without database.url"},
		{"a private Postgres without a folder", "database: {data_dir: ''}", nil, "passerelle.yml:1: database.data_dir: missing: the private Postgres needs it"},
		{"a database without a sealing key", "database: {url: 'postgres://b/c'}", nil, "passerelle.yml: sealing.keys: missing: database.url demands at least one"},
		{"one connection is not enough", "database: {max_conns: 1}", nil, "passerelle.yml:1: database.max_conns: 1 is out of range: from 2 to 1000"},
		{"a statement without time", "database: {statement_timeout: 1ms}", nil, "passerelle.yml:1: database.statement_timeout: 1ms is out of range: from 100ms to 1h"},
		{"an unknown way to migrate", "database: {migrate: never}", nil, `passerelle.yml:1: database.migrate: "never" is not one of auto, check`},

		{"a sealing key without a value", "sealing: {keys: [{id: a}]}", nil, "passerelle.yml:1: sealing.keys[0].key: missing"},
		{"a sealing key of 4 bytes", "sealing: {keys: [{id: a, key: YWJjZA==}]}", nil, "passerelle.yml:1: sealing.keys[0].key: is not 32 bytes in base64 (openssl rand -base64 32)"},
		{"a sealing key that is not base64", "sealing: {keys: [{id: a, key: hunter-2}]}", nil, "passerelle.yml:1: sealing.keys[0].key: is not 32 bytes in base64 (openssl rand -base64 32)"},
		{"a sealing key of zeros", "sealing: {keys: [{id: a, key: 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA='}]}", nil, "passerelle.yml:1: sealing.keys[0].key: repeats one byte: it was not drawn at random"},
		{"a sealing key with a bad id", "sealing: {keys: [{id: A_1, key: '" + sealingKey1 + "'}]}", nil, `passerelle.yml:1: sealing.keys[0].id: "A_1" is not an id: small letters, digits and -, 32 at most`},
		{"two sealing keys of one id", "sealing: {active: a, fingerprints: a, keys: [{id: a, key: '" + sealingKey1 + "'}, {id: a, key: '" + sealingKey2 + "'}]}", nil, `passerelle.yml:1: sealing.keys[1].id: "a" is given twice, first at sealing.keys[0].id`},
		{"two ids of one sealing key", "sealing: {active: a, fingerprints: a, keys: [{id: a, key: '" + sealingKey1 + "'}, {id: b, key: '" + sealingKey1 + "'}]}", nil, "passerelle.yml:1: sealing.keys[1].key: is the key of sealing.keys[0] too"},
		{"two sealing keys, none active", "sealing: {fingerprints: a, keys: [{id: a, key: '" + sealingKey1 + "'}, {id: b, key: '" + sealingKey2 + "'}]}", nil, "passerelle.yml:1: sealing.active: missing: several keys are given"},
		{"two sealing keys, none for fingerprints", "sealing: {active: a, keys: [{id: a, key: '" + sealingKey1 + "'}, {id: b, key: '" + sealingKey2 + "'}]}", nil, "passerelle.yml:1: sealing.fingerprints: missing: several keys are given"},
		{"an active key that is not there", "sealing: {active: b}", nil, `passerelle.yml:1: sealing.active: "b" is not the id of one of sealing.keys`},

		{"an unknown level", "log: {level: verbose}", nil, `passerelle.yml:1: log.level: "verbose" is not one of trace, debug, info, warn, error`},
		{"an unknown format", "log: {format: xml}", nil, `passerelle.yml:1: log.format: "xml" is not one of json, console`},

		{"a job without time", "jobs: {timeout: 500ms}\nwebhooks: {timeout: 10ms, claim_for: 10ms}", nil, "passerelle.yml:1: jobs.timeout: 500ms is out of range: from 1s to 1h"},
		{"a rescue before the timeout", "jobs: {rescue_after: 45s}", nil, "passerelle.yml:1: jobs.rescue_after: 45s is not more than jobs.timeout (45s): running jobs would be started again"},
		{"a rescue the day after", "jobs: {rescue_after: 48h}", nil, "passerelle.yml:1: jobs.rescue_after: 48h is out of range: from 1s to 24h"},
		{"no pause between fetches", "jobs: {fetch_cooldown: 0s}", nil, "passerelle.yml:1: jobs.fetch_cooldown: 0s is out of range: from 1ms to 1s"},
		{"a queue without workers", "jobs: {workers: {mail: 0}}", nil, "passerelle.yml:1: jobs.workers.mail: 0 is out of range: from 1 to 10000"},
		{"a queue with a name River refuses", "jobs: {workers: {Mail: 1}}", nil, "passerelle.yml:1: jobs.workers.Mail: is not the name of a queue: small letters, digits, - and _"},
		{"completed jobs kept for ever", "jobs: {retention: {completed: 9999h}}", nil, "passerelle.yml:1: jobs.retention.completed: 9999h is out of range: from 1m to 2160h"},
		{"cancelled jobs not kept", "jobs: {retention: {cancelled: 0s}}", nil, "passerelle.yml:1: jobs.retention.cancelled: 0s is out of range: from 1m to 2160h"},
		{"discarded jobs not kept", "jobs: {retention: {discarded: 0s}}", nil, "passerelle.yml:1: jobs.retention.discarded: 0s is out of range: from 1m to 2160h"},

		{"a provider told by nobody's address", "mail: {provider_notices: [{provider: dgfip}]}", nil, "passerelle.yml:1: mail.provider_notices[0].to: missing: at least one address"},
		{"a provider without a name", "mail: {provider_notices: [{to: [a@dgfip.example]}]}", nil, "passerelle.yml:1: mail.provider_notices[0].provider: missing"},
		{"a provider given twice", "mail: {provider_notices: [{provider: dgfip, to: [a@dgfip.example]}, {provider: dgfip, to: [b@dgfip.example]}]}", nil, `passerelle.yml:1: mail.provider_notices[1].provider: "dgfip" is given twice`},
		{"a provider's address that is none", "mail: {provider_notices: [{provider: dgfip, to: [dgfip]}]}", nil, `passerelle.yml:1: mail.provider_notices[0].to[0]: "dgfip" is not a mail address`},
		{"a support that is no address", "mail: {france_connect_support: franceconnect}", nil, `passerelle.yml:1: mail.france_connect_support: "franceconnect" is not a mail address`},
		{"a link that is dead at once", "handover: {link_lifetime: 1s}", nil, "passerelle.yml:1: handover.link_lifetime: 1s is out of range: from 1m to 720h"},
		{"an answer kept too long", "introspection: {max_age: 2h}", nil, "passerelle.yml:1: introspection.max_age: 2h is out of range: from 0s to 1h"},
		{"a client that may ask nothing", "rate_limits: {per_client: 0}", nil, "passerelle.yml:1: rate_limits.per_client: 0 is out of range: from 1 to 1000000"},
		{"an address that may ask nothing", "rate_limits: {per_address: 0}", nil, "passerelle.yml:1: rate_limits.per_address: 0 is out of range: from 1 to 1000000"},
	})
}

func TestPartnerFaults(t *testing.T) {
	const (
		secret  = "0123456789abcdef"
		source  = "datapass: {sources: [{name: a, secrets: [" + secret + "]"
		manager = "connectors: [{name: m, type: kong}]\n"
		fc      = "franceconnect: {issuer: 'https://f.fr/api/v2'"
		fcOK    = ", client_id: a, client_secrets: [" + secret + "]"
		qf      = "api_particulier: {url: 'https://p.fr'}\n"
		hubee   = "hubee: {url: 'https://h.fr', token_url: 'https://h.fr/token', client_id: a, client_secret: b}\n"
		entry   = manager + "provisioning: [{definition: d, managers: [m]"
	)
	runFaults(t, []faultCase{
		{"a source without a name", "datapass: {sources: [{secrets: [" + secret + "]}]}", nil, "passerelle.yml:1: datapass.sources[0].name: missing"},
		{"a source whose name cannot be in a path", "datapass: {sources: [{name: a/b, secrets: [" + secret + "]}]}", nil, `passerelle.yml:1: datapass.sources[0].name: "a/b" is not a name: small letters, digits and -, 63 at most`},
		{"two sources of one name", source + "}, {name: a, secrets: [fedcba9876543210]}]}", nil, `passerelle.yml:1: datapass.sources[1].name: "a" is given twice, first at datapass.sources[0].name`},
		{"a source of an unknown environment", source + ", environment: test}]}", nil, `passerelle.yml:1: datapass.sources[0].environment: "test" is not one of production, staging, sandbox`},
		{"a source limited to what is no definition", source + ", definitions: ['api particulier']}]}", nil, `passerelle.yml:1: datapass.sources[0].definitions[0]: "api particulier" is not the uid of a definition`},
		{"a source without a secret", "datapass:\n  sources:\n    - name: a", nil, "passerelle.yml:3: datapass.sources[0].secrets: missing: webhooks could not be verified"},
		{"a source with an empty secret", "datapass: {sources: [{name: a, secrets: ['']}]}", nil, "passerelle.yml:1: datapass.sources[0].secrets[0]: missing"},
		{"a source with a short secret", "datapass: {sources: [{name: a, secrets: [short]}]}", nil, "passerelle.yml:1: datapass.sources[0].secrets[0]: is too short: 16 characters at least"},
		{"a source with four secrets", "datapass: {sources: [{name: a, secrets: [a-" + secret + ", b-" + secret + ", c-" + secret + ", d-" + secret + "]}]}", nil, "passerelle.yml:1: datapass.sources[0].secrets: 4 secrets are given: 3 at most"},
		{"two sources of one secret", source + "}, {name: b, secrets: [" + secret + "]}]}", nil, "passerelle.yml:1: datapass.sources[1].secrets[0]: is the secret of datapass.sources[0].secrets[0] too"},
		{"a source's client without an API", source + ", api: {client_id: a, client_secret: b}}]}", nil, "passerelle.yml:1: datapass.sources[0].api.url: missing: a client is given without it"},
		{"a source's API in clear", source + ", api: {url: 'http://a.fr', client_id: a, client_secret: b}}]}", nil, "passerelle.yml:1: datapass.sources[0].api.url: must be https: only loopback may be http"},
		{"a source's API without a client", source + ", api: {url: 'https://a.fr', client_secret: b}}]}", nil, "passerelle.yml:1: datapass.sources[0].api.client_id: missing"},
		{"a source's API without a secret", source + ", api: {url: 'https://a.fr', client_id: b}}]}", nil, "passerelle.yml:1: datapass.sources[0].api.client_secret: missing"},
		{"catching up without an API", source + ", catch_up_every: 5m}]}", nil, "passerelle.yml:1: datapass.sources[0].catch_up_every: demands datapass.sources[0].api.url"},
		{"catching up without a pause", source + ", catch_up_every: 1ms, api: {url: 'https://a.fr', client_id: b, client_secret: c}}]}", nil, "passerelle.yml:1: datapass.sources[0].catch_up_every: 1ms is out of range: from 1s to 168h"},

		{"citizens' identity without a place to send anything", fc + fcOK + "}\n" + qf, nil, "passerelle.yml:1: franceconnect.issuer: demands hubee.url: there would be nowhere to send a quotient"},
		{"citizens' identity without quotients", fc + fcOK + "}\n" + hubee, nil, "passerelle.yml:1: franceconnect.issuer: demands api_particulier.url: there would be nothing to show"},
		{"quotients without citizens", qf, nil, "passerelle.yml:1: api_particulier.url: demands franceconnect.issuer: a citizen's token opens it"},
		{"a client of FranceConnect without an issuer", "franceconnect: {client_id: a}", nil, "passerelle.yml:1: franceconnect.issuer: missing: a client is given without it"},
		{"an issuer with a slash", "franceconnect: {issuer: 'https://f.fr/api/v2/'" + fcOK + "}\n" + qf + hubee, nil, "passerelle.yml:1: franceconnect.issuer: is not an issuer: no query, and no slash at its end"},
		{"a FranceConnect in clear", "franceconnect: {issuer: 'http://f.fr/api/v2'" + fcOK + "}\n" + qf + hubee, nil, "passerelle.yml:1: franceconnect.issuer: must be https: only loopback may be http"},
		{"a FranceConnect without a client", fc + ", client_secrets: [" + secret + "]}\n" + qf + hubee, nil, "passerelle.yml:1: franceconnect.client_id: missing"},
		{"a FranceConnect without a secret", fc + ", client_id: a}\n" + qf + hubee, nil, "passerelle.yml:1: franceconnect.client_secrets: missing"},
		{"a FranceConnect with three secrets", fc + ", client_id: a, client_secrets: [a-" + secret + ", b-" + secret + ", c-" + secret + "]}\n" + qf + hubee, nil, "passerelle.yml:1: franceconnect.client_secrets: 3 secrets are given: 2 at most"},
		{"a FranceConnect with a short secret", fc + ", client_id: a, client_secrets: [short]}\n" + qf + hubee, nil, "passerelle.yml:1: franceconnect.client_secrets[0]: is too short: 16 characters at least"},
		{"a FranceConnect with a secret and a key", fc + fcOK + ", client_key: k}\n" + qf + hubee, nil, "passerelle.yml:1: franceconnect.client_key: is given beside client_secrets: the client proves itself with one or the other"},
		{"a FranceConnect that signs with a shared secret", fc + fcOK + ", algorithm: HS256}\n" + qf + hubee, nil, `passerelle.yml:1: franceconnect.algorithm: "HS256" is not one of ES256, RS256`},
		{"an API Particulier in clear", fc + fcOK + "}\napi_particulier: {url: 'http://p.fr'}\n" + hubee, nil, "passerelle.yml:2: api_particulier.url: must be https: only loopback may be http"},

		{"an issuer of people's tokens without a name", "auth: {issuers: [{issuer: 'https://a.fr', audience: h, jwks: 'https://a.fr/jwks'}]}", nil, "passerelle.yml:1: auth.issuers[0].name: missing"},
		{"an issuer without an issuer", "auth: {issuers: [{name: a, audience: h, jwks: 'https://a.fr/jwks'}]}", nil, "passerelle.yml:1: auth.issuers[0].issuer: is not an https URL"},
		{"an issuer whose tokens are for anybody", "auth: {issuers: [{name: a, issuer: 'https://a.fr', jwks: 'https://a.fr/jwks'}]}", nil, "passerelle.yml:1: auth.issuers[0].audience: missing: tokens made for others would pass"},
		{"an issuer whose keys come in clear", "auth: {issuers: [{name: a, issuer: 'https://a.fr', audience: h, jwks: 'http://a.fr/jwks'}]}", nil, "passerelle.yml:1: auth.issuers[0].jwks: must be https: only loopback may be http"},
		{"an issuer twice", "auth: {issuers: [{name: a, issuer: 'https://a.fr', audience: h, jwks: 'https://a.fr/jwks'}, {name: b, issuer: 'https://a.fr', audience: h, jwks: 'https://a.fr/jwks'}]}", nil, `passerelle.yml:1: auth.issuers[1].issuer: "https://a.fr" is given twice, first at auth.issuers[0].issuer`},

		{"a catalogue that is not there", "definitions: {dir: /absent}", nil, "passerelle.yml:1: definitions.dir: cannot read /absent: no such file or directory"},
		{"a catalogue that is a file", "definitions: {dir: check_test.go}", nil, "passerelle.yml:1: definitions.dir: check_test.go is not a folder"},

		{"a connector without a name", "connectors: [{type: kong}]", nil, "passerelle.yml:1: connectors[0].name: missing"},
		{"a connector without a type", "connectors: [{name: m}]", nil, "passerelle.yml:1: connectors[0].type: missing"},
		{"a connector with a source's name", source + "}]}\nconnectors: [{name: a, type: kong}]", nil, `passerelle.yml:2: connectors[0].name: "a" is the name of datapass.sources[0].name too`},
		{"two connectors of one name", "connectors: [{name: m, type: kong}, {name: m, type: tyk}]", nil, `passerelle.yml:1: connectors[1].name: "m" is given twice, first at connectors[0].name`},
		{"a connector of an unknown environment", "connectors: [{name: m, type: kong, environment: x}]", nil, `passerelle.yml:1: connectors[0].environment: "x" is not one of production, staging, sandbox`},

		{"an entry without a definition", manager + "provisioning: [{managers: [m]}]", nil, "passerelle.yml:2: provisioning[0].definition: missing"},
		{"an entry for what is no definition", manager + "provisioning: [{definition: 'a b', managers: [m]}]", nil, `passerelle.yml:2: provisioning[0].definition: "a b" is not the uid of a definition`},
		{"an entry without a manager", "provisioning: [{definition: d}]", nil, "passerelle.yml:1: provisioning[0].managers: missing: an approval would open nothing"},
		{"an entry with an unknown manager", "provisioning: [{definition: d, managers: [m]}]", nil, `passerelle.yml:1: provisioning[0].managers[0]: "m" is not the name of one of connectors`},
		{"an entry with a manager twice", manager + "provisioning: [{definition: d, managers: [m, m]}]", nil, `passerelle.yml:2: provisioning[0].managers[1]: "m" is given twice, first at provisioning[0].managers[0]`},
		{"an entry with a manager of another environment", entry + ", environment: production}]", nil, "passerelle.yml:2: provisioning[0].managers[0]: m is a connector for sandbox, this entry is for production"},
		{"a definition twice for one environment", entry + "}, {definition: d, environment: sandbox, managers: [m]}]", nil, "passerelle.yml:2: provisioning[1].definition: d is listed twice for sandbox, first at provisioning[0]"},
		{"a token that never lives", entry + ", token_lifetime: 0s}]", nil, "passerelle.yml:2: provisioning[0].token_lifetime: 0s is out of range: one minute at least"},
		{"a lifetime that is none", entry + ", token_lifetime: 2 years}]", nil, `passerelle.yml:2: provisioning[0].token_lifetime: "2 years" is not a length of time such as 18mo, 30d or 1h, of ten years at most`},
		{"a long token nobody asks about", entry + ", offline_checks: true}]", nil, "passerelle.yml:2: provisioning[0].token_lifetime: 18mo is more than 1h, the most with offline_checks"},
		{"an unknown archive policy", entry + ", archive_policy: forget}]", nil, `passerelle.yml:2: provisioning[0].archive_policy: "forget" is not one of revoke, keep`},
		{"a notice before nothing", entry + ", archive_policy: keep, archive_notice: 3d}]", nil, "passerelle.yml:2: provisioning[0].archive_notice: has no meaning with archive_policy keep"},
		{"an unknown link for editors", entry + ", editor_fetch: all}]", nil, `passerelle.yml:2: provisioning[0].editor_fetch: "all" is not one of none, declared, consented`},
		{"a notice after the end", entry + ", notices: [-1]}]", nil, "passerelle.yml:2: provisioning[0].notices[0]: -1 is out of range: from 0 to 3650"},
		{"a notice twice", entry + ", notices: [7, 7]}]", nil, "passerelle.yml:2: provisioning[0].notices[1]: 7 is given twice"},
	})
}

func TestOutgoingFaults(t *testing.T) {
	const smtp = "mail: {from: a@b.fr, smtp: {host: relais.fr"
	runFaults(t, []faultCase{
		{"an unknown protection of mails", "mail: {smtp: {tls: ssl}}", nil, `passerelle.yml:1: mail.smtp.tls: "ssl" is not one of none, starttls, tls`},
		{"a relay without a port", "mail: {smtp: {port: 0}}", nil, "passerelle.yml:1: mail.smtp.port: 0 is out of range: from 1 to 65535"},
		{"a mail without time", "mail: {timeout: 0s}", nil, "passerelle.yml:1: mail.timeout: 0s is out of range: from 1s to 10m"},
		{"a short secret for bounces", "mail: {bounce_secret: short}", nil, "passerelle.yml:1: mail.bounce_secret: is too short: 16 characters at least"},
		{"a sender that is no address", "mail: {from: Passerelle}", nil, `passerelle.yml:1: mail.from: "Passerelle" is not a mail address`},
		{"a domain that is none", "mail: {domain: 'a b'}", nil, `passerelle.yml:1: mail.domain: "a b" is not a domain`},
		{"a relay without a sender", "mail: {smtp: {host: relais.fr}}", nil, "passerelle.yml:1: mail.from: missing: mail.smtp.host demands it"},
		{"a relay that is no host", "mail: {from: a@b.fr, smtp: {host: 'relais.fr:25'}}", nil, `passerelle.yml:1: mail.smtp.host: "relais.fr:25" is not a host`},
		{"a relay's password without an account", smtp + ", password: b}}", nil, "passerelle.yml:1: mail.smtp.username: missing: a password is given without it"},
		{"a relay's account without a password", smtp + ", username: b}}", nil, "passerelle.yml:1: mail.smtp.password: missing: a username is given without it"},
		{"a relay's account without a relay", "mail: {smtp: {username: a, password: b}}", nil, "passerelle.yml:1: mail.smtp.host: missing: a username is given without it"},
		{"a relay's password in clear", smtp + ", tls: none, username: a, password: b}}", nil, "passerelle.yml:1: mail.smtp.tls: none would send the password in clear to another machine"},

		{"an exception that is no address", "egress: {allow: ['https://a.fr']}", nil, `passerelle.yml:1: egress.allow[0]: "https://a.fr" is neither a host nor a range of addresses`},
		{"no port to leave by", "egress: {ports: []}", nil, "passerelle.yml:1: egress.ports: is empty: nothing could leave"},
		{"a port that is none", "egress: {ports: [443, 0]}", nil, "passerelle.yml:1: egress.ports[1]: 0 is out of range: from 1 to 65535"},
		{"a proxy that is no URL is not quoted", "egress: {proxy: {url: 'a:hunter2@b'}}", nil, "passerelle.yml:1: egress.proxy.url: is not an http or https URL"},
		{"a guarded proxy without a proxy", "egress: {proxy: {guarded: true}}", nil, "passerelle.yml:1: egress.proxy.guarded: is set without egress.proxy.url"},
		{"certificates that are not there", "egress: {ca_file: /absent}", nil, "passerelle.yml:1: egress.ca_file: cannot read /absent: no such file or directory"},
		{"no time to connect", "egress: {timeouts: {connect: 0s}}", nil, "passerelle.yml:1: egress.timeouts.connect: 0s is out of range: from 1ms to 5m"},
		{"no time for TLS", "egress: {timeouts: {tls: 0s}}", nil, "passerelle.yml:1: egress.timeouts.tls: 0s is out of range: from 1ms to 5m"},
		{"no time for a first byte", "egress: {timeouts: {first_byte: 0s}}", nil, "passerelle.yml:1: egress.timeouts.first_byte: 0s is out of range: from 1ms to 5m"},
		{"too much time in all", "egress: {timeouts: {total: 1h}}", nil, "passerelle.yml:1: egress.timeouts.total: 1h is out of range: from 1ms to 5m"},

		{"no second try", "webhooks: {schedule: []}", nil, "passerelle.yml:1: webhooks.schedule: is empty: a delivery would have no second try"},
		{"a second try at once", "webhooks: {schedule: [0s]}", nil, "passerelle.yml:1: webhooks.schedule[0]: 0s is out of range: from 1ms to 168h"},
		{"no time to deliver", "webhooks: {timeout: 0s}", nil, "passerelle.yml:1: webhooks.timeout: 0s is out of range: from 10ms to 5m"},
		{"no time to claim", "webhooks: {claim_for: 0s}", nil, "passerelle.yml:1: webhooks.claim_for: 0s is out of range: from 10ms to 10m"},
		{"retries for ever", "webhooks: {max_attempts_age: 9999h, attempt_retention: 9999h, payload_retention: 9999h}", nil, "passerelle.yml:1: webhooks.max_attempts_age: 9999h is out of range: from 1s to 2160h"},
		{"a lane cut by the job's timeout", "webhooks: {claim_for: 35s}", nil, "passerelle.yml:1: webhooks.claim_for: 35s and webhooks.timeout (10s) are not less than jobs.timeout (45s) together: lanes would be cut"},
		{"a lease that ends within the job", "webhooks: {lease: 45s}", nil, "passerelle.yml:1: webhooks.lease: 45s is not more than jobs.timeout (45s): deliveries would be sent twice"},
		{"a Retry-After of a month", "webhooks: {retry_after_cap: 720h}", nil, "passerelle.yml:1: webhooks.retry_after_cap: 720h is out of range: from 0s to 168h"},
		{"a request held back for no time", "webhooks: {hold_for: 0s}", nil, "passerelle.yml:1: webhooks.hold_for: 0s is out of range: from 1s to 2160h"},
		{"a breaker that opens before a failure", "webhooks: {break_after: 0}", nil, "passerelle.yml:1: webhooks.break_after: 0 is out of range: from 1 to 1000"},
		{"a rest that is none", "webhooks: {rest: 0s}", nil, "passerelle.yml:1: webhooks.rest: 0s is out of range: from 10ms to 1h"},
		{"a longest rest shorter than the first", "webhooks: {max_rest: 1s}", nil, "passerelle.yml:1: webhooks.max_rest: 1s is out of range: from 10s to 24h"},
		{"an endpoint disabled at once", "webhooks: {disable_after: 1s}", nil, "passerelle.yml:1: webhooks.disable_after: 1s is out of range: from 1m to 2160h"},
		{"a replay that stands still", "webhooks: {replay_rate: 0}", nil, "passerelle.yml:1: webhooks.replay_rate: 0 is out of range: from 0.1 to 10000"},
		{"no endpoint for anybody", "webhooks: {max_endpoints: 0}", nil, "passerelle.yml:1: webhooks.max_endpoints: 0 is out of range: from 1 to 1000"},
		{"attempts forgotten before the last", "webhooks: {attempt_retention: 1h}", nil, "passerelle.yml:1: webhooks.attempt_retention: 1h is less than webhooks.max_attempts_age (120h)"},
		{"bodies forgotten before the last attempt", "webhooks: {payload_retention: 1h}", nil, "passerelle.yml:1: webhooks.payload_retention: 1h is less than webhooks.max_attempts_age (120h): retries would have no body"},

		{"the example's secrets in production", "hub: {environment: production}\nops: {metrics_token: change-me-change-me}", nil, "passerelle.yml:2: ops.metrics_token: is the example's: change it"},
		{"the example's sealing key in production", "hub: {environment: production}\nsealing: {keys: [{id: a, key: Y2hhbmdlLW1lLWNoYW5nZS1tZS1jaGFuZ2UtbWUtMDE=}]}", nil, "passerelle.yml:2: sealing.keys[0].key: is the example's: change it"},
	})
}

func TestWhatLooksLikeAFaultAndIsNone(t *testing.T) {
	for name, yml := range map[string]string{
		"an empty file":   "",
		"a comment alone": "# rien\n",
		"a section left empty keeps its defaults":      "http:\nlog:\n",
		"one definition for two environments":          "connectors: [{name: m, type: kong}, {name: p, type: kong, environment: production}]\nprovisioning: [{definition: d, managers: [m]}, {definition: d, environment: production, managers: [p]}]",
		"several managers for one definition":          "connectors: [{name: m, type: kong}, {name: p, type: tyk}]\nprovisioning: [{definition: d, managers: [m, p]}]",
		"a short token checked without asking":         "connectors: [{name: m, type: kong}]\nprovisioning: [{definition: d, managers: [m], offline_checks: true, token_lifetime: 1h}]",
		"loopback in clear":                            "hub: {public_url: 'http://localhost:8080/'}",
		"operators on IPv6's loopback without a user":  "ops: {listen: '[::1]:9090'}",
		"operators on all addresses with a user":       "ops: {listen: ':9090', users: [{name: jean.dupont@exemple.fr, password: correct-horse}]}",
		"a password in clear to a relay on this host":  "mail: {from: 'P <a@b.fr>', smtp: {host: 127.0.0.1, tls: none, username: a, password: b}}",
		"a database as a list of keywords":             "database: {url: 'host=/run/postgresql dbname=passerelle'}\n" + withKey,
		"two sealing keys, one for each purpose":       "sealing: {active: b, fingerprints: a, keys: [{id: a, key: '" + sealingKey1 + "'}, {id: b, key: '" + sealingKey2 + "'}]}",
		"an argon2id hash as password":                 "ops: {users: [{name: a, password: '$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo'}]}",
		"a source that never catches up has an API":    "datapass: {sources: [{name: a, secrets: [0123456789abcdef], catch_up_every: 0s, api: {url: 'https://a.fr', client_id: b, client_secret: c}}]}",
		"both listeners on any free port of this host": "http: {listen: '127.0.0.1:0'}\nops: {listen: '127.0.0.1:0'}",
	} {
		t.Run(name, func(t *testing.T) {
			if faults := faultsOf(t, yml); faults != nil {
				t.Errorf("got %q", faults)
			}
		})
	}
}
