// Package server speaks Kafka's wire protocol: it accepts connections, reads
// frames, hands each decoded request to the handler that is registered for its
// key (one file NN_name.go per key) and writes the answers in order.
package server

// Server holds what the handlers need; broker.go hands it in.
type Server struct {
	// Cluster is the metadata controller, Replicas opens and holds the
	// partitions, Groups coordinates consumer groups. The fields appear as the
	// packages do.
}
