package config

import (
	"slices"
	"strings"
)

// Level is what a setting belongs to.
type Level uint8

// The levels, each with its own names.
const (
	BrokerLevel Level = iota
	TopicLevel
	GroupLevel
	ClientMetricsLevel
)

// String names the level as Kafka's messages do.
func (l Level) String() string { return [...]string{"broker", "topic", "group", "client metrics"}[l] }

// Type is how a setting's value is written. The numbers are those of
// DescribeConfigs.
type Type int8

// Kafka's types.
const (
	Boolean Type = iota + 1
	String
	Int
	Short
	Long
	Double
	List
	Class
	Password
)

var typeNames = [...]string{"UNKNOWN", "BOOLEAN", "STRING", "INT", "SHORT", "LONG", "DOUBLE", "LIST", "CLASS", "PASSWORD"}

// String is Kafka's name of the type.
func (t Type) String() string { return typeNames[t] }

// Update says when a broker's setting may change.
type Update uint8

// ReadOnly settings hold from start to stop. The others may change at run time,
// for all brokers at once, for one only, or either.
const (
	ReadOnly Update = iota
	ClusterWide
	PerBrokerOnly
	PerBroker // or cluster-wide
)

// Def is one setting.
type Def struct {
	Name    string
	Type    Type
	Default string // as written in a properties file
	Null    bool   // there is no default
	Doc     string
	Update  Update
	// Ignored settings are Kafka's and are accepted and reported, but have no effect
	// here, because this broker works otherwise.
	Ignored bool
	// PerListener settings may also be given for one listener: listener.name.NAME.SETTING.
	PerListener bool
	// Hidden settings are described only where they are set: Kafka's tests have them, or its authorizer, and its broker does
	// not know them.
	Hidden bool
	// Synonyms are the broker's names for a topic's or a group's setting, or further
	// names of a broker's one, often in another unit. The first that is set counts.
	Synonyms []Synonym

	level Level
	rule  rule
	bind  func(*Broker) any // where a broker's value goes: a pointer to a field
	topic func(*Topic) any
	group func(*Group) any
}

// Synonym is another name for a setting, perhaps in another unit.
type Synonym struct {
	Name  string
	Times int64 // this setting's unit in one of the synonym's; 0 is 1
}

// Level is what the setting belongs to.
func (d *Def) Level() Level { return d.level }

// Sensitive reports whether the value must not be shown.
func (d *Def) Sensitive() bool { return d.Type == Password }

// Unit is what the value counts, empty for a plain number or a text.
func (d *Def) Unit() string {
	switch i := strings.LastIndexByte(d.Name, '.'); d.Name[i+1:] {
	case "ms":
		return "milliseconds"
	case "minutes":
		return "minutes"
	case "hours":
		return "hours"
	case "seconds":
		return "seconds"
	case "bytes":
		return "bytes"
	}
	return ""
}

// Allowed says in a few words what values there may be.
func (d *Def) Allowed() string {
	switch {
	case d.rule.allowed != "":
		return d.rule.allowed
	case d.Type == Boolean:
		return "true, false"
	case d.Type == List:
		return "values with commas between"
	case d.Type == String, d.Type == Class, d.Type == Password:
		return "any text"
	}
	return "a number of type " + d.Type.String()
}

// withoutEffect ends the documentation of an ignored setting.
const withoutEffect = " Accepted and reported, without effect here."

var (
	defs   [4][]*Def
	byName [4]map[string]*Def
)

func init() {
	for level, list := range [...][]Def{BrokerLevel: brokerDefs, TopicLevel: topicDefs, GroupLevel: groupDefs, ClientMetricsLevel: clientMetricsDefs} {
		byName[level] = make(map[string]*Def, len(list))
		for i := range list {
			d := &list[i]
			d.level = Level(level)
			if d.Ignored {
				d.Doc += withoutEffect
			}
			if d.level != BrokerLevel {
				d.Update = PerBroker
			}
			defs[level] = append(defs[level], d)
			byName[level][d.Name] = d
		}
		slices.SortFunc(defs[level], func(a, b *Def) int { return strings.Compare(a.Name, b.Name) })
	}
}

// Defs returns a level's settings in order of name. Do not change the slice.
func Defs(l Level) []*Def { return defs[l] }

// Lookup returns a setting, nil if the level has none of that name.
func Lookup(l Level, name string) *Def {
	if d := byName[l][name]; d != nil || l != BrokerLevel {
		return d
	}
	return listenerSetting(name)
}
