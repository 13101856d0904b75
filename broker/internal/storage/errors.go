package storage

import (
	"errors"
	"fmt"

	"millrace/broker/internal/record"
)

// Append also returns the errors of package record, for batches that are refused.
var (
	// ErrOffline is returned by everything once a sync has failed: what the disk holds is not
	// known any more (KAFKA_STORAGE_ERROR). The folder has to be opened again.
	ErrOffline = errors.New("data folder is offline")
	// ErrNoSpace is returned when the disk is full (KAFKA_STORAGE_ERROR). Nothing was appended; a later append may succeed.
	ErrNoSpace = errors.New("no space left on the disk")
	// ErrClosed is returned by a log that has been closed or deleted.
	ErrClosed = errors.New("log is closed")
	// ErrNotFound is returned by Dir.Open for a partition without a folder.
	ErrNotFound = errors.New("no such log")
	// ErrExists is returned by Dir.Create for a partition that has a folder.
	ErrExists = errors.New("log exists")
	// ErrTopicID is returned when a folder belongs to an earlier topic of the same name (INCONSISTENT_TOPIC_ID).
	ErrTopicID = errors.New("folder belongs to another topic id")
	// ErrListTooLarge is returned when the batches do not fit into one segment (RECORD_LIST_TOO_LARGE).
	ErrListTooLarge = errors.New("batches are larger than a segment")
	// ErrOutOfOrder is returned when a producer's sequence number is not the next one (OUT_OF_ORDER_SEQUENCE_NUMBER).
	ErrOutOfOrder = errors.New("out of order sequence number")
	// ErrProducerFenced is returned when a newer epoch of the producer has written (INVALID_PRODUCER_EPOCH).
	ErrProducerFenced = errors.New("producer epoch is older than the current one")
	// ErrTxnState is returned when a batch does not belong to the producer's open transaction, or belongs to none while
	// one is open (INVALID_TXN_STATE).
	ErrTxnState = errors.New("batch is not part of the producer's transaction")
	// ErrCoordinatorFenced is returned when a marker comes from an earlier coordinator (TRANSACTION_COORDINATOR_FENCED).
	ErrCoordinatorFenced = errors.New("coordinator epoch is older than the last one")
	// ErrLeaderEpoch is returned when an append carries an older leader epoch than the log (FENCED_LEADER_EPOCH).
	ErrLeaderEpoch = errors.New("leader epoch is older than the log's")
	// ErrCorrupted is what every *CorruptionError is.
	ErrCorrupted = errors.New("corrupted")
)

// OffsetRangeError is returned when an offset is not in the log (OFFSET_OUT_OF_RANGE).
type OffsetRangeError struct {
	Offset, Start, End record.Offset
}

func (e *OffsetRangeError) Error() string {
	return fmt.Sprintf("offset %d is not between %d and %d", e.Offset, e.Start, e.End)
}

// CorruptionError is returned when bytes on disk are not what was written. Nothing is cut or repaired.
type CorruptionError struct {
	File     string
	Position int64
	Err      error
}

func (e *CorruptionError) Error() string {
	return fmt.Sprintf("%s is corrupted at position %d: %v", e.File, e.Position, e.Err)
}

// Unwrap makes errors.Is(err, ErrCorrupted) true.
func (e *CorruptionError) Unwrap() []error { return []error{ErrCorrupted, e.Err} }
