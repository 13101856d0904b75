package server

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/cluster"
	"millrace/broker/internal/loglevel"
)

// The levels of loggers are a resource of configurations (KIP-412): they hold for this broker, until it stops.

// describeLoggers answers DescribeConfigs.
func (s *Server) describeLoggers(asked *kmsg.DescribeConfigsRequestResource, out *kmsg.DescribeConfigsResponseResource) {
	refuse := func(message string) { out.ErrorCode, out.ErrorMessage = kerr.InvalidRequest.Code, &message }
	id, err := strconv.ParseInt(asked.ResourceName, 10, 32)
	switch {
	case asked.ResourceName == "":
		refuse("Broker id must not be empty")
		return
	case err != nil:
		refuse("Broker id must be an integer, but it is: " + asked.ResourceName)
		return
	case int32(id) != s.nodeID:
		refuse(fmt.Sprintf("Unexpected broker id, expected %d but received %s", s.nodeID, asked.ResourceName))
		return
	}
	for _, name := range loglevel.Loggers() {
		if len(asked.ConfigNames) > 0 && !slices.Contains(asked.ConfigNames, name) {
			continue
		}
		c := kmsg.NewDescribeConfigsResponseResourceConfig()
		c.Name, c.Value = name, text(s.levels.Level(name))
		c.Source = kmsg.ConfigSourceDynamicBrokerLoggerConfig
		out.Configs = append(out.Configs, c)
	}
}

// alterLoggers carries out what IncrementalAlterConfigs wants, all of it or nothing.
func (s *Server) alterLoggers(a *alteration, validateOnly bool) outcome {
	invalid := func(message string) outcome { return outcome{kerr.InvalidRequest.Code, &message} }
	id, err := strconv.ParseInt(a.name, 10, 32)
	switch {
	case err != nil:
		return invalid("Node id must be an integer, but it is: " + a.name)
	case int32(id) != s.nodeID:
		return invalid(fmt.Sprintf("Unexpected node id. Expected %d, but received %d", s.nodeID, id))
	}
	changes := make(map[string]string, len(a.ops))
	for _, op := range a.ops {
		if op.Op != cluster.OpDelete && op.Value == nil {
			return invalid("Null value not supported for : " + op.Name)
		}
		switch op.Op {
		case cluster.OpSet:
			if !loglevel.Known(op.Name) {
				return outcome{kerr.InvalidConfig.Code, text("Logger " + op.Name + " does not exist!")}
			}
			if !loglevel.Valid(*op.Value) {
				return outcome{kerr.InvalidConfig.Code, text(fmt.Sprintf("Cannot set the log level of %s to %s as it is not a supported log level. Valid log levels are %s", op.Name, *op.Value, strings.Join(loglevel.Names(), ", ")))}
			}
			changes[op.Name] = *op.Value
		case cluster.OpDelete:
			if !loglevel.Known(op.Name) {
				return outcome{kerr.InvalidConfig.Code, text("Logger " + op.Name + " does not exist!")}
			}
			if op.Name == loglevel.Root {
				return invalid("Removing the log level of the root logger is not allowed")
			}
			changes[op.Name] = ""
		case cluster.OpAppend:
			return invalid("APPEND operation is not allowed for the BROKER_LOGGER resource")
		case cluster.OpSubtract:
			return invalid("SUBTRACT operation is not allowed for the BROKER_LOGGER resource")
		default:
			return invalid(fmt.Sprintf("Unknown operation type %d.", op.Op))
		}
	}
	if !validateOnly {
		s.levels.Change(changes)
	}
	return outcome{}
}
