package cluster

import (
	"context"
	"fmt"
	"testing"
)

// BenchmarkLoad starts on a log of 1000 topics of four partitions each.
func BenchmarkLoad(b *testing.B) {
	log := &memoryLog{}
	c := testConfig()
	controller, err := open(context.Background(), log, Options{Config: c})
	if err != nil {
		b.Fatal(err)
	}
	for i := range 1000 {
		controller.CreateTopics(context.Background(), []NewTopic{{Name: fmt.Sprintf("topic-%d", i), Partitions: 4, ReplicationFactor: 1}}, false)
	}
	l := commandLog{log: log}
	for b.Loop() {
		image, err := l.load(c)
		if err != nil || image.TopicCount() != 1000 {
			b.Fatal(err)
		}
	}
}

// BenchmarkCreateTopic adds one topic to 1000.
func BenchmarkCreateTopic(b *testing.B) {
	controller, err := open(context.Background(), &memoryLog{}, Options{Config: testConfig()})
	if err != nil {
		b.Fatal(err)
	}
	for i := range 1000 {
		controller.CreateTopics(context.Background(), []NewTopic{{Name: fmt.Sprintf("topic-%d", i), Partitions: 4, ReplicationFactor: 1}}, false)
	}
	for b.Loop() {
		r := controller.CreateTopics(context.Background(), []NewTopic{{Name: "one-more", Partitions: 4, ReplicationFactor: 1}}, false)
		if r[0].Err != nil {
			b.Fatal(r[0].Err)
		}
		controller.DeleteTopics(context.Background(), []TopicRef{{Name: "one-more"}})
	}
}
