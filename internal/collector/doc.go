// Package collector receives spans by OTLP over HTTP (protobuf, gzip or plain;
// opentelemetry.io/docs/specs/otlp), keeps the latest of them in files, and
// answers what is known about a trace or an order.
//
// A request is checked and indexed without being decoded: its bytes go to the
// active segment as they came, and the index remembers where each span lies. So
// thousands of spans a second cost little, and memory holds some fifty bytes a
// span. Spans are decoded when somebody asks for them.
//
// A segment is a file of records:
//
//	+----------+----------+---------------------------------------------+
//	| length 4 | crc32c 4 | ExportTraceServiceRequest, protobuf, length |
//	+----------+----------+---------------------------------------------+
//
// Integers are little-endian. Files are not fsynced: a trace is worth less than
// the time. A torn tail is cut at the next start. When the store is full, the
// oldest segment goes, and every trace that began in it.
package collector
