package server_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// frame puts the size before a request.
func frame(b []byte) []byte { return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...) }

// plainHeader is a header of version 1, of the client "raw".
func plainHeader(key, version int16) []byte {
	return append(head(0, key, version)[4:], 0, 3, 'r', 'a', 'w')
}

// raw sends bytes on a connection of its own and notes how they are answered: with the bytes of the answer's body, which is read as resp
// where there is one.
func (c *conversation) raw(what string, version int16, sent []byte, halfClosed bool, resp kmsg.Response) {
	c.t.Helper()
	c.hangUp()
	c.dial()
	s := step{what, version}
	patience := 30 * time.Second
	switch recorded, ok := c.known.answers[s.String()]; {
	case !ok:
		patience = 2 * time.Second
	case recorded == noAnswer:
		patience = 100 * time.Millisecond
	}
	_ = c.conn.SetDeadline(time.Now().Add(patience))
	_, _ = c.conn.Write(sent) // the broker may have closed already
	if halfClosed {
		_ = c.conn.(*net.TCPConn).CloseWrite()
	}
	var size [4]byte
	_, err := io.ReadFull(c.conn, size[:])
	var ofNet net.Error
	if errors.As(err, &ofNet) && ofNet.Timeout() {
		c.note(s, noAnswer)
		return
	}
	if err != nil {
		c.note(s, "closed")
		return
	}
	body := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err = io.ReadFull(c.conn, body); err != nil {
		c.note(s, "closed in the middle")
		return
	}
	if resp == nil {
		c.note(s, "answered")
		return
	}
	if err := resp.ReadFrom(body[4:]); err != nil {
		c.note(s, "undecodable: "+err.Error())
		return
	}
	c.note(s, c.shown(resp))
}

// brokenFrames tells what becomes of bytes that are no request.
func brokenFrames(c *conversation) {
	for _, f := range []struct {
		what string
		sent []byte
	}{
		{"size -5", head(-5, 3, 1)},
		{"size 0", head(0, 3, 1)},
		{"size 7", head(7, 3, 1)},
		{"size of 100 MiB and a byte", head(100<<20+1, 3, 1)},
		{"size of 2 GiB", head(1<<31-1, 3, 1)},
		{"HTTP", []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")},
		{"TLS", append([]byte{22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3}, make([]byte, 506)...)},
		{"key 77", frame(plainHeader(77, 0))},
		{"key -3", frame(plainHeader(-3, 0))},
		{"key 1000", frame(plainHeader(1000, 0))},
		{"key of brokers", frame(plainHeader(7, 0))},
		{"key of controllers", frame(plainHeader(62, 0))},
		{"Metadata 14", frame(plainHeader(3, 14))},
		{"Metadata -1", frame(plainHeader(3, -1))},
		{"Fetch 3", frame(plainHeader(1, 3))},
		{"no client id", frame(head(0, 3, 1)[4:])},
		{"client id beyond the frame", frame(append(head(0, 3, 1)[4:], 0x7f, 0xff))},
		{"client id of length -2", frame(append(head(0, 3, 1)[4:], 0xff, 0xfe))},
		{"array beyond the frame", frame(append(plainHeader(3, 1), 0x05, 0xf5, 0xe1, 0))},
		{"array of -2", frame(append(plainHeader(3, 1), 0xff, 0xff, 0xff, 0xfe))},
		{"array of 2^31-1", frame(append(plainHeader(3, 1), 0x7f, 0xff, 0xff, 0xff))},
		{"compact array beyond the frame", frame(append(plainHeader(3, 9), 0, 0x81, 0xc2, 0xd7, 0x2f, 0, 0, 0, 0))},
		{"compact array of 2^32-2", frame(append(plainHeader(3, 9), 0, 0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0, 0))},
		{"varint without an end", frame(append(plainHeader(3, 9), 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff))},
		{"tags of a header beyond the frame", frame(append(plainHeader(3, 9), 9, 1, 100, 0))},
		{"string beyond the frame", frame(append(plainHeader(3, 1), 0, 0, 0, 1, 0x7f, 0xff, 'a'))},
		{"null for a string", frame(append(plainHeader(3, 1), 0, 0, 0, 1, 0xff, 0xff))},
	} {
		c.raw(f.what, 0, f.sent, false, nil)
		if f.what != "TLS" && f.what != "HTTP" {
			c.raw(f.what+", and no more", 0, f.sent, true, nil)
		}
	}
	for _, v := range []int16{5, 99, -1} {
		c.raw(fmt.Sprint("ApiVersions ", v), 0, frame(append(plainHeader(18, v), make([]byte, 20)...)), false, kmsg.NewPtrApiVersionsResponse())
	}
	c.raw("ApiVersions and a null client id", 0, frame(append(head(0, 18, 0)[4:], 0xff, 0xff)), false, kmsg.NewPtrApiVersionsResponse())
	long := append(append(head(0, 18, 0)[4:], 0x7f, 0xff), bytes.Repeat([]byte("x"), 0x7fff)...)
	c.raw("ApiVersions and a long client id", 0, frame(long), false, kmsg.NewPtrApiVersionsResponse())
	c.raw("ApiVersions and a client id that is not UTF-8", 0, frame(append(head(0, 18, 0)[4:], 0, 2, 0xff, 0xfe)), false, kmsg.NewPtrApiVersionsResponse())
	c.raw("a name that is not UTF-8", 1, frame(append(plainHeader(2, 1), 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1, 0, 2, 0xff, 0xfe, 0, 0, 0, 0)), false, nil)
	c.raw("a bool of 2", 4, frame(append(plainHeader(3, 4), 0, 0, 0, 0, 2)), false, nil)
	c.raw("unknown tags in the header", 9, frame(append(plainHeader(3, 9), 1, 99, 2, 'h', 'i', 1, 0, 0, 0, 0)), false, nil)
	c.raw("unknown tags in the body", 9, frame(append(plainHeader(3, 9), 0, 1, 0, 0, 0, 1, 99, 2, 'h', 'i')), false, nil)
	c.raw("a tag twice", 9, frame(append(plainHeader(3, 9), 0, 1, 0, 0, 0, 2, 99, 1, 'h', 99, 1, 'i')), false, nil)
	for _, api := range registered() {
		for _, v := range slices.Compact([]int16{api.MinVersion, api.MaxVersion}) {
			req := kmsg.RequestForKey(api.Key)
			req.SetVersion(v)
			whole := kmsg.NewRequestFormatter(kmsg.FormatterClientID("raw")).AppendRequest(nil, req, 5)[4:]
			header := len(plainHeader(0, 0))
			if req.IsFlexible() {
				header++
			}
			name := fmt.Sprintf("%02d", api.Key)
			if len(whole) > header {
				c.raw(name+" without a body", v, frame(whole[:header]), false, nil)
				c.raw(name+" cut by a byte", v, frame(whole[:len(whole)-1]), false, nil)
			}
		}
	}
}
