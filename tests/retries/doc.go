// Package retries proves what the tries of a message promise, with a real Postgres, the
// real broker, and consumers that are processes of their own: a kill -9 at each point
// loses nothing, does nothing twice and keeps the order of a key, and a rebalance does
// not wait for a message that waits.
package retries
