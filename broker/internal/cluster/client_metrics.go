package cluster

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"millrace/broker/internal/config"
)

// What a subscription to clients' metrics may match (KIP-714).
var clientMatches = []string{
	"client_instance_id", "client_id", "client_software_name", "client_software_version", "client_source_address", "client_source_port",
}

// The interval of a subscription, in milliseconds.
const (
	leastMetricsInterval = 100
	mostMetricsInterval  = 3_600_000
)

// checkClientMetrics checks all settings of a subscription (ClientMetricsConfigs).
func checkClientMetrics(set map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(set)) {
		if config.Lookup(config.ClientMetricsLevel, name) == nil {
			return &Error{ErrInvalidRequest, "Unknown client metrics configuration: " + name}
		}
	}
	if text, ok := set["interval.ms"]; ok {
		interval, err := strconv.ParseInt(strings.TrimSpace(text), 10, 32)
		if err != nil {
			return &Error{ErrInvalidConfig, fmt.Sprintf("Invalid value %s for configuration interval.ms: Not a number of type INT", text)}
		}
		if interval < leastMetricsInterval || interval > mostMetricsInterval {
			return &Error{ErrInvalidRequest, fmt.Sprintf("Invalid value %d for interval.ms, interval must be between %d and %d (1 hour)", interval, leastMetricsInterval, mostMetricsInterval)}
		}
	}
	for _, match := range split(set["match"]) {
		name, pattern, found := strings.Cut(match, "=")
		_, err := regexp.Compile(pattern)
		if !found || strings.Contains(pattern, "=") || err != nil || !slices.Contains(clientMatches, strings.TrimSpace(name)) {
			return &Error{ErrInvalidConfig, "Illegal client matching pattern: " + match}
		}
	}
	return nil
}

// ClientMetrics describes a subscription, which need not exist.
func (i *Image) ClientMetrics(name string) []config.Entry {
	return config.DescribeClientMetrics(i.metricsSet[name])
}

// ClientMetricsSubscriptions lists those that there are, in order of name.
func (i *Image) ClientMetricsSubscriptions() []string { return slices.Sorted(maps.Keys(i.metricsSet)) }
