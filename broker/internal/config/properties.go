package config

import (
	"fmt"
	"strings"

	"github.com/magiconair/properties"
)

// ParseSetting takes one name=value apart. The name must be there, the value may be
// empty.
func ParseSetting(s string) (name, value string, err error) {
	name, value, ok := strings.Cut(s, "=")
	name = strings.TrimSpace(name)
	if !ok || name == "" {
		return "", "", fmt.Errorf("setting %q is not of the form name=value", s)
	}
	return name, strings.TrimSpace(value), nil
}

// ReadProperties reads a Java properties file in UTF-8. As in Kafka, ${…} is not
// expanded, and of a name given twice the last counts.
func ReadProperties(text []byte) (map[string]string, error) {
	loader := properties.Loader{Encoding: properties.UTF8, DisableExpansion: true}
	p, err := loader.LoadBytes(text)
	if err != nil {
		return nil, fmt.Errorf("properties file: %w", err)
	}
	p.DisableExpansion = true
	p.Prefix, p.Postfix = "", ""
	out := make(map[string]string, p.Len())
	for _, name := range p.Keys() {
		value, _ := p.Get(name)
		out[name] = strings.TrimSpace(value)
	}
	return out, nil
}
