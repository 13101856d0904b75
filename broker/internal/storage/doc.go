// Package storage keeps the logs of a broker in one data folder, in the files of Apache Kafka.
// docs/storage-format.md draws them.
package storage
