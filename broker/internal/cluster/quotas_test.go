package cluster

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"millrace/broker/internal/quota"
)

func shownQuotas(i *Image) string {
	var out strings.Builder
	for _, q := range i.Quotas() {
		fmt.Fprintln(&out, q.Entity, q.Values)
	}
	return out.String()
}

// Limits are in the log, and in a snapshot of it.
func TestQuotas_SurviveRestartAndSnapshot(t *testing.T) {
	ctx, log := context.Background(), &memoryLog{}
	c, err := open(ctx, log, Options{Config: testConfig()})
	if err != nil {
		t.Fatal(err)
	}
	alice, low, high := "alice", 1000.0, 2000.0
	change := func(value *float64) []QuotaChange {
		return []QuotaChange{
			{Parts: []QuotaPart{{Type: "user", Name: &alice}, {Type: "client-id"}}, Ops: []QuotaOp{{"producer_byte_rate", value}, {"request_percentage", &high}}},
			{Parts: []QuotaPart{{Type: "ip"}}, Ops: []QuotaOp{{"connection_creation_rate", &high}}},
		}
	}
	for _, value := range []*float64{&low, nil, &high} {
		for _, err := range c.AlterQuotas(ctx, change(value), false) {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	want := "{ip=null} map[connection_creation_rate:2000]\n{user=alice, client-id=null} map[producer_byte_rate:2000 request_percentage:2000]\n"
	if got := shownQuotas(c.Image()); got != want {
		t.Fatalf("after three changes:\n%swant\n%s", got, want)
	}
	again, err := open(ctx, log, Options{Config: testConfig()})
	if err != nil {
		t.Fatal(err)
	}
	if got := shownQuotas(again.Image()); got != want {
		t.Errorf("after a restart:\n%swant\n%s", got, want)
	}
	rebuilt, err := Apply(NewImage(testConfig()), 0, again.Image().snapshot()...)
	if err != nil {
		t.Fatal(err)
	}
	if got := shownQuotas(rebuilt); got != want {
		t.Errorf("after a snapshot:\n%swant\n%s", got, want)
	}
	if !rebuilt.Limits().Has(quota.RequestTime) || rebuilt.Limits().Has(quota.ConsumerBytes) {
		t.Error("the limits are not those that were set")
	}
	empty, err := Apply(rebuilt, again.Image().Offset+1, Command{Snapshot: &Snapshot{}})
	if err != nil || empty.Limits() != nil {
		t.Errorf("limits without any quota: %v, %v", empty.Limits(), err)
	}
}

// One request may name as many entities as fit into it; the work for each does not grow with their number.
func TestQuotas_ManyAtOnce(t *testing.T) {
	t.Parallel()
	ctx, log := context.Background(), &memoryLog{}
	c, err := open(ctx, log, Options{Config: testConfig()})
	if err != nil {
		t.Fatal(err)
	}
	const many = 30_000
	one, changes := 1.0, make([]QuotaChange, many)
	for i := range changes {
		name := fmt.Sprint("user", i)
		changes[i] = QuotaChange{Parts: []QuotaPart{{Type: "user", Name: &name}}, Ops: []QuotaOp{{"producer_byte_rate", &one}}}
	}
	for _, err := range c.AlterQuotas(ctx, changes, false) {
		if err != nil {
			t.Fatal(err)
		}
	}
	if got := len(c.Image().Quotas()); got != many || !c.Image().Limits().Has(quota.ProducerBytes) {
		t.Errorf("%d entities, want %d", got, many)
	}
}
