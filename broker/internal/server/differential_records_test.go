package server_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/record"
)

// Where the fields of a batch's header are (see package record).
const (
	lengthField, magicField, attributesField, lastDeltaField = 8, 16, 21, 23
	baseTimeField, maxTimeField, producerField, epochField   = 27, 35, 43, 51
	sequenceField, countField, recordsField                  = 53, 57, 61
)

// broken changes a copy of a batch and makes its checksum right again.
func broken(b record.Batch, f func(b []byte)) []byte {
	out := slices.Clone(b)
	f(out)
	binary.BigEndian.PutUint32(out[attributesField-4:], out.Checksum())
	return out
}

func put16(at int, n uint16) func([]byte) {
	return func(b []byte) { binary.BigEndian.PutUint16(b[at:], n) }
}

func put32(at int, n uint32) func([]byte) {
	return func(b []byte) { binary.BigEndian.PutUint32(b[at:], n) }
}

func put64(at int, n int64) func([]byte) {
	return func(b []byte) { binary.BigEndian.PutUint64(b[at:], uint64(n)) }
}

// recordsTold are the batches that a producer may send, and what it may not.
func recordsTold(c *conversation) (names []string, of map[string][]byte) {
	of = map[string][]byte{}
	add := func(name string, b []byte) { names, of[name] = append(names, name), b }
	good := fixedBatch(c.t, 3)
	add("good", good)
	add("null", nil)
	add("no bytes", []byte{})
	add("two batches", append(slices.Clone(good), good...))
	add("a byte after the batch", append(slices.Clone(good), 0))
	add("half a header", good[:30])
	add("cut by a byte", good[:len(good)-1])
	add("zeros", make([]byte, 100))
	wrongSum := slices.Clone(good)
	wrongSum[len(wrongSum)-1] ^= 1
	add("bad checksum", wrongSum)
	for _, magic := range []byte{0, 1, 3, 0xff} {
		add("magic "+string('0'+rune(magic%10)), broken(good, func(b []byte) { b[magicField] = magic }))
	}
	add("length too large", broken(good, put32(lengthField, uint32(len(good)))))
	add("length too small", broken(good, put32(lengthField, uint32(len(good)-20))))
	add("length of no header", broken(good, put32(lengthField, 10)))
	add("length negative", broken(good, put32(lengthField, 0xfffffff0)))
	add("base offset 5", broken(good, put64(0, 5)))
	add("base offset -1", broken(good, put64(0, -1)))
	add("leader epoch 7", broken(good, put32(12, 7)))
	add("count 0", broken(good, put32(countField, 0)))
	add("count 0 and no records", broken(good, func(b []byte) { put32(countField, 0)(b); put32(lengthField, recordsField-12)(b) })[:recordsField])
	add("count -1", broken(good, put32(countField, 0xffffffff)))
	add("count too small", broken(good, put32(countField, 2)))
	add("count too large", broken(good, put32(countField, 4)))
	add("count of 2^31-1", broken(good, put32(countField, 0x7fffffff)))
	add("last offset delta 1", broken(good, put32(lastDeltaField, 1)))
	add("last offset delta 9", broken(good, put32(lastDeltaField, 9)))
	add("last offset delta -1", broken(good, put32(lastDeltaField, 0xffffffff)))
	add("last offset delta and count 2", broken(good, func(b []byte) { put32(lastDeltaField, 1)(b); put32(countField, 2)(b) }))
	// A record: its length, attributes, time and offset delta, length of the key. All one byte here.
	add("record longer than the batch", broken(good, func(b []byte) { b[recordsField] = 126 }))
	add("record of a negative length", broken(good, func(b []byte) { b[recordsField] = 3 }))
	add("record of length 0", broken(good, func(b []byte) { b[recordsField] = 0 }))
	add("record longer than it is", broken(good, func(b []byte) { b[recordsField] += 2 }))
	add("record shorter than it is", broken(good, func(b []byte) { b[recordsField] -= 2 }))
	add("record with attributes", broken(good, func(b []byte) { b[recordsField+1] = 0x55 }))
	add("key longer than the record", broken(good, func(b []byte) { b[recordsField+4] = 126 }))
	add("key of length -2", broken(good, func(b []byte) { b[recordsField+4] = 3 }))
	add("first offset delta 1", broken(good, func(b []byte) { b[recordsField+3] = 2 }))
	add("first offset delta -1", broken(good, func(b []byte) { b[recordsField+3] = 1 }))
	add("headers that are not there", broken(good, func(b []byte) { b[len(b)-1] = 40 }))
	add("headers -1", broken(good, func(b []byte) { b[len(b)-1] = 1 }))
	for name, attributes := range map[string]uint16{"codec 5": 5, "codec 7": 7, "transactional": 0x10, "control": 0x20, "delete horizon": 0x40, "unused bit": 0x80, "unused bit 15": 0x8000, "log append time": 0x08} {
		of["attributes: "+name] = broken(good, put16(attributesField, attributes))
	}
	for _, name := range []string{"codec 5", "codec 7", "transactional", "control", "delete horizon", "unused bit", "unused bit 15", "log append time"} {
		names = append(names, "attributes: "+name)
	}
	for _, codec := range []record.Compression{record.Gzip, record.Snappy, record.LZ4, record.Zstd} {
		var b record.Builder
		b.Compression = codec
		for range 3 {
			b.Add(1000, []byte("key"), bytes.Repeat([]byte("value"), 100))
		}
		batch, err := b.Build()
		if err != nil {
			c.t.Fatal(err)
		}
		add(codec.String(), batch)
		add(codec.String()+" that is none", broken(good, put16(attributesField, uint16(codec))))
		add(codec.String()+" cut short", broken(batch, func(b []byte) { put32(lengthField, uint32(len(batch)-12-10))(b) })[:len(batch)-10])
	}
	bomb := record.Builder{Compression: record.Zstd}
	bomb.Add(1000, []byte("key"), make([]byte, 8<<20))
	batch, err := bomb.Build()
	if err != nil {
		c.t.Fatal(err)
	}
	add("8 MiB in little", batch)
	now := time.Now().UnixMilli()
	add("times of -1", broken(good, func(b []byte) { put64(baseTimeField, -1)(b); put64(maxTimeField, -1)(b) }))
	add("times of -5", broken(good, func(b []byte) { put64(baseTimeField, -5)(b); put64(maxTimeField, -3)(b) }))
	add("in two hours", broken(good, func(b []byte) { put64(baseTimeField, now+7_200_000)(b); put64(maxTimeField, now+7_200_002)(b) }))
	add("last time too early", broken(good, put64(maxTimeField, 1)))
	add("last time in two hours", broken(good, put64(maxTimeField, now+7_200_000)))
	add("producer without an epoch", broken(good, put64(producerField, 3)))
	add("epoch without a producer", broken(good, put16(epochField, 3)))
	add("sequence without a producer", broken(good, put32(sequenceField, 3)))
	add("producer -5", broken(good, func(b []byte) { put64(producerField, -5)(b); put16(epochField, 0)(b); put32(sequenceField, 0)(b) }))
	add("producer that nobody knows", broken(good, func(b []byte) { put64(producerField, 987654)(b); put16(epochField, 0)(b); put32(sequenceField, 0)(b) }))
	add("producer that nobody knows, in the middle", broken(good, func(b []byte) { put64(producerField, 987655)(b); put16(epochField, 3)(b); put32(sequenceField, 7)(b) }))
	add("sequence -1 of a producer", broken(good, func(b []byte) { put64(producerField, 987656)(b); put16(epochField, 0)(b) }))
	var keyless record.Builder
	keyless.Add(1000, nil, []byte("value"))
	if batch, err = keyless.Build(); err != nil {
		c.t.Fatal(err)
	}
	add("without a key", batch)
	return names, of
}

// produceRecords sends each of them to topics of several rules.
func produceRecords(c *conversation) {
	names, of := recordsTold(c)
	for _, topic := range []struct {
		name    string
		configs []string
	}{
		{"plain", nil},
		{"compacted", []string{"cleanup.policy", "compact"}},
		{"stamped", []string{"message.timestamp.type", "LogAppendTime"}},
		{"recent", []string{"message.timestamp.before.max.ms", "3600000"}},
		{"small", []string{"max.message.bytes", "150"}},
		{"zipped", []string{"compression.type", "gzip"}},
	} {
		configs := topic.configs
		if topic.name != "compacted" {
			configs = append(configs, "retention.ms", "-1")
		}
		c.topicID = c.newTopic(c.name("-"+topic.name), 1, configs...)
		must(c, 9, produceRequest(c.name("-"+topic.name), c.topicID, 0, -1, broken(fixedBatch(c.t, 1), func(b []byte) {
			now := time.Now().UnixMilli()
			put64(baseTimeField, now)(b)
			put64(maxTimeField, now)(b)
		})), func(r *kmsg.ProduceResponse) bool { return r.Topics[0].Partitions[0].ErrorCode == 0 })
		for _, name := range names {
			for _, v := range []int16{3, 7, 8, 13} {
				if (name == "zstd" || name == "good" || topic.name == "plain") || v == 13 {
					c.ask(topic.name+": "+name, v, produceRequest(c.name("-"+topic.name), c.topicID, 0, -1, of[name]))
				}
			}
		}
	}
}
