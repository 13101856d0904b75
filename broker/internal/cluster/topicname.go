package cluster

import (
	"fmt"
	"strings"
)

// maxTopicName leaves room for "-partition" and a suffix in a folder's name of at most
// 255 characters.
const maxTopicName = 249

// CheckTopicName refuses what Kafka does, in its words (org.apache.kafka.common.internals.Topic).
func CheckTopicName(name string) error {
	var reason string
	switch {
	case name == "":
		reason = "the empty string is not allowed"
	case name == "." || name == "..":
		reason = fmt.Sprintf("'%s' is not allowed", name)
	case len(name) > maxTopicName:
		reason = fmt.Sprintf("the length of '%s' is longer than the max allowed length %d", name, maxTopicName)
	case strings.ContainsFunc(name, illegalInTopicName):
		reason = fmt.Sprintf("'%s' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'", name)
	default:
		return nil
	}
	return &Error{ErrInvalidTopic, "Topic name is invalid: " + reason}
}

// ValidTopicName reports whether a topic could have the name.
func ValidTopicName(name string) bool { return CheckTopicName(name) == nil }

func illegalInTopicName(r rune) bool {
	switch {
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '.', r == '_', r == '-':
		return false
	}
	return true
}
