//go:build unix

package scenarios

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/broker/brokertest"
)

// foreign is a broker that somebody else runs.
type foreign struct{ addr string }

func startBroker(t *testing.T) foreign {
	t.Helper()
	return foreign{addr: brokertest.Start(t).Addr}
}

// names lists the topics and groups that are there.
func (f foreign) names(t *testing.T) (topics, groups []string) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(f.addr))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	admin := kadm.NewClient(client)
	list, err := admin.ListTopics(ctx)
	if err != nil {
		t.Fatal(err)
	}
	listed, err := admin.ListGroups(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return list.Names(), listed.Groups()
}
