package record

import "errors"

// The classes of refusal. Check and the decoders wrap one of them, with the
// detail in the text; the server maps each to one Kafka error code.
var (
	// ErrCorrupt is returned when lengths do not add up or the checksum is wrong: CORRUPT_MESSAGE.
	ErrCorrupt = errors.New("corrupt batch")
	// ErrInvalid is returned when an intact batch breaks a rule: INVALID_RECORD.
	ErrInvalid = errors.New("invalid record")
	// ErrTooLarge is returned when a batch exceeds max.message.bytes: MESSAGE_TOO_LARGE.
	ErrTooLarge = errors.New("batch too large")
	// ErrUnsupportedFormat is returned for batches of magic 0 or 1: UNSUPPORTED_FOR_MESSAGE_FORMAT.
	ErrUnsupportedFormat = errors.New("unsupported message format")
	// ErrTimestamp is returned when a timestamp is out of the allowed range: INVALID_TIMESTAMP.
	ErrTimestamp = errors.New("invalid timestamp")
	// ErrUnsupportedCompression is returned for a compression type that does not exist: UNKNOWN_SERVER_ERROR, as from Kafka.
	ErrUnsupportedCompression = errors.New("unsupported compression type")
	// ErrUndecodable is returned when the records of an intact batch cannot be decompressed: UNKNOWN_SERVER_ERROR, as from Kafka.
	ErrUndecodable = errors.New("records cannot be decompressed")
)
