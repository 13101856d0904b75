package config

import (
	"errors"
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
	if err := b.resolveListeners(); err != nil {
		return nil, err
	}
	topic, err := b.NewTopic(nil)
	if err != nil {
		return nil, err
	}
	b.Topic = *topic
	return b, nil
}

// NewTopic resolves the settings of a topic that sets these itself. The error is
// the first refusal by name.
func (b *Broker) NewTopic(set map[string]string) (*Topic, error) {
	var t Topic
	if b.Topic.SegmentBytes == 0 { // the broker's own defaults are being made
		for _, d := range defs[TopicLevel] {
			text, _ := b.inherited(d)
			v, err := d.parse(text)
			if err != nil {
				return nil, err
			}
			store(d.topic(&t), v)
		}
	} else {
		t = b.Topic
	}
	for _, name := range slices.Sorted(maps.Keys(set)) {
		d := Lookup(TopicLevel, name)
		if d == nil {
			return nil, Unknown(TopicLevel, name)
		}
		v, err := d.parse(set[name])
		if err != nil {
			return nil, err
		}
		store(d.topic(&t), v)
	}
	if t.MinCompactionLagMs > t.MaxCompactionLagMs {
		d := Lookup(TopicLevel, "min.compaction.lag.ms")
		return nil, d.bad(set[d.Name], "it is above max.compaction.lag.ms")
	}
	return &t, nil
}

// CheckGroup refuses settings that a group cannot have.
func CheckGroup(set map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(set)) {
		d := Lookup(GroupLevel, name)
		if d == nil {
			return Unknown(GroupLevel, name)
		}
		if _, err := d.parse(set[name]); err != nil {
			return err
		}
	}
	return nil
}

// value finds a broker's setting in its layers. ok is false where nothing is set
// and there is no default.
func (b *Broker) value(d *Def) (text string, ok bool) {
	if s := b.sources(d, 1); len(s) > 0 {
		return s[0].Value, true
	}
	return "", false
}

// inherited finds what a topic or group has that does not set d itself: the first
// of d's synonyms that the broker sets, else d's own default.
func (b *Broker) inherited(d *Def) (text string, from Source) {
	for _, s := range d.Synonyms {
		def := Lookup(BrokerLevel, s.Name)
		for _, v := range b.sources(def, 1) {
			if v.Source != Default {
				return scale(v.Value, s.Times), v.Source
			}
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
