package order

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"time"
)

// Key is the client's Idempotency-Key with the fingerprint of the request that
// came with it. The zero Key stands for a request without one.
type Key struct {
	Value       string
	Fingerprint [sha256.Size]byte
}

// Hash is what is kept of the key, and sent with the event: whoever reads either
// cannot use the key.
func (k Key) Hash() string {
	sum := sha256.Sum256([]byte(k.Value))
	return hex.EncodeToString(sum[:])
}

// Store keeps orders and products. Package postgres has it.
type Store interface {
	// Catalogue returns what can be ordered now.
	Catalogue(ctx context.Context) (Catalogue, error)
	// Insert stores the order, its event and its key in one transaction. When the
	// key is known already, nothing is stored: placed is then the order as it was
	// placed under that key, or the error ErrKeyReused if the fingerprints differ.
	Insert(ctx context.Context, o Order, key Key) (placed Order, err error)
	// Order returns one order, or ErrNotFound.
	Order(ctx context.Context, id string) (Order, error)
	// List returns the page that the filter picks.
	List(ctx context.Context, f Filter) ([]Order, error)
}

// Shop takes orders.
type Shop struct {
	Store
	NewID   func() string
	Now     func() time.Time
	TraceID func(ctx context.Context) string
}

// Place checks, prices and stores an order. idempotencyKey may be empty.
func (s Shop) Place(ctx context.Context, r Request, idempotencyKey string) (Order, error) {
	catalogue, err := s.Catalogue(ctx)
	if err != nil {
		return Order{}, err
	}
	o, err := Place(s.NewID(), r, catalogue, s.Now())
	if err != nil {
		return Order{}, err
	}
	o.TraceID = s.TraceID(ctx)
	var key Key
	if idempotencyKey != "" {
		key = Key{Value: idempotencyKey, Fingerprint: r.Fingerprint()}
	}
	return s.Insert(ctx, o, key)
}

// Fingerprint tells requests apart by what they ask for, not by how the JSON was
// written: white space and the order of names do not count, the order of items does.
func (r Request) Fingerprint() [sha256.Size]byte {
	text := make([]byte, 0, 256)
	field := func(s string) {
		text = binary.AppendUvarint(text, uint64(len(s)))
		text = append(text, s...)
	}
	field(r.CustomerID)
	for _, line := range r.Lines {
		field(line.ProductID)
		text = binary.AppendVarint(text, line.Quantity)
	}
	return sha256.Sum256(text)
}
