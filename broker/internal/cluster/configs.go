package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"millrace/broker/internal/config"
)

// Op is what IncrementalAlterConfigs does to one setting. The numbers are the
// protocol's.
type Op int8

// The operations. Append and Subtract are for lists.
const (
	OpSet Op = iota
	OpDelete
	OpAppend
	OpSubtract
)

// ConfigOp changes one setting.
type ConfigOp struct {
	Name  string
	Op    Op
	Value *string
}

// ConfigChange changes the settings of one resource.
type ConfigChange struct {
	Resource Resource
	Name     string // topic, group or broker id; empty: all brokers
	Ops      []ConfigOp
	// Replace takes back all settings that Ops does not set (AlterConfigs).
	Replace bool
}

// AlterConfigs changes settings, each resource on its own and each wholly or not at
// all. Errors are in the order asked.
func (c *Controller) AlterConfigs(ctx context.Context, changes []ConfigChange, validateOnly bool) []error {
	c.mu.Lock()
	defer c.mu.Unlock()
	errs := make([]error, len(changes))
	var commands []Command
	for n, change := range changes {
		set, err := c.Image().planConfigs(change)
		if err != nil {
			errs[n] = err
		} else if len(set) > 0 {
			commands = append(commands, Command{SetConfigs: &SetConfigs{Resource: change.Resource, Name: change.Name, Set: set}})
		}
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

// planConfigs works out what a change sets and takes back.
func (i *Image) planConfigs(change ConfigChange) (map[string]*string, error) {
	level, old, err := i.resource(change.Resource, change.Name)
	if err != nil {
		return nil, err
	}
	if err := i.checkELR(change, level, old); err != nil {
		return nil, err
	}
	set := map[string]*string{}
	if change.Replace {
		for name := range old {
			set[name] = nil
		}
	}
	for _, op := range change.Ops {
		value, err := i.operate(level, old, op)
		if err != nil {
			return nil, err
		}
		if before, ok := old[op.Name]; value == nil && !ok || value != nil && ok && before == *value {
			delete(set, op.Name) // as it is
			continue
		}
		set[op.Name] = value
	}
	if len(set) == 0 {
		return nil, nil
	}
	return set, i.checkConfigs(change, level, merged(old, set), set)
}

// resource finds the level of a resource's settings and what it sets now.
func (i *Image) resource(r Resource, name string) (config.Level, map[string]string, error) {
	switch r {
	case TopicResource:
		if err := CheckTopicName(name); err != nil {
			return 0, nil, err
		}
		t := i.Topic(name)
		if t == nil {
			return 0, nil, &Error{ErrUnknownTopic, fmt.Sprintf("The topic '%s' does not exist.", name)}
		}
		return config.TopicLevel, t.Set, nil
	case BrokerResource:
		if name != "" {
			id, err := strconv.ParseInt(name, 10, 32)
			if err != nil || strconv.FormatInt(id, 10) != name {
				return 0, nil, &Error{ErrInvalidRequest, fmt.Sprintf("Node id must be an integer, but it is: %s", name)}
			}
			if i.Broker(int32(id)) == nil {
				return 0, nil, &Error{ErrInvalidRequest, fmt.Sprintf("Unexpected broker id, expected %d, but received %d", i.nodeID, id)}
			}
		}
		return config.BrokerLevel, i.brokerSet[name], nil
	case GroupResource:
		if name == "" {
			return 0, nil, &Error{ErrInvalidRequest, "Default group resources are not allowed."}
		}
		return config.GroupLevel, i.groupSet[name], nil
	case ClientMetricsResource:
		if name == "" {
			return 0, nil, &Error{ErrInvalidRequest, "Subscription name can't be empty"}
		}
		return config.ClientMetricsLevel, i.metricsSet[name], nil
	}
	return 0, nil, &Error{ErrInvalidRequest, fmt.Sprintf("Unknown resource type %q.", r)}
}

// operate gives the value that an operation leaves, nil if none.
func (i *Image) operate(level config.Level, old map[string]string, op ConfigOp) (*string, error) {
	def := config.Lookup(level, op.Name)
	switch op.Op {
	case OpDelete:
		return nil, nil
	case OpSet, OpAppend, OpSubtract:
	default:
		return nil, &Error{ErrInvalidRequest, fmt.Sprintf("Unknown operation type %d.", op.Op)}
	}
	if op.Value == nil {
		return nil, &Error{ErrInvalidRequest, fmt.Sprintf("Null value not supported for : %s", op.Name)}
	}
	if op.Op == OpSet {
		return op.Value, nil
	}
	if def == nil || def.Type != config.List || level == config.ClientMetricsLevel { // Kafka does not know the types of those
		verb := "APPEND"
		if op.Op == OpSubtract {
			verb = "SUBTRACT"
		}
		return nil, &Error{ErrInvalidConfig, fmt.Sprintf("Can't %s to key %s because its type is not LIST.", verb, op.Name)}
	}
	now, ok := old[op.Name]
	if !ok {
		now = i.inherited(level, op.Name)
	}
	list := split(now)
	for _, word := range split(*op.Value) {
		at := slices.Index(list, word)
		switch {
		case op.Op == OpAppend && at < 0:
			list = append(list, word)
		case op.Op == OpSubtract && at >= 0:
			list = slices.Delete(list, at, at+1)
		}
	}
	joined := strings.Join(list, ",")
	return &joined, nil
}

// inherited is what a resource has of a setting that it does not set itself.
func (i *Image) inherited(level config.Level, name string) string {
	var entries []config.Entry
	switch level {
	case config.TopicLevel:
		entries = i.Config.DescribeTopic(nil)
	case config.GroupLevel:
		entries = i.Config.DescribeGroup(nil)
	default:
		entries = i.base.Describe()
	}
	for _, e := range entries {
		if e.Def.Name == name {
			return e.Value
		}
	}
	return ""
}

func split(list string) []string {
	words := strings.Split(list, ",")
	for i := range words {
		words[i] = strings.TrimSpace(words[i])
	}
	return slices.DeleteFunc(words, func(w string) bool { return w == "" })
}

// maxConfigValue is the longest string that Kafka's metadata can hold.
const maxConfigValue = 1<<15 - 1

// checkConfigs checks what a resource would set after a change.
func (i *Image) checkConfigs(change ConfigChange, level config.Level, after map[string]string, changed map[string]*string) error {
	for _, name := range slices.Sorted(maps.Keys(changed)) {
		if v := changed[name]; v != nil && len(*v) > maxConfigValue {
			return &Error{ErrInvalidConfig, fmt.Sprintf("The configuration value cannot be added because it exceeds the maximum value size of %d characters.", maxConfigValue)}
		}
	}
	switch level {
	case config.TopicLevel:
		_, err := i.Config.NewTopic(after)
		return configError(err)
	case config.GroupLevel:
		return configError(i.Config.CheckGroup(after))
	case config.ClientMetricsLevel:
		return checkClientMetrics(after)
	case config.BrokerLevel:
	}
	for _, name := range slices.Sorted(maps.Keys(changed)) {
		d := config.Lookup(config.BrokerLevel, name)
		if changed[name] == nil {
			continue
		}
		if d == nil {
			// Kafka takes any name here, for plug-ins. There are none, and a misspelt
			// name should not look as if it had worked.
			return &Error{ErrInvalidConfig, config.Unknown(config.BrokerLevel, name).Error()}
		}
		if d.Update == config.ReadOnly || d.Update == config.PerBrokerOnly && change.Name == "" {
			kind := "Cannot update these configs dynamically: "
			if d.Update == config.PerBrokerOnly {
				kind = "Cannot update security configs at default cluster level, broker id must be specified: "
			}
			return &Error{ErrInvalidRequest, kind + "[" + name + "]"}
		}
		if d.Update == config.ClusterWide && change.Name != "" {
			return &Error{ErrInvalidRequest, "Cannot update these configs at per-broker level: [" + name + "]"}
		}
	}
	forAll, own := i.brokerSet[""], i.brokerSet[strconv.Itoa(int(i.nodeID))]
	switch change.Name {
	case "":
		forAll = after
	case strconv.Itoa(int(i.nodeID)):
		own = after
	default: // another broker's: only its own layer is known here
		forAll, own = nil, after
	}
	_, err := i.base.With(forAll, own)
	if err = configError(err); err != nil {
		return &Error{ErrInvalidRequest, err.Error()} // Kafka's code for brokers
	}
	return nil
}

// checkTopicConfigs checks a new topic's settings and gives them without nil values.
func (i *Image) checkTopicConfigs(old map[string]string, set map[string]*string) (map[string]string, error) {
	for _, name := range slices.Sorted(maps.Keys(set)) {
		if set[name] == nil {
			return nil, &Error{ErrInvalidConfig, fmt.Sprintf("Null value not supported for topic configs: %s", name)}
		}
	}
	after := merged(old, set)
	return after, i.checkConfigs(ConfigChange{Resource: TopicResource}, config.TopicLevel, after, set)
}

// configError makes a refused setting a refused change. A joined error counts by its
// first part.
func configError(err error) error {
	if err == nil {
		return nil
	}
	var refused *config.Error
	if errors.As(err, &refused) {
		return &Error{ErrInvalidConfig, refused.Kafka()}
	}
	return err
}

// BrokerConfigs describes the settings of a registered broker, or with id -1 those set
// at run time for all brokers.
func (i *Image) BrokerConfigs(id int32) []config.Entry {
	if id < 0 {
		return config.DescribeSet(config.BrokerLevel, config.DynamicDefault, i.brokerSet[""])
	}
	return i.Config.Describe()
}

// TopicConfigs describes the settings of a topic.
func (i *Image) TopicConfigs(t *Topic) []config.Entry { return i.Config.DescribeTopic(t.Set) }

// GroupConfigs describes the settings of a group, which need not exist.
func (i *Image) GroupConfigs(group string) []config.Entry {
	return i.Config.DescribeGroup(i.groupSet[group])
}

// GroupsWithConfigs lists the groups that were given settings, in order of name.
func (i *Image) GroupsWithConfigs() []string { return slices.Sorted(maps.Keys(i.groupSet)) }

// Group resolves what rules a group where the broker assigns; it need not exist.
func (i *Image) Group(name string) *config.Group {
	set := i.groupSet[name]
	if len(set) == 0 {
		return &i.Config.Group
	}
	return i.Config.NewGroup(set)
}
