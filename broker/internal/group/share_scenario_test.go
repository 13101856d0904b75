package group

import (
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/twmb/franz-go/pkg/kerr"

	"millrace/broker/internal/storytest"
)

// TestShareScenarios runs the stories in testdata/share: the membership of share groups. The
// README there has the commands.
func TestShareScenarios(t *testing.T) {
	storytest.Run(t, "testdata/share", func() func(*testing.T, *datadriven.TestData) string {
		s := newStory()
		return s.run
	})
}

// shareCommand carries out what only share groups know. It reports whether it knows cmd.
func (s *story) shareCommand(cmd string, args []string, opts map[string]string) bool {
	switch cmd {
	case "share-join", "share-beat", "share-leave":
		for _, name := range args {
			c := s.client(name)
			in := ShareHeartbeat{ClientID: c.name, ClientHost: "/127.0.0.1"}
			if topics, ok := opts["topics"]; ok {
				c.topics = strings.Split(topics, ",")
				in.Topics = c.topics
			}
			switch cmd {
			case "share-join":
				c.id, in.Topics = s.newID(c), c.topics
			case "share-beat":
				in.Epoch = c.epoch
			case "share-leave":
				in.Epoch = leaveEpoch
			}
			in.MemberID, in.Ref = c.id, s.call(c, strings.TrimPrefix(cmd, "share-"))
			s.step(in)
		}
	case "states-made": // what was asked for first, or an error
		in := ShareInitialized{Partitions: s.inits[0]}
		s.inits = s.inits[1:]
		if opts["error"] != "" {
			in.Err = kerr.CoordinatorNotAvailable
		}
		s.step(in)
	default:
		return false
	}
	return true
}
