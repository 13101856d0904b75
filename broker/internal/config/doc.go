// Package config knows Kafka's settings: the name, type, default, rule, unit and
// meaning of each one that this broker honours or has to report, at the broker,
// the topic and the group level.
//
// Names and defaults are Apache Kafka's (version 4.3), so that a properties file
// or a `kafka-configs --alter` written for Kafka means the same here. Where a
// default differs on purpose, the setting's documentation says so.
//
// Values come in layers, the first that has one wins:
//
//	topic:   set on the topic > broker's layers under the broker's name for it
//	broker:  set on this broker at run time > set for all brokers at run time >
//	         properties file or flag > default
//
// Within a layer, a setting may also be given under another name (its synonym):
// log.retention.ms, else log.retention.minutes, else log.retention.hours.
//
// The outcome is a [Broker] or a [Topic]: plain structs with typed fields, never
// changed once made, read without a map or a lock. An unknown setting or a bad
// value is an [Error] that names the setting and what is allowed.
package config
