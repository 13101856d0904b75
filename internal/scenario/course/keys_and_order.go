package course

import (
	"context"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/internal/scenario"
)

var keysAndOrder = scenario.Scenario{
	Name: "keys-and-order", Needs: scenario.AnyBroker, Course: []string{"B1", "B2", "C1"},
	Play: playKeysAndOrder,
}

const (
	keysPartitions = 3
	keysPerKey     = 40
	keysVIP        = "customer_123"
	keysVIPLane    = 0 // the partition that the custom partitioner keeps for it
)

// keysNames are the keys of the course.
var keysNames = []string{"driver_007", "driver_009", "user_123", keysVIP}

type keysEvidence struct {
	Partitions int       `json:"partitions"`
	Keys       []keyRead `json:"keys"`
	// Across counts records that were read after one that was sent later, over all keys.
	Across int `json:"read_out_of_order_across_partitions"`
	// Null is driver_007 again, without a key.
	Null keyRead `json:"without_key"`
	// VIPElsewhere and OthersInLane are what the custom partitioner put wrong.
	VIPRecords   int `json:"vip_records"`
	VIPElsewhere int `json:"vip_elsewhere"`
	OthersInLane int `json:"others_in_vip_partition"`
}

// keyRead is how the records of one key came back.
type keyRead struct {
	Key        string  `json:"key"`
	Records    int     `json:"records"`
	In         []int32 `json:"in_partitions"`
	OutOfOrder int     `json:"read_out_of_order"`
}

func (e keysEvidence) Verdict() []scenario.Check {
	together, ordered := 0, 0
	for _, k := range e.Keys {
		if k.Records == keysPerKey && len(k.In) == 1 {
			together++
		}
		ordered += k.OutOfOrder
	}
	return []scenario.Check{
		is("one_partition", together == len(keysNames), a{"n": together, "of": len(keysNames)}),
		is("order_in_key", ordered == 0, a{"n": ordered}),
		is("no_order_across", e.Across > 0, a{"n": e.Across}),
		is("null_spread", e.Null.Records == keysPerKey && len(e.Null.In) == e.Partitions && e.Null.OutOfOrder > 0, a{"partitions": len(e.Null.In), "n": e.Null.OutOfOrder}),
		is("custom", e.VIPRecords > 0 && e.VIPElsewhere == 0 && e.OthersInLane == 0, a{"n": e.VIPRecords, "lane": keysVIPLane, "wrong": e.VIPElsewhere + e.OthersInLane}),
	}
}

func playKeysAndOrder(ctx context.Context, s *scenario.Stage) (scenario.Evidence, error) {
	b, err := s.Env.Broker(ctx, scenario.AnyBroker)
	if err != nil {
		return nil, err
	}
	e := keysEvidence{Partitions: keysPartitions}

	s.Explain("keyed", a{"n": keysPerKey})
	keyed, err := sendAndRead(ctx, b, "positions", drivers(keysNames, true))
	if err != nil {
		return nil, err
	}
	for _, key := range keysNames {
		k := readOf(key, keyed, func(r *kgo.Record) bool { return string(r.Key) == key })
		e.Keys = append(e.Keys, k)
		s.Event("key_in", a{"key": key, "n": k.Records, "partitions": k.In})
	}
	e.Across = readOf("", keyed, func(*kgo.Record) bool { return true }).OutOfOrder
	s.Event("across", a{"n": e.Across, "of": len(keyed)})

	s.Explain("null", nil)
	null, err := sendAndRead(ctx, b, "positions-without-key", drivers(keysNames[:1], false), kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
	if err != nil {
		return nil, err
	}
	e.Null = readOf(keysNames[0], null, func(*kgo.Record) bool { return true })
	s.Event("null_in", a{"n": e.Null.Records, "partitions": e.Null.In, "wrong": e.Null.OutOfOrder})

	s.Explain("custom", a{"key": keysVIP, "lane": keysVIPLane})
	vip, err := sendAndRead(ctx, b, "positions-vip", drivers(keysNames, true), kgo.RecordPartitioner(kgo.BasicConsistentPartitioner(vipPartitioner)))
	if err != nil {
		return nil, err
	}
	for _, r := range vip {
		isVIP, inLane := string(r.Key) == keysVIP, r.Partition == keysVIPLane
		if isVIP {
			e.VIPRecords++
		}
		if isVIP && !inLane {
			e.VIPElsewhere++
		}
		if !isVIP && inLane {
			e.OthersInLane++
		}
	}
	s.Event("custom_in", a{"key": keysVIP, "n": e.VIPRecords, "lane": keysVIPLane})
	return e, nil
}

// vipPartitioner keeps one partition for one key and hashes the others over the rest.
func vipPartitioner(string) func(*kgo.Record, int) int {
	return func(r *kgo.Record, partitions int) int {
		if string(r.Key) == keysVIP {
			return keysVIPLane
		}
		h := fnv.New32a()
		_, _ = h.Write(r.Key)
		return 1 + int(h.Sum32())%(partitions-1)
	}
}

// drivers are positions of each of the names in turn. The header has the number in
// the order of sending, over all of them.
func drivers(names []string, keyed bool) []*kgo.Record {
	var records []*kgo.Record
	for i := range keysPerKey {
		for _, name := range names {
			r := &kgo.Record{
				Value:   fmt.Appendf(nil, `{"driver":%q,"position":%d}`, name, i),
				Headers: []kgo.RecordHeader{{Key: "sent", Value: []byte(strconv.Itoa(len(records)))}},
			}
			if keyed {
				r.Key = []byte(name)
			}
			records = append(records, r)
		}
	}
	return records
}

// sendAndRead sends records to a new topic and reads them back.
func sendAndRead(ctx context.Context, b *scenario.Broker, name string, records []*kgo.Record, opts ...kgo.Opt) ([]*kgo.Record, error) {
	topic, err := b.Topic(ctx, name, keysPartitions)
	if err != nil {
		return nil, err
	}
	client, err := b.Client(append(opts, kgo.DefaultProduceTopic(topic))...)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	if err := produce(ctx, client, records...); err != nil {
		return nil, err
	}
	return readAll(ctx, b, topic, len(records))
}

// readOf looks at some of the records that were read, in the order of reading.
func readOf(key string, read []*kgo.Record, of func(*kgo.Record) bool) keyRead {
	k := keyRead{Key: key}
	in := map[int32]bool{}
	latest := -1
	for _, r := range read {
		if !of(r) {
			continue
		}
		k.Records++
		in[r.Partition] = true
		sent := -1
		for _, h := range r.Headers {
			if n, err := strconv.Atoi(string(h.Value)); h.Key == "sent" && err == nil {
				sent = n
			}
		}
		if sent < latest {
			k.OutOfOrder++
		}
		latest = max(latest, sent)
	}
	k.In = slices.Sorted(maps.Keys(in))
	return k
}
