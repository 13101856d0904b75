package broker

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"millrace/broker/internal/cluster"
	"millrace/broker/internal/sasl"
)

// ScramUser is a user that a broker makes when it starts, unless there is that user already: where
// every listener wants a log-in, the first one could not be made otherwise (KIP-900).
type ScramUser struct {
	name, mechanism string
	credential      sasl.Credential
}

// ParseScramUser reads what kafka-storage takes by --add-scram:
//
//	SCRAM-SHA-512=[name=admin,password=…]
//
// iterations is 4096 where it is not given; in place of a password there may be saltedpassword and salt, both in
// base64. Errors do not repeat the text, which has a password.
func ParseScramUser(s string) (u ScramUser, err error) {
	form := errors.New("a SCRAM user is written SCRAM-SHA-512=[name=NAME,password=PASSWORD,iterations=4096]")
	mechanism, list, ok := strings.Cut(strings.TrimSpace(s), "=")
	list, open := strings.CutPrefix(list, "[")
	list, closed := strings.CutSuffix(list, "]")
	if !ok || !open || !closed {
		return u, form
	}
	given := map[string]string{}
	for part := range strings.SplitSeq(list, ",") {
		key, value, ok := strings.Cut(part, "=")
		switch key = strings.TrimSpace(key); key {
		case "name", "password", "iterations", "salt", "saltedpassword":
		default:
			ok = false
		}
		if _, twice := given[key]; !ok || twice {
			return u, form
		}
		given[key] = strings.Trim(value, `"`)
	}
	iterations := int64(sasl.MinIterations)
	if text, ok := given["iterations"]; ok {
		if iterations, err = strconv.ParseInt(text, 10, 32); err != nil {
			return u, fmt.Errorf("iterations of a SCRAM user: %q is not a number", text)
		}
	}
	if err := cluster.CheckScram(given["name"], mechanism, int32(iterations)); err != nil {
		return u, fmt.Errorf("SCRAM user %q: %w", given["name"], err)
	}
	u.name, u.mechanism = given["name"], mechanism
	switch {
	case given["password"] != "" && given["saltedpassword"] == "" && given["salt"] == "":
		u.credential, err = sasl.NewCredential(mechanism, given["password"], int32(iterations))
		return u, err
	case given["password"] == "" && given["saltedpassword"] != "" && given["salt"] != "":
		salt, err1 := base64.StdEncoding.DecodeString(given["salt"])
		salted, err2 := base64.StdEncoding.DecodeString(given["saltedpassword"])
		if err1 != nil || err2 != nil {
			return u, fmt.Errorf("SCRAM user %q: salt and saltedpassword are not base64", u.name)
		}
		u.credential = sasl.CredentialOf(mechanism, salt, salted, int32(iterations))
		return u, nil
	}
	return u, fmt.Errorf("SCRAM user %q needs either a password, or salt and saltedpassword", u.name)
}

// addScramUsers makes those of the configuration that are not there.
func (b *Broker) addScramUsers(ctx context.Context) error {
	var changes []cluster.ScramChange
	for _, u := range b.cfg.ScramUsers {
		if _, there := b.cluster.Image().Scram(u.name, u.mechanism); !there {
			changes = append(changes, cluster.ScramChange{ScramKey: cluster.ScramKey{User: u.name, Mechanism: u.mechanism}, Set: &u.credential})
		}
	}
	for i, err := range b.cluster.AlterScram(ctx, changes) {
		if err != nil {
			return fmt.Errorf("SCRAM user %q: %w", changes[i].User, err)
		}
		b.log.Info("SCRAM user is made", "user", changes[i].User, "mechanism", changes[i].Mechanism)
	}
	return nil
}
