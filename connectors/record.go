package connectors

import (
	"context"
	"encoding/json"
	"fmt"
)

// ReadRecord gives a ledger's record, one JSON object, or false.
func ReadRecord[T any](ctx context.Context, l Ledger, key string) (record T, found bool, err error) {
	data, found, err := l.Get(ctx, key)
	if err != nil || !found {
		return record, false, err
	}
	if err := json.Unmarshal(data, &record); err != nil {
		return record, false, fmt.Errorf("record %s: %w", key, err)
	}
	return record, true, nil
}

// WriteRecord writes a record as JSON. It holds no clear secret.
func WriteRecord(ctx context.Context, l Ledger, key string, record any) error {
	data, err := json.Marshal(record)
	if err != nil {
		return err
	}
	return l.Put(ctx, key, data)
}

// WriteRecordOnce writes a record that is written once; false when it is there.
func WriteRecordOnce(ctx context.Context, l Ledger, key string, record any) (bool, error) {
	data, err := json.Marshal(record)
	if err != nil {
		return false, err
	}
	return l.PutNew(ctx, key, data)
}
