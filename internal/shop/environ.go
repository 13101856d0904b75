package shop

import (
	"slices"
	"strconv"
	"strings"
)

// environ is a child's environment: the one of up without the variables that
// are this shop's business, plus those of the part.
type environ []string

// ownPrefixes begin the variables that up sets for its parts. One that the user
// has set for something else must not reach them.
var ownPrefixes = []string{"DATABASE_", "HTTP_ADDR=", "SMTP_", "MILLRACE_LIFELINE=", "MILLRACE_LOCKS=", "MILLRACE_ENDS_AFTER=", "GOMEMLIMIT=", "GOGC=", "FAULTS_ENABLED=", "FAULTS=", "WRONG_WAYS=",
	"OTEL_EXPORTER_", "OTEL_SERVICE_NAME=", "OTEL_RESOURCE_ATTRIBUTES=",
	"PG"} // libpq's variables would bend our connection strings

// brokerPrefix begins the settings of Kafka clients. They are for the user's own
// brokers (--brokers): the bundled one wants none of them.
const brokerPrefix = "KAFKA_"

func baseEnviron(all []string, ownBroker bool) environ {
	return slices.DeleteFunc(slices.Clone(all), func(kv string) bool {
		if ownBroker && strings.HasPrefix(kv, brokerPrefix) {
			return true
		}
		return slices.ContainsFunc(ownPrefixes, func(p string) bool { return strings.HasPrefix(kv, p) })
	})
}

// with returns a copy with more variables.
func (e environ) with(kvs ...string) []string { return append(slices.Clone([]string(e)), kvs...) }

// processors is how many threads of a part run Go code at the same time. The parts
// share the machine: with all of its processors each, they spend a tenth of their
// work on waking threads that find nothing to do.
func processors(all []string, cpus int) string {
	if asked := lookup(all, "GOMAXPROCS"); asked != "" {
		return asked
	}
	return strconv.Itoa(max(1, cpus/4))
}

// lookup returns a variable's value in an environment, or "".
func lookup(all []string, name string) string {
	for _, kv := range all {
		if value, ok := strings.CutPrefix(kv, name+"="); ok {
			return value
		}
	}
	return ""
}
