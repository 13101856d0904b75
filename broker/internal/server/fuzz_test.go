package server_test

import (
	"encoding/binary"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/brokertest"
	"millrace/broker/internal/server"
)

// FuzzFrames sends whatever bytes to a broker. Invariants: no handler fails, the
// broker still answers on another connection, and what is allocated stays within
// what the frames that came are allowed to cost.
func FuzzFrames(f *testing.F) {
	for _, a := range server.Registered() {
		for _, v := range []int16{a.MinVersion, a.MaxVersion} {
			req := kmsg.RequestForKey(a.Key)
			req.SetVersion(v)
			frame := kmsg.NewRequestFormatter(kmsg.FormatterClientID("fuzz")).AppendRequest(nil, req, 1)
			f.Add(frame)
			f.Add(append(frame, frame[:len(frame)/2]...))
		}
	}
	p := produceRequest("orders", [16]byte{}, 0, -1, batch(f, 3))
	p.SetVersion(9)
	f.Add(kmsg.NewRequestFormatter().AppendRequest(nil, p, 1))
	g := fetchRequest("orders", [16]byte{}, 0, 0)
	g.SetVersion(12)
	f.Add(kmsg.NewRequestFormatter().AppendRequest(nil, g, 1))
	f.Add(head(1<<31-1, 0, 9))
	f.Add(append(head(90<<20, 0, 9), make([]byte, 1000)...))

	var lines logLines
	b := brokertest.Start(f, brokertest.InMemory(), brokertest.WithLog(lines.logger()),
		brokertest.WithSetting("connections.max.idle.ms", "200"), brokertest.WithSetting("offsets.topic.num.partitions", "1"), brokertest.WithSetting("transaction.state.log.num.partitions", "1"),
		// One request could ask for a million partitions: that is Kafka's to allow, and not what is tried here.
		brokertest.WithSetting("auto.create.topics.enable", "false"))
	dialBroker(f, b).createTopic("orders", 1)
	f.Fuzz(func(t *testing.T, in []byte) {
		if createsMany(in) {
			t.Skip()
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		conn, err := net.Dial("tcp", b.Addr)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(20 * time.Millisecond))
		_, _ = conn.Write(in)
		_ = conn.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, io.LimitReader(conn, 10<<20))
		_ = conn.Close()
		runtime.ReadMemStats(&after)
		if got, limit := after.TotalAlloc-before.TotalAlloc, uint64(64<<20+512*len(in)); got > limit {
			t.Errorf("%d bytes allocated for %d that were sent", got, len(in))
		}
		c := dialBroker(t, b)
		ask[*kmsg.ApiVersionsResponse](c, kmsg.NewPtrApiVersionsRequest(), 0)
		_ = c.conn.Close()
		for _, l := range lines.warnings() {
			if strings.Contains(l, "handler failed") {
				t.Fatal(l)
			}
		}
	})
}

// createsMany tells whether the input holds a request that makes partitions.
func createsMany(in []byte) bool {
	for len(in) >= 8 {
		if key := binary.BigEndian.Uint16(in[4:]); key == 19 || key == 37 {
			return true
		}
		size := int(int32(binary.BigEndian.Uint32(in))) + 4
		if size < 8 || size > len(in) {
			return false
		}
		in = in[size:]
	}
	return false
}
