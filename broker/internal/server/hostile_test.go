package server_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/brokertest"
)

// logLines collects what a broker logs.
type logLines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logLines) warnings() (out []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.b.String()) {
		if !strings.Contains(line, "level=INFO") {
			out = append(out, line)
		}
	}
	return out
}

func (l *logLines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func get(t testing.TB, url string) string {
	t.Helper()
	tr := &http.Transport{DisableKeepAlives: true}
	defer tr.CloseIdleConnections()
	resp, err := (&http.Client{Transport: tr, Timeout: 10 * time.Second}).Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// head is a request up to its correlation id.
func head(size int32, key, version int16) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(size))
	b = binary.BigEndian.AppendUint16(b, uint16(key))
	b = binary.BigEndian.AppendUint16(b, uint16(version))
	return binary.BigEndian.AppendUint32(b, 5)
}

func TestBrokenRequests_CloseTheConnectionWithOneLine(t *testing.T) {
	t.Parallel()
	for name, bytes := range map[string][]byte{
		"HTTP":                        []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		"negative size":               head(-5, 0, 9),
		"size zero":                   head(0, 0, 9),
		"size below a header":         head(7, 0, 9),
		"oversized Produce":           head(100<<20+1, 0, 9),
		"oversized Fetch":             head(50<<20, 1, 12),
		"oversized Metadata":          head(50<<20, 3, 9),
		"oversized of no key":         head(50<<20, 77, 0),
		"unknown key":                 append(head(10, 77, 0), 0xff, 0xff),
		"negative key":                append(head(10, -3, 0), 0xff, 0xff),
		"unserved key":                append(head(10, 7, 0), 0xff, 0xff),
		"Metadata version too high":   append(head(10, 3, 14), 0xff, 0xff),
		"Fetch version too low":       append(head(10, 1, 3), 0xff, 0xff),
		"negative version":            append(head(10, 3, -1), 0xff, 0xff),
		"Produce version 2":           append(head(22, 0, 2), 0xff, 0xff, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0),
		"client id beyond the frame":  append(head(10, 3, 1), 0x7f, 0xff),
		"client id of length -2":      append(head(10, 3, 1), 0xff, 0xfe),
		"empty body":                  append(head(10, 1, 12), 0xff, 0xff),
		"array beyond the frame":      append(head(14, 3, 1), 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff),
		"topics of Produce beyond it": append(head(22, 0, 3), 0xff, 0xff, 0xff, 0xff, 0, 1, 0, 0, 0, 1, 0x7f, 0xff, 0xff, 0xff),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var lines logLines
			b := brokertest.Start(t, brokertest.WithLog(lines.logger()))
			c := dialBroker(t, b)
			c.write(bytes)
			c.closed()
			b.Stop()
			if got := lines.warnings(); len(got) != 1 || !strings.Contains(got[0], `msg="connection closed"`) {
				t.Errorf("logged: %q", got)
			}
		})
	}
}

func TestApiVersions(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	c := dialBroker(t, b)
	for v := range int16(5) {
		req := kmsg.NewPtrApiVersionsRequest()
		req.ClientSoftwareName, req.ClientSoftwareVersion = "me", "1.0"
		resp := ask[*kmsg.ApiVersionsResponse](c, req, v)
		if resp.ErrorCode != 0 || len(resp.ApiKeys) < 20 {
			t.Fatalf("v%d: %+v", v, resp)
		}
		for _, f := range resp.SupportedFeatures {
			if f.MinVersion == 0 && v < 4 {
				t.Errorf("v%d: feature %s with minimum 0 is told", v, f.Name)
			}
		}
	}
	for _, v := range []int16{5, 99, -1} {
		// What a client of the future sends; the body cannot be understood.
		c.corr++
		body := append(head(30, 18, v)[:8], 0, 0, 0, byte(c.corr))
		c.write(append(body, make([]byte, 22)...))
		req := kmsg.NewPtrApiVersionsRequest() // answered as version 0
		resp := c.receive(req, c.corr).(*kmsg.ApiVersionsResponse)
		if resp.ErrorCode != kerr.UnsupportedVersion.Code || len(resp.ApiKeys) != 1 || resp.ApiKeys[0].ApiKey != 18 || resp.ApiKeys[0].MaxVersion != 4 {
			t.Fatalf("v%d: %+v", v, resp)
		}
	}
	req := kmsg.NewPtrApiVersionsRequest()
	req.ClientSoftwareName = "bad name!"
	if resp := ask[*kmsg.ApiVersionsResponse](c, req, 3); resp.ErrorCode != kerr.InvalidRequest.Code {
		t.Fatalf("%+v", resp)
	}
}

func TestConnections_AreLimited(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.WithSetting("max.connections", "3"))
	var open []*rawClient
	for range 3 {
		c := dialBroker(t, b)
		ask[*kmsg.ApiVersionsResponse](c, kmsg.NewPtrApiVersionsRequest(), 0)
		open = append(open, c)
	}
	dialBroker(t, b).closed()
	_ = open[0].conn.Close()
	for end := time.Now().Add(10 * time.Second); ; {
		c, err := net.Dial("tcp", b.Addr)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		raw := &rawClient{t: t, conn: c}
		_, _ = c.Write(kmsg.NewRequestFormatter().AppendRequest(nil, kmsg.NewPtrApiVersionsRequest(), 1))
		_, err = raw.frame()
		_ = c.Close()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatal("the place of a closed connection is not given to another")
		}
	}
}

func TestConnections_IdleOnesAreClosed(t *testing.T) {
	t.Parallel()
	var lines logLines
	b := brokertest.Start(t, brokertest.WithSetting("connections.max.idle.ms", "100"), brokertest.WithLog(lines.logger()))
	c := dialBroker(t, b)
	ask[*kmsg.ApiVersionsResponse](c, kmsg.NewPtrApiVersionsRequest(), 0)
	c.closed()
	b.Stop()
	if got := lines.warnings(); len(got) != 0 {
		t.Errorf("logged: %q", got)
	}
}

// A stop does not wait for long polls, and finishes what is in hand.
func TestStop_AnswersWhatIsInHand(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	c := dialBroker(t, b)
	id := c.createTopic("orders", 1)
	req := fetchRequest("orders", id, 0, 0)
	req.MaxWaitMillis = 60_000
	c.send(req, 12)
	join := dialBroker(t, b)
	idle := dialBroker(t, b)
	ask[*kmsg.ApiVersionsResponse](idle, kmsg.NewPtrApiVersionsRequest(), 0)
	ask[*kmsg.ApiVersionsResponse](join, kmsg.NewPtrApiVersionsRequest(), 0)
	half := dialBroker(t, b)
	half.write(head(5000, 0, 9))
	began := time.Now()
	b.Stop()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the stop took %v", took)
	}
	// Answered, or closed before it was read: never left hanging.
	if body, err := c.frame(); err == nil && len(body) < 20 {
		t.Errorf("answer of %d bytes", len(body))
	}
	idle.closed()
	half.closed()
}

func TestListeners_AdvertiseTheirOwnAddress(t *testing.T) {
	t.Parallel()
	first, second := brokertest.FreeAddr(t), brokertest.FreeAddr(t)
	b := brokertest.Start(t, brokertest.WithListen(first+",advertise=broker:9092"), brokertest.WithListen(second+",advertise=localhost:9094"))
	for addr, want := range map[string]string{first: "broker:9092", second: "localhost:9094"} {
		c := dialBroker(t, &brokertest.Broker{Addr: addr})
		meta := ask[*kmsg.MetadataResponse](c, kmsg.NewPtrMetadataRequest(), 5)
		if got := fmt.Sprintf("%s:%d", meta.Brokers[0].Host, meta.Brokers[0].Port); got != want || meta.Brokers[0].NodeID != 1 {
			t.Errorf("listener %s: %s, want %s", addr, got, want)
		}
	}
	_ = b
}

func TestHalfARequest_IsClosedByADeadline(t *testing.T) {
	t.Parallel()
	var lines logLines
	b := brokertest.Start(t, brokertest.WithStallTimeout(50*time.Millisecond), brokertest.WithLog(lines.logger()))
	for _, sent := range [][]byte{{0}, {0, 0, 0, 9, 0}, head(5000, 0, 9), append(head(5000, 0, 9), make([]byte, 4000)...)} {
		c := dialBroker(t, b)
		c.write(sent)
		c.closed()
	}
	// Who takes no answers is closed as well, and does not hold up others.
	deaf := dialBroker(t, b)
	id := deaf.createTopic("orders", 1)
	for range 20 {
		deaf.produce(9, "orders", id, -1, batch(t, 20_000))
	}
	var out []byte
	for i := range 100 {
		req := fetchRequest("orders", id, 0, 0)
		req.Topics[0].Partitions[0].PartitionMaxBytes = 50 << 20
		req.SetVersion(12)
		out = append(out, kmsg.NewRequestFormatter().AppendRequest(nil, req, int32(i))...)
	}
	deaf.write(out)
	for end := time.Now().Add(20 * time.Second); len(lines.warnings()) < 5; runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("logged: %q", lines.warnings())
		}
	}
	b.Stop()
	for _, l := range lines.warnings()[:4] {
		if !strings.Contains(l, "half a request and silence") {
			t.Errorf("logged: %q", l)
		}
	}
	if l := lines.warnings()[4]; !strings.Contains(l, "does not take its answer") {
		t.Errorf("logged: %q", l)
	}
}
