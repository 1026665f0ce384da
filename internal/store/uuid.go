package store

import (
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"
)

// plainUUIDs has ids written and read as their 16 bytes. pgx would go through
// their text, which for a batch of deliveries costs more than the rest of it.
func plainUUIDs(m *pgtype.Map) {
	m.TryWrapEncodePlanFuncs = append([]pgtype.TryWrapEncodePlanFunc{wrapUUIDEncode}, m.TryWrapEncodePlanFuncs...)
	m.TryWrapScanPlanFuncs = append([]pgtype.TryWrapScanPlanFunc{wrapUUIDScan}, m.TryWrapScanPlanFuncs...)
}

// wireUUID is a uuid.UUID as pgx's own codec takes it.
type wireUUID uuid.UUID

// UUIDValue gives the value to write.
func (u wireUUID) UUIDValue() (pgtype.UUID, error) { return pgtype.UUID{Bytes: u, Valid: true}, nil }

// ScanUUID takes the value read; null is the zero one, as in uuid.UUID.Scan.
func (u *wireUUID) ScanUUID(v pgtype.UUID) error {
	*u = wireUUID(v.Bytes)
	return nil
}

func wrapUUIDEncode(value any) (pgtype.WrappedEncodePlanNextSetter, any, bool) {
	id, ok := value.(uuid.UUID)
	return &uuidEncodePlan{}, wireUUID(id), ok
}

type uuidEncodePlan struct{ next pgtype.EncodePlan }

// SetNext sets the codec's plan.
func (p *uuidEncodePlan) SetNext(next pgtype.EncodePlan) { p.next = next }

// Encode writes an id.
func (p *uuidEncodePlan) Encode(value any, buf []byte) ([]byte, error) {
	id, _ := value.(uuid.UUID) // the plan is made for it
	return p.next.Encode(wireUUID(id), buf)
}

func wrapUUIDScan(target any) (pgtype.WrappedScanPlanNextSetter, any, bool) {
	id, ok := target.(*uuid.UUID)
	return &uuidScanPlan{}, (*wireUUID)(id), ok
}

type uuidScanPlan struct{ next pgtype.ScanPlan }

// SetNext sets the codec's plan.
func (p *uuidScanPlan) SetNext(next pgtype.ScanPlan) { p.next = next }

// Scan reads an id.
func (p *uuidScanPlan) Scan(src []byte, target any) error {
	id, _ := target.(*uuid.UUID) // the plan is made for it
	return p.next.Scan(src, (*wireUUID)(id))
}
