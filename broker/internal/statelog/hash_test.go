package statelog

import (
	"strings"
	"testing"
)

// The hashes come from Java itself.
func TestPartitionFor(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		id        string
		hash      int32
		partition int32
	}{
		{"", 0, 0},
		{"a", 97, 47},
		{"inventory-service", -1479039164, 14},
		{"notification-service", 941430739, 39},
		{"console-consumer-37803", 160456182, 32},
		{"polygenelubricants", -2147483648, 0},
		{"đơn-hàng", -1333186080, 30},
		{"😀x", 54959989, 39},
	} {
		if got := javaHash(tt.id); got != tt.hash {
			t.Errorf("%q: hash %d, Java's is %d", tt.id, got, tt.hash)
		}
		if got := PartitionFor(tt.id, 50); got != tt.partition {
			t.Errorf("%q: partition %d, Kafka's is %d", tt.id, got, tt.partition)
		}
	}
	if got := PartitionFor(strings.Repeat("z", 1000), 1); got != 0 {
		t.Errorf("one partition: %d", got)
	}
}
