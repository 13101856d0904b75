// Package record encodes, checks and decodes record batches, format 2 (KIP-98).
//
//	 0            8         12            16      17       21
//	+------------+---------+-------------+-------+--------+------------+
//	| baseOffset | length  | leaderEpoch | magic | crc32c | attributes |
//	| 8          | 4       | 4           | 1     | 4      | 2          |
//	+------------+---------+-------------+-------+--------+------------+
//	 23                27         35       43           51              53
//	+-----------------+----------+--------+------------+---------------+
//	| lastOffsetDelta | baseTime | maxTime| producerId | producerEpoch |
//	| 4               | 8        | 8      | 8          | 2             |
//	+-----------------+----------+--------+------------+---------------+
//	 53             57      61
//	+--------------+-------+---------------------------------
//	| baseSequence | count | records, compressed as a whole
//	| 4            | 4     |
//	+--------------+-------+---------------------------------
//
// length counts what follows it. The checksum covers everything from attributes
// on, so the broker may set baseOffset and leaderEpoch without touching it.
//
//	attributes  bits 0-2 compression · 3 log append time · 4 transactional
//	            5 control · 6 delete horizon
//
// A Batch is a view of somebody else's bytes: accessors copy nothing, setters
// write in place, and decoded keys and values of an uncompressed batch are slices
// of it. Functions of this package never keep what they are given.
package record

// Offset is the position of a record in its partition, counted from 0.
type Offset int64

// Epoch counts the leaders that a partition has had; -1 means unknown.
type Epoch int32

// NoTimestamp is the timestamp of a batch without one.
const NoTimestamp int64 = -1

// NoProducer is the producer id of a batch that was sent without idempotence.
const NoProducer int64 = -1

// NoSequence is the base sequence of such a batch.
const NoSequence int32 = -1
