package wire

import (
	"encoding/binary"
	"net"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// FetchResponse is a Fetch response (API key 1), versions 4 to 18, whose records
// are spans that somebody else owns: they are written to the socket as they are
// (writev) and never copied into the frame.
type FetchResponse struct {
	kmsg.FetchResponse // Version, ThrottleMillis, ErrorCode, SessionID, Brokers; Topics stays empty

	Topics  []FetchTopic
	Release []func() // gives the spans back to their owners
}

// FetchTopic is one topic of a Fetch response.
type FetchTopic struct {
	Name       string   // up to version 12
	ID         [16]byte // from version 13
	Partitions []FetchPartition
}

// FetchPartition is one partition of a Fetch response.
type FetchPartition struct {
	Partition        int32
	ErrorCode        int16
	HighWatermark    int64
	LastStableOffset int64
	LogStartOffset   int64

	// Where the log that the client read before parts from ours; epoch -1 says it does not (KIP-595).
	DivergingEpoch     int32
	DivergingEndOffset int64

	// Told with NOT_LEADER_OR_FOLLOWER and FENCED_LEADER_EPOCH (KIP-951); id -1 where not.
	LeaderID    int32
	LeaderEpoch int32

	// What a reader of committed records has to leave out (KIP-98). nil is null, which Kafka
	// answers to readers of uncommitted ones.
	Aborted []AbortedTxn

	Records     [][]byte
	RecordBytes int
}

// AbortedTxn is an aborted transaction with records in the answer.
type AbortedTxn struct {
	ProducerID  int64
	FirstOffset int64
}

// NewFetchPartition returns a partition that has no records and no error.
func NewFetchPartition(partition int32) FetchPartition {
	return FetchPartition{
		Partition: partition, HighWatermark: -1, LastStableOffset: -1, LogStartOffset: -1,
		DivergingEpoch: -1, DivergingEndOffset: -1, LeaderID: -1, LeaderEpoch: -1,
	}
}

// Bytes returns how many bytes of records the response carries.
func (f *FetchResponse) Bytes() (n int) {
	for i := range f.Topics {
		for j := range f.Topics[i].Partitions {
			n += f.Topics[i].Partitions[j].RecordBytes
		}
	}
	return n
}

// Done releases the spans. It may be called more than once.
func (f *FetchResponse) Done() {
	for _, release := range f.Release {
		release()
	}
	f.Release = nil
}

// AppendTo lays the response out in one piece, for those who do not write it with
// Frame.
func (f *FetchResponse) AppendTo(dst []byte) []byte {
	_, parts := f.layout(nil, nil)
	for _, p := range parts {
		dst = append(dst, p...)
	}
	return dst
}

// Frame appends the response's parts to out, with meta as the memory for all that
// is not records. It returns meta as it has grown.
func (f *FetchResponse) Frame(meta []byte, out net.Buffers) ([]byte, net.Buffers) {
	return f.layout(meta, out)
}

// layout writes
//
//	throttle v1+ | error, session id v7+ | [topic] | tags v12+
//	topic: name v0-12 | id v13+, [partition], tags v12+
//	partition: index error highWatermark lastStable v4+ logStart v5+ aborted v4+
//	           preferredReplica v11+ records tags v12+
//
// meta is cut where records come in between. It is sized beforehand, because a
// cut piece must not move when meta grows.
func (f *FetchResponse) layout(meta []byte, out net.Buffers) ([]byte, net.Buffers) {
	v := f.Version
	flexible := v >= 12
	if need := len(meta) + f.metaSize(); cap(meta) < need {
		meta = append(make([]byte, 0, need), meta...)
	}
	begin := 0
	meta = binary.BigEndian.AppendUint32(meta, uint32(f.ThrottleMillis))
	if v >= 7 {
		meta = binary.BigEndian.AppendUint16(meta, uint16(f.ErrorCode))
		meta = binary.BigEndian.AppendUint32(meta, uint32(f.SessionID))
	}
	meta = appendLength(meta, len(f.Topics), flexible)
	for i := range f.Topics {
		t := &f.Topics[i]
		switch {
		case v >= 13:
			meta = append(meta, t.ID[:]...)
		case flexible:
			meta = binary.AppendUvarint(meta, uint64(len(t.Name)+1))
			meta = append(meta, t.Name...)
		default:
			meta = binary.BigEndian.AppendUint16(meta, uint16(len(t.Name)))
			meta = append(meta, t.Name...)
		}
		meta = appendLength(meta, len(t.Partitions), flexible)
		for j := range t.Partitions {
			p := &t.Partitions[j]
			meta = p.appendHead(meta, v, flexible)
			if p.RecordBytes > 0 {
				out = append(out, meta[begin:len(meta):len(meta)])
				out = append(out, p.Records...)
				begin = len(meta)
			}
			if flexible {
				meta = p.appendTags(meta)
			}
		}
		if flexible {
			meta = append(meta, 0)
		}
	}
	if flexible {
		meta = f.appendTags(meta)
	}
	return meta, append(out, meta[begin:])
}

func (p *FetchPartition) appendHead(b []byte, v int16, flexible bool) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(p.Partition))
	b = binary.BigEndian.AppendUint16(b, uint16(p.ErrorCode))
	b = binary.BigEndian.AppendUint64(b, uint64(p.HighWatermark))
	b = binary.BigEndian.AppendUint64(b, uint64(p.LastStableOffset))
	if v >= 5 {
		b = binary.BigEndian.AppendUint64(b, uint64(p.LogStartOffset))
	}
	if p.Aborted == nil {
		b = appendNull(b, flexible)
	} else {
		b = appendLength(b, len(p.Aborted), flexible)
	}
	for _, a := range p.Aborted {
		b = binary.BigEndian.AppendUint64(b, uint64(a.ProducerID))
		b = binary.BigEndian.AppendUint64(b, uint64(a.FirstOffset))
		if flexible {
			b = append(b, 0)
		}
	}
	if v >= 11 {
		b = binary.BigEndian.AppendUint32(b, ^uint32(0)) // preferred read replica: none
	}
	return appendLength(b, p.RecordBytes, flexible)
}

func (p *FetchPartition) appendTags(b []byte) []byte {
	n := byte(0)
	if p.DivergingEpoch >= 0 {
		n++
	}
	if p.LeaderID >= 0 {
		n++
	}
	b = append(b, n)
	if p.DivergingEpoch >= 0 {
		b = append(b, 0, 13) // tag, length
		b = binary.BigEndian.AppendUint32(b, uint32(p.DivergingEpoch))
		b = binary.BigEndian.AppendUint64(b, uint64(p.DivergingEndOffset))
		b = append(b, 0)
	}
	if p.LeaderID >= 0 {
		b = append(b, 1, 9)
		b = binary.BigEndian.AppendUint32(b, uint32(p.LeaderID))
		b = binary.BigEndian.AppendUint32(b, uint32(p.LeaderEpoch))
		b = append(b, 0)
	}
	return b
}

// appendTags appends the node endpoints (KIP-951) of the leaders that partitions name.
func (f *FetchResponse) appendTags(b []byte) []byte {
	if f.Version < 16 || len(f.Brokers) == 0 {
		return append(b, 0)
	}
	var nodes []byte
	nodes = binary.AppendUvarint(nodes, uint64(len(f.Brokers)+1))
	for i := range f.Brokers {
		n := &f.Brokers[i]
		nodes = binary.BigEndian.AppendUint32(nodes, uint32(n.NodeID))
		nodes = binary.AppendUvarint(nodes, uint64(len(n.Host)+1))
		nodes = append(nodes, n.Host...)
		nodes = binary.BigEndian.AppendUint32(nodes, uint32(n.Port))
		if n.Rack == nil {
			nodes = append(nodes, 0)
		} else {
			nodes = binary.AppendUvarint(nodes, uint64(len(*n.Rack)+1))
			nodes = append(nodes, *n.Rack...)
		}
		nodes = append(nodes, 0)
	}
	b = append(b, 1, 0)
	b = binary.AppendUvarint(b, uint64(len(nodes)))
	return append(b, nodes...)
}

// metaSize is an upper bound of what layout writes beside records.
func (f *FetchResponse) metaSize() int {
	n := 4 + 2 + 4 + 5 + 1
	for i := range f.Topics {
		n += 16 + 5 + len(f.Topics[i].Name) + 5 + 1 + 90*len(f.Topics[i].Partitions)
		for j := range f.Topics[i].Partitions {
			n += 17 * len(f.Topics[i].Partitions[j].Aborted)
		}
	}
	for i := range f.Brokers {
		n += 32 + len(f.Brokers[i].Host)
		if f.Brokers[i].Rack != nil {
			n += 5 + len(*f.Brokers[i].Rack)
		}
	}
	return n + 16
}

// appendNull appends the length of an array that is null.
func appendNull(b []byte, flexible bool) []byte {
	if flexible {
		return append(b, 0)
	}
	return binary.BigEndian.AppendUint32(b, ^uint32(0))
}

func appendLength(b []byte, n int, flexible bool) []byte {
	if flexible {
		return binary.AppendUvarint(b, uint64(n)+1)
	}
	return binary.BigEndian.AppendUint32(b, uint32(n))
}
