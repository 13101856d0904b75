package server

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"

	"millrace/broker/internal/record"
	"millrace/broker/internal/replica"
	"millrace/broker/internal/storage"
)

// errorCodes is how the errors of records, logs and partitions are told to clients.
// What is not in it is ours alone: UNKNOWN_SERVER_ERROR, logged with detail.
var errorCodes = []struct {
	err  error
	code *kerr.Error
}{
	// These first: they wrap what is wrong with the bytes on disk, which is not the client's fault.
	{storage.ErrOffline, kerr.KafkaStorageError},
	{storage.ErrNoSpace, kerr.KafkaStorageError},
	{storage.ErrCorrupted, kerr.KafkaStorageError},
	{replica.ErrStorage, kerr.KafkaStorageError},
	{replica.ErrUnknown, kerr.UnknownTopicOrPartition},
	{replica.ErrNotLeader, kerr.NotLeaderForPartition},
	{replica.ErrFencedEpoch, kerr.FencedLeaderEpoch},
	{replica.ErrUnknownEpoch, kerr.UnknownLeaderEpoch},
	{record.ErrUndecodable, kerr.UnknownServerError},
	{record.ErrCorrupt, kerr.CorruptMessage},
	{record.ErrInvalid, kerr.InvalidRecord},
	{record.ErrTooLarge, kerr.MessageTooLarge},
	{record.ErrUnsupportedFormat, kerr.UnsupportedForMessageFormat},
	{record.ErrTimestamp, kerr.InvalidTimestamp},
	{record.ErrUnsupportedCompression, kerr.UnknownServerError},
	{storage.ErrListTooLarge, kerr.RecordListTooLarge},
	{storage.ErrOutOfOrder, kerr.OutOfOrderSequenceNumber},
	{storage.ErrProducerFenced, kerr.InvalidProducerEpoch},
	{storage.ErrTxnState, kerr.InvalidTxnState},
	{storage.ErrCoordinatorFenced, kerr.TransactionCoordinatorFenced},
	{storage.ErrLeaderEpoch, kerr.FencedLeaderEpoch},
	{storage.ErrTopicID, kerr.InconsistentTopicID},
	// The log went away under the request: its topic was deleted just now.
	{storage.ErrClosed, kerr.UnknownTopicOrPartition},
	{context.DeadlineExceeded, kerr.RequestTimedOut},
	{context.Canceled, kerr.RequestTimedOut},
}

// codeOf returns the Kafka error code of err, 0 for nil.
func (s *Server) codeOf(err error, doing, topic string, partition int32) int16 {
	if err == nil {
		return 0
	}
	var outOfRange *storage.OffsetRangeError
	if errors.As(err, &outOfRange) {
		return kerr.OffsetOutOfRange.Code
	}
	for _, e := range errorCodes {
		if errors.Is(err, e.err) {
			return e.code.Code
		}
	}
	s.log.Error("request failed", "doing", doing, "topic", topic, "partition", partition, "error", err)
	return kerr.UnknownServerError.Code
}

// codeAndText is an error as answers have it; 0 and null for nil.
func codeAndText(err *kerr.Error) (int16, *string) {
	if err == nil {
		return 0, nil
	}
	return err.Code, &err.Description
}
