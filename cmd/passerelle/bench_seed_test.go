package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// archive is what the bench fills the database with. The hub itself made one
// request of each kind (model), by its API; the others are copies of those with
// ids, times, title, organisation, applicant, words and hashes of their own,
// written by COPY; at a tenth of the size `audit verify` passes over them here. What the hub would have
// written besides is not there: keys, mails, events for subscribers, jobs.
type archive struct {
	models   []model
	weights  []int // cumulated, of models
	requests int
	lines    int64
	holders  int // organisations
	first    time.Time
	step     time.Duration // between two creations
}

// model is a request that the hub made, with its history.
type model struct {
	id, organization, applicant int64
	definition, form, state     string
	reopening                   bool
	data, set, siret, email     string
	provider                    [3]string
	terms, dpo                  bool
	created, updated            time.Time
	submitted, validated        *time.Time
	reopened                    *time.Time
	version                     int64
	titled                      bool // its definition asks for a title
	words                       []string
	grants                      []modelGrant
	lines                       []modelLine
}

type modelGrant struct {
	id                                           int64
	definition, form, state, data, message, whom string
	created, updated                             time.Time
}

type modelLine struct {
	at                                                              time.Time
	actor, event, entityType, entityID, reason, detail, correlation string
}

// life is one way that a request goes: who does what. Their mean length is five
// lines.
type life struct {
	weight int
	steps  string
}

// lives: c creates, u changes an answer, s submits, a approves, r refuses, m
// asks for changes, v revokes, x archives, o reopens.
var lives = []life{{17, "csa"}, {38, "cusmusa"}, {8, "cusr"}, {8, "cu"}, {6, "cus"}, {4, "cusm"}, {4, "csav"}, {5, "csrx"}, {10, "csaousa"}}

// modelTitle stands where a copy has its own title.
const modelTitle = "Intitulemodele"

// offset keeps the copies' ids apart from what the hub makes itself.
const offset = store.FirstOwnID + 1_000_000

// seed fills the database with n requests.
func (b *requestsBench) seed(n int) {
	b.t.Helper()
	began := time.Now()
	a := &archive{requests: n, holders: max(100, n*36/1000), first: time.Now().AddDate(-3, 0, 0).UTC().Truncate(time.Microsecond)}
	a.step = (time.Since(a.first) / time.Duration(n+1)).Truncate(time.Microsecond) // what the database keeps
	b.archive = a
	b.makeModels()
	var err error
	b.answers, err = json.Marshal(map[string]any{"definition_id": benchDecides, "data": b.answersTo(benchDecides, "Tarifs de la cantine et des marchés")})
	if err != nil {
		b.t.Fatal(err)
	}
	b.stopProgram()
	modelled := time.Now()
	restore := b.dropIndexes()
	b.copyAll()
	copied := time.Now()
	restore()
	for _, table := range []string{"person", "organization", "request", "habilitation"} {
		b.exec(fmt.Sprintf(`select setval(pg_get_serial_sequence('%[1]s', 'id'), (select max(id) from %[1]s))`, table))
	}
	indexed := time.Now()
	b.exec("vacuum analyze")
	sealing := time.Now()
	seal := &registry.SealHistory{}
	if err := b.w.hub.registry.Record(b.t.Context(), seal); err != nil {
		b.t.Fatal(err)
	}
	sealed := time.Now()
	if n <= 100_000 { // at full size it would take more minutes than the bench has
		audit, err := b.w.hub.store.VerifyHistory(b.t.Context())
		if err != nil || len(audit.Flaws) > 0 {
			b.t.Fatalf("what was written is not what the hub writes: %v %v", err, audit.Flaws[:min(5, len(audit.Flaws))])
		}
		b.t.Logf("%d lines verified in %s", audit.Lines, time.Since(sealed).Round(time.Second))
	}
	b.exec("checkpoint")
	b.t.Logf("made %d requests, %d lines: copied in %s, indexed in %s, %d lines sealed in %s; %s in all", n, a.lines,
		copied.Sub(modelled).Round(time.Second), indexed.Sub(copied).Round(time.Second), seal.Seal.Lines, sealed.Sub(sealing).Round(time.Second),
		time.Since(began).Round(time.Second))
}

func (b *requestsBench) exec(sql string) {
	b.t.Helper()
	conn, err := b.w.hub.pool.Acquire(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	defer conn.Release()
	for _, statement := range []string{"set statement_timeout = 0", "set maintenance_work_mem = '1GB'", sql} {
		if _, err := conn.Exec(b.t.Context(), statement); err != nil {
			b.t.Fatalf("%s: %v", statement, err)
		}
	}
}

// makeModels lets the hub make one request of each definition and life.
func (b *requestsBench) makeModels() {
	b.t.Helper()
	total := 0
	for _, definition := range []string{"api_entreprise", "api_particulier", "france_connect"} {
		for i, l := range lives {
			id := b.live(definition, l.steps, b.applied[i])
			b.archive.models = append(b.archive.models, b.readModel(id))
			total += l.weight
			b.archive.weights = append(b.archive.weights, total)
		}
	}
}

func (b *requestsBench) live(definition, steps, applicant string) int64 {
	b.t.Helper()
	var r struct {
		ID int64 `json:"id"`
	}
	for i, step := range steps {
		path := fmt.Sprintf("/requests/%d", r.ID)
		switch step {
		case 'c':
			answer := b.call(http.MethodPost, "/requests", applicant, map[string]any{"definition_id": definition, "data": b.answersTo(definition, modelTitle)})
			if err := json.Unmarshal(answer, &r); err != nil {
				b.t.Fatal(err)
			}
		case 'u':
			b.call(http.MethodPatch, path, applicant, map[string]any{"data": map[string]any{"description": fmt.Sprintf("Version %d du traitement, relue par le service.", i)}})
		case 's':
			b.call(http.MethodPost, path+"/submit", applicant, json.RawMessage(consentsBody))
		case 'a':
			b.call(http.MethodPost, path+"/approve", b.decider, map[string]any{"message": "Accord"})
		case 'r':
			b.call(http.MethodPost, path+"/refuse", b.decider, map[string]any{"reason": "Le cadre juridique ne couvre pas ce traitement."})
		case 'm':
			b.call(http.MethodPost, path+"/request-changes", b.decider, map[string]any{"reason": "Précisez les destinataires."})
		case 'v':
			b.call(http.MethodPost, path+"/revoke", b.decider, map[string]any{"reason": "Le service a fermé."})
		case 'x':
			b.call(http.MethodPost, path+"/archive", applicant, map[string]any{})
		case 'o':
			b.call(http.MethodPost, path+"/reopen", applicant, map[string]any{})
		}
	}
	return r.ID
}

// readModel reads what the hub wrote of a request; lines about its keys are left out.
func (b *requestsBench) readModel(id int64) model {
	b.t.Helper()
	m := model{id: id}
	ctx, pool := b.t.Context(), b.w.hub.pool
	err := pool.QueryRow(ctx, `select r.organization_id, r.applicant_id, r.definition, r.form, r.state, r.reopening, r.data::text, r.definition_set,
		o.siret, p.email, r.service_provider_id, r.service_provider_siret, r.service_provider_type, r.terms_accepted, r.dpo_informed,
		r.created_at, r.updated_at, r.last_submitted_at, r.last_validated_at, r.reopened_at, r.version, r.words
		from request r join organization o on o.id = r.organization_id join person p on p.id = r.applicant_id where r.id = $1`, id).Scan(
		&m.organization, &m.applicant, &m.definition, &m.form, &m.state, &m.reopening, &m.data, &m.set,
		&m.siret, &m.email, &m.provider[0], &m.provider[1], &m.provider[2], &m.terms, &m.dpo,
		&m.created, &m.updated, &m.submitted, &m.validated, &m.reopened, &m.version, &m.words)
	if err != nil {
		b.t.Fatal(err)
	}
	rows, err := pool.Query(ctx, `select id, definition, form, state, data::text, message, applicant::text, created_at, updated_at
		from habilitation where request_id = $1 order by id`, id)
	if err != nil {
		b.t.Fatal(err)
	}
	m.grants, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (modelGrant, error) {
		var g modelGrant
		err := row.Scan(&g.id, &g.definition, &g.form, &g.state, &g.data, &g.message, &g.whom, &g.created, &g.updated)
		return g, err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	rows, err = pool.Query(ctx, `select at, actor, event, entity_type, entity_id, reason, detail::text, correlation
		from history where request_id = $1 and event not like 'token.%' order by seq`, id)
	if err != nil {
		b.t.Fatal(err)
	}
	m.lines, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (modelLine, error) {
		var l modelLine
		err := row.Scan(&l.at, &l.actor, &l.event, &l.entityType, &l.entityID, &l.reason, &l.detail, &l.correlation)
		return l, err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	for i := range m.lines { // as the hash wants it: keys sorted, no spaces
		var detail any
		if err := json.Unmarshal([]byte(m.lines[i].detail), &detail); err != nil {
			b.t.Fatal(err)
		}
		m.lines[i].detail = quoted(detail)
	}
	m.titled = strings.Contains(m.data, modelTitle)
	title := ""
	if m.titled {
		title = modelTitle
	}
	words := wordsOf(title, holder{name: "l'organisation " + m.siret + " (nom inconnu)", siret: m.siret},
		applicant{given: m.email[:strings.IndexByte(m.email, '@')], email: m.email})
	if !slices.Equal(words, m.words) {
		b.t.Fatalf("the hub indexes %q, this bench would write %q", m.words, words)
	}
	return m
}

// one is a copy to write.
type one struct {
	n         int
	id        int64
	model     *model
	holder    int
	applicant int
	title     string
	created   time.Time
	random    *rand.Rand
}

// at gives the nth copy, always the same.
func (a *archive) at(n int) one {
	random := rand.New(rand.NewPCG(uint64(n), 11))
	o := one{n: n, id: offset + int64(n), random: random, created: a.first.Add(time.Duration(n) * a.step)}
	draw := random.IntN(a.weights[len(a.weights)-1])
	at, _ := slices.BinarySearch(a.weights, draw+1)
	o.model = &a.models[at]
	o.holder = random.IntN(a.holders)
	if random.IntN(20) == 0 {
		o.holder = random.IntN(10) // ten large ones have a twentieth of all
	}
	o.applicant = o.holder*applicantsOf + random.IntN(applicantsOf)
	if o.model.titled {
		o.title = titleOf(random)
	}
	return o
}

const applicantsOf = 6 // applicants of one organisation

// shift moves a moment of the model to the copy's time.
func (o one) shift(at time.Time) time.Time { return o.created.Add(at.Sub(o.model.created)) }

func (o one) shiftAny(at *time.Time) *time.Time {
	if at == nil {
		return nil
	}
	moved := o.shift(*at)
	return &moved
}

func (o one) text(s string) string { return strings.ReplaceAll(s, modelTitle, o.title) }

func (o one) grantID(k int) int64 { return offset + int64(o.n)*4 + int64(k) }

// entity gives the copy's id of what a line of the model is about.
func (o one) entity(id string) string {
	if id == fmt.Sprint(o.model.id) {
		return fmt.Sprint(o.id)
	}
	for k, g := range o.model.grants {
		if id == fmt.Sprint(g.id) {
			return fmt.Sprint(o.grantID(k))
		}
	}
	return id
}

func (o one) actor(actor string) string {
	if actor == fmt.Sprintf("person:%d", o.model.applicant) {
		return fmt.Sprintf("person:%d", offset+o.applicant)
	}
	return actor
}

type holder struct{ name, siret string }

type applicant struct{ given, family, email string }

func holderOf(n int) holder {
	random := rand.New(rand.NewPCG(uint64(n), 13))
	kind := "Commune de "
	if n%9 == 0 {
		kind = "Communauté de communes de "
	}
	return holder{kind + invented(random, 3), siretOf(1000 + n)}
}

func applicantOf(n int) applicant {
	random := rand.New(rand.NewPCG(uint64(n), 17))
	given := givenNames[random.IntN(len(givenNames))]
	family := invented(random, 2)
	return applicant{given, family, fmt.Sprintf("%s.%s%d@mairie%d.example", folded(given), strings.ToLower(family), n, n/applicantsOf)}
}

var (
	givenNames = []string{"Zoé", "Jeanne", "Lise", "Karim", "Paul", "Inès", "Louis", "Maël", "Awa", "Noé", "Sarah", "Hugo", "Nadia", "Yves", "Rose", "Élie"}
	syllables  = []string{"bra", "val", "mon", "tre", "cor", "lin", "sau", "vey", "ron", "gar", "pel", "dou", "fre", "mar", "nes", "tal", "vil", "ber", "chan", "roc"}
	subjects   = []string{"Cantine", "Transport scolaire", "Crèche", "Bourses", "Périscolaire", "Centre de loisirs", "Aide sociale", "Marchés publics", "Subventions", "Restauration", "Stationnement résidentiel", "Médiathèque", "Piscine", "Conservatoire"}
	purposes   = []string{"calcul du tarif", "instruction des dossiers", "vérification des ressources", "attribution des places", "contrôle des pièces", "dématérialisation", "portail famille", "guichet unique"}
)

func invented(random *rand.Rand, n int) string {
	var name strings.Builder
	for range n {
		name.WriteString(syllables[random.IntN(len(syllables))])
	}
	return strings.ToUpper(name.String()[:1]) + name.String()[1:]
}

func titleOf(random *rand.Rand) string {
	return fmt.Sprintf("%s : %s, %s %d", subjects[random.IntN(len(subjects))], purposes[random.IntN(len(purposes))], invented(random, 2), 2020+random.IntN(7))
}

// siretOf gives a number of the right form (Luhn, twice) that is nobody's.
func siretOf(n int) string {
	siren := luhn(fmt.Sprintf("%08d", 21_000_000+n))
	return luhn(siren + "0001")
}

// luhn adds the digit of control.
func luhn(digits string) string {
	sum := 0
	for i := range len(digits) {
		d := int(digits[len(digits)-1-i] - '0')
		if i%2 == 0 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return digits + fmt.Sprint((10-sum%10)%10)
}

var foldBench = strings.NewReplacer("é", "e", "è", "e", "ë", "e", "ê", "e", "É", "e")

func folded(s string) string { return foldBench.Replace(strings.ToLower(s)) }

// wordsOf are those that the hub indexes a request by (internal/store/words.go);
// readModel checks that they are the same.
func wordsOf(title string, h holder, a applicant) []string {
	var words []string
	add := func(text string) {
		for _, w := range strings.FieldsFunc(folded(text), func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') }) {
			if len(w) > 1 && !slices.Contains([]string{"de", "du", "des", "la"}, w) {
				words = append(words, w)
			}
		}
	}
	add(title)
	add(h.name)
	add(a.given + " " + a.family)
	words = append(words, folded(a.email))
	add(a.email)
	words = append(words, h.siret, h.siret[:9])
	slices.Sort(words)
	return slices.Compact(words)
}

// quoted is a JSON value as the hash of a line is taken of it.
func quoted(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings and maps of them
	}
	return string(raw)
}

// copyAll writes every table, side by side.
func (b *requestsBench) copyAll() {
	b.t.Helper()
	a := b.archive
	group, ctx := errgroup.WithContext(b.t.Context())
	into := func(table string, columns []string, rows func(yield func([]any) bool)) {
		group.Go(func() error {
			conn, err := b.w.hub.pool.Acquire(ctx)
			if err != nil {
				return err
			}
			defer conn.Release()
			if _, err := conn.Exec(ctx, "set statement_timeout = 0"); err != nil {
				return err
			}
			next, stop := pull(rows)
			defer stop()
			_, err = conn.CopyFrom(ctx, pgx.Identifier{table}, columns, pgx.CopyFromFunc(next))
			if err != nil {
				err = fmt.Errorf("%s: %w", table, err)
			}
			return err
		})
	}
	into("organization", []string{"id", "siret", "name"}, a.organizationRows)
	into("person", []string{"id", "uid", "email", "given_name", "family_name", "phone_number", "job_title"}, a.personRows)
	into("membership", []string{"person_id", "organization_id", "verified"}, a.membershipRows)
	into("request", []string{
		"id", "origin", "public_id", "definition", "form", "state", "reopening", "data", "organization_id", "applicant_id", "service_provider_id",
		"service_provider_siret", "service_provider_type", "created_at", "terms_accepted", "dpo_informed", "last_submitted_at",
		"last_validated_at", "reopened_at", "version", "updated_at", "definition_set", "words",
	}, a.requestRows)
	into("request_word", []string{"word", "request_id", "definition"}, a.wordRows)
	into("habilitation", []string{
		"id", "request_id", "definition", "form", "state", "data", "organization", "applicant", "message", "created_at", "updated_at",
	}, a.grantRows)
	into("history", []string{
		"request_id", "seq", "at", "actor", "event", "entity_type", "entity_id", "reason", "detail", "correlation", "prev_hash", "hash",
	}, a.historyRows)
	if err := group.Wait(); err != nil {
		b.t.Fatal(err)
	}
}

// pull turns rows into the function that COPY asks, batch by batch: a switch of
// goroutines for each row would cost more than the row.
func pull(rows func(yield func([]any) bool)) (next func() ([]any, error), stop func()) {
	batches := make(chan [][]any, 2)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer close(batches)
		var batch [][]any
		send := func() bool {
			select {
			case batches <- batch:
				batch = nil
				return true
			case <-ctx.Done():
				return false
			}
		}
		rows(func(row []any) bool {
			batch = append(batch, row)
			return len(batch) < 500 || send()
		})
		send()
	}()
	var current [][]any
	return func() ([]any, error) {
		for len(current) == 0 {
			batch, more := <-batches
			if !more {
				return nil, nil
			}
			current = batch
		}
		row := current[0]
		current = current[1:]
		return row, nil
	}, cancel
}

func (a *archive) organizationRows(yield func([]any) bool) {
	for n := range a.holders {
		h := holderOf(n)
		if !yield([]any{int64(offset + n), h.siret, h.name}) {
			return
		}
	}
}

func (a *archive) personRows(yield func([]any) bool) {
	for n := range a.holders * applicantsOf {
		p := applicantOf(n)
		if !yield([]any{int64(offset + n), nil, p.email, p.given, p.family, "0612345678", "Responsable du service"}) {
			return
		}
	}
}

func (a *archive) membershipRows(yield func([]any) bool) {
	for n := range a.holders * applicantsOf {
		if !yield([]any{int64(offset + n), int64(offset + n/applicantsOf), true}) {
			return
		}
	}
}

func (a *archive) requestRows(yield func([]any) bool) {
	for n := range a.requests {
		o := a.at(n)
		m := o.model
		row := []any{
			o.id, string(habilitation.Native), inventedUUID(o.random), m.definition, m.form, m.state, m.reopening, o.text(m.data),
			int64(offset + o.holder), int64(offset + o.applicant), m.provider[0], m.provider[1], m.provider[2], o.created, m.terms, m.dpo,
			o.shiftAny(m.submitted), o.shiftAny(m.validated), o.shiftAny(m.reopened), m.version, o.shift(m.updated), m.set,
			wordsOf(o.title, holderOf(o.holder), applicantOf(o.applicant)),
		}
		if !yield(row) {
			return
		}
	}
}

func inventedUUID(random *rand.Rand) uuid.UUID {
	var id uuid.UUID
	binary.BigEndian.PutUint64(id[:8], random.Uint64())
	binary.BigEndian.PutUint64(id[8:], random.Uint64())
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	return id
}

func (a *archive) wordRows(yield func([]any) bool) {
	for n := range a.requests {
		o := a.at(n)
		for _, w := range wordsOf(o.title, holderOf(o.holder), applicantOf(o.applicant)) {
			if !yield([]any{w, o.id, o.model.definition}) {
				return
			}
		}
	}
}

func (a *archive) grantRows(yield func([]any) bool) {
	for n := range a.requests {
		o := a.at(n)
		for k, g := range o.model.grants {
			h, p := holderOf(o.holder), applicantOf(o.applicant)
			organization := quoted(habilitation.Organization{ID: int64(offset + o.holder), SIRET: h.siret, Name: h.name})
			person := quoted(habilitation.Applicant{
				ID: int64(offset + o.applicant), Email: p.email, GivenName: p.given, FamilyName: p.family, PhoneNumber: "0612345678", JobTitle: "Responsable du service",
			})
			if !yield([]any{o.grantID(k), o.id, g.definition, g.form, g.state, o.text(g.data), organization, person, g.message, o.shift(g.created), o.shift(g.updated)}) {
				return
			}
		}
	}
}

func (a *archive) historyRows(yield func([]any) bool) {
	for n := range a.requests {
		o := a.at(n)
		before := []byte{}
		for i, l := range o.model.lines {
			actor, entity, detail := o.actor(l.actor), o.entity(l.entityID), o.text(l.detail)
			at, correlation := o.shift(l.at).UTC(), inventedUUID(o.random).String()
			sum := sha256.New()
			sum.Write(before)
			fmt.Fprintf(sum, `{"actor":%q,"at":%q,"correlation":%q,"detail":%s,"entity_id":%q,"entity_type":%q,"event":%q,"reason":%s,"request":%d,"seq":%d}`,
				actor, at.Format(time.RFC3339Nano), correlation, detail, entity, l.entityType, l.event, quoted(l.reason), o.id, i+1)
			hash := sum.Sum(nil)
			a.lines++
			if !yield([]any{o.id, int32(i + 1), at, actor, l.event, l.entityType, entity, l.reason, detail, correlation, before, hash}) {
				return
			}
			before = hash
		}
	}
}

// dropIndexes takes what COPY would be slowed by off the tables that it fills,
// and gives what puts it back.
func (b *requestsBench) dropIndexes() (restore func()) {
	b.t.Helper()
	const tables = `('request', 'request_word', 'habilitation', 'history', 'person', 'organization', 'membership')`
	read := func(query string) [][2]string {
		rows, err := b.w.hub.pool.Query(b.t.Context(), query)
		if err != nil {
			b.t.Fatal(err)
		}
		list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) ([2]string, error) {
			var pair [2]string
			err := row.Scan(&pair[0], &pair[1])
			return pair, err
		})
		if err != nil {
			b.t.Fatal(err)
		}
		return list
	}
	const constraint = `select format('alter table %1$s drop constraint %2$I', c.conrelid::regclass, c.conname),
		format('alter table %1$s add constraint %2$I %3$s', c.conrelid::regclass, c.conname, pg_get_constraintdef(c.oid))
		from pg_constraint c where c.conparentid = 0 and `
	all := read(constraint + `c.contype = 'f' and (c.conrelid::regclass::text in ` + tables + ` or c.confrelid::regclass::text in ` + tables + `)`)
	all = append(all, read(constraint+`c.contype in ('p', 'u') and c.conrelid::regclass::text in `+tables)...)
	all = append(all, read(`select format('drop index %I', indexname), indexdef from pg_indexes where schemaname = current_schema() and tablename in `+tables+`
		and not exists (select from pg_constraint where conname = indexname)`)...)
	for _, pair := range all {
		b.exec(pair[0])
	}
	return func() {
		b.t.Helper()
		for _, pair := range slices.Backward(all) {
			b.exec(pair[1])
		}
	}
}

// get names one request.
func (a *archive) get(random *rand.Rand) string {
	return fmt.Sprintf("/hub/v1/requests/%d", offset+random.IntN(a.requests))
}

// bare names one row.
func (a *archive) bare(random *rand.Rand) string {
	return fmt.Sprintf("/%d", offset+random.IntN(a.requests))
}

// page names a list: all that the caller may read, of one definition, or of one
// state; its first page, or one further on.
func (a *archive) page(random *rand.Rand) string {
	pairs := [][]string{{}, {"definition_id", "api_entreprise"}, {"state", "submitted"}, {"offset", fmt.Sprint(25 * random.IntN(40))}}
	return queries("/hub/v1/requests", pairs[random.IntN(len(pairs))]...)
}

// filters names a search by two filters.
func (a *archive) filters(random *rand.Rand) string {
	o := a.at(random.IntN(a.requests))
	h, p := holderOf(o.holder), applicantOf(o.applicant)
	pairs := [][]string{
		{"definition_id", o.model.definition, "state", o.model.state},
		{"form_uid", o.model.form, "state", o.model.state},
		{"organization", h.siret, "state", o.model.state},
		{"organization", h.name, "definition_id", o.model.definition},
		{"applicant", p.email, "state", o.model.state},
	}
	return queries("/hub/v1/requests", pairs[random.IntN(len(pairs))]...)
}

// text names a search by words: rare, common, several, an address, a number.
func (a *archive) text(random *rand.Rand) string {
	o := a.at(random.IntN(a.requests))
	h, p := holderOf(o.holder), applicantOf(o.applicant)
	_, place, _ := strings.Cut(h.name, " de ")
	subject, _, _ := strings.Cut(o.title, " :")
	texts := []string{p.family, place, subject + " " + place, p.given + " " + p.family, p.email, h.siret, o.title + " " + place}
	return queries("/hub/v1/requests", "q", texts[random.IntN(len(texts))])
}

// TestInventedNumbersAreSIRETs keeps the bench's organisations searchable.
func TestInventedNumbersAreSIRETs(t *testing.T) {
	for n := range 2000 {
		if s := siretOf(n); !habilitation.ValidSIRET(s) {
			t.Fatalf("%s is no SIRET", s)
		}
	}
}
