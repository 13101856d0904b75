package cluster

import (
	"context"
	"maps"
	"slices"

	"millrace/broker/internal/acl"
)

// SetACLs adds and removes access rules (KIP-140).
type SetACLs struct {
	Add    []acl.Binding `json:"add,omitempty"`
	Remove []acl.Binding `json:"remove,omitempty"`
}

// aclsPerCommand bounds a record of the metadata log.
const aclsPerCommand = 1000

// CreateACLs adds access rules, each on its own. One that is there already is no error. Errors are in the order asked.
func (c *Controller) CreateACLs(ctx context.Context, bindings []acl.Binding) []error {
	c.mu.Lock()
	defer c.mu.Unlock()
	errs := make([]error, len(bindings))
	has, added := c.Image().acls, map[acl.Binding]bool{}
	var add []acl.Binding
	for n, b := range bindings {
		if err := b.Check(); err != nil {
			errs[n] = &Error{ErrInvalidRequest, err.Error()}
		} else if _, there := has[b]; !there && !added[b] {
			added[b] = true
			add = append(add, b)
		}
	}
	if err := c.commitACLs(ctx, add, func(some []acl.Binding) *SetACLs { return &SetACLs{Add: some} }); err != nil {
		for n := range errs {
			errs[n] = cmpError(errs[n], err)
		}
	}
	return errs
}

// DeleteACLs removes the rules that filters choose. It returns those, for each filter: a rule that two filters choose is with both.
func (c *Controller) DeleteACLs(ctx context.Context, filters []acl.Filter) ([][]acl.Binding, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([][]acl.Binding, len(filters))
	gone := map[acl.Binding]bool{}
	var remove []acl.Binding
	for n, f := range filters {
		for _, b := range c.Image().rules.Bindings() {
			if !f.Matches(b) {
				continue
			}
			out[n] = append(out[n], b)
			if !gone[b] {
				gone[b] = true
				remove = append(remove, b)
			}
		}
	}
	return out, c.commitACLs(ctx, remove, func(some []acl.Binding) *SetACLs { return &SetACLs{Remove: some} })
}

func (c *Controller) commitACLs(ctx context.Context, bindings []acl.Binding, command func([]acl.Binding) *SetACLs) error {
	var commands []Command
	for some := range slices.Chunk(bindings, aclsPerCommand) {
		commands = append(commands, Command{SetACLs: command(some)})
	}
	if len(commands) == 0 {
		return nil
	}
	return c.commit(ctx, commands)
}

// Rules are the access rules that hold, nil when there are none.
func (i *Image) Rules() *acl.Rules { return i.rules }

func (e *editor) setACLs(c *SetACLs) error {
	if !e.ruled { // once for all commands
		if e.acls, e.ruled = maps.Clone(e.acls), true; e.acls == nil {
			e.acls = map[acl.Binding]struct{}{}
		}
	}
	for _, b := range c.Add {
		if err := b.Check(); err != nil {
			return err
		}
		e.acls[b] = struct{}{}
	}
	for _, b := range c.Remove {
		delete(e.acls, b)
	}
	return nil
}

// rulesOf indexes the rules; nil when there are none, which costs nothing to ask.
func rulesOf(acls map[acl.Binding]struct{}) *acl.Rules {
	if len(acls) == 0 {
		return nil
	}
	return acl.NewRules(slices.Collect(maps.Keys(acls)))
}

// aclCommands are the access rules' part of a snapshot.
func (i *Image) aclCommands() (out []Command) {
	for some := range slices.Chunk(i.rules.Bindings(), aclsPerCommand) {
		out = append(out, Command{SetACLs: &SetACLs{Add: some}})
	}
	return out
}
