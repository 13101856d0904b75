// Package wire reads Kafka's request frames and lays out the hot responses.
//
// A request on the wire (protocol guide, "Protocol Primitives"):
//
//	+--------+---------+-------------+------------------+--------------------+--------+------
//	| size 4 | key 2   | version 2   | correlation id 4 | client id 2 + n    | tags   | body
//	+--------+---------+-------------+------------------+--------------------+--------+------
//	                   request header v1 up to here, and v2 with the tags ----^
//
// The size does not count itself. The client id is a nullable string with a
// two byte length in both versions (KIP-482). Bodies are decoded by kmsg,
// except Produce's, which is taken apart here without copying its records.
//
// What the caller may rely on:
//
//   - No announced length is believed. A frame is refused by the cap of its key
//     before a byte of its body is read, and memory grows only as bytes arrive.
//   - Bytes of requests in memory are counted over all connections by a Budget.
//   - A Buffer belongs to who got it until Release; afterwards it is reused.
package wire
