package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"millrace/broker/internal/sasl"
)

// The kinds of refusal of SCRAM users.
var (
	ErrUnacceptableCredential = errors.New("unacceptable credential")
	ErrUnsupportedMechanism   = errors.New("unsupported SASL mechanism")
	ErrResourceNotFound       = errors.New("resource not found")
	ErrDuplicateResource      = errors.New("duplicate resource")
)

// SetScram sets a user's credential for one mechanism, or takes it back where there is
// none. Passwords never come here: what is stored does not let anybody log in.
type SetScram struct {
	User       string           `json:"user"`
	Mechanism  string           `json:"mechanism"`
	Credential *ScramCredential `json:"credential,omitempty"`
}

// ScramCredential is sasl.Credential as it stands in the log.
type ScramCredential struct {
	Salt       []byte `json:"salt"`
	StoredKey  []byte `json:"stored_key"`
	ServerKey  []byte `json:"server_key"`
	Iterations int32  `json:"iterations"`
}

// ScramKey names a credential.
type ScramKey struct{ User, Mechanism string }

// ScramChange is what a client wants of one user (KIP-554). Set is nil to take the
// credential back.
type ScramChange struct {
	ScramKey
	Set *sasl.Credential
}

// Scram finds the credential of a user for a mechanism.
func (i *Image) Scram(user, mechanism string) (sasl.Credential, bool) {
	c, ok := i.scram[ScramKey{user, mechanism}]
	return sasl.Credential(c), ok
}

// ScramKeys lists the credentials that there are, by user and mechanism.
func (i *Image) ScramKeys() []ScramKey {
	return slices.SortedFunc(maps.Keys(i.scram), func(a, b ScramKey) int {
		return cmp.Or(cmp.Compare(a.User, b.User), cmp.Compare(a.Mechanism, b.Mechanism))
	})
}

// CheckScram refuses what no credential may have, before a password is hashed.
func CheckScram(user, mechanism string, iterations int32) error {
	switch {
	case user == "":
		return &Error{ErrUnacceptableCredential, "Username must not be empty"}
	case mechanism != sasl.ScramSHA256 && mechanism != sasl.ScramSHA512:
		return &Error{ErrUnsupportedMechanism, "Unknown SCRAM mechanism"}
	case iterations < sasl.MinIterations:
		return &Error{ErrUnacceptableCredential, "Too few iterations"}
	case iterations > sasl.MaxIterations:
		return &Error{ErrUnacceptableCredential, "Too many iterations"}
	}
	return nil
}

// CheckScramDeletion refuses to take back what is not there.
func (i *Image) CheckScramDeletion(key ScramKey) error {
	if err := CheckScram(key.User, key.Mechanism, sasl.MinIterations); err != nil {
		return err
	}
	if _, there := i.scram[key]; !there {
		return &Error{ErrResourceNotFound, "Attempt to delete a user credential that does not exist"}
	}
	return nil
}

// AlterScram changes credentials. Errors are in the order asked; what is refused
// leaves the others to be done.
func (c *Controller) AlterScram(ctx context.Context, changes []ScramChange) []error {
	c.mu.Lock()
	defer c.mu.Unlock()
	errs := make([]error, len(changes))
	var commands []Command
	for n, change := range changes {
		set := &SetScram{User: change.User, Mechanism: change.Mechanism}
		if change.Set != nil {
			errs[n] = CheckScram(change.User, change.Mechanism, change.Set.Iterations)
			stored := ScramCredential(*change.Set)
			set.Credential = &stored
		} else {
			errs[n] = c.Image().CheckScramDeletion(change.ScramKey)
		}
		if errs[n] == nil {
			commands = append(commands, Command{SetScram: set})
		}
	}
	if len(commands) == 0 {
		return errs
	}
	if err := c.commit(ctx, commands); err != nil {
		for n := range errs {
			errs[n] = cmpError(errs[n], err)
		}
	}
	return errs
}

func (e *editor) setScram(c *SetScram) error {
	key := ScramKey{c.User, c.Mechanism}
	if c.User == "" || c.Mechanism == "" {
		return fmt.Errorf("%w: credential of user %q for %q", ErrBadCommand, c.User, c.Mechanism)
	}
	e.scram = maps.Clone(e.scram)
	if c.Credential == nil {
		delete(e.scram, key)
		return nil
	}
	if e.scram == nil {
		e.scram = map[ScramKey]ScramCredential{}
	}
	e.scram[key] = *c.Credential
	return nil
}

func (i *Image) scramCommands() []Command {
	var out []Command
	for _, key := range i.ScramKeys() {
		stored := i.scram[key]
		out = append(out, Command{SetScram: &SetScram{User: key.User, Mechanism: key.Mechanism, Credential: &stored}})
	}
	return out
}
