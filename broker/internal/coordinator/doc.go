// Package coordinator runs consumer groups: it joins the state machines of package
// group to the runtime of package statelog, which has the locks, timers and the disk.
//
//	handlers ──▶ Coordinator ──▶ statelog (a partition of __consumer_offsets) ──▶ group
//
// Records are Kafka's own, so that Kafka's tools can read them:
//
//	key:   version 1, group, topic, partition     value: version 4, offset, epoch, metadata, time
//	key:   version 2, group                       value: version 3, generation, members, assignments
//	keys 3 to 16: groups where the broker assigns, see codec_modern.go
//
// A request is answered when its own record is durable.
package coordinator
