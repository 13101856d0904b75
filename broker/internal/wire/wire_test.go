package wire

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// chunks is a connection that delivers what it is given, some bytes at a time,
// and is silent afterwards until its deadline.
type chunks struct {
	data     []byte
	step     int
	deadline time.Time
}

func (c *chunks) SetReadDeadline(t time.Time) error { c.deadline = t; return nil }

func (c *chunks) Read(p []byte) (int, error) {
	if len(c.data) == 0 {
		return 0, os.ErrDeadlineExceeded
	}
	n := copy(p[:min(len(p), c.step)], c.data)
	c.data = c.data[n:]
	return n, nil
}

func frameBytes(key int16, size int32, body []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(size))
	b = binary.BigEndian.AppendUint16(b, uint16(key))
	b = binary.BigEndian.AppendUint16(b, 9)
	b = binary.BigEndian.AppendUint32(b, 77)
	return append(b, body...)
}

func newReader(c Conn) *Reader {
	return NewReader(c, Caps{Produce: 100 << 20}, NewBudget(256<<20), time.Minute, time.Second)
}

func TestReader_ReadsFramesOfAnySizeAndChunking(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 100, 5000, firstStep - 8, firstStep, 300_000, 3 << 20} {
		for _, step := range []int{1, 1000, 1 << 20} {
			if n/step > 100_000 {
				continue
			}
			body := make([]byte, n)
			_, _ = rand.NewChaCha8([32]byte{1}).Read(body)
			data := frameBytes(0, int32(n+8), body)
			data = append(data, frameBytes(3, 8, nil)...)
			r := newReader(&chunks{data: data, step: step})
			f, err := r.Next()
			if err != nil || f.Size != int32(n+8) || f.Version != 9 {
				t.Fatalf("Next = %+v, %v", f, err)
			}
			b, cost, err := r.Body(context.Background(), f)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(b.B[8:], body) {
				t.Fatalf("body of %d bytes in steps of %d differs", n, step)
			}
			if got := r.budget.Used(); got != cost {
				t.Fatalf("budget used %d, cost %d", got, cost)
			}
			r.budget.Release(cost)
			b.Release()
			if f, err := r.Next(); err != nil || f.Key != 3 {
				t.Fatalf("second Next = %+v, %v", f, err)
			}
		}
	}
}

func TestReader_RefusesBeforeReadingTheBody(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		key  int16
		size int32
	}{{0, 100<<20 + 1}, {0, -1}, {0, 0}, {0, 7}, {1, 64 << 20}, {3, 1 << 30}, {19, 1<<20 + 1}, {99, 1<<20 + 1}, {0, 1<<31 - 1}} {
		r := newReader(&chunks{data: frameBytes(tc.key, tc.size, nil), step: 64})
		_, err := r.Next()
		var refused *FrameError
		if !errors.As(err, &refused) {
			t.Errorf("key %d, size %d: %v, want a FrameError", tc.key, tc.size, err)
		}
	}
}

func TestReader_HalfARequestAndSilence(t *testing.T) {
	t.Parallel()
	whole := frameBytes(0, 5000+8, make([]byte, 5000))
	for _, cut := range []int{1, 3, 4, 8, 11, 12, 13, 4000, len(whole) - 1} {
		r := newReader(&chunks{data: whole[:cut], step: 1 << 20})
		f, err := r.Next()
		if err == nil {
			_, _, err = r.Body(context.Background(), f)
		}
		if !errors.Is(err, ErrHalfRequest) {
			t.Errorf("cut at %d: %v, want ErrHalfRequest", cut, err)
		}
		if used := r.budget.Used(); used != 0 {
			t.Errorf("cut at %d: %d bytes are still charged", cut, used)
		}
	}
}

// A hostile length costs no memory beyond what has arrived.
func TestReader_AnnouncedLengthIsNotAllocated(t *testing.T) {
	data := frameBytes(0, 100<<20, make([]byte, 10_000))
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	r := newReader(&chunks{data: data, step: 1 << 20})
	f, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err = r.Body(context.Background(), f); !errors.Is(err, ErrHalfRequest) {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 1<<20 {
		t.Fatalf("%d bytes allocated for a request of which 10,000 came", grown)
	}
}

func TestBudget_WaitsInOrderAndGivesUpWithItsContext(t *testing.T) {
	t.Parallel()
	b := NewBudget(100)
	if err := b.Acquire(context.Background(), 500); err != nil {
		t.Fatal(err) // the first may take more than there is
	}
	got := make(chan int, 2)
	ctx, cancel := context.WithCancel(context.Background())
	gaveUp := make(chan error, 1)
	go func() { gaveUp <- b.Acquire(ctx, 1) }()
	waitFor(t, func() bool { b.mu.Lock(); defer b.mu.Unlock(); return len(b.waiters) == 1 })
	go func() { _ = b.Acquire(context.Background(), 150); got <- 1 }()
	waitFor(t, func() bool { b.mu.Lock(); defer b.mu.Unlock(); return len(b.waiters) == 2 })
	cancel()
	if err := <-gaveUp; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	go func() { _ = b.Acquire(context.Background(), 10); got <- 2 }()
	waitFor(t, func() bool { b.mu.Lock(); defer b.mu.Unlock(); return len(b.waiters) == 2 })
	b.Release(500)
	if first := <-got; first != 1 {
		t.Fatalf("waiter %d came first", first)
	}
	b.Release(150)
	<-got
	b.Release(10)
	if b.Used() != 0 {
		t.Fatalf("%d left", b.Used())
	}
}

func waitFor(t *testing.T, f func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !f(); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatal("condition does not come true")
		}
	}
}

func TestBuffer_SizeClasses(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 1023, 1024, 1025, 4096, 4097, 65536, 1 << 20, 1<<20 + 1, 4 << 20, 4<<20 + 1, 20 << 20} {
		b := Get(n)
		if len(b.B) != n {
			t.Fatalf("Get(%d) has %d bytes", n, len(b.B))
		}
		if b.class >= 0 && cap(b.B) > max(1024, 4*n) {
			t.Fatalf("Get(%d) has capacity %d", n, cap(b.B))
		}
		b.Release()
	}
}

func TestProduceRequest_ReadsWhatKmsgWrites(t *testing.T) {
	t.Parallel()
	for v := int16(3); v <= 13; v++ {
		in := kmsg.NewPtrProduceRequest()
		in.Version, in.Acks, in.TimeoutMillis = v, -1, 1234
		for i := range 3 {
			topic := kmsg.NewProduceRequestTopic()
			topic.Topic, topic.TopicID = fmt.Sprint("topic-", i), [16]byte{byte(i), 9}
			for j := range i + 1 {
				p := kmsg.NewProduceRequestTopicPartition()
				p.Partition = int32(10*i + j)
				p.Records = []byte(fmt.Sprint("records", i, j))
				topic.Partitions = append(topic.Partitions, p)
			}
			in.Topics = append(in.Topics, topic)
		}
		body := in.AppendTo(nil)
		out := &ProduceRequest{}
		out.SetVersion(v)
		if err := out.ReadFrom(body); err != nil {
			t.Fatalf("v%d: %v", v, err)
		}
		if out.Acks != -1 || out.TimeoutMillis != 1234 || len(out.Topics) != 3 || len(out.Partitions) != 6 {
			t.Fatalf("v%d: %+v", v, out)
		}
		for i, topic := range out.Topics {
			want := in.Topics[i]
			if v < 13 && topic.Name != want.Topic || v >= 13 && topic.ID != want.TopicID {
				t.Fatalf("v%d: topic %d is %+v", v, i, topic)
			}
			for j, p := range out.Partitions[topic.First:topic.End] {
				if p.Partition != want.Partitions[j].Partition || !bytes.Equal(p.Records, want.Partitions[j].Records) {
					t.Fatalf("v%d: partition %d/%d is %+v", v, i, j, p)
				}
			}
		}
		for cut := range body {
			if err := (&ProduceRequest{ProduceRequest: kmsg.ProduceRequest{Version: v}}).ReadFrom(body[:cut]); err == nil && cut < len(body)-1 {
				t.Fatalf("v%d: a body cut at %d of %d is accepted", v, cut, len(body))
			}
		}
	}
}

func TestFetchResponse_IsReadByKmsg(t *testing.T) {
	t.Parallel()
	for v := int16(4); v <= 18; v++ {
		f := &FetchResponse{}
		f.Version, f.SessionID, f.ErrorCode, f.ThrottleMillis = v, 0, 0, 3
		full := NewFetchPartition(1)
		full.HighWatermark, full.LastStableOffset, full.LogStartOffset = 10, 9, 2
		full.Records, full.RecordBytes = [][]byte{[]byte("abc"), []byte("defgh")}, 8
		full.Aborted = make([]AbortedTxn, 300)
		full.Aborted[299] = AbortedTxn{ProducerID: 7, FirstOffset: 1<<40 + 1}
		none := NewFetchPartition(3)
		none.Aborted = []AbortedTxn{}
		empty := NewFetchPartition(2)
		empty.ErrorCode = 6
		empty.LeaderID, empty.LeaderEpoch = 3, 4
		empty.DivergingEpoch, empty.DivergingEndOffset = 5, 6
		f.Topics = []FetchTopic{{Name: "a", ID: [16]byte{1}, Partitions: []FetchPartition{full, empty, none}}, {Name: "bb", ID: [16]byte{2}, Partitions: []FetchPartition{full}}}
		if v >= 16 {
			node := kmsg.NewFetchResponseBroker()
			node.NodeID, node.Host, node.Port, node.Rack = 3, "host", 9092, kmsg.StringPtr("rack")
			f.Brokers = []kmsg.FetchResponseBroker{node}
		}
		var out net.Buffers
		_, out = f.Frame(append(make([]byte, 0, 8), "head"...), out)
		var flat bytes.Buffer
		if _, err := out.WriteTo(&flat); err != nil {
			t.Fatal(err)
		}
		wire := flat.Bytes()
		if string(wire[:4]) != "head" || !bytes.Equal(wire[4:], f.AppendTo(nil)) {
			t.Fatalf("v%d: Frame and AppendTo differ", v)
		}
		got := kmsg.NewPtrFetchResponse()
		got.Version = v
		if err := got.ReadFrom(wire[4:]); err != nil {
			t.Fatalf("v%d: %v", v, err)
		}
		p := got.Topics[0].Partitions[0]
		if string(p.RecordBatches) != "abcdefgh" || p.HighWatermark != 10 || p.LastStableOffset != 9 || v >= 5 && p.LogStartOffset != 2 {
			t.Fatalf("v%d: %+v", v, p)
		}
		if a := p.AbortedTransactions; len(a) != 300 || a[299].ProducerID != 7 || a[299].FirstOffset != 1<<40+1 {
			t.Fatalf("v%d: %d aborted transactions", v, len(a))
		}
		if got.Topics[0].Partitions[1].AbortedTransactions != nil || got.Topics[0].Partitions[2].AbortedTransactions == nil {
			t.Fatalf("v%d: null and empty lists of aborted transactions are mixed up", v)
		}
		q := got.Topics[0].Partitions[1]
		if q.ErrorCode != 6 || len(q.RecordBatches) != 0 || v >= 12 && (q.DivergingEpoch.Epoch != 5 || q.DivergingEpoch.EndOffset != 6 || q.CurrentLeader.LeaderID != 3) {
			t.Fatalf("v%d: %+v", v, q)
		}
		if v >= 16 && (len(got.Brokers) != 1 || got.Brokers[0].Host != "host") {
			t.Fatalf("v%d: brokers %+v", v, got.Brokers)
		}
		if again := got.AppendTo(nil); !bytes.Equal(again, wire[4:]) {
			t.Fatalf("v%d: kmsg writes %x, we %x", v, again, wire[4:])
		}
	}
}

func TestParseHeader(t *testing.T) {
	t.Parallel()
	for _, flexible := range []bool{false, true} {
		req := kmsg.NewPtrApiVersionsRequest()
		if flexible {
			req.Version = 3
		}
		b := kmsg.NewRequestFormatter(kmsg.FormatterClientID("me")).AppendRequest(nil, req, 42)[4:]
		h, _, err := ParseHeader(b, flexible)
		if err != nil || h.ClientID != "me" || h.CorrelationID != 42 || h.Key != 18 || h.Version != req.Version {
			t.Fatalf("%+v, %v", h, err)
		}
	}
	for _, bad := range [][]byte{nil, {0}, make([]byte, 9), {0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xfe}, {0, 18, 0, 0, 0, 0, 0, 1, 0x7f, 0xff, 'a'}} {
		if _, _, err := ParseHeader(bad, false); err == nil {
			t.Errorf("header %x is accepted", bad)
		}
	}
}

var _ io.Reader = (*chunks)(nil)
