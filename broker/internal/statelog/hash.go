package statelog

import "unicode/utf16"

// PartitionFor returns the partition that keeps the machine of an id: the
// absolute value of Java's String.hashCode, modulo the number of partitions.
func PartitionFor(id string, partitions int32) int32 {
	h := javaHash(id)
	if h < 0 {
		h = max(-h, 0) // -(-2^31) is -2^31 again; Kafka takes 0 for it
	}
	return h % partitions
}

// javaHash is s[0]*31^(n-1) + … + s[n-1] over the UTF-16 units of s, modulo 2^32.
func javaHash(s string) (h int32) {
	for _, u := range utf16.Encode([]rune(s)) {
		h = 31*h + int32(u)
	}
	return h
}
