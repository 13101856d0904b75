package collector

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// errMalformed is returned when a body is not an ExportTraceServiceRequest.
var errMalformed = errors.New("malformed OTLP request")

type (
	traceID [16]byte
	spanID  [8]byte
)

// scanned is what the index wants to know about one span of a request.
type scanned struct {
	offset, length int // of the Span message within the request
	resource       int // index into scan.resources
	trace          traceID
	orderID        string    // value of the first of orderKeys; empty when absent
	links          []traceID // traces other than its own
}

// scan is the outline of a request.
type scan struct {
	resources [][]byte // Resource messages, parts of the body
	spans     []scanned
}

// orderKeys are the span attributes that hold an order id. Records of the shop
// have the order id as their key.
var orderKeys = map[string]bool{"order.id": true, "order_id": true, "messaging.kafka.message.key": true}

// maxOrderID caps what is kept as an index key.
const maxOrderID = 128

// Field numbers of opentelemetry/proto/collector/trace/v1 and trace/v1.
const (
	requestResourceSpans  = 1
	resourceSpansResource = 1
	resourceSpansScope    = 2
	scopeSpansSpan        = 2
	spanTraceID           = 1
	spanSpanID            = 2
	spanAttributes        = 9
	spanLinks             = 13
	linkTraceID           = 1
	keyValueKey           = 1
	keyValueValue         = 2
	anyValueString        = 1
)

// scanRequest walks over a request. It keeps slices of body.
func scanRequest(body []byte) (scan, error) {
	var s scan
	err := fields(body, func(num protowire.Number, value []byte, at int) error {
		if num != requestResourceSpans {
			return nil
		}
		return s.resourceSpans(value, at)
	})
	if err != nil {
		return scan{}, fmt.Errorf("%w: %w", errMalformed, err)
	}
	return s, nil
}

func (s *scan) resourceSpans(b []byte, base int) error {
	index := len(s.resources)
	s.resources = append(s.resources, nil)
	return fields(b, func(num protowire.Number, value []byte, at int) error {
		switch num {
		case resourceSpansResource:
			s.resources[index] = value
		case resourceSpansScope:
			return fields(value, func(num protowire.Number, value []byte, inner int) error {
				if num != scopeSpansSpan {
					return nil
				}
				span, err := scanSpan(value)
				if err != nil {
					return err
				}
				span.offset, span.length, span.resource = base+at+inner, len(value), index
				s.spans = append(s.spans, span)
				return nil
			})
		}
		return nil
	})
}

func scanSpan(b []byte) (scanned, error) {
	var s scanned
	var haveTrace, haveSpan bool
	err := fields(b, func(num protowire.Number, value []byte, _ int) error {
		switch num {
		case spanTraceID:
			haveTrace = copy(s.trace[:], value) == len(s.trace) && len(value) == len(s.trace)
		case spanSpanID:
			haveSpan = len(value) == len(spanID{})
		case spanAttributes:
			return s.attribute(value)
		case spanLinks:
			return s.link(value)
		}
		return nil
	})
	if err == nil && (!haveTrace || !haveSpan) {
		err = errors.New("span without a valid trace id and span id")
	}
	return s, err
}

func (s *scanned) attribute(b []byte) error {
	var wanted bool
	return fields(b, func(num protowire.Number, value []byte, _ int) error {
		switch num {
		case keyValueKey:
			wanted = s.orderID == "" && orderKeys[string(value)]
		case keyValueValue:
			if !wanted {
				return nil
			}
			return fields(value, func(num protowire.Number, value []byte, _ int) error {
				if num == anyValueString && len(value) <= maxOrderID {
					s.orderID = string(value)
				}
				return nil
			})
		}
		return nil
	})
}

func (s *scanned) link(b []byte) error {
	return fields(b, func(num protowire.Number, value []byte, _ int) error {
		var id traceID
		if num == linkTraceID && copy(id[:], value) == len(id) && id != s.trace {
			s.links = append(s.links, id)
		}
		return nil
	})
}

// fields calls f for each length-delimited field of a message with its value
// and where the value starts; it steps over other fields.
func fields(b []byte, f func(num protowire.Number, value []byte, at int) error) error {
	for at := 0; at < len(b); {
		num, kind, n := protowire.ConsumeTag(b[at:])
		if n < 0 {
			return protowire.ParseError(n)
		}
		at += n
		if kind != protowire.BytesType {
			n = protowire.ConsumeFieldValue(num, kind, b[at:])
			if n < 0 {
				return protowire.ParseError(n)
			}
			at += n
			continue
		}
		value, n := protowire.ConsumeBytes(b[at:])
		if n < 0 {
			return protowire.ParseError(n)
		}
		at += n
		if err := f(num, value, at-len(value)); err != nil {
			return err
		}
	}
	return nil
}
