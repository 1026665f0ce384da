package store

import (
	"encoding/json"

	"github.com/jackc/pgx/v5/pgtype"
	fastjson "github.com/segmentio/encoding/json"
)

// plainJSON has documents read as they are. pgx would parse them once more to
// find that they are JSON, which the database knows.
func plainJSON(m *pgtype.Map) {
	m.RegisterType(&pgtype.Type{Name: "json", OID: pgtype.JSONOID, Codec: &pgtype.JSONCodec{Marshal: json.Marshal, Unmarshal: readJSON}})
	m.RegisterType(&pgtype.Type{Name: "jsonb", OID: pgtype.JSONBOID, Codec: &pgtype.JSONBCodec{Marshal: json.Marshal, Unmarshal: readJSON}})
}

func readJSON(document []byte, to any) error {
	if raw, ok := to.(*json.RawMessage); ok {
		*raw = append(json.RawMessage{}, document...)
		return nil
	}
	return json.Unmarshal(document, to)
}

// readStored reads a document that the database gave. Its texts stay in the
// document's memory, which nobody may change.
func readStored(document []byte, to any) error {
	_, err := fastjson.Parse(document, to, fastjson.DontCopyString)
	return err
}
