package dlq

// The wrong way "shared-redrive". It is not reached but by SharedTopic.
//
// Many tools send a dead letter back to the topic that it came from. Every group of the
// topic gets the message again then, also those that had done it: a group with an inbox
// drops it, one without does it twice, and all of them pay for the work. The invariant
// that breaks: a redriven message reaches the group that failed, and no other.

// SharedTopicWarning is for those who ask for it.
const SharedTopicWarning = "WRONG WAY shared-redrive: messages go to the topic that all groups read. " +
	"Broken on purpose: a redriven message reaches the group that failed, and no other."

// SharedTopic makes a redrive send to the original topic.
func SharedTopic(o RedriveOptions) RedriveOptions {
	o.route = func(topic, _ string) string { return topic }
	return o
}
