// Package chaos proves what docs/guarantees.md promises: whatever dies, and wherever,
// every accepted order is dealt with once in effect.
//
// The crash matrix sets each named fault point of each program to each kind of fault
// (kill -9, error, delay), lets orders pass, and judges by what is stored: databases,
// topics, mail box. Its table stands in docs/guarantees.md; -update writes it. Beside
// it, parts are killed and restarted under load, without regard to where they are.
//
// With MILLRACE_SHOP_BROKERS=host:port the same runs on another Kafka.
package chaos
