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
	{"*", "*Topics.Partitions empty*", "a topic without partitions is answered, and left out by Kafka"},
	{"*", "*Topics.Partitions null*", "the same"},
	{"*", "*TimeoutMillis -2*", "what takes no time does not time out"},
	{"*", "*TimeoutMillis -1*", "the same"},
	{"*", "*TimeoutMillis 0*", "the same"},
	{"01_Fetch", "ReplicaState.*", "there are no followers; and Kafka closes the connection at a tag of a later version"},
	{"01_Fetch", "Topics.Partitions.ReplicaDirectoryID *", "the same"},
	{"01_Fetch", "Topics.Partitions.HighWatermark *", "a tag of a later version is left out, where Kafka closes the connection"},
	{"01_Fetch", "SessionID 2147483647*", "a request without a session that names one is served, and gets UNKNOWN_SERVER_ERROR from Kafka"},
	{"01_Fetch", "Topics.Topic ''*", "UNKNOWN_TOPIC_ID: no name is no topic"},
	{"02_ListOffsets", "*CurrentLeaderEpoch -2*", "any negative epoch is none"},
	{"23_*", "*LeaderEpoch -2*", "the same"},
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
	{"33_*", "Resources.ResourceName ''*", "no name is no topic's"},
	{"44_*", "Resources.ResourceName ''*", "the same"},
	{"34_*", "Dirs.Topics.Topic long*", "no folder but one: that is told first"},
	{"38_*", "OwnerPrincipalName *", "Kafka fails to find out who is asked for before it says that there are no tokens"},
	{"43_*", "Topics null*", "elections that are not needed are not told when nobody named them"},
	{"57_*", "FeatureUpdates.MaxVersionLevel 0*", "a feature that is not known is at level 0 already"},
	{"68_*", "SubscribedTopicNames empty*", "a member that subscribes to nothing is refused"},
	{"75_*", "Topics.Topic ''*", "INVALID_TOPIC_EXCEPTION, and UNKNOWN_SERVER_ERROR from Kafka"},
	{"76_*", "MemberID *", "a member id may be as long as it likes"},
	{"78_*", "*", "partitions without records are answered, and left out by Kafka"},
	{"79_*", "*ID *", "a member that is not there is told by its session"},
	{"8*ShareGroupState*", "*", "groups without a name, and topics that are not there"},
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
