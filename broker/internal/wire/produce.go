package wire

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// MaxProducePartitions bounds the partitions named in one Produce request. Kafka
// has no such bound; with it a request of the largest size cannot ask for more
// than about 5 MB beside its own bytes.
const MaxProducePartitions = 1 << 16

// ProduceRequest is a Produce request (API key 0) whose records are slices of
// the frame it was read from. It takes part wherever a kmsg.Request does; only
// decoding is its own.
type ProduceRequest struct {
	kmsg.ProduceRequest // Version, Acks, TimeoutMillis, TransactionID; Topics stays empty

	Topics     []ProduceTopic
	Partitions []ProducePartition // of all topics, in the order of the request
}

// ProduceTopic is one topic of a Produce request and the part of
// ProduceRequest.Partitions that belongs to it.
type ProduceTopic struct {
	Name       string   // up to version 12
	ID         [16]byte // from version 13
	First, End int
}

// ProducePartition is one partition's records, nil where the client sent null.
type ProducePartition struct {
	Partition int32
	Records   []byte
}

// ReadFrom decodes a request body. Arrays grow as their elements are met.
//
//	Produce: [transactional id v3+] acks timeout [topic]
//	topic: name v0-12 | id v13+, [partition: index records]
func (p *ProduceRequest) ReadFrom(body []byte) error {
	d := decoder{b: body}
	v := p.Version
	flexible := v >= 9
	if v >= 3 {
		if id, null := d.string(flexible); !null {
			s := string(id)
			p.TransactionID = &s
		}
	}
	p.Acks = d.int16()
	p.TimeoutMillis = d.int32()
	topics := d.length(flexible, true)
	for range topics {
		t := ProduceTopic{First: len(p.Partitions)}
		if v >= 13 {
			copy(t.ID[:], d.take(16))
		} else {
			name, null := d.string(flexible)
			if null {
				d.bad = true
			}
			t.Name = string(name)
		}
		for range d.length(flexible, true) {
			if len(p.Partitions) == MaxProducePartitions {
				return fmt.Errorf("%w: more than %d partitions in one Produce request", ErrMalformed, MaxProducePartitions)
			}
			part := ProducePartition{Partition: d.int32(), Records: d.bytes(flexible)}
			if flexible {
				d.skipTags()
			}
			if d.bad {
				return ErrMalformed
			}
			p.Partitions = append(p.Partitions, part)
		}
		if flexible {
			d.skipTags()
		}
		if d.bad {
			return ErrMalformed
		}
		if len(p.Topics) == MaxProducePartitions {
			return fmt.Errorf("%w: more than %d topics in one Produce request", ErrMalformed, MaxProducePartitions)
		}
		t.End = len(p.Partitions)
		p.Topics = append(p.Topics, t)
	}
	if flexible {
		d.skipTags()
	}
	if d.bad {
		return ErrMalformed
	}
	return nil
}
