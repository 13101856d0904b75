package compat

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Every library reads what every library wrote, with every compression: keys, null keys, headers,
// bytes that are no text. The broker keeps each batch as the producer compressed it.
func TestExchange(t *testing.T) {
	codecIDs := map[string]uint8{"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
	for codec, id := range codecIDs {
		t.Run(codec, func(t *testing.T) {
			t.Parallel()
			seeds := seeds(t)
			topic := newTopic(t, seeds, 3, nil)
			var want []record
			for _, c := range allClients() {
				records := samples(c.name, 40)
				c.produce(t, seeds, topic, codec, records)
				want = append(want, records...)
			}
			for _, r := range readFranz(t, seeds, topic, len(want)) {
				if got := r.Attrs.CompressionType(); got != id {
					t.Fatalf("partition %d offset %d (%.20s…): compression %d, want %d", r.Partition, r.Offset, r.Value, got, id)
				}
			}
			for _, c := range allClients() {
				t.Run("read by "+c.name, func(t *testing.T) {
					t.Parallel()
					m := c.join(t, seeds, uniqueName(t, "group"), topic)
					waitForRecords(t, m, len(want))
					m.close()
					sameRecords(t, want, m.records())
					inOrder(t, m.records())
				})
			}
		})
	}
}

// A tombstone, an empty value and an empty key stay what they are: null is not empty.
func TestExchange_NullIsNotEmpty(t *testing.T) {
	t.Parallel()
	want := []record{
		{key: []byte("tombstone"), value: nil},
		{key: []byte("empty value"), value: []byte{}},
		{key: []byte{}, value: []byte("empty key")},
		{key: nil, value: []byte("null key")},
		{key: nil, value: nil},
	}
	for _, c := range clients()[:2] { // Watermill has no null payload
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			seeds := seeds(t)
			topic := newTopic(t, seeds, 1, nil)
			c.produce(t, seeds, topic, "none", want)
			var got []record
			for _, r := range readFranz(t, seeds, topic, len(want)) {
				got = append(got, fromFranz(r))
			}
			sameRecords(t, want, got)

			m := joinSarama(t, seeds, uniqueName(t, "group"), topic)
			waitForRecords(t, m, len(want))
			m.close()
			sameRecords(t, want, m.records())
		})
	}
}

// Records with one key are all in one partition, in the order in which they were written. (Which
// partition, the library decides: sarama hashes otherwise than Kafka's own clients and franz-go.)
func TestExchange_OneKeyOnePartition(t *testing.T) {
	t.Parallel()
	for _, c := range allClients() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			seeds := seeds(t)
			topic := newTopic(t, seeds, 5, nil)
			records := make([]record, 20)
			for i := range records {
				records[i] = record{key: []byte("user_123"), value: []byte{byte(i)}}
			}
			c.produce(t, seeds, topic, "none", records)
			partitions := map[int32]int{}
			for i, r := range readFranz(t, seeds, topic, len(records)) {
				partitions[r.Partition]++
				if int(r.Value[0]) != i {
					t.Fatalf("record %d came as number %d", r.Value[0], i)
				}
			}
			if len(partitions) != 1 {
				t.Fatalf("one key went to partitions %v", partitions)
			}
		})
	}
}

// A reader that starts in the middle gets that record first, though it lies inside a batch.
func TestExchange_StartInTheMiddleOfABatch(t *testing.T) {
	t.Parallel()
	seeds := seeds(t)
	topic := newTopic(t, seeds, 1, nil)
	produceFranz(t, seeds, topic, "zstd", samples("batch", 10))
	records := readFranz(t, seeds, topic, 3, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{
		topic: {0: kgo.NewOffset().At(7)},
	}), kgo.ConsumeTopics())
	if records[0].Offset != 7 {
		t.Fatalf("first offset %d, want 7", records[0].Offset)
	}
}

// waitForRecords waits until the members together have read n records.
func waitForRecords(t *testing.T, m *member, n int) {
	t.Helper()
	waitForAll(t, []*member{m}, n)
}
