package config

import (
	"net/netip"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
)

// Config is the whole of the settings. Load fills and checks it; nobody
// changes it afterwards.
type Config struct {
	Hub            Hub            `yaml:"hub" envPrefix:"HUB_"`
	HTTP           HTTP           `yaml:"http" envPrefix:"HTTP_"`
	Ops            Ops            `yaml:"ops" envPrefix:"OPS_"`
	Database       Database       `yaml:"database" envPrefix:"DATABASE_"`
	Sealing        Sealing        `yaml:"sealing" envPrefix:"SEALING_"`
	Log            Log            `yaml:"log" envPrefix:"LOG_"`
	Jobs           Jobs           `yaml:"jobs" envPrefix:"JOBS_"`
	DataPass       DataPass       `yaml:"datapass" envPrefix:"DATAPASS_"`
	Auth           Auth           `yaml:"auth" envPrefix:"AUTH_"`
	Definitions    Definitions    `yaml:"definitions" envPrefix:"DEFINITIONS_"`
	Connectors     []Connector    `yaml:"connectors" envPrefix:"CONNECTORS_"`
	Provisioning   []Provisioning `yaml:"provisioning" envPrefix:"PROVISIONING_"`
	Mail           Mail           `yaml:"mail" envPrefix:"MAIL_"`
	Egress         Egress         `yaml:"egress" envPrefix:"EGRESS_"`
	Webhooks       Webhooks       `yaml:"webhooks" envPrefix:"WEBHOOKS_"`
	Handover       Handover       `yaml:"handover" envPrefix:"HANDOVER_"`
	Introspection  Introspection  `yaml:"introspection" envPrefix:"INTROSPECTION_"`
	HubEE          HubEE          `yaml:"hubee" envPrefix:"HUBEE_"`
	FranceConnect  FranceConnect  `yaml:"franceconnect" envPrefix:"FRANCECONNECT_"`
	APIParticulier APIParticulier `yaml:"api_particulier" envPrefix:"API_PARTICULIER_"`
	Sirene         Sirene         `yaml:"sirene" envPrefix:"SIRENE_"`
	Journeys       Journeys       `yaml:"journeys" envPrefix:"JOURNEYS_"`
	RateLimits     RateLimits     `yaml:"rate_limits" envPrefix:"RATE_LIMITS_"`
	Editors        Editors        `yaml:"editors" envPrefix:"EDITORS_"`

	trail trail
}

// Environment is one of DataPass's three (datapass.md, X-App-Environment).
type Environment string

// The environments.
const (
	Production Environment = "production"
	Staging    Environment = "staging"
	Sandbox    Environment = "sandbox"
)

// Hub says who this hub is.
type Hub struct {
	Name        string      `yaml:"name" env:"NAME"` // owner mark written into the partners' objects
	Environment Environment `yaml:"environment" env:"ENVIRONMENT"`
	PublicURL   string      `yaml:"public_url" env:"PUBLIC_URL"` // no slash at the end; https unless loopback
	Contact     string      `yaml:"contact" env:"CONTACT"`       // mail address or URL of the people who run the hub

	// What the law has the families' pages say (loi n° 2004-575, art. 1-1; RGPD, art. 13).
	Operator       string `yaml:"operator" env:"OPERATOR"`
	Address        string `yaml:"address" env:"ADDRESS"`
	Publisher      string `yaml:"publisher" env:"PUBLISHER"`
	Host           string `yaml:"host" env:"HOST"`
	DataProtection string `yaml:"data_protection" env:"DATA_PROTECTION"`

	// DesignSystem is the folder dist of the State's design system, which is reserved
	// to sites of the State: make dsfr brings it. Empty: our own stylesheet.
	DesignSystem string `yaml:"design_system" env:"DESIGN_SYSTEM" kind:"path"`
}

// HTTP is the public listener.
type HTTP struct {
	Listen          string         `yaml:"listen" env:"LISTEN"`
	MaxBody         Size           `yaml:"max_body" env:"MAX_BODY"` // of a request, webhooks included
	ReadTimeout     time.Duration  `yaml:"read_timeout" env:"READ_TIMEOUT"`
	WriteTimeout    time.Duration  `yaml:"write_timeout" env:"WRITE_TIMEOUT"`
	IdleTimeout     time.Duration  `yaml:"idle_timeout" env:"IDLE_TIMEOUT"`
	ShutdownTimeout time.Duration  `yaml:"shutdown_timeout" env:"SHUTDOWN_TIMEOUT"`
	TrustedProxies  []netip.Prefix `yaml:"trusted_proxies" env:"TRUSTED_PROXIES"` // X-Forwarded-For is believed from these only
	TLS             TLS            `yaml:"tls" envPrefix:"TLS_"`
}

// TLS names the certificate and key of a listener, PEM files; both or none.
type TLS struct {
	CertFile string `yaml:"cert_file" env:"CERT_FILE" kind:"path"`
	KeyFile  string `yaml:"key_file" env:"KEY_FILE" kind:"path"`
}

// Enabled reports whether the listener speaks TLS itself.
func (t TLS) Enabled() bool { return t.CertFile != "" && t.KeyFile != "" }

// Ops is the operators' listener. It is never without a credential: with no
// user in the settings, cmd generates one at start and prints it once.
type Ops struct {
	Listen       string            `yaml:"listen" env:"LISTEN"`
	Users        []User            `yaml:"users" envPrefix:"USERS_"`
	MetricsToken connectors.Secret `yaml:"metrics_token" env:"METRICS_TOKEN"`
}

// Role says what an ops user may do.
type Role string

// The roles.
const (
	Reader   Role = "reader"
	Operator Role = "operator"
)

// User is one ops user. Password is a bcrypt or argon2id hash, or a clear
// secret of at least 12 characters (User.Hashed tells them apart).
type User struct {
	Name     string            `yaml:"name" env:"NAME"`
	Password connectors.Secret `yaml:"password" env:"PASSWORD"`
	Role     Role              `yaml:"role" env:"ROLE"`
}

// Migrate says what is done about the schema at start.
type Migrate string

// The ways to migrate.
const (
	MigrateAuto  Migrate = "auto"  // bring it up to date
	MigrateCheck Migrate = "check" // refuse to serve when it is behind
)

// Database is where the hub keeps its state. An empty URL means a private
// Postgres in DataDir.
type Database struct {
	URL              connectors.Secret `yaml:"url" env:"URL"`
	OwnerURL         connectors.Secret `yaml:"owner_url" env:"OWNER_URL"` // role that migrates; empty: URL
	DataDir          string            `yaml:"data_dir" env:"DATA_DIR" kind:"path"`
	MaxConns         int               `yaml:"max_conns" env:"MAX_CONNS"`
	Migrate          Migrate           `yaml:"migrate" env:"MIGRATE"`
	StatementTimeout time.Duration     `yaml:"statement_timeout" env:"STATEMENT_TIMEOUT"`
}

// Private reports whether the hub runs its own Postgres.
func (d Database) Private() bool { return d.URL.IsZero() }

// Sealing holds the keys that seal secrets at rest (AES-256-GCM). All open what
// they sealed; Active seals. With a private Postgres and no key here, cmd keeps
// one in a file of database.data_dir.
type Sealing struct {
	Keys         []SealingKey `yaml:"keys" envPrefix:"KEYS_"`
	Active       string       `yaml:"active" env:"ACTIVE"`             // id of the key that seals
	Fingerprints string       `yaml:"fingerprints" env:"FINGERPRINTS"` // id of the key that makes fingerprints; stays when Active moves on
	// FingerprintKey makes fingerprints instead, in base64: what "keys fingerprint-key" prints, before the key that it is
	// derived of is destroyed.
	FingerprintKey connectors.Secret `yaml:"fingerprint_key" env:"FINGERPRINT_KEY"`
}

// SealingKey is one key: 32 bytes in base64 (SealingKey.Bytes decodes it).
type SealingKey struct {
	ID  string            `yaml:"id" env:"ID"`
	Key connectors.Secret `yaml:"key" env:"KEY"`
}

// LogFormat is the shape of the log's lines.
type LogFormat string

// The formats of the log.
const (
	LogJSON    LogFormat = "json"
	LogConsole LogFormat = "console"
)

// Log says what is logged and how. Level is one of zerolog's names, trace to error.
type Log struct {
	Level  string    `yaml:"level" env:"LEVEL"`
	Format LogFormat `yaml:"format" env:"FORMAT"`
}

// Jobs sets the queues (webhooks.md, River, traps 1, 5 and 6).
type Jobs struct {
	Timeout       time.Duration  `yaml:"timeout" env:"TIMEOUT"`           // of one job
	RescueAfter   time.Duration  `yaml:"rescue_after" env:"RESCUE_AFTER"` // a job of a dead process runs again after this; more than Timeout
	FetchCooldown time.Duration  `yaml:"fetch_cooldown" env:"FETCH_COOLDOWN"`
	Workers       map[string]int `yaml:"workers" env:"WORKERS"` // by queue, per process; see WorkersFor
	Retention     JobRetention   `yaml:"retention" envPrefix:"RETENTION_"`
}

// JobRetention says how long finished jobs stay in the queue's table.
type JobRetention struct {
	Completed time.Duration `yaml:"completed" env:"COMPLETED"`
	Cancelled time.Duration `yaml:"cancelled" env:"CANCELLED"`
	Discarded time.Duration `yaml:"discarded" env:"DISCARDED"`
}

// DataPass lists the instances that send us webhooks.
type DataPass struct {
	Sources []Source `yaml:"sources" envPrefix:"SOURCES_"`
}

// Source is one DataPass. Its name is the {source} of
// POST /webhooks/datapass/{source}.
type Source struct {
	Name         string              `yaml:"name" env:"NAME"`
	Environment  Environment         `yaml:"environment" env:"ENVIRONMENT"` // default: hub.environment
	Definitions  []string            `yaml:"definitions" env:"DEFINITIONS"` // empty: all
	Secrets      []connectors.Secret `yaml:"secrets" env:"SECRETS"`         // 1 to 3; every one is accepted
	API          DataPassAPI         `yaml:"api" envPrefix:"API_"`
	CatchUpEvery time.Duration       `yaml:"catch_up_every" env:"CATCH_UP_EVERY"` // 0: never; needs the API
}

// DataPassAPI is the way to ask a source what its webhooks did not bring.
type DataPassAPI struct {
	URL          string            `yaml:"url" env:"URL"`
	ClientID     string            `yaml:"client_id" env:"CLIENT_ID"`
	ClientSecret connectors.Secret `yaml:"client_secret" env:"CLIENT_SECRET"`
}

// Enabled reports whether the source's API is set.
func (a DataPassAPI) Enabled() bool { return a.URL != "" }

// Auth says who vouches for the people that call the hub's API.
type Auth struct {
	Issuers []Issuer `yaml:"issuers" envPrefix:"ISSUERS_"`
}

// Issuer is an OpenID Connect issuer whose tokens people call with.
type Issuer struct {
	Name     string `yaml:"name" env:"NAME"`
	Issuer   string `yaml:"issuer" env:"ISSUER"`     // iss of its tokens, to the letter
	Audience string `yaml:"audience" env:"AUDIENCE"` // aud of its tokens for this hub
	JWKS     string `yaml:"jwks" env:"JWKS"`         // address of its keys
	// TrustEmail: it verifies every address and sends no email_verified, as ProConnect.
	TrustEmail bool `yaml:"trust_email" env:"TRUST_EMAIL"`
}

// Definitions says where the catalogue is and fills the contacts that
// DataPass's own files keep out of sight.
type Definitions struct {
	Dir string `yaml:"dir" env:"DIR" kind:"path"` // empty: the embedded catalogue
	// Contacts overrides prefilled contacts: the credential's name in the
	// form's file -> its value (datapass.md, 4.2).
	Contacts map[string]string `yaml:"contacts" env:"CONTACTS"`
}

// ArchivePolicy says what an archived request does to its credentials.
type ArchivePolicy string

// The policies for archived requests.
const (
	ArchiveRevoke ArchivePolicy = "revoke" // after ArchiveNotice
	ArchiveKeep   ArchivePolicy = "keep"   // they live until they expire
)

// EditorFetch says which link to a request lets an editor read its key
// (editors.md, 7).
type EditorFetch string

// The links that are enough.
const (
	FetchNone      EditorFetch = "none"
	FetchDeclared  EditorFetch = "declared"
	FetchConsented EditorFetch = "consented"
)

// Provisioning says what an approval of a definition opens, in one environment.
type Provisioning struct {
	Definition    string        `yaml:"definition" env:"DEFINITION"`
	Environment   Environment   `yaml:"environment" env:"ENVIRONMENT"` // default: hub.environment
	Managers      []string      `yaml:"managers" env:"MANAGERS"`       // names of connectors
	TokenLifetime Lifetime      `yaml:"token_lifetime" env:"TOKEN_LIFETIME"`
	ArchivePolicy ArchivePolicy `yaml:"archive_policy" env:"ARCHIVE_POLICY"`
	ArchiveNotice Lifetime      `yaml:"archive_notice" env:"ARCHIVE_NOTICE"`
	EditorFetch   EditorFetch   `yaml:"editor_fetch" env:"EDITOR_FETCH"`
	OfflineChecks bool          `yaml:"offline_checks" env:"OFFLINE_CHECKS"` // tokens are checked without asking: one hour at most (tokens.md, 7.5)
	Notices       []int         `yaml:"notices" env:"NOTICES"`               // days before the end
	ProlongWindow Lifetime      `yaml:"prolong_window" env:"PROLONG_WINDOW"` // before the end, in which the holder may prolong
	// RotateAfter replaces a key of that age by itself, RotationGrace is its overlap; 0: never.
	RotateAfter   Lifetime      `yaml:"rotate_after" env:"ROTATE_AFTER"`
	RotationGrace time.Duration `yaml:"rotation_grace" env:"ROTATION_GRACE"`
	// RotationCutover replaces it also at a manager without overlap: clients are cut off until they have the new key.
	RotationCutover bool `yaml:"rotation_cutover" env:"ROTATION_CUTOVER"`
}

// SMTPSecurity is how the relay's connection is protected.
type SMTPSecurity string

// The protections.
const (
	SMTPNone     SMTPSecurity = "none"
	SMTPStartTLS SMTPSecurity = "starttls"
	SMTPTLS      SMTPSecurity = "tls"
)

// Mail sets the relay and the addresses we write from.
type Mail struct {
	SMTP         SMTP              `yaml:"smtp" envPrefix:"SMTP_"`
	From         string            `yaml:"from" env:"FROM"`                   // "Name <address>" or an address
	Domain       string            `yaml:"domain" env:"DOMAIN"`               // right side of Message-ID and bounce addresses
	BounceSecret connectors.Secret `yaml:"bounce_secret" env:"BOUNCE_SECRET"` // signs bounce addresses
	Timeout      time.Duration     `yaml:"timeout" env:"TIMEOUT"`             // of one mail

	// Who is written to beside the people of a request (datapass.md, 7).
	ProviderNotices      []ProviderNotice `yaml:"provider_notices" envPrefix:"PROVIDER_NOTICES_"`
	FranceConnectSupport string           `yaml:"france_connect_support" env:"FRANCE_CONNECT_SUPPORT"` // "": nobody
}

// ProviderNotice names the people of a data provider who want to know of each approval.
type ProviderNotice struct {
	Provider string   `yaml:"provider" env:"PROVIDER"` // its slug in the catalogue: "dgfip"
	To       []string `yaml:"to" env:"TO"`             // addresses
}

// Enabled reports whether mails can leave.
func (m Mail) Enabled() bool { return m.SMTP.Host != "" }

// SMTP is the relay.
type SMTP struct {
	Host     string            `yaml:"host" env:"HOST"`
	Port     int               `yaml:"port" env:"PORT"`
	TLS      SMTPSecurity      `yaml:"tls" env:"TLS"`
	Username string            `yaml:"username" env:"USERNAME"`
	Password connectors.Secret `yaml:"password" env:"PASSWORD"`
}

// HubEE is where families' folders are sent (hubee.md).
type HubEE struct {
	URL          string            `yaml:"url" env:"URL"`             // https://api.hubee.numerique.gouv.fr
	TokenURL     string            `yaml:"token_url" env:"TOKEN_URL"` // https://auth.hubee.numerique.gouv.fr/oauth2/token
	ClientID     string            `yaml:"client_id" env:"CLIENT_ID"` // of the online service (scope OSL)
	ClientSecret connectors.Secret `yaml:"client_secret" env:"CLIENT_SECRET"`
	Onboarding   HubEEOnboarding   `yaml:"onboarding" envPrefix:"ONBOARDING_"`
	EditorName   string            `yaml:"editor_name" env:"EDITOR_NAME"` // who we are in partnerInfo, 50 characters at most
	Application  string            `yaml:"application_name" env:"APPLICATION_NAME"`
	CAFile       string            `yaml:"ca_file" env:"CA_FILE" kind:"path"` // PEM roots added to the system's

	NoticesEvery time.Duration `yaml:"notices_every" env:"NOTICES_EVERY"` // between two readings of our queue
	FollowEvery  time.Duration `yaml:"follow_every" env:"FOLLOW_EVERY"`   // between two comparisons of subscriptions
	CheckAfter   time.Duration `yaml:"check_after" env:"CHECK_AFTER"`     // from complete to the look at its files
	GiveUpAfter  time.Duration `yaml:"give_up_after" env:"GIVE_UP_AFTER"` // then what is personal is destroyed, with an alarm
	Keep         time.Duration `yaml:"keep" env:"KEEP"`                   // references and states of folders
}

// Enabled reports whether folders can be sent.
func (h HubEE) Enabled() bool { return h.URL != "" }

// Sirene is INSEE's register of establishments, asked about native organizations
// (datapass.md, 2.4).
type Sirene struct {
	URL          string            `yaml:"url" env:"URL"`                     // https://api.insee.fr/api-sirene/3.11
	Key          connectors.Secret `yaml:"key" env:"KEY"`                     // of our application at INSEE's portal
	PerMinute    int               `yaml:"per_minute" env:"PER_MINUTE"`       // calls, of all replicas together
	RefreshAfter time.Duration     `yaml:"refresh_after" env:"REFRESH_AFTER"` // an answer is asked for again after this
	CAFile       string            `yaml:"ca_file" env:"CA_FILE" kind:"path"` // PEM roots added to the system's
}

// Enabled reports whether INSEE is asked.
func (s Sirene) Enabled() bool { return s.URL != "" }

// HubEEOnboarding is the credential that registers communes; without it they are
// registered by hand on HubEE's portal.
type HubEEOnboarding struct {
	ClientID     string            `yaml:"client_id" env:"CLIENT_ID"`
	ClientSecret connectors.Secret `yaml:"client_secret" env:"CLIENT_SECRET"`
	Scope        string            `yaml:"scope" env:"SCOPE"` // DATAPASS, or ADMIN where HubEE demands it
}

// Enabled reports whether the hub registers communes itself.
func (o HubEEOnboarding) Enabled() bool { return o.ClientID != "" }

// FranceConnect identifies citizens (franceconnect.md). Its redirect addresses
// follow from hub.public_url.
type FranceConnect struct {
	Issuer        string              `yaml:"issuer" env:"ISSUER"` // https://oidc.franceconnect.gouv.fr/api/v2
	ClientID      string              `yaml:"client_id" env:"CLIENT_ID"`
	ClientSecrets []connectors.Secret `yaml:"client_secrets" env:"CLIENT_SECRETS"` // tried in order: two while one replaces the other
	ClientKey     connectors.Secret   `yaml:"client_key" env:"CLIENT_KEY"`         // PEM: private_key_jwt instead of secrets
	ClientKeyID   string              `yaml:"client_key_id" env:"CLIENT_KEY_ID"`
	Algorithm     SignatureAlgorithm  `yaml:"algorithm" env:"ALGORITHM"` // of what it signs, and no other
	PKCE          bool                `yaml:"pkce" env:"PKCE"`           // FranceConnect refuses it
	CAFile        string              `yaml:"ca_file" env:"CA_FILE" kind:"path"`
}

// SignatureAlgorithm is one of those a partner may be pinned to.
type SignatureAlgorithm string

// The algorithms.
const (
	ES256 SignatureAlgorithm = "ES256"
	RS256 SignatureAlgorithm = "RS256"
)

// Enabled reports whether citizens can identify themselves.
func (f FranceConnect) Enabled() bool { return f.Issuer != "" }

// APIParticulier gives families' quotients (api-particulier.md).
type APIParticulier struct {
	URL    string `yaml:"url" env:"URL"` // https://particulier.api.gouv.fr
	CAFile string `yaml:"ca_file" env:"CA_FILE" kind:"path"`
}

// Enabled reports whether quotients can be asked for.
func (a APIParticulier) Enabled() bool { return a.URL != "" }

// Journeys bounds what citizens do on their way to their commune (qf-form.md, M-4;
// api-particulier.md, AP-5).
type Journeys struct {
	Idle            time.Duration `yaml:"idle" env:"IDLE"`                         // nobody looks: what is personal is deleted
	Egress          string        `yaml:"egress" env:"EGRESS"`                     // name of the address that calls leave from: replicas behind one share its limits
	PerMinute       int           `yaml:"per_minute" env:"PER_MINUTE"`             // departures to FranceConnect of that address; 0: no limit
	PerHour         int           `yaml:"per_hour" env:"PER_HOUR"`                 // the same; 0: no limit
	PerHabilitation int           `yaml:"per_habilitation" env:"PER_HABILITATION"` // a minute; 0: no limit
	FormScopes      []string      `yaml:"form_scopes" env:"FORM_SCOPES"`           // what a habilitation that lists none covers
}

// Egress bounds what goes to URLs given by users (connectors/outbound, Public).
type Egress struct {
	Allow    []string       `yaml:"allow" env:"ALLOW"` // hosts, addresses or CIDRs let through the guard
	Ports    []int          `yaml:"ports" env:"PORTS"`
	Proxy    Proxy          `yaml:"proxy" envPrefix:"PROXY_"`
	CAFile   string         `yaml:"ca_file" env:"CA_FILE" kind:"path"` // PEM roots added to the system's
	Timeouts EgressTimeouts `yaml:"timeouts" envPrefix:"TIMEOUTS_"`
}

// EgressTimeouts bound the phases of one exchange.
type EgressTimeouts struct {
	Connect   time.Duration `yaml:"connect" env:"CONNECT"` // name resolution and TCP
	TLS       time.Duration `yaml:"tls" env:"TLS"`
	FirstByte time.Duration `yaml:"first_byte" env:"FIRST_BYTE"` // from the end of the request
	Total     time.Duration `yaml:"total" env:"TOTAL"`
}

// Proxy is the way out for users' URLs. Its URL may carry a password: it is a
// secret. Guarded says that the proxy itself refuses private addresses: names
// are then left to it, else the hub resolves and judges them first.
type Proxy struct {
	URL     connectors.Secret `yaml:"url" env:"URL"`
	Guarded bool              `yaml:"guarded" env:"GUARDED"`
}

// Webhooks sets deliveries to receivers (webhooks.md, Dialects and trap 5).
type Webhooks struct {
	Schedule         []time.Duration `yaml:"schedule" env:"SCHEDULE"`                   // waits before the retries
	MaxAttemptsAge   time.Duration   `yaml:"max_attempts_age" env:"MAX_ATTEMPTS_AGE"`   // nothing is retried when older
	AttemptRetention time.Duration   `yaml:"attempt_retention" env:"ATTEMPT_RETENTION"` // how long attempts are kept
	PayloadRetention time.Duration   `yaml:"payload_retention" env:"PAYLOAD_RETENTION"` // how long bodies are kept, for replay
	Timeout          time.Duration   `yaml:"timeout" env:"TIMEOUT"`                     // of one delivery in all
	ClaimFor         time.Duration   `yaml:"claim_for" env:"CLAIM_FOR"`                 // a lane takes new work for this long
	Lease            time.Duration   `yaml:"lease" env:"LEASE"`                         // an endpoint is another process's after this
	RetryAfterCap    time.Duration   `yaml:"retry_after_cap" env:"RETRY_AFTER_CAP"`     // longest wait that a receiver may ask for
	HoldFor          time.Duration   `yaml:"hold_for" env:"HOLD_FOR"`                   // a failing message holds back its request for so long, at an ordered endpoint
	BreakAfter       int             `yaml:"break_after" env:"BREAK_AFTER"`             // failures in a row, then the endpoint rests
	Rest             time.Duration   `yaml:"rest" env:"REST"`                           // the first rest; each further one is twice as long
	MaxRest          time.Duration   `yaml:"max_rest" env:"MAX_REST"`
	DisableAfter     time.Duration   `yaml:"disable_after" env:"DISABLE_AFTER"` // an endpoint that fails for so long is disabled
	ReplayRate       float64         `yaml:"replay_rate" env:"REPLAY_RATE"`     // replayed messages a second, of one endpoint
	MaxEndpoints     int             `yaml:"max_endpoints" env:"MAX_ENDPOINTS"` // endpoints of one definition, or of one editor
}

// Handover sets the one-time links that show a secret (tokens.md, 7.4).
type Handover struct {
	LinkLifetime time.Duration `yaml:"link_lifetime" env:"LINK_LIFETIME"`
	Audience     string        `yaml:"audience" env:"AUDIENCE"`           // aud of what editors sign for us; default: hub.public_url
	CopyLifetime time.Duration `yaml:"copy_lifetime" env:"COPY_LIFETIME"` // then the sealed copy of a key is destroyed: only a rotation gives another
	ReplaceGrace time.Duration `yaml:"replace_grace" env:"REPLACE_GRACE"` // what the old key keeps when its holder has it replaced
}

// Introspection sets POST /token/introspect (tokens.md, 7.7). MaxAge 0 answers
// no-store; more counts in the published revocation delay.
type Introspection struct {
	MaxAge time.Duration `yaml:"max_age" env:"MAX_AGE"`
	Tokens int           `yaml:"tokens" env:"TOKENS"` // kept in memory by each process, some 300 bytes each
}

// RateLimits are requests a minute: of one authenticated client, of one
// address without a credential.
type RateLimits struct {
	PerClient     int `yaml:"per_client" env:"PER_CLIENT"`
	PerAddress    int `yaml:"per_address" env:"PER_ADDRESS"`
	PerVisitor    int `yaml:"per_visitor" env:"PER_VISITOR"`       // of one address, for the pages of families: a town hall or an operator's customers share one
	EditorFetches int `yaml:"editor_fetches" env:"EDITOR_FETCHES"` // of one editor, that fetch keys: one or a batch
}

// Editors sets what software editors follow (editors.md, 8).
type Editors struct {
	ChangesRetention time.Duration `yaml:"changes_retention" env:"CHANGES_RETENTION"` // a feed goes back so far
}
