package server_test

import (
	"fmt"
	"strings"
)

// accepted lists where our answer is not Kafka's, by script and by what is asked, and why. "*" stands for anything.
var accepted = []acceptance{
	{"*", "*Topics twice*", "what is named twice is answered twice, and by Kafka in some requests once"},
	{"*", "*Partitions twice*", "the same"},
	{"2*", "Markers twice*", "the same"},
	{"34*", "Dirs twice*", "the same"},
	{"01_Fetch", "ReplicaState.*", "there are no followers; and Kafka closes the connection at a tag of a later version"},
	{"01_Fetch", "Topics.Partitions.ReplicaDirectoryID *", "the same"},
	{"01_Fetch", "Topics.Partitions.HighWatermark *", "a tag of a later version is left out, where Kafka closes the connection"},
	{"01_Fetch", "SessionID 2147483647*", "a request without a session that names one is served, and gets UNKNOWN_SERVER_ERROR from Kafka"},
	{"03_Metadata", "Topics.TopicID unknown v1*", "the brokers are told in an answer that refuses, too"},
	{"03_Metadata", "Topics.Topic null*", "the same, and no UNKNOWN_SERVER_ERROR"},
	{"03_Metadata", "by id Topics.TopicID zero*", "the same"},
	{"11_JoinGroup", "InstanceID ''*", "an empty instance id is none"},
	{"11_JoinGroup", "Protocols twice*", "Kafka fails while it answers"},
	{"20_DeleteTopics", "Topics.Topic ''*", "no name is no name"},
	{"24_*", "Transactions empty*", "divergence.md: AddPartitionsToTxn without any transaction"},
	{"24_*", "Transactions null*", "the same"},
	{"27_*", "Markers.Topics empty*", "a marker without topics is answered, and left out by Kafka"},
	{"27_*", "Markers.Topics null*", "the same"},
	{"27_*", "Markers.ProducerID -2*", "refused, and written by Kafka"},
	{"27_*", "Markers.ProducerEpoch -2*", "refused by another code"},
	{"29_*", "* 0 v*", "SECURITY_DISABLED comes before what is asked for is looked at"},
	{"30_*", "* 0 v*", "the same"},
	{"31_*", "* 0 v*", "the same"},
	{"32_*", "Resources.ConfigNames *", "divergence.md: flush.messages=1"},
	{"33_*", "Resources twice*", "divergence.md: AlterConfigs with one resource twice"},
	{"34_*", "Dirs.Topics.Topic long*", "no folder but one: that is told first"},
	{"38_*", "OwnerPrincipalName *", "Kafka fails to find out who is asked for before it says that there are no tokens"},
	{"43_*", "Topics null*", "elections that are not needed are not told when nobody named them"},
	{"57_*", "FeatureUpdates.MaxVersionLevel 0*", "a feature that is not known is at level 0 already"},
	{"68_*", "SubscribedTopicNames empty*", "whoever joins changes the group, and its epoch with it"},
	{"75_*", "Topics.Topic ''*", "INVALID_TOPIC_EXCEPTION, and UNKNOWN_SERVER_ERROR from Kafka"},
	{"78_*", "Topics.TopicID *", "divergence.md: ShareFetch of an unknown topic id"},
	{"83_*", "Topics.Partitions.StateEpoch -1 v0", "an epoch below the one that is kept is of the past"},
	{"83_*", "Topics.Partitions.StartOffset -2 v0", "no offset is looked at before the epoch"},
	{"27_*", "Markers.Topics.Partitions *", "a topic without partitions is answered, and left out by Kafka"},
	{"90_*", "Groups.Topics.Partitions *", "a topic without partitions is answered, and left out by Kafka"},
	{"administration", "offset: of an empty log v11", "records that are deleted have no time; Kafka looks into the file, where they still are"},
	{"consumer-groups", "a classic member joins v9", "every member id begins with the name of its client"},
	{"share-groups", "a negative offset v2", "no record has it; to Kafka it is one that was acknowledged long ago"},
	{"records", "*: null v*", "divergence.md: records = null in Produce"},
	{"records", "* that is none v*", "divergence.md: decompressing a produced batch"},
	{"records", "*: producer -5 v*", "divergence.md: a producer id below -1"},
	{"records", "zipped: times of -5*", "a time before 1970 is a time, also where the batch is compressed anew"},
	{"records", "recent: base offset 5 v13", "the times are looked at first"},
	{"90_*", "Groups.GroupID ''*", "INVALID_GROUP_ID, and UNKNOWN_SERVER_ERROR from Kafka"},
}

type acceptance struct {
	script, step string
	why          string
}

func (a acceptance) String() string { return fmt.Sprintf("%s, %s (%s)", a.script, a.step, a.why) }

func isAccepted(script, step string) (which string, ok bool) {
	for _, a := range accepted {
		if matches(a.script, script) && matches(a.step, step) {
			return a.String(), true
		}
	}
	return "", false
}

// matches compares with a pattern: the parts between the stars in their order, the whole of it.
func matches(pattern, s string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == s
	}
	first, last := parts[0], parts[len(parts)-1]
	if !strings.HasPrefix(s, first) {
		return false
	}
	s = s[len(first):]
	for _, p := range parts[1 : len(parts)-1] {
		at := strings.Index(s, p)
		if at < 0 {
			return false
		}
		s = s[at+len(p):]
	}
	return strings.HasSuffix(s, last)
}
