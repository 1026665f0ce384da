package config

import (
	"reflect"
	"time"
)

// Default gives the settings of an empty file: a hub that serves loopback with
// a private Postgres.
func Default() *Config {
	return &Config{
		Hub: Hub{Name: "passerelle", Environment: Sandbox},
		HTTP: HTTP{
			Listen:          "127.0.0.1:8080",
			MaxBody:         1 << 20,
			ReadTimeout:     15 * time.Second,
			WriteTimeout:    30 * time.Second,
			IdleTimeout:     2 * time.Minute,
			ShutdownTimeout: 25 * time.Second,
		},
		Ops: Ops{Listen: "127.0.0.1:9090"},
		Database: Database{
			DataDir:          "data",
			MaxConns:         16,
			Migrate:          MigrateAuto,
			StatementTimeout: 30 * time.Second,
		},
		Log: Log{Level: "info", Format: LogJSON},
		// webhooks.md, River, traps 1, 5 and 6.
		Jobs: Jobs{
			Timeout:       45 * time.Second,
			RescueAfter:   2 * time.Minute,
			FetchCooldown: 10 * time.Millisecond,
			Workers:       map[string]int{defaultQueue: 20},
			Retention: JobRetention{
				Completed: 15 * time.Minute,
				Cancelled: 24 * time.Hour,
				Discarded: 7 * 24 * time.Hour,
			},
		},
		Mail: Mail{
			SMTP:    SMTP{Port: 587, TLS: SMTPStartTLS},
			Timeout: 30 * time.Second,
		},
		Egress: Egress{
			Ports: []int{443, 8443},
			Timeouts: EgressTimeouts{
				Connect:   3 * time.Second,
				TLS:       5 * time.Second,
				FirstByte: 8 * time.Second,
				Total:     10 * time.Second,
			},
		},
		Webhooks: Webhooks{
			// Standard Webhooks' own (webhooks.md, Dialects).
			Schedule: []time.Duration{
				5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour,
				10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
			},
			MaxAttemptsAge:   5 * 24 * time.Hour,
			AttemptRetention: 30 * 24 * time.Hour,
			PayloadRetention: 30 * 24 * time.Hour,
			Timeout:          10 * time.Second,
			ClaimFor:         15 * time.Second,
			Lease:            time.Minute,
			RetryAfterCap:    24 * time.Hour,
			HoldFor:          24 * time.Hour,
			BreakAfter:       5,
			Rest:             10 * time.Second,
			MaxRest:          5 * time.Minute,
			DisableAfter:     5 * 24 * time.Hour,
			ReplayRate:       50,
			MaxEndpoints:     50,
		},
		HubEE: HubEE{
			Onboarding: HubEEOnboarding{Scope: "DATAPASS"}, EditorName: "Passerelle", Application: "passerelle-qf",
			NoticesEvery: 2 * time.Minute, FollowEvery: 15 * time.Minute, CheckAfter: 2 * time.Minute, GiveUpAfter: 72 * time.Hour, Keep: 90 * 24 * time.Hour,
		},
		FranceConnect: FranceConnect{Algorithm: ES256},
		Sirene:        Sirene{PerMinute: 25, RefreshAfter: 30 * 24 * time.Hour},
		Journeys: Journeys{
			Idle: 30 * time.Minute, Egress: "default", PerMinute: 25, PerHour: 500, PerHabilitation: 80,
			FormScopes: []string{"cnaf_quotient_familial", "cnaf_allocataires", "cnaf_enfants"},
		},
		Handover:      Handover{LinkLifetime: 7 * 24 * time.Hour, CopyLifetime: 30 * 24 * time.Hour, ReplaceGrace: 7 * 24 * time.Hour},
		RateLimits:    RateLimits{PerClient: 300, PerAddress: 60, PerVisitor: 300, EditorFetches: 60},
		Editors:       Editors{ChangesRetention: 90 * 24 * time.Hour},
		Introspection: Introspection{Tokens: 1_000_000},
	}
}

// newElement makes an element of a list or map, with its defaults.
func newElement(t reflect.Type) reflect.Value {
	p := reflect.New(t)
	switch e := p.Interface().(type) {
	case *User:
		e.Role = Reader
	case *Source:
		e.CatchUpEvery = 10 * time.Minute
	case *Provisioning:
		e.TokenLifetime = Months(18)
		e.ArchivePolicy = ArchiveRevoke
		e.ArchiveNotice = Days(30)
		e.EditorFetch = FetchConsented
		e.Notices = []int{90, 60, 30, 14, 7, 1, 0}
		e.ProlongWindow = Days(90)
		e.RotationGrace = 14 * 24 * time.Hour
	}
	return p.Elem()
}

// defaultQueue names the entry of jobs.workers for the queues it does not name.
const defaultQueue = "default"

// laneWorkers: a lane is mostly waiting for its receiver, and one that waits
// must not keep another from starting.
var laneWorkers = map[string]int{"webhooks": 500, "webhooks_slow": 50, "partner_hubee": 40}

// WorkersFor gives how many jobs of a queue run at once in this process.
func (j Jobs) WorkersFor(queue string) int {
	if n, ok := j.Workers[queue]; ok {
		return n
	}
	if n, ok := laneWorkers[queue]; ok {
		return n
	}
	return j.Workers[defaultQueue]
}
