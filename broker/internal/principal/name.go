// Package principal makes the principal of a TLS client from its certificate: the name
// as Java prints it, and what ssl.principal.mapping.rules make of that (KIP-371). ACLs and
// quotas compare principals letter by letter, so the form has to be Kafka's.
//
//	subject in DER ─▶ Name ─▶ "CN=alice,OU=Dev,O=Acme" ─▶ Rules.Apply ─▶ "alice"
package principal

import (
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"
)

// attribute is one type and value of a name (RFC 5280, AttributeTypeAndValue).
type attribute struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue
}

// relativeSET is one step of a name; encoding/asn1 knows a set by the end of its type's name.
type relativeSET []attribute

// keywords are the types that RFC 2253 names. Java writes any other by its number.
var keywords = map[string]string{
	"2.5.4.3": "CN", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.9": "STREET",
	"0.9.2342.19200300.100.1.25": "DC", "0.9.2342.19200300.100.1.1": "UID",
}

// Name prints a certificate's subject (x509.Certificate.RawSubject) by RFC 2253, as
// Java's X500Principal.getName does: the last step first, in the order of the certificate.
func Name(subject []byte) (string, error) {
	var steps []relativeSET
	rest, err := asn1.Unmarshal(subject, &steps)
	if err != nil {
		return "", fmt.Errorf("subject of the certificate: %w", err)
	}
	if len(rest) > 0 {
		return "", errors.New("subject of the certificate: bytes after the name")
	}
	out := make([]string, 0, len(steps))
	for _, step := range slices.Backward(steps) {
		parts := make([]string, 0, len(step))
		for _, a := range step {
			parts = append(parts, a.String())
		}
		out = append(out, strings.Join(parts, "+"))
	}
	return strings.Join(out, ","), nil
}

// String is TYPE=value, or NUMBER=#DER in hexadecimal where there is no keyword or text.
func (a attribute) String() string {
	keyword, known := keywords[a.Type.String()]
	text, isText := textOf(a.Value)
	if known && isText {
		return keyword + "=" + escape(text)
	}
	if !known {
		keyword = a.Type.String()
	}
	return keyword + "=#" + hex.EncodeToString(a.Value.FullBytes)
}

// textOf decodes the kinds of strings that Java prints.
func textOf(v asn1.RawValue) (string, bool) {
	const teletex = 20 // a byte a letter
	if v.Class != asn1.ClassUniversal {
		return "", false
	}
	switch v.Tag {
	case asn1.TagUTF8String, asn1.TagPrintableString, asn1.TagIA5String, asn1.TagGeneralString:
		return strings.ToValidUTF8(string(v.Bytes), "\uFFFD"), true
	case teletex:
		letters := make([]rune, 0, len(v.Bytes))
		for _, b := range v.Bytes {
			letters = append(letters, rune(b))
		}
		return string(letters), true
	case asn1.TagBMPString:
		units := make([]uint16, 0, len(v.Bytes)/2)
		for pair := range slices.Chunk(v.Bytes, 2) {
			if len(pair) == 2 {
				units = append(units, uint16(pair[0])<<8|uint16(pair[1]))
			}
		}
		return string(utf16.Decode(units)), true
	}
	return "", false
}

// escape puts a backslash before what would end or change a value. Names of certificates are
// the client's to choose: without it CN="a,OU=admin" would pass for two steps.
func escape(text string) string {
	inner := strings.TrimLeft(text, " \r")
	lead := len(text) - len(inner)
	inner = strings.TrimRight(inner, " \r")
	var b strings.Builder
	for i, c := range text {
		switch {
		case c == 0:
			b.WriteString(`\00`)
			continue
		case i < lead || i >= lead+len(inner) || strings.ContainsRune(`,=+<>#;"\`, c):
			b.WriteByte('\\')
		}
		b.WriteRune(c)
	}
	return b.String()
}
