package compat

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"testing"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Idempotent producers of both libraries write each record once.
func TestIdempotence_Producers(t *testing.T) {
	t.Parallel()
	seeds := seeds(t)
	for _, c := range []client{
		{name: "franz-go", produce: produceFranz}, // idempotent unless told otherwise
		{name: "sarama", produce: func(t *testing.T, seeds []string, topic, _ string, records []record) {
			t.Helper()
			config := saramaConfig(sarama.V2_8_0_0)
			config.Producer.Idempotent = true
			config.Net.MaxOpenRequests = 1
			produceSaramaWith(t, config, seeds, topic, records)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			topic := newTopic(t, seeds, 3, nil)
			want := samples("once", 300)
			c.produce(t, seeds, topic, "none", want[:150])
			c.produce(t, seeds, topic, "none", want[150:])
			if n := recordCount(t, seeds, topic); n != int64(len(want)) {
				t.Fatalf("topic has %d records, want %d", n, len(want))
			}
		})
	}
}

// A batch that is sent again, as after a lost answer, is answered with its first offset and not
// stored again; one that leaves a gap, or comes from an older incarnation, is refused.
func TestIdempotence_SequenceNumbers(t *testing.T) {
	t.Parallel()
	seeds := seeds(t)
	topic := newTopic(t, seeds, 1, nil)
	client := newKgo(t, seeds)
	ctx := within(t, patience)

	init := kmsg.NewInitProducerIDRequest()
	id, err := init.RequestWith(ctx, client)
	if err != nil {
		t.Fatal(err)
	}
	if err := kerr.ErrorForCode(id.ErrorCode); err != nil {
		t.Fatal(err)
	}
	send := func(epoch int16, sequence int32, values ...string) (int64, error) {
		return produceBatch(ctx, t, client, topic, batchOf(id.ProducerID, epoch, sequence, values...))
	}
	for _, step := range []struct {
		what     string
		epoch    int16
		sequence int32
		values   []string
		offset   int64
		err      error
	}{
		{"first batch", 0, 0, []string{"a", "b"}, 0, nil},
		{"sent again", 0, 0, []string{"a", "b"}, 0, nil},
		{"second batch", 0, 2, []string{"c"}, 2, nil},
		{"a gap", 0, 5, []string{"x"}, -1, kerr.OutOfOrderSequenceNumber},
		{"the first once more", 0, 0, []string{"a", "b"}, 0, nil},
		{"a newer epoch begins at 0", 1, 0, []string{"d"}, 3, nil},
		{"the older epoch", 0, 3, []string{"x"}, -1, kerr.InvalidProducerEpoch},
	} {
		offset, err := send(step.epoch, step.sequence, step.values...)
		if !errors.Is(err, step.err) || (err == nil && offset != step.offset) {
			t.Fatalf("%s: offset %d, error %v; want %d, %v", step.what, offset, err, step.offset, step.err)
		}
	}
	if n := recordCount(t, seeds, topic); n != 4 {
		t.Fatalf("topic has %d records, want 4", n)
	}
}

// A batch whose checksum is wrong is refused, and nothing of it is stored.
func TestProduce_CorruptBatchIsRefused(t *testing.T) {
	t.Parallel()
	seeds := seeds(t)
	topic := newTopic(t, seeds, 1, nil)
	client := newKgo(t, seeds)
	batch := batchOf(-1, -1, -1, "whole")
	batch[len(batch)-1] ^= 1
	if _, err := produceBatch(within(t, patience), t, client, topic, batch); !errors.Is(err, kerr.CorruptMessage) {
		t.Fatalf("error %v, want CORRUPT_MESSAGE", err)
	}
	if n := recordCount(t, seeds, topic); n != 0 {
		t.Fatalf("topic has %d records", n)
	}
}

// A batch over the topic's max.message.bytes is refused.
func TestProduce_TooLargeIsRefused(t *testing.T) {
	t.Parallel()
	seeds := seeds(t)
	topic := newTopic(t, seeds, 1, map[string]*string{"max.message.bytes": kadm.StringPtr("1000")})
	client := newKgo(t, seeds)
	big := string(make([]byte, 2000))
	_, err := produceBatch(within(t, patience), t, client, topic, batchOf(-1, -1, -1, big))
	if !errors.Is(err, kerr.MessageTooLarge) {
		t.Fatalf("error %v, want MESSAGE_TOO_LARGE", err)
	}
}

// produceBatch sends one batch as it is and returns the offset that the broker answers.
func produceBatch(ctx context.Context, t *testing.T, client *kgo.Client, topic string, batch []byte) (int64, error) {
	t.Helper()
	part := kmsg.NewProduceRequestTopicPartition()
	part.Records = batch
	top := kmsg.NewProduceRequestTopic()
	top.Topic = topic
	top.Partitions = append(top.Partitions, part)
	req := kmsg.NewProduceRequest()
	req.Acks = -1
	req.TimeoutMillis = 10_000
	req.Topics = append(req.Topics, top)
	// From version 13 on a topic goes by its id; an older version keeps this test to names.
	resp, err := client.Request(ctx, &pinnedProduce{&req})
	if err != nil {
		t.Fatal(err)
	}
	answer := resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0]
	return answer.BaseOffset, kerr.ErrorForCode(answer.ErrorCode)
}

// pinnedProduce offers no newer version of Produce than 9.
type pinnedProduce struct{ *kmsg.ProduceRequest }

func (*pinnedProduce) MaxVersion() int16 { return 9 }

// batchOf encodes a record batch, format 2, byte by byte as KIP-98 draws it.
func batchOf(producerID int64, epoch int16, sequence int32, values ...string) []byte {
	var records []byte
	for i, v := range values {
		r := kmsg.NewRecord()
		r.OffsetDelta = int32(i)
		r.Value = []byte(v)
		body := r.AppendTo(nil)[1:] // without the length, which is zero here and one byte long
		r.Length = int32(len(body))
		records = r.AppendTo(records)
	}
	const timestamp = 1_700_000_000_000
	batch := kmsg.RecordBatch{
		PartitionLeaderEpoch: -1,
		Magic:                2,
		LastOffsetDelta:      int32(len(values) - 1),
		FirstTimestamp:       timestamp,
		MaxTimestamp:         timestamp,
		ProducerID:           producerID,
		ProducerEpoch:        epoch,
		FirstSequence:        sequence,
		NumRecords:           int32(len(values)),
		Records:              records,
	}
	raw := batch.AppendTo(nil)
	batch.Length = int32(len(raw) - 12)
	batch.CRC = int32(crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	return batch.AppendTo(nil)
}

// transactional makes a batch one of its producer's transaction.
func transactional(batch []byte) []byte {
	batch[22] |= 1 << 4
	binary.BigEndian.PutUint32(batch[17:], crc32.Checksum(batch[21:], crc32.MakeTable(crc32.Castagnoli)))
	return batch
}
