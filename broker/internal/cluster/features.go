package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"millrace/broker/internal/config"
)

// SetFeatures says on which level of some features the cluster has agreed (KIP-584, KIP-1022).
type SetFeatures struct {
	Levels map[string]int16 `json:"levels"`
}

// Feature is something that the brokers of a cluster use on an agreed level.
type Feature struct {
	Name     string
	Min, Max int16 // levels that this broker knows
	// first is the level of a cluster that never changed it. A later version must not raise it: what
	// old logs mean would change.
	first int16
}

// The features of Kafka that this broker has. Clients choose ways by them, so that nothing stands here
// before it works.
const (
	MetadataVersion    = "metadata.version"
	KRaftVersion       = "kraft.version"
	GroupVersion       = "group.version"       // 1: consumer groups where the broker assigns (KIP-848)
	ShareVersion       = "share.version"       // 1: share groups (KIP-932)
	TransactionVersion = "transaction.version" // 2: an epoch for each transaction (KIP-890); clients go by it
	ELRVersion         = "eligible.leader.replicas.version"
)

var features = []Feature{
	{GroupVersion, 0, 1, 1},
	{KRaftVersion, 0, 1, 0},
	{MetadataVersion, 7, 30, 30},
	{ShareVersion, 0, 1, 1},
	{TransactionVersion, 0, 2, 2},
	{ELRVersion, 0, 1, 1},
}

// Features lists what this broker knows, in the order that Kafka answers.
func Features() []Feature { return features }

func feature(name string) *Feature {
	for i := range features {
		if features[i].Name == name {
			return &features[i]
		}
	}
	return nil
}

// FeatureLevel is the level that the cluster has agreed on; 0 is off.
func (i *Image) FeatureLevel(name string) int16 {
	if level, ok := i.features[name]; ok {
		return level
	}
	if f := feature(name); f != nil {
		return f.first
	}
	return 0
}

// The ways to change a level. The numbers are the protocol's.
const (
	Upgrade         int8 = 1
	SafeDowngrade   int8 = 2
	UnsafeDowngrade int8 = 3
)

// FeatureUpdate asks for a level.
type FeatureUpdate struct {
	Name  string
	Level int16
	Way   int8
}

// UpdateFeatures changes levels, all or none. The last of several updates of one feature counts.
func (c *Controller) UpdateFeatures(ctx context.Context, updates []FeatureUpdate, validateOnly bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	last := map[string]FeatureUpdate{}
	for _, u := range updates {
		last[u.Name] = u
	}
	levels := map[string]int16{}
	for _, u := range updates {
		u = last[u.Name]
		if err := c.Image().checkFeature(u, c.nodeID); err != nil {
			err.Message = "The update failed for all features since the following feature had an error: " + err.Message
			return err
		}
		if u.Level != c.Image().FeatureLevel(u.Name) {
			levels[u.Name] = u.Level
		}
	}
	if validateOnly || len(levels) == 0 {
		return nil
	}
	return c.commit(ctx, []Command{{SetFeatures: &SetFeatures{Levels: levels}}})
}

// checkFeature says why a feature cannot have a level (FeatureControlManager).
func (i *Image) checkFeature(u FeatureUpdate, node int32) *Error {
	refuse := func(format string, args ...any) *Error {
		return &Error{ErrInvalidUpdateVersion, fmt.Sprintf("Invalid update version %d for feature %s. ", u.Level, u.Name) + fmt.Sprintf(format, args...)}
	}
	f, now := feature(u.Name), i.FeatureLevel(u.Name)
	switch {
	case u.Way < Upgrade || u.Way > UnsafeDowngrade:
		return refuse("The controller does not support the given upgrade type.")
	case u.Level < 0:
		return refuse("A feature version cannot be less than 0.")
	case f == nil && u.Level == 0:
		return nil
	case f == nil:
		return refuse("Local controller %d does not support this feature.", node)
	case u.Level < f.Min || u.Level > f.Max:
		return refuse("Local controller %d only supports versions %d-%d", node, f.Min, f.Max)
	case u.Level < now && u.Name == KRaftVersion:
		return refuse("Can't downgrade the version of this feature.")
	case u.Level < now && u.Way == Upgrade:
		return refuse("Can't downgrade the version of this feature without setting the upgrade type to either safe or unsafe downgrade.")
	case u.Level > now && u.Way != Upgrade:
		return refuse("Can't downgrade to a newer version.")
	case u.Level < now && u.Name == MetadataVersion:
		// Each level up to this one added something to Kafka's metadata.
		why := "Refusing to perform the requested downgrade because it might delete metadata information."
		if u.Way == UnsafeDowngrade {
			why = "Unsafe metadata downgrade is not supported in this version."
		}
		return &Error{ErrInvalidUpdateVersion, fmt.Sprintf("Unsupported metadata.version downgrade from %d to %d. %s", now, u.Level, why)}
	}
	return nil
}

var errFeature = errors.New("unknown level of a feature")

func (e *editor) setFeatures(c *SetFeatures) error {
	e.features = maps.Clone(e.features)
	if e.features == nil {
		e.features = map[string]int16{}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Levels)) {
		level := c.Levels[name]
		if f := feature(name); f == nil || level < f.Min || level > f.Max {
			return fmt.Errorf("%w: %s %d", errFeature, name, level)
		}
		e.features[name] = level
	}
	return nil
}

// checkELR keeps all brokers to one min.insync.replicas while eligible leader replicas are kept (KIP-966): there
// is one for all, and none for a single broker.
func (i *Image) checkELR(change ConfigChange, level config.Level, old map[string]string) error {
	const name = "min.insync.replicas"
	if level != config.BrokerLevel || i.FeatureLevel(ELRVersion) == 0 {
		return nil
	}
	_, removed := old[name]
	removed = removed && change.Replace
	for _, op := range change.Ops {
		if op.Name != name {
			continue
		}
		if change.Name != "" {
			return &Error{ErrInvalidConfig, "Broker-level min.insync.replicas cannot be altered while ELR is enabled."}
		}
		removed = op.Op == OpDelete
	}
	if removed && change.Name == "" {
		return &Error{ErrInvalidConfig, "Cluster-level min.insync.replicas cannot be removed while ELR is enabled."}
	}
	return nil
}
