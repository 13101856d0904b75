package cluster

import (
	"maps"
	"slices"
)

// snapshot gives the commands that make the image out of nothing, always in the same
// order.
func (i *Image) snapshot() []Command {
	commands := []Command{{Snapshot: &Snapshot{}}}
	for _, b := range i.brokers {
		commands = append(commands, Command{RegisterBroker: &RegisterBroker{
			ID: b.ID, Epoch: &b.Epoch, Rack: b.Rack, Endpoints: b.Endpoints,
		}})
	}
	for _, name := range slices.Sorted(maps.Keys(i.brokerSet)) {
		commands = append(commands, setCommand(BrokerResource, name, i.brokerSet[name]))
	}
	for _, name := range slices.Sorted(maps.Keys(i.groupSet)) {
		commands = append(commands, setCommand(GroupResource, name, i.groupSet[name]))
	}
	for _, name := range slices.Sorted(maps.Keys(i.metricsSet)) {
		commands = append(commands, setCommand(ClientMetricsResource, name, i.metricsSet[name]))
	}
	commands = append(commands, i.quotaCommands()...)
	if len(i.features) > 0 {
		commands = append(commands, Command{SetFeatures: &SetFeatures{Levels: i.features}})
	}
	commands = append(commands, i.scramCommands()...)
	commands = append(commands, i.aclCommands()...)
	for _, t := range i.sorted {
		commands = append(commands, Command{CreateTopic: &CreateTopic{Name: t.Name, ID: t.ID, Partitions: t.Partitions, Set: t.Set}})
	}
	if i.nextPID > 0 {
		commands = append(commands, Command{ProducerIDs: &ProducerIDs{Next: i.nextPID}})
	}
	return commands
}

func setCommand(r Resource, name string, set map[string]string) Command {
	c := &SetConfigs{Resource: r, Name: name, Set: make(map[string]*string, len(set))}
	for k, v := range set {
		c.Set[k] = &v
	}
	return Command{SetConfigs: c}
}

// lastSnapshot returns where the last snapshot begins, -1 if there is none.
func lastSnapshot(commands []Command) int {
	for n := len(commands) - 1; n >= 0; n-- {
		if commands[n].Snapshot != nil {
			return n
		}
	}
	return -1
}
