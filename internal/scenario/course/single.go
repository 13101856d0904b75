package course

import (
	"context"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// single is a client with exactly one connection, to be counted. An ordinary client
// opens a few more: for metadata, for its group, one to each broker.
type single struct {
	client *kgo.Client
}

// dialSingle makes the client; the connection opens with the first request.
func dialSingle(address, name string) (*single, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.ClientID(name),
		kgo.MaxVersions(kversion.V2_6_0())) // topics by name: no request for metadata is needed
	return &single{client: client}, err
}

func (c *single) close() { c.client.Close() }

func (c *single) request(ctx context.Context, req kmsg.Request) (kmsg.Response, error) {
	return c.client.SeedBrokers()[0].Request(ctx, req)
}

// produce writes one record to partition 0 and waits for its acknowledgement.
func (c *single) produce(ctx context.Context, topic, value string) error {
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, 10_000
	t := kmsg.NewProduceRequestTopic()
	t.Topic = topic
	p := kmsg.NewProduceRequestTopicPartition()
	p.Records = batchOf([]byte(value), time.Now())
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	answer, err := c.request(ctx, req)
	if err != nil {
		return fmt.Errorf("produce: %w", err)
	}
	for _, t := range answer.(*kmsg.ProduceResponse).Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return fmt.Errorf("produce: %w", err)
			}
		}
	}
	return nil
}

// batchOf is a record batch of one record, format 2 (KIP-98).
func batchOf(value []byte, now time.Time) []byte {
	record := kmsg.Record{Value: value}
	record.Length = int32(len(record.AppendTo(nil)) - 1) // the zero length took one byte
	b := kmsg.RecordBatch{
		PartitionLeaderEpoch: -1, Magic: 2, FirstTimestamp: now.UnixMilli(), MaxTimestamp: now.UnixMilli(),
		ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1, NumRecords: 1, Records: record.AppendTo(nil),
	}
	const beforeLength, beforeChecksum = 12, 21 // bytes up to and with the length, and the checksum
	raw := b.AppendTo(nil)
	b.Length = int32(len(raw) - beforeLength)
	b.CRC = int32(crc32.Checksum(raw[beforeChecksum:], crc32.MakeTable(crc32.Castagnoli)))
	return b.AppendTo(nil)
}

// consume reads partition 0 from its beginning until it has n records.
func (c *single) consume(ctx context.Context, topic string, n int) (got int, err error) {
	const maxBytes, maxWait = 1 << 20, 500
	for offset := int64(0); got < n; {
		req := kmsg.NewPtrFetchRequest()
		req.MaxWaitMillis, req.MinBytes, req.MaxBytes = maxWait, 1, maxBytes
		t := kmsg.NewFetchRequestTopic()
		t.Topic = topic
		p := kmsg.NewFetchRequestTopicPartition()
		p.FetchOffset, p.PartitionMaxBytes, p.CurrentLeaderEpoch = offset, maxBytes, -1
		t.Partitions = append(t.Partitions, p)
		req.Topics = append(req.Topics, t)
		answer, err := c.request(ctx, req)
		if err != nil {
			return got, fmt.Errorf("fetch: %w", err)
		}
		for _, t := range answer.(*kmsg.FetchResponse).Topics {
			for i := range t.Partitions {
				read, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{Topic: topic, Offset: offset}, &t.Partitions[i], kgo.DefaultDecompressor(), nil)
				if read.Err != nil {
					return got, fmt.Errorf("fetch: %w", read.Err)
				}
				got, offset = got+len(read.Records), max(offset, next)
			}
		}
	}
	return got, nil
}
