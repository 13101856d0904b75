package cluster

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"strings"

	"millrace/broker/internal/config"
)

// MaxPartitionsPerRequest bounds what one request may create, as in Kafka.
const MaxPartitionsPerRequest = 10_000

// MaxPartitions bounds what there may be in all. Each partition is a folder with open
// files, so that a client could otherwise use up the machine by creating topics.
const MaxPartitions = 20_000

// NewTopic asks for a topic.
type NewTopic struct {
	Name              string
	Partitions        int32              // -1: the broker's num.partitions
	ReplicationFactor int16              // -1: the broker's default.replication.factor
	Assignment        []Assignment       // by hand: the two above must be -1
	Set               map[string]*string // settings; nil values are refused
}

// Assignment puts one partition on brokers, the first of which shall lead.
type Assignment struct {
	Partition int32
	Replicas  []int32
}

// TopicResult is the topic as it is now (created) or was (deleted), or why nothing
// was done. With validateOnly it is the topic as it would be.
type TopicResult struct {
	Topic *Topic
	Err   error
}

// Payment is asked before each topic is changed, with how many partitions come or go (KIP-599). Its error
// refuses the topic.
type Payment func(partitions int) error

// pay asks those that are there.
func pay(payments []Payment, partitions int) error {
	for _, p := range payments {
		if p == nil {
			continue
		}
		if err := p(partitions); err != nil {
			return err
		}
	}
	return nil
}

// CreateTopics creates topics, each on its own: one may fail and another not.
// Results are in the order asked.
func (c *Controller) CreateTopics(ctx context.Context, topics []NewTopic, validateOnly bool, payments ...Payment) []TopicResult {
	c.mu.Lock()
	defer c.mu.Unlock()
	results := make([]TopicResult, len(topics))
	if err := checkTotal(topics, c.Image().Config); err != nil {
		for n := range results {
			results[n].Err = err
		}
		return results
	}
	plan := planner{editor: edit(c.Image())}
	var commands []Command
	for n, t := range topics {
		command, err := plan.topic(t)
		if err == nil {
			err = pay(payments, len(command.Partitions))
		}
		if err != nil {
			results[n].Err = err
			continue
		}
		command.ID = newTopicID()
		if err := plan.apply(c.log.end(), Command{CreateTopic: command}); err != nil {
			results[n].Err = err
			continue
		}
		results[n].Topic = plan.topics[t.Name]
		commands = append(commands, Command{CreateTopic: command})
	}
	if validateOnly {
		return results
	}
	if len(commands) == 0 {
		return results
	}
	if err := c.commit(ctx, commands); err != nil {
		for n := range results {
			if results[n].Err == nil {
				results[n] = TopicResult{Err: err}
			}
		}
		return results
	}
	for n := range results {
		if results[n].Err == nil {
			results[n].Topic = c.Image().TopicByID(results[n].Topic.ID)
		}
	}
	return results
}

// checkTotal refuses a request for very many partitions before any work is done.
func checkTotal(topics []NewTopic, c *config.Broker) error {
	total := int64(0)
	for _, t := range topics {
		switch {
		case len(t.Assignment) > 0:
			total += int64(len(t.Assignment))
		case t.Partitions > 0:
			total += int64(t.Partitions)
		default:
			total += int64(c.NumPartitions)
		}
	}
	if total > MaxPartitionsPerRequest {
		return &Error{ErrPolicyViolation, "Excessively large number of partitions per request."}
	}
	return nil
}

func (i *Image) checkPartitionCount(more int) error {
	if i.partitions+more > MaxPartitions {
		return &Error{ErrPolicyViolation, fmt.Sprintf("There are %d partitions, and this broker has at most %d: no room for %d more.", i.partitions, MaxPartitions, more)}
	}
	return nil
}

// planner checks the topics of one request against what is there and against each
// other.
type planner struct {
	*editor
	flat map[string]string // names with _ for each dot, to the name
}

// topic checks a wish and works out the command, all but the id.
func (i *planner) topic(t NewTopic) (*CreateTopic, error) {
	if err := CheckTopicName(t.Name); err != nil {
		return nil, err
	}
	if t.Name == MetadataTopic {
		return nil, &Error{ErrInvalidRequest, fmt.Sprintf("Creation of internal topic %s is prohibited.", t.Name)}
	}
	if other := i.collidesWith(t.Name); other != "" {
		return nil, &Error{ErrInvalidTopic, fmt.Sprintf("Topic '%s' collides with existing topic: %s", t.Name, other)}
	}
	if i.topics[t.Name] != nil {
		return nil, &Error{ErrTopicExists, fmt.Sprintf("Topic '%s' already exists.", t.Name)}
	}
	set, err := i.checkTopicConfigs(nil, t.Set)
	if err != nil {
		return nil, err
	}
	partitions, err := i.planPartitions(t)
	if err != nil {
		return nil, err
	}
	if err := i.checkPartitionCount(len(partitions)); err != nil {
		return nil, err
	}
	i.partitions += len(partitions)
	if i.flat != nil {
		i.flat[flatten(t.Name)] = t.Name
	}
	return &CreateTopic{Name: t.Name, Partitions: partitions, Set: set}, nil
}

// collidesWith finds a topic whose metrics would have the same name, because a dot is
// written as an underscore there; "" if there is none.
func (i *planner) collidesWith(name string) string {
	if !strings.ContainsAny(name, "._") {
		return ""
	}
	if i.flat == nil {
		i.flat = make(map[string]string, len(i.topics))
		for other := range i.topics {
			i.flat[flatten(other)] = other
		}
	}
	if other := i.flat[flatten(name)]; other != name {
		return other
	}
	return ""
}

func flatten(name string) string { return strings.ReplaceAll(name, ".", "_") }

func (i *Image) planPartitions(t NewTopic) ([]Partition, error) {
	if len(t.Assignment) > 0 {
		return i.planByHand(t)
	}
	if t.ReplicationFactor < -1 || t.ReplicationFactor == 0 {
		return nil, &Error{ErrInvalidReplicationFactor, "Replication factor must be larger than 0, or -1 to use the default value."}
	}
	if t.Partitions < -1 || t.Partitions == 0 {
		return nil, &Error{ErrInvalidPartitions, "Number of partitions was set to an invalid non-positive value."}
	}
	factor, count := int(t.ReplicationFactor), int(t.Partitions)
	if factor < 0 {
		factor = int(i.Config.DefaultReplicationFactor)
	}
	if count < 0 {
		count = int(i.Config.NumPartitions)
	}
	return i.place(0, count, factor)
}

// place gives partitions from first on to brokers in turn.
func (i *Image) place(first, count, factor int) ([]Partition, error) {
	if factor > len(i.brokers) {
		return nil, &Error{ErrInvalidReplicationFactor, fmt.Sprintf("Unable to replicate the partition %d time(s): The target replication factor of %d cannot be reached because only %d broker(s) are registered or some brokers have all their log directories cordoned.", factor, factor, len(i.brokers))}
	}
	partitions := make([]Partition, 0, count)
	for n := first; n < first+count; n++ {
		replicas := make([]int32, factor)
		for r := range replicas {
			replicas[r] = i.brokers[(n+r)%len(i.brokers)].ID
		}
		partitions = append(partitions, newPartition(int32(n), replicas))
	}
	return partitions, nil
}

func newPartition(index int32, replicas []int32) Partition {
	return Partition{Index: index, Leader: replicas[0], Replicas: replicas, ISR: slices.Clone(replicas)}
}

func (i *Image) planByHand(t NewTopic) ([]Partition, error) {
	if t.ReplicationFactor != -1 {
		return nil, &Error{ErrInvalidRequest, "A manual partition assignment was specified, but replication factor was not set to -1."}
	}
	if t.Partitions != -1 {
		return nil, &Error{ErrInvalidRequest, "A manual partition assignment was specified, but numPartitions was not set to -1."}
	}
	byIndex := make(map[int32][]int32, len(t.Assignment))
	factor := 0
	for _, a := range t.Assignment {
		if _, twice := byIndex[a.Partition]; twice {
			return nil, &Error{ErrInvalidReplicaAssignment, fmt.Sprintf("Found multiple manual partition assignments for partition %d", a.Partition)}
		}
		if err := i.checkReplicas(a.Replicas, factor); err != nil {
			return nil, err
		}
		factor = len(a.Replicas)
		byIndex[a.Partition] = a.Replicas
	}
	partitions := make([]Partition, 0, len(byIndex))
	for n, index := range slices.Sorted(maps.Keys(byIndex)) {
		if int(index) != n {
			return nil, &Error{ErrInvalidReplicaAssignment, "partitions should be a consecutive 0-based integer sequence"}
		}
		partitions = append(partitions, newPartition(index, slices.Clone(byIndex[index])))
	}
	return partitions, nil
}

// CheckReplicas checks replicas that a request gives to one partition.
func (i *Image) CheckReplicas(replicas []int32) error { return i.checkReplicas(replicas, 0) }

// checkReplicas checks one partition's replicas given by hand. factor is that of the
// partitions before, 0 if there are none.
func (i *Image) checkReplicas(replicas []int32, factor int) error {
	refuse := func(format string, args ...any) error {
		return &Error{ErrInvalidReplicaAssignment, "The manual partition assignment includes " + fmt.Sprintf(format, args...)}
	}
	if len(replicas) == 0 {
		return refuse("an empty replica list.")
	}
	sorted := slices.Sorted(slices.Values(replicas))
	for n, id := range sorted {
		if i.Broker(id) == nil {
			return refuse("broker %d, but no such broker is registered.", id)
		}
		if n > 0 && sorted[n-1] == id {
			return refuse("the broker %d more than once.", id)
		}
	}
	if factor != 0 && len(replicas) != factor {
		return refuse("a partition with %d replica(s), but this is not consistent with previous partitions, which have %d replica(s).", len(replicas), factor)
	}
	return nil
}

// newTopicID draws an id. Kafka reserves the ids 0 and 1, and tools take an argument
// that begins with a hyphen for an option.
func newTopicID() TopicID {
	for {
		var id TopicID
		_, _ = rand.Read(id[:]) // never fails
		id[6] = id[6]&0x0f | 0x40
		id[8] = id[8]&0x3f | 0x80
		if !strings.HasPrefix(id.String(), "-") {
			return id
		}
	}
}

// EnsureInternalTopic returns one of the broker's own topics, created now with
// Kafka's settings for it if it is not there.
func (c *Controller) EnsureInternalTopic(ctx context.Context, name string) (*Topic, error) {
	if t := c.Image().Topic(name); t != nil {
		return t, nil
	}
	result := c.CreateTopics(ctx, []NewTopic{c.Image().InternalTopic(name)}, false)[0]
	if t := c.Image().Topic(name); t != nil { // perhaps somebody else's
		return t, nil
	}
	return nil, result.Err
}

// InternalTopic tells how one of the broker's own topics is created.
func (i *Image) InternalTopic(name string) NewTopic {
	b := i.Config
	t := NewTopic{Name: name, Partitions: b.OffsetsTopicNumPartitions, ReplicationFactor: b.OffsetsTopicReplicationFactor}
	segmentBytes := b.OffsetsTopicSegmentBytes
	set := map[string]string{"cleanup.policy": "compact", "compression.type": "producer"}
	if name == TransactionTopic {
		t.Partitions, t.ReplicationFactor = b.TransactionStateLogNumPartitions, b.TransactionStateLogReplication
		segmentBytes = b.TransactionStateLogSegmentBytes
		set["compression.type"] = "uncompressed"
		set["min.insync.replicas"] = fmt.Sprint(b.TransactionStateLogMinISR)
		set["unclean.leader.election.enable"] = "false"
	}
	if name == ShareStateTopic {
		t.Partitions, t.ReplicationFactor = b.ShareStateNumPartitions, b.ShareStateReplicationFactor
		segmentBytes = b.ShareStateSegmentBytes
		set["min.insync.replicas"] = fmt.Sprint(b.ShareStateMinISR)
	}
	set["segment.bytes"] = fmt.Sprint(max(segmentBytes, config.MinSegmentBytes))
	t.Set = make(map[string]*string, len(set))
	for k, v := range set {
		t.Set[k] = &v
	}
	return t
}

// TopicRef names a topic by name, or by id where Name is empty.
type TopicRef struct {
	Name string
	ID   TopicID
}

// find returns the topic that is meant.
func (i *Image) find(ref TopicRef) (*Topic, error) {
	if ref.Name == "" {
		if t := i.TopicByID(ref.ID); t != nil {
			return t, nil
		}
		return nil, &Error{ErrUnknownTopicID, "This server does not host this topic ID."}
	}
	if t := i.Topic(ref.Name); t != nil {
		return t, nil
	}
	return nil, &Error{ErrUnknownTopic, "This server does not host this topic-partition."}
}

// DeleteTopics deletes topics, each on its own. Results are in the order asked.
func (c *Controller) DeleteTopics(ctx context.Context, topics []TopicRef, payments ...Payment) []TopicResult {
	c.mu.Lock()
	defer c.mu.Unlock()
	image := c.Image()
	results := make([]TopicResult, len(topics))
	var commands []Command
	gone := map[TopicID]bool{}
	for n, ref := range topics {
		t, err := image.find(ref)
		switch {
		case err != nil:
			results[n].Err = err
		case !image.Config.DeleteTopicEnable:
			results[n].Err = &Error{ErrTopicDeletionDisabled, "Topic deletion is disabled."}
		default:
			if !gone[t.ID] {
				if err := pay(payments, len(t.Partitions)); err != nil {
					results[n].Err = err
					continue
				}
				gone[t.ID] = true
				commands = append(commands, Command{DeleteTopic: &DeleteTopic{ID: t.ID}})
			}
			results[n].Topic = t
		}
	}
	if len(commands) == 0 {
		return results
	}
	if err := c.commit(ctx, commands); err != nil {
		for n := range results {
			if results[n].Err == nil {
				results[n] = TopicResult{Err: err}
			}
		}
	}
	return results
}

// NewPartitions asks for more partitions.
type NewPartitions struct {
	Topic      string
	Count      int32     // afterwards
	Assignment [][]int32 // replicas of each new partition; nil: chosen
}

// CreatePartitions adds partitions, topic by topic. Errors are in the order asked.
func (c *Controller) CreatePartitions(ctx context.Context, topics []NewPartitions, validateOnly bool, payments ...Payment) []error {
	c.mu.Lock()
	defer c.mu.Unlock()
	errs := make([]error, len(topics))
	planned := c.Image()
	var commands []Command
	total := 0
	for n, t := range topics {
		var command *CreatePartitions
		if command, errs[n] = planned.planMore(t); errs[n] != nil {
			continue
		}
		if total += len(command.Partitions); total > MaxPartitionsPerRequest {
			errs[n] = &Error{ErrPolicyViolation, "Excessively large number of partitions per request."}
			continue
		}
		if errs[n] = pay(payments, len(command.Partitions)); errs[n] != nil {
			continue
		}
		more := Command{CreatePartitions: command}
		next, err := Apply(planned, planned.Offset+1, more)
		if err != nil {
			errs[n] = err
			continue
		}
		planned = next
		commands = append(commands, more)
	}
	if validateOnly || len(commands) == 0 {
		return errs
	}
	if err := c.commit(ctx, commands); err != nil {
		for n := range errs {
			errs[n] = cmpError(errs[n], err)
		}
	}
	return errs
}

func (i *Image) planMore(t NewPartitions) (*CreatePartitions, error) {
	topic := i.Topic(t.Topic)
	if topic == nil {
		return nil, &Error{ErrUnknownTopic, "This server does not host this topic-partition."}
	}
	have, want := len(topic.Partitions), int(t.Count)
	if want == have {
		return nil, &Error{ErrInvalidPartitions, fmt.Sprintf("Topic already has %d partition(s).", have)}
	}
	if want < have {
		return nil, &Error{ErrInvalidPartitions, fmt.Sprintf("The topic %s currently has %d partition(s); %d would not be an increase.", t.Topic, have, want)}
	}
	if want-have > MaxPartitionsPerRequest {
		return nil, &Error{ErrPolicyViolation, "Excessively large number of partitions per request."}
	}
	if err := i.checkPartitionCount(want - have); err != nil {
		return nil, err
	}
	factor := len(topic.Partitions[0].Replicas)
	command := &CreatePartitions{ID: topic.ID}
	if t.Assignment == nil {
		partitions, err := i.place(have, want-have, factor)
		command.Partitions = partitions
		return command, err
	}
	if len(t.Assignment) != want-have {
		return nil, &Error{ErrInvalidReplicaAssignment, fmt.Sprintf("Attempted to add %d additional partition(s), but only %d assignment(s) were specified.", want-have, len(t.Assignment))}
	}
	for n, replicas := range t.Assignment {
		if err := i.checkReplicas(replicas, factor); err != nil {
			return nil, err
		}
		command.Partitions = append(command.Partitions, newPartition(int32(have+n), slices.Clone(replicas)))
	}
	return command, nil
}
