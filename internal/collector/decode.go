package collector

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"time"

	commonpb "go.opentelemetry.io/proto/slim/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/slim/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/slim/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"millrace/internal/span"
)

// resource is what is kept of the program that a span comes from.
type resource struct{ service, instance string }

// Attribute names of the resource conventions.
const (
	attrServiceName     = "service.name"
	attrServiceInstance = "service.instance.id"
)

func decodeResource(b []byte) (resource, error) {
	var pb resourcepb.Resource
	if err := proto.Unmarshal(b, &pb); err != nil {
		return resource{}, err
	}
	attrs := attributes(pb.GetAttributes())
	return resource{service: attrs[attrServiceName], instance: attrs[attrServiceInstance]}, nil
}

func decodeSpan(b []byte, r resource) (span.Span, error) {
	var pb tracepb.Span
	if err := proto.Unmarshal(b, &pb); err != nil {
		return span.Span{}, err
	}
	s := span.Span{
		TraceID:  hex.EncodeToString(pb.GetTraceId()),
		SpanID:   hex.EncodeToString(pb.GetSpanId()),
		ParentID: hex.EncodeToString(pb.GetParentSpanId()),
		Name:     pb.GetName(),
		Kind:     kind(pb.GetKind()),
		Service:  r.service,
		Instance: r.instance,
		Start:    at(pb.GetStartTimeUnixNano()),
		End:      at(pb.GetEndTimeUnixNano()),
		Failed:   pb.GetStatus().GetCode() == tracepb.Status_STATUS_CODE_ERROR,
		Message:  pb.GetStatus().GetMessage(),
		Attrs:    attributes(pb.GetAttributes()),
	}
	for _, l := range pb.GetLinks() {
		s.Links = append(s.Links, span.Link{
			TraceID: hex.EncodeToString(l.GetTraceId()),
			SpanID:  hex.EncodeToString(l.GetSpanId()),
			Attrs:   attributes(l.GetAttributes()),
		})
	}
	for _, e := range pb.GetEvents() {
		s.Events = append(s.Events, span.Event{
			Name: e.GetName(), Time: at(e.GetTimeUnixNano()), Attrs: attributes(e.GetAttributes()),
		})
	}
	return s, nil
}

func at(unixNano uint64) time.Time { return time.Unix(0, int64(unixNano)).UTC() }

func kind(k tracepb.Span_SpanKind) span.Kind {
	switch k {
	case tracepb.Span_SPAN_KIND_SERVER:
		return span.Server
	case tracepb.Span_SPAN_KIND_CLIENT:
		return span.Client
	case tracepb.Span_SPAN_KIND_PRODUCER:
		return span.Producer
	case tracepb.Span_SPAN_KIND_CONSUMER:
		return span.Consumer
	default:
		return span.Internal
	}
}

func attributes(kvs []*commonpb.KeyValue) map[string]string {
	if len(kvs) == 0 {
		return nil
	}
	m := make(map[string]string, len(kvs))
	for _, kv := range kvs {
		m[kv.GetKey()] = text(kv.GetValue())
	}
	return m
}

// text writes a value as a person would read it.
func text(v *commonpb.AnyValue) string {
	switch v := v.GetValue().(type) {
	case *commonpb.AnyValue_StringValue:
		return v.StringValue
	case *commonpb.AnyValue_BoolValue:
		return strconv.FormatBool(v.BoolValue)
	case *commonpb.AnyValue_IntValue:
		return strconv.FormatInt(v.IntValue, 10)
	case *commonpb.AnyValue_DoubleValue:
		return strconv.FormatFloat(v.DoubleValue, 'g', -1, 64)
	case *commonpb.AnyValue_BytesValue:
		return base64.StdEncoding.EncodeToString(v.BytesValue)
	case *commonpb.AnyValue_ArrayValue:
		list := make([]string, 0, len(v.ArrayValue.GetValues()))
		for _, e := range v.ArrayValue.GetValues() {
			list = append(list, text(e))
		}
		return asJSON(list)
	case *commonpb.AnyValue_KvlistValue:
		return asJSON(attributes(v.KvlistValue.GetValues()))
	default:
		return ""
	}
}

func asJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(b)
}
