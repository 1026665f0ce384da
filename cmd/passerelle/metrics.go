package main

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/passerelle-hub/passerelle/internal/store"
)

// waitingMetrics tells what waits when it is asked: the truth of the database,
// the same from every replica.
type waitingMetrics struct {
	store *store.Store

	waiting, oldest, oldestFolder, connections *prometheus.Desc
}

func newWaitingMetrics(s *store.Store) *waitingMetrics {
	return &waitingMetrics{
		store:        s,
		waiting:      prometheus.NewDesc("passerelle_waiting", "What waits, by kind.", []string{"kind"}, nil),
		oldest:       prometheus.NewDesc("passerelle_oldest_credential_seconds", "How long the key that waits longest has waited.", nil, nil),
		oldestFolder: prometheus.NewDesc("passerelle_oldest_folder_seconds", "How long the family's folder that waits longest has waited to be sent.", nil, nil),
		connections:  prometheus.NewDesc("passerelle_database_connections", "Connections of this process, by state.", []string{"state"}, nil),
	}
}

// Describe names the metrics.
func (m *waitingMetrics) Describe(ch chan<- *prometheus.Desc) {
	ch <- m.waiting
	ch <- m.oldest
	ch <- m.oldestFolder
	ch <- m.connections
}

// Collect reads them; a database that does not answer gives none of its own.
func (m *waitingMetrics) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	pool := m.store.Pool().Stat()
	gauge(m.connections, float64(pool.AcquiredConns()), "acquired")
	gauge(m.connections, float64(pool.IdleConns()), "idle")
	gauge(m.connections, float64(pool.MaxConns()), "max")
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	g, err := m.store.Gauges(ctx)
	if err != nil {
		return
	}
	for kind, n := range map[string]int64{
		"credentials": g.Credentials, "events_received": g.Received, "events_parked": g.Parked, "partners_paused": g.PausedPartners,
		"mails_queued": g.MailsQueued, "mails_failed": g.MailsFailed,
		"folders_to_send": g.FoldersToSend, "folders_to_check": g.FoldersToCheck, "folder_notices_kept": g.FolderNoticesKept,
		"receivers_to_register": g.ReceiversToRegister,
	} {
		gauge(m.waiting, float64(n), kind)
	}
	gauge(m.oldest, g.OldestCredential)
	gauge(m.oldestFolder, g.OldestFolder)
}
