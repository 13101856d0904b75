package cluster

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"slices"

	"millrace/broker/internal/quota"
)

// SetQuotas sets and, where the value is null, takes back limits of one entity (KIP-546).
type SetQuotas struct {
	Entity []QuotaPart         `json:"entity"`
	Set    map[string]*float64 `json:"set"`
}

// QuotaPart is one part of an entity; a null name is whoever no other entity names.
type QuotaPart struct {
	Type string  `json:"type"` // user, client-id or ip
	Name *string `json:"name"`
}

// QuotaChange is what a client wants of one entity.
type QuotaChange struct {
	Parts []QuotaPart
	Ops   []QuotaOp
}

// QuotaOp sets a limit, or takes it back where the value is nil.
type QuotaOp struct {
	Key   string
	Value *float64
}

// AlterQuotas changes limits, each entity on its own and each wholly or not at all. An entity that is
// named twice is changed by its first and refused with its last, as in Kafka. Errors are in the order asked.
func (c *Controller) AlterQuotas(ctx context.Context, changes []QuotaChange, validateOnly bool) []error {
	c.mu.Lock()
	defer c.mu.Unlock()
	errs := make([]error, len(changes))
	var commands []Command
	first := map[quota.Entity]int{}
	for n, change := range changes {
		entity, set, err := c.Image().planQuotas(change)
		if at, twice := first[entity]; twice && err == nil {
			err = &Error{ErrInvalidRequest, fmt.Sprintf("Ignoring duplicate entity ClientQuotaEntity(entries=%s)", entity)}
			errs[at] = err
		} else if err == nil {
			first[entity] = n
		}
		if errs[n] = err; err == nil && len(set) > 0 {
			commands = append(commands, Command{SetQuotas: &SetQuotas{Entity: partsOf(entity), Set: set}})
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

// planQuotas works out what a change sets and takes back.
func (i *Image) planQuotas(change QuotaChange) (quota.Entity, map[string]*float64, error) {
	entity, err := entityOf(change.Parts)
	if err != nil {
		return entity, nil, err
	}
	if _, err := netip.ParseAddr(entity.IP.Name); entity.IP.Given && !entity.IP.Default && err != nil {
		return entity, nil, &Error{ErrInvalidRequest, entity.IP.Name + " is not a valid IP or resolvable host."}
	}
	now, set := i.quotas[entity], map[string]*float64{}
	seen := map[string]bool{}
	for _, op := range change.Ops {
		if seen[op.Key] {
			// Kafka means to say so of the key, and then says this.
			return entity, nil, &Error{ErrInvalidRequest, fmt.Sprintf("Ignoring duplicate entity ClientQuotaEntity(entries=%s)", entity)}
		}
		seen[op.Key] = true
		old, there := now[op.Key]
		if op.Value == nil {
			if there {
				set[op.Key] = nil
			}
			continue
		}
		if err := checkQuota(entity, op.Key, *op.Value); err != nil {
			return entity, nil, err
		}
		if !there || old != *op.Value {
			set[op.Key] = op.Value
		}
	}
	return entity, set, nil
}

func entityOf(parts []QuotaPart) (e quota.Entity, err error) {
	if len(parts) == 0 {
		return e, &Error{ErrInvalidRequest, "Invalid empty client quota entity"}
	}
	for _, p := range parts {
		part := quota.DefaultPart
		if p.Name != nil {
			part = quota.Named(*p.Name)
		}
		switch p.Type {
		case "user":
			e.User = part
		case "client-id":
			e.ClientID = part
		case "ip":
			e.IP = part
		default:
			return e, &Error{ErrInvalidRequest, "Unhandled client quota entity type: " + p.Type}
		}
		if p.Name != nil && *p.Name == "" {
			return e, &Error{ErrInvalidRequest, "Empty " + p.Type + " not supported"}
		}
	}
	if e.IP.Given {
		if e.User.Given || e.ClientID.Given {
			return e, &Error{ErrInvalidRequest, "Invalid quota entity combination, IP entity shouldnot be combined with User or ClientId"} //nolint:misspell // Kafka's own words
		}
	}
	return e, nil
}

// partsOf is the other way, in the order that Kafka answers.
func partsOf(e quota.Entity) []QuotaPart {
	var out []QuotaPart
	for _, p := range []struct {
		of   string
		part quota.Part
	}{{"client-id", e.ClientID}, {"ip", e.IP}, {"user", e.User}} {
		switch {
		case p.part.Default:
			out = append(out, QuotaPart{Type: p.of})
		case p.part.Given:
			out = append(out, QuotaPart{Type: p.of, Name: &p.part.Name})
		}
	}
	return out
}

// checkQuota applies the rules of one limit (ClientQuotaControlManager.validateQuotaKeyValue).
func checkQuota(e quota.Entity, key string, value float64) error {
	kind, known := quota.KindOf(key)
	if !known || (kind == quota.Connections) != e.IP.Given {
		return &Error{ErrInvalidRequest, "Invalid configuration key " + key}
	}
	if math.IsNaN(value) || value <= 0 {
		return &Error{ErrInvalidRequest, "Quota " + key + " must be greater than 0"}
	}
	most, whole := float64(math.MaxInt64), "a LONG"
	switch kind {
	case quota.ProducerBytes, quota.ConsumerBytes:
	case quota.Connections:
		most, whole = math.MaxInt32, "an INT"
	default:
		if math.IsInf(value, 1) {
			return &Error{ErrInvalidRequest, "Quota " + key + " must be finite"}
		}
		return nil
	}
	if value > most {
		return &Error{ErrInvalidRequest, "Proposed value for " + key + " is too large for " + whole + "."}
	}
	if math.Abs(math.Mod(value, 1)) > 1e-6 {
		return &Error{ErrInvalidRequest, key + " cannot be a fractional value."}
	}
	return nil
}

// Limits returns the limits of clients, nil when there are none.
func (i *Image) Limits() *quota.Limits { return i.limits }

// Quota is one entity and its limits.
type Quota struct {
	Entity quota.Entity
	Parts  []QuotaPart
	Values map[string]float64
}

// Quotas lists all entities that have limits, always in the same order.
func (i *Image) Quotas() []Quota {
	out := make([]Quota, 0, len(i.quotas))
	for e, values := range i.quotas {
		out = append(out, Quota{e, partsOf(e), values})
	}
	slices.SortFunc(out, func(a, b Quota) int { return cmp.Compare(a.Entity.String(), b.Entity.String()) })
	return out
}

func (e *editor) setQuotas(c *SetQuotas) error {
	entity, err := entityOf(c.Entity)
	if err != nil {
		return err
	}
	values := maps.Clone(e.quotas[entity])
	if values == nil {
		values = map[string]float64{}
	}
	for key, value := range c.Set {
		if value == nil {
			delete(values, key)
		} else {
			values[key] = *value
		}
	}
	if !e.limited { // once for all commands
		if e.quotas, e.limited = maps.Clone(e.quotas), true; e.quotas == nil {
			e.quotas = map[quota.Entity]map[string]float64{}
		}
	}
	if len(values) == 0 {
		delete(e.quotas, entity)
	} else {
		e.quotas[entity] = values
	}
	return nil
}

// quotaCommands are the quotas' part of a snapshot.
func (i *Image) quotaCommands() (out []Command) {
	for _, q := range i.Quotas() {
		set := make(map[string]*float64, len(q.Values))
		for key, value := range q.Values {
			set[key] = &value
		}
		out = append(out, Command{SetQuotas: &SetQuotas{Entity: q.Parts, Set: set}})
	}
	return out
}
