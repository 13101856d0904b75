package cluster

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strconv"

	"millrace/broker/internal/kraft"
	"millrace/broker/internal/sasl"
	"millrace/broker/internal/vfs"
)

// setAside is what the folder of Kafka's own metadata is called once ours stands in its
// place. It is no partition's name. Renamed back, it is Kafka's folder as it was, with
// what has been written to the topics since.
const setAside = MetadataTopic + "-0-kafka"

// ErrForeignFolder is returned for a folder of Apache Kafka that cannot be taken over.
// Nothing in it has been changed.
var ErrForeignFolder = errors.New("folder of Apache Kafka cannot be taken over")

// Adopted says what was taken over from Kafka's metadata.
type Adopted struct {
	Topics, Partitions int
	// LeftOut counts records of Kafka's metadata that nothing here corresponds to.
	LeftOut map[string]int
}

// putAside finds metadata that Kafka left where ours is to stand, reads it, and renames its folder. It returns nil where
// there is none. What it refuses stays as it was.
func putAside(fsys vfs.FS, dir string, node int32) (*kraft.State, error) {
	ours, aside := filepath.Join(dir, MetadataTopic+"-0"), filepath.Join(dir, setAside)
	foreign, err := kraft.Wrote(fsys, ours)
	if err != nil || !foreign {
		return nil, err
	}
	state, err := readKafkas(fsys, ours, node)
	if err != nil {
		return nil, err
	}
	if there, err := vfs.Exists(fsys, aside); err != nil || there {
		return nil, errors.Join(err, fmt.Errorf("%w: %s is there already, from an earlier time: move it away", ErrForeignFolder, aside))
	}
	if err := fsys.Rename(ours, aside); err != nil {
		return nil, err
	}
	return state, fsys.SyncDir(dir)
}

// leftAside reads what an earlier start has put aside and not taken over: it was cut off before our log had its first
// record. It returns nil where there is nothing.
func leftAside(fsys vfs.FS, dir string, node int32) (*kraft.State, error) {
	state, err := readKafkas(fsys, filepath.Join(dir, setAside), node)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // most folders were never Kafka's
	}
	return state, err
}

func readKafkas(fsys vfs.FS, folder string, node int32) (*kraft.State, error) {
	state, err := kraft.Load(fsys, folder)
	if err == nil {
		err = alone(&state, node)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrForeignFolder, err)
	}
	return &state, nil
}

// alone tells whether one node held all there is.
func alone(state *kraft.State, node int32) error {
	for _, t := range state.Topics {
		for i, p := range t.Partitions {
			if !slices.Equal(p.Replicas, []int32{node}) {
				return fmt.Errorf("partition %s-%d has the replicas %v: only a folder of a single broker, with node.id=%d, has all records", t.Name, i, p.Replicas, node)
			}
		}
	}
	return nil
}

// commandsOf makes Kafka's metadata out of nothing.
func commandsOf(state *kraft.State, node int32) (commands []Command, told Adopted) {
	set := func(r kraft.Resource) map[string]string {
		out := map[string]string{}
		for name, value := range state.Configs[r] {
			out[name] = *value
		}
		return out
	}
	resources := slices.SortedFunc(maps.Keys(state.Configs), func(a, b kraft.Resource) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Name, b.Name))
	})
	told.LeftOut = maps.Clone(state.LeftOut)
	for _, r := range resources {
		switch r.Type {
		case kraft.BrokerResource:
			if r.Name == "" || r.Name == strconv.Itoa(int(node)) {
				commands = append(commands, setCommand(BrokerResource, r.Name, set(r)))
			}
		case kraft.GroupResource:
			commands = append(commands, setCommand(GroupResource, r.Name, set(r)))
		case kraft.TopicResource: // comes with the topic
		case kraft.ClientMetricsResource:
			commands = append(commands, setCommand(ClientMetricsResource, r.Name, set(r)))
		default:
			told.LeftOut[fmt.Sprintf("settings of resource type %d", r.Type)]++
		}
	}
	for _, t := range state.Topics {
		c := &CreateTopic{Name: t.Name, ID: t.ID, Set: set(kraft.Resource{Type: kraft.TopicResource, Name: t.Name})}
		for i, p := range t.Partitions {
			c.Partitions = append(c.Partitions, Partition{
				Index: int32(i), Leader: node, LeaderEpoch: p.LeaderEpoch + 1, PartitionEpoch: p.PartitionEpoch + 1,
				Replicas: []int32{node}, ISR: []int32{node},
			})
		}
		commands = append(commands, Command{CreateTopic: c})
		told.Topics++
		told.Partitions += len(t.Partitions)
	}
	for _, q := range state.Quotas {
		if math.IsInf(q.Value, 0) || math.IsNaN(q.Value) { // limits nothing, and has no form here
			told.LeftOut["quotas without a finite value"]++
			continue
		}
		c := &SetQuotas{Set: map[string]*float64{q.Key: &q.Value}}
		for _, p := range q.Entity {
			c.Entity = append(c.Entity, QuotaPart{p.Type, p.Name})
		}
		commands = append(commands, Command{SetQuotas: c})
	}
	for _, key := range slices.SortedFunc(maps.Keys(state.Scram), func(a, b kraft.ScramKey) int {
		return cmp.Or(cmp.Compare(a.User, b.User), cmp.Compare(a.Mechanism, b.Mechanism))
	}) {
		credential := ScramCredential(state.Scram[key])
		mechanism := map[int8]string{1: sasl.ScramSHA256, 2: sasl.ScramSHA512}[key.Mechanism]
		commands = append(commands, Command{SetScram: &SetScram{User: key.User, Mechanism: mechanism, Credential: &credential}})
	}
	for some := range slices.Chunk(state.ACLs, aclsPerCommand) {
		commands = append(commands, Command{SetACLs: &SetACLs{Add: some}})
	}
	if state.NextProducerID > 0 {
		commands = append(commands, Command{ProducerIDs: &ProducerIDs{Next: state.NextProducerID}})
	}
	return commands, told
}
