package broker_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
)

// throttles counts how often a client was told to wait.
type throttles struct{ atomic.Int64 }

func (n *throttles) OnBrokerThrottle(kgo.BrokerMetadata, time.Duration, bool) { n.Add(1) }

// A user's quota is that of who has logged in: the same client id of another user is not held back, and neither
// is a log-in.
func TestQuota_OfAUser(t *testing.T) {
	t.Parallel()
	var said logText
	addresses := secured(t, &said, append(newAuthority(t).tlsSettings(), "quota.window.num", "2")...)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	admin := kadm.NewClient(client(t, addresses["PLAINTEXT"]))
	if _, err := admin.CreateTopic(ctx, 1, 1, nil, "orders"); err != nil {
		t.Fatal(err)
	}
	alice := "alice"
	limits := []kadm.AlterClientQuotaEntry{
		{Entity: kadm.ClientQuotaEntity{{Type: "user", Name: &alice}}, Ops: []kadm.AlterClientQuotaOp{{Key: "producer_byte_rate", Value: 10_000}}},
		{Entity: kadm.ClientQuotaEntity{{Type: "user", Name: nil}}, Ops: []kadm.AlterClientQuotaOp{{Key: "producer_byte_rate", Value: 10_000_000}}},
	}
	altered, err := admin.AlterClientQuotas(ctx, limits)
	for _, a := range altered {
		if a.Err != nil {
			t.Errorf("%v: %v", a.Entity, a.Err)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]int64{}
	for user, password := range map[string]string{"alice": "alice-secret", "bob": `bob"s`} {
		var n throttles
		c := client(t, addresses["SASL_PLAINTEXT"], kgo.ClientID("shop"), kgo.WithHooks(&n), kgo.DefaultProduceTopic("orders"),
			kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.SASL(plain.Auth{User: user, Pass: password}.AsMechanism()))
		for range 3 {
			if err := c.ProduceSync(ctx, kgo.SliceRecord(make([]byte, 8_000))).FirstErr(); err != nil {
				t.Fatalf("%s: %v", user, err)
			}
		}
		told[user] = n.Load()
	}
	if told["alice"] == 0 || told["bob"] != 0 {
		t.Errorf("told to wait: %v; alice is over her quota and bob is not", told)
	}
}
