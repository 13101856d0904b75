package order

import (
	"crypto/sha256"
	"time"
)

// Placed is an order as the log tells of it.
type Placed struct {
	Order
	// KeyHash is the hash of the Idempotency-Key that may still come again; empty: none.
	KeyHash     string
	Fingerprint [sha256.Size]byte
}

// Heard is an outcome, and the message that told of it.
type Heard struct {
	Outcome
	MessageID string
	MessageAt time.Time
}
