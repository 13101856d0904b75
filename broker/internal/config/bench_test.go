package config

import "testing"

// BenchmarkNewBroker is part of every start.
func BenchmarkNewBroker(b *testing.B) {
	set := map[string]string{"num.partitions": "4", "listeners": "PLAINTEXT://127.0.0.1:9092"}
	for b.Loop() {
		if _, err := NewBroker(set); err != nil {
			b.Fatal(err)
		}
	}
}
