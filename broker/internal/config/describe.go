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
	DynamicTopic         Source = 1
	DynamicBroker        Source = 2 // set at run time on one broker
	DynamicDefault       Source = 3 // set at run time for all brokers
	Static               Source = 4
	Default              Source = 5
	DynamicClientMetrics Source = 7
	DynamicGroup         Source = 8
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
		e := Entry{Def: d, Values: b.layers(d)}
		if len(e.Values) > 0 {
			e.Value, e.Source = e.Values[0].Value, e.Values[0].Source
		} else {
			e.Null, e.Source = true, Default
		}
		if d.Hidden && e.Source == Default {
			continue
		}
		if d.Name == "broker.id" && e.Source == Default {
			e.Value = strconv.Itoa(int(b.NodeID))
		}
		if d.Sensitive() {
			e.Value, e.Null = "", true
			for i := range e.Values {
				e.Values[i].Value = ""
			}
		}
		out = append(out, e)
	}
	return b.describeListeners(out)
}

// describeListeners adds what is set for single listeners.
func (b *Broker) describeListeners(out []Entry) []Entry {
	were := len(out)
	for _, l := range b.all() {
		for name, value := range l.set {
			d := listenerSetting(name)
			if d == nil {
				continue
			}
			v := Value{name, value, l.source}
			if d.Sensitive() {
				v.Value = ""
			}
			at := slices.IndexFunc(out, func(e Entry) bool { return e.Def.Name == name })
			if at < 0 {
				at = len(out)
				out = append(out, Entry{Def: d, Value: v.Value, Null: d.Sensitive(), Source: v.Source})
			}
			out[at].Values = append(out[at].Values, v)
		}
	}
	if len(out) > were {
		slices.SortFunc(out, func(x, y Entry) int { return strings.Compare(x.Def.Name, y.Def.Name) })
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
			e.Value, e.Source = v, own
		} else {
			e.Value, e.Source = b.inherited(d)
		}
		if l == GroupLevel && len(d.Synonyms) == 0 {
			e.Values = append(e.Values, Value{d.Name, d.Default, Default})
		}
		if len(d.Synonyms) > 0 {
			e.Values = append(e.Values, b.layers(Lookup(BrokerLevel, d.Synonyms[0].Name))...)
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

// set finds what is set under exactly this name, in the first layer that has it.
func (b *Broker) set(name string) (Value, bool) {
	for _, l := range b.all() {
		if v, ok := l.set[name]; ok {
			return Value{name, v, l.source}, true
		}
	}
	return Value{}, false
}

type layer struct {
	source Source
	set    map[string]string
}

func (b *Broker) all() [3]layer {
	return [3]layer{{DynamicBroker, b.own}, {DynamicDefault, b.forAll}, {Static, b.static}}
}

// layers lists what each layer says of a broker's setting, the one that counts first.
// A layer that does not have the name may have a synonym. As in Kafka there is nothing
// to list where nobody sets the name and it has no default: then the synonyms count,
// under their own names.
func (b *Broker) layers(d *Def) []Value {
	if _, ok := b.set(d.Name); !ok && d.Null {
		return nil
	}
	var out []Value
	names := append([]Synonym{{Name: d.Name}}, d.Synonyms...)
	for _, l := range b.all() {
		for _, s := range names {
			if v, ok := l.set[s.Name]; ok {
				out = append(out, Value{s.Name, v, l.source})
				break
			}
		}
	}
	for _, s := range names {
		if of := Lookup(BrokerLevel, s.Name); !of.Null {
			return append(out, Value{s.Name, of.Default, Default})
		}
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
