package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// NewBroker resolves the settings of a properties file and of flags. It keeps the
// map.
func NewBroker(settings map[string]string) (*Broker, error) {
	return resolveBroker(settings, nil, nil)
}

// With returns the broker with settings made at run time on top: forAll for every
// broker, own for this one. It keeps the maps. The broker must itself be without.
func (b *Broker) With(forAll, own map[string]string) (*Broker, error) {
	return resolveBroker(b.static, forAll, own)
}

func resolveBroker(static, forAll, own map[string]string) (*Broker, error) {
	b := &Broker{static: static, forAll: forAll, own: own}
	var errs []error
	for _, layer := range []map[string]string{own, forAll, static} {
		for _, name := range slices.Sorted(maps.Keys(layer)) {
			d := Lookup(BrokerLevel, name)
			if d == nil {
				errs = append(errs, Unknown(BrokerLevel, name))
			} else if _, err := d.parse(layer[name]); err != nil {
				errs = append(errs, err)
			}
		}
	}
	if errs != nil {
		return nil, errors.Join(errs...)
	}
	for _, d := range defs[BrokerLevel] {
		if d.bind == nil {
			continue
		}
		if text, ok := b.value(d); ok {
			v, err := d.parse(text)
			if err != nil {
				return nil, err
			}
			store(d.bind(b), v)
		}
	}
	if id, ok := static["broker.id"]; ok {
		if node, both := static["node.id"]; both && strings.TrimSpace(node) != strings.TrimSpace(id) {
			d := Lookup(BrokerLevel, "broker.id")
			return nil, d.bad(id, "node.id is "+node+", and both name the same number")
		}
	}
	if b.GroupMinSessionTimeoutMs > b.GroupMaxSessionTimeoutMs {
		d := Lookup(BrokerLevel, "group.min.session.timeout.ms")
		text, _ := b.value(d)
		return nil, d.bad(text, "it is above group.max.session.timeout.ms")
	}
	b.groupDefaults()
	if err := b.checkGroupDefaults(); err != nil {
		return nil, err
	}
	if err := b.resolveListeners(); err != nil {
		return nil, err
	}
	if err := b.topicDefaults(); err != nil {
		return nil, err
	}
	return b, nil
}

// topicDefaults fills b.Topic.
func (b *Broker) topicDefaults() error {
	for _, d := range defs[TopicLevel] {
		text, _ := b.inherited(d)
		if d.topic == nil || d.Null && text == "" {
			continue
		}
		v, err := d.parse(text)
		if err != nil {
			return err
		}
		store(d.topic(&b.Topic), v)
	}
	return b.Topic.check()
}

// NewTopic resolves the settings of a topic that sets these itself. The error is
// the first refusal by name.
func (b *Broker) NewTopic(set map[string]string) (*Topic, error) {
	t := b.Topic
	for _, name := range slices.Sorted(maps.Keys(set)) {
		d := Lookup(TopicLevel, name)
		if d == nil {
			return nil, Unknown(TopicLevel, name)
		}
		v, err := d.parse(set[name])
		if err != nil {
			return nil, err
		}
		if d.topic != nil {
			store(d.topic(&t), v)
		}
	}
	if t.internalSegmentBytes > 0 {
		t.SegmentBytes = t.internalSegmentBytes
	}
	return &t, t.check()
}

// check refuses settings that do not go together.
func (t *Topic) check() error {
	if t.MinCompactionLagMs > t.MaxCompactionLagMs {
		return &Error{Name: "min.compaction.lag.ms", Level: TopicLevel, Whole: fmt.Sprintf(
			"conflict topic config setting min.compaction.lag.ms (%d) > max.compaction.lag.ms (%d)", t.MinCompactionLagMs, t.MaxCompactionLagMs)}
	}
	return nil
}

// CheckGroup refuses settings that a group cannot have.
func (b *Broker) CheckGroup(set map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(set)) {
		d := Lookup(GroupLevel, name)
		if d == nil {
			return Unknown(GroupLevel, name)
		}
		v, err := d.parse(set[name])
		if err != nil {
			return err
		}
		if n, ok := v.(int64); ok {
			if err := b.checkGroupLimit(d, n); err != nil {
				return err
			}
		}
	}
	return nil
}

// value finds a broker's setting, under its own name or an older one. ok is false where
// nothing is set and there is no default.
func (b *Broker) value(d *Def) (text string, ok bool) {
	older := map[string]string{"node.id": "broker.id", "log.dirs": "log.dir"}[d.Name]
	for _, name := range []string{d.Name, older} {
		if v, ok := b.set(name); ok {
			return v.Value, true
		}
	}
	if d.Null && older != "" {
		return Lookup(BrokerLevel, older).Default, true
	}
	return d.Default, !d.Null
}

// inherited finds what a topic or group has that does not set d itself: the first
// of d's synonyms that the broker sets, else d's own default. As in Kafka the source is
// told only of the first synonym; another, in another unit, passes for a default.
func (b *Broker) inherited(d *Def) (text string, from Source) {
	for i, s := range d.Synonyms {
		if v, ok := b.set(s.Name); ok {
			if i > 0 {
				v.Source = Default
			}
			return scale(v.Value, s.Times), v.Source
		}
	}
	return d.Default, Default
}

// Known leaves out what the level does not have or refuses. It serves to read back
// settings that another version accepted.
func Known(l Level, set map[string]string) map[string]string {
	out := make(map[string]string, len(set))
	for name, value := range set {
		if d := Lookup(l, name); d != nil {
			if _, err := d.parse(value); err == nil {
				out[name] = value
			}
		}
	}
	return out
}
