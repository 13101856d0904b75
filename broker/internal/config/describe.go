package config

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Source is the layer that a value comes from. The numbers are those of
// DescribeConfigs.
type Source int8

// The layers.
const (
	DynamicTopic   Source = 1
	DynamicBroker  Source = 2 // set at run time on one broker
	DynamicDefault Source = 3 // set at run time for all brokers
	Static         Source = 4
	Default        Source = 5
	DynamicGroup   Source = 8
)

// Value is what one layer says, under the name used there.
type Value struct {
	Name   string
	Value  string
	Source Source
}

// Entry is one setting as DescribeConfigs shows it.
type Entry struct {
	Def    *Def
	Value  string
	Null   bool // no value; sensitive values are never shown either
	Source Source
	// Values are all layers that have one, the one that counts first.
	Values []Value
}

// Describe returns a broker's settings in order of name.
func (b *Broker) Describe() []Entry {
	out := make([]Entry, 0, len(defs[BrokerLevel]))
	for _, d := range defs[BrokerLevel] {
		e := Entry{Def: d, Values: b.sources(d, -1)}
		b.finish(&e)
		out = append(out, e)
	}
	return out
}

// DescribeTopic returns a topic's settings in order of name, given those that it
// sets itself.
func (b *Broker) DescribeTopic(set map[string]string) []Entry {
	return b.describe(TopicLevel, DynamicTopic, set)
}

// DescribeGroup returns a group's settings in order of name, given those that it
// sets itself.
func (b *Broker) DescribeGroup(set map[string]string) []Entry {
	return b.describe(GroupLevel, DynamicGroup, set)
}

func (b *Broker) describe(l Level, own Source, set map[string]string) []Entry {
	out := make([]Entry, 0, len(defs[l]))
	for _, d := range defs[l] {
		e := Entry{Def: d}
		v, ok := set[d.Name]
		if d.Hidden && !ok {
			continue
		}
		if ok {
			e.Values = append(e.Values, Value{d.Name, v, own})
		}
		for _, s := range d.Synonyms {
			// Only the first is shown, and a synonym in another unit never, as in Kafka.
			if s.Times == 0 {
				e.Values = append(e.Values, b.sources(Lookup(BrokerLevel, s.Name), -1)...)
				break
			}
		}
		if len(e.Values) > 0 && e.Values[0].Source == own {
			e.Value, e.Source = e.Values[0].Value, own
		} else {
			e.Value, e.Source = b.inherited(d)
		}
		out = append(out, e)
	}
	return out
}

// DescribeSet returns only what one layer sets.
func DescribeSet(l Level, from Source, set map[string]string) []Entry {
	var out []Entry
	for _, d := range defs[l] {
		if v, ok := set[d.Name]; ok {
			out = append(out, Entry{Def: d, Value: v, Source: from, Values: []Value{{d.Name, v, from}}})
		}
	}
	return out
}

// finish fills an entry's value from its layers.
func (b *Broker) finish(e *Entry) {
	switch {
	case len(e.Values) > 0:
		e.Value, e.Source = e.Values[0].Value, e.Values[0].Source
	default:
		e.Null, e.Source = true, Default
	}
	if e.Def.Sensitive() {
		e.Value, e.Null = "", true
		for i := range e.Values {
			e.Values[i].Value = ""
		}
	}
}

// sources lists the layers that have a broker's setting, at most n, the one that
// counts first. Within a layer the setting's own name goes before its synonyms.
func (b *Broker) sources(d *Def, n int) []Value {
	var out []Value
	add := func(source Source, layer map[string]string) bool {
		v, ok := layer[d.Name]
		name := d.Name
		for _, s := range d.Synonyms {
			if ok {
				break
			}
			v, ok = layer[s.Name]
		}
		if ok {
			out = append(out, Value{name, v, source})
		}
		return n > 0 && len(out) >= n
	}
	if add(DynamicBroker, b.own) || add(DynamicDefault, b.forAll) || add(Static, b.static) {
		return out
	}
	switch d.Name {
	case "node.id": // broker.id is its older name
		if v, ok := b.static["broker.id"]; ok {
			return append(out, Value{d.Name, v, Static})
		}
	case "log.dirs":
		d = Lookup(BrokerLevel, "log.dir")
	}
	if !d.Null {
		out = append(out, Value{d.Name, d.Default, Default})
	}
	return out
}

// scale writes a value in a unit that is times smaller. Below zero means without
// limit in each of them.
func scale(text string, times int64) string {
	if times == 0 {
		return text
	}
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil {
		return text
	}
	if n < 0 {
		return "-1"
	}
	return strconv.FormatInt(n*times, 10)
}

// Ignored lists the settings of the properties file or the flags that have no
// effect here, for a warning at start.
func (b *Broker) Ignored() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(b.static)), func(name string) bool {
		return !Lookup(BrokerLevel, name).Ignored
	})
}

// IsSet reports whether the properties file or a flag sets the name.
func (b *Broker) IsSet(name string) bool {
	_, ok := b.static[name]
	return ok
}
