package kongtest

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"maps"
	"strings"
	"time"
)

// input is the body of a write, read field by field.
type input struct {
	values   map[string]any // null is nil
	consumer string         // id, "" when not given
	ttl      *int64         // seconds; 0: never
	faults   violations
}

// readInput takes the arguments of a body. What is wrong with single fields
// is kept, to be told with what is wrong with the whole.
func (s *Server) readInput(of *schema, args map[string]any) (input, error) {
	in := input{values: map[string]any{}}
	for _, name := range sortedKeys(args) {
		value := args[name]
		f, known := of.field(name)
		switch {
		case name == "ttl" && of.ttl:
			if value == nil {
				continue
			}
			ttl, err := readTTL(value)
			if err != nil {
				return in, err
			}
			in.ttl = &ttl
		case name == "consumer" && of != consumers:
			id, fault, err := s.resolveConsumer(value)
			if err != nil {
				return in, err
			}
			if fault != "" {
				in.faults.add(name, fault)
			}
			in.consumer = id
		case !known:
			in.faults.add(name, "unknown field")
		default:
			read, fault := f.read(value)
			if fault != nil {
				in.faults.add(name, fault)
			}
			in.values[name] = read
		}
	}
	return in, nil
}

// resolveConsumer takes {"id":…}, {"username":…} or {"custom_id":…}.
func (s *Server) resolveConsumer(value any) (id, fault string, err error) {
	if value == nil {
		return "", "", nil
	}
	key, ok := value.(map[string]any)
	if !ok {
		return "", "expected a record", nil
	}
	if id, ok := key["id"].(string); ok {
		return id, "", nil
	}
	for _, name := range consumers.atLeastOne {
		if wanted, ok := key[name].(string); ok {
			if e := s.tables[consumers].unique[name][wanted]; e != nil {
				return e.id(), "", nil
			}
			return "", "", unresolved(name, wanted)
		}
	}
	return "", "missing primary key", nil
}

// insert makes a row: POST.
func (s *Server) insert(t *table, in input) (*entity, error) {
	if s.opts.DBLess {
		return nil, readOnly("create", t.schema)
	}
	e := s.newEntity(t, in)
	if t.find("id", e.id(), s.now()) != nil {
		return nil, primaryKeyViolation(e.id())
	}
	return e, s.store(t, nil, e, &in)
}

// upsert makes a row or replaces one: PUT. What the body leaves out is null
// again, the ttl included (api-managers.md, 3.2, traps).
func (s *Server) upsert(t *table, existing *entity, in input) (*entity, error) {
	if s.opts.DBLess {
		return nil, readOnly("create or update", t.schema)
	}
	if existing != nil {
		in.values["id"] = existing.id()
	}
	e := s.newEntity(t, in)
	return e, s.store(t, existing, e, &in)
}

// update changes what the body holds: PATCH.
func (s *Server) update(t *table, existing *entity, in input) (*entity, error) {
	if s.opts.DBLess {
		return nil, readOnly("update", t.schema)
	}
	e := existing.copy()
	delete(in.values, "id")
	maps.Copy(e.values, in.values)
	if in.consumer != "" {
		e.consumer = in.consumer
	}
	now := s.now()
	if in.ttl != nil {
		e.expireIn(now, *in.ttl)
	}
	if _, ok := t.schema.field("updated_at"); ok {
		e.values["updated_at"] = now.Unix()
	}
	return e, s.store(t, existing, e, &in)
}

func (s *Server) newEntity(t *table, in input) *entity {
	e := &entity{values: in.values, consumer: in.consumer}
	now := s.now()
	for _, f := range t.schema.fields {
		value, given := e.values[f.name]
		if given && (f.kind != timestamp || value != nil && f.name != "updated_at") {
			continue
		}
		switch {
		case f.auto && f.kind == identifier:
			e.values[f.name] = s.newID()
		case f.auto && f.kind == timestamp:
			e.values[f.name] = now.Unix()
		case f.auto:
			e.values[f.name] = randomText()
		case f.byDefault != nil:
			e.values[f.name] = f.byDefault
		}
	}
	if in.ttl != nil {
		e.expireIn(e.at("created_at"), *in.ttl)
	}
	return e
}

func (e *entity) expireIn(from time.Time, ttl int64) {
	e.expiresAt = time.Time{}
	if ttl > 0 {
		e.expiresAt = from.Add(time.Duration(ttl) * time.Second)
	}
}

// store judges a row and puts it in the place of the existing one, if any.
func (s *Server) store(t *table, existing, e *entity, in *input) error {
	t.schema.check(e, &in.faults)
	if err := in.faults.err(); err != nil {
		return err
	}
	if e.id() == "" { // null was sent
		return primaryKeyViolation("null")
	}
	if t.schema != consumers && s.tables[consumers].byID[e.consumer] == nil {
		return noSuchConsumer(e.consumer)
	}
	s.dropExpired(t, e)
	if err := t.conflict(e); err != nil {
		return err
	}
	for _, name := range []string{"key", "secret", "client_secret"} {
		if secret := e.str(name); secret != "" && (existing == nil || existing.str(name) != secret) {
			s.RegisterSecret(secret)
		}
	}
	if t.schema == oauth2 {
		hashSecret(e)
	}
	if existing != nil {
		t.remove(existing)
	}
	t.add(e)
	s.publish(t.schema, existing, e)
	return nil
}

// remove deletes a row and what belongs to it.
func (s *Server) remove(t *table, e *entity) error {
	if s.opts.DBLess {
		return readOnly("remove", t.schema)
	}
	if t.schema == consumers {
		for _, of := range schemas[1:] {
			owned := s.tables[of]
			for len(owned.byConsumer[e.id()]) > 0 {
				row := owned.byConsumer[e.id()][0]
				owned.remove(row)
				s.publish(of, row, nil)
			}
		}
	}
	t.remove(e)
	s.publish(t.schema, e, nil)
	return nil
}

// dropExpired forgets rows whose ttl has passed and that e would collide with.
func (s *Server) dropExpired(t *table, e *entity) {
	for _, name := range t.uniqueKeys() {
		if other := t.unique[name][t.uniqueValue(e, name)]; other != nil && other.expired(s.now()) {
			t.remove(other)
		}
	}
}

// find gives the row with this id or unique value; one whose ttl has passed is
// invisible.
func (t *table) find(name, value string, now time.Time) *entity {
	e := t.byID[value]
	if name != "id" {
		e = t.unique[name][value]
	}
	if e == nil || e.expired(now) {
		return nil
	}
	return e
}

// hashSecret keeps a hash of client_secret where hash_secret says so.
func hashSecret(e *entity) {
	const prefix, iterations = "$pbkdf2-sha512$i=10000,l=32$", 10_000
	secret := e.str("client_secret")
	if e.values["hash_secret"] != true || secret == "" || strings.HasPrefix(secret, prefix) {
		return
	}
	salt := make([]byte, 32)
	_, _ = rand.Read(salt) // never fails
	hash, err := pbkdf2.Key(sha512.New, secret, salt, iterations, 32)
	if err != nil {
		panic(fmt.Sprintf("kongtest: %v", err)) // only for lengths that FIPS refuses
	}
	encode := base64.RawStdEncoding.EncodeToString
	e.values["client_secret"] = prefix + encode(salt) + "$" + encode(hash)
}

// randomText is a generated key or secret: 32 letters and digits.
func randomText() string { return rand.Text() + rand.Text()[:6] }
