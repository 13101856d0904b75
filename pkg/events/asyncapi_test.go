package events_test

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"millrace/pkg/events"
)

type schema struct {
	Ref        string            `yaml:"$ref"`
	Type       string            `yaml:"type"`
	Const      string            `yaml:"const"`
	Enum       []string          `yaml:"enum"`
	Required   []string          `yaml:"required"`
	Properties yaml.Node         `yaml:"properties"`
	Items      *schema           `yaml:"items"`
	properties map[string]schema // of Properties
	order      []string          // of Properties
}

func (s *schema) read(t *testing.T) {
	t.Helper()
	s.properties = map[string]schema{}
	for i := 0; i+1 < len(s.Properties.Content); i += 2 {
		var property schema
		if err := s.Properties.Content[i+1].Decode(&property); err != nil {
			t.Fatal(err)
		}
		name := s.Properties.Content[i].Value
		s.order = append(s.order, name)
		s.properties[name] = property
	}
}

type ref struct {
	Ref string `yaml:"$ref"`
}

func (r ref) name() string { return r.Ref[strings.LastIndexByte(r.Ref, '/')+1:] }

type document struct {
	AsyncAPI string `yaml:"asyncapi"`
	Channels map[string]struct {
		Address  string         `yaml:"address"`
		Messages map[string]ref `yaml:"messages"`
		Bindings struct {
			Kafka struct {
				Topic      string            `yaml:"topic"`
				Partitions int32             `yaml:"partitions"`
				Configs    map[string]string `yaml:"topicConfiguration"`
			} `yaml:"kafka"`
		} `yaml:"bindings"`
	} `yaml:"channels"`
	Operations map[string]struct {
		Action   string `yaml:"action"`
		Channel  ref    `yaml:"channel"`
		Bindings struct {
			Kafka struct {
				GroupID struct {
					Enum []string `yaml:"enum"`
				} `yaml:"groupId"`
			} `yaml:"kafka"`
		} `yaml:"bindings"`
	} `yaml:"operations"`
	Components struct {
		Messages map[string]struct {
			Name    string `yaml:"name"`
			Payload ref    `yaml:"payload"`
		} `yaml:"messages"`
		Schemas map[string]schema `yaml:"schemas"`
	} `yaml:"components"`
}

// asyncapi.yaml and the code must say the same.
func TestAsyncAPI(t *testing.T) {
	text, err := os.ReadFile("asyncapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var doc document
	if err := yaml.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(doc.AsyncAPI, "3.") {
		t.Errorf("asyncapi %s", doc.AsyncAPI)
	}
	t.Run("topics", func(t *testing.T) {
		for _, topic := range events.Topics() {
			c, ok := doc.Channels[topic.Name]
			if !ok || c.Address != topic.Name || c.Bindings.Kafka.Topic != topic.Name || c.Bindings.Kafka.Partitions != topic.Partitions ||
				!maps.Equal(c.Bindings.Kafka.Configs, topic.Configs) {
				t.Errorf("%s: document has %+v", topic.Name, c)
			}
		}
		if len(doc.Channels) != len(events.Topics()) {
			t.Errorf("the document has %d channels", len(doc.Channels))
		}
	})
	t.Run("groups", func(t *testing.T) {
		var got []string
		for _, operation := range doc.Operations {
			if operation.Action == "receive" {
				got = append(got, operation.Channel.name()+" "+strings.Join(operation.Bindings.Kafka.GroupID.Enum, ","))
			}
		}
		slices.Sort(got)
		var want []string
		for _, s := range events.Subscriptions() {
			want = append(want, s.Topic+" "+s.Group, events.RetryTopic(s.Topic, s.Group)+" "+s.Group)
		}
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
	t.Run("messages", func(t *testing.T) {
		payloads := map[string][]byte{}
		for _, event := range samples() {
			payload, err := events.Encode(event)
			if err != nil {
				t.Fatal(err)
			}
			payloads[string(event.Type())] = payload
			channels := []string{event.Topic()}
			for _, s := range events.Subscriptions() {
				if s.Topic == event.Topic() {
					channels = append(channels, events.RetryTopic(s.Topic, s.Group))
				}
			}
			for _, channel := range channels {
				found := false
				for _, m := range doc.Channels[channel].Messages {
					found = found || doc.Components.Messages[m.name()].Name == string(event.Type())
				}
				if !found {
					t.Errorf("channel %s lacks %s", channel, event.Type())
				}
			}
		}
		full := letter([]byte{0xff})
		full.OriginalKey, full.Omitted = []byte{0xfe}, true
		if payloads["dead letter"], err = events.EncodeDeadLetter(full); err != nil {
			t.Fatal(err)
		}
		audit := doc.Components.Schemas["Audit"]
		audit.read(t)
		payloads["audit record"] = wholeAudit(t, audit.order)
		described := map[string]bool{}
		for _, m := range doc.Components.Messages {
			s := doc.Components.Schemas[m.Payload.name()]
			checkForm(t, doc, m.Name, s, payloads[m.Name])
			described[m.Name] = true
		}
		if len(described) != len(payloads) {
			t.Errorf("the document describes %v", described)
		}
	})
	t.Run("headers of retry topics", func(t *testing.T) {
		headers, err := json.Marshal(fullRetry.Headers()) // sorted by name, the document is not
		if err != nil {
			t.Fatal(err)
		}
		s := doc.Components.Schemas["RetryHeaders"]
		s.read(t)
		if got, want := slices.Sorted(slices.Values(s.order)), fieldOrder(t, headers); !slices.Equal(got, want) {
			t.Errorf("document says %q, code writes %q", got, want)
		}
		least := events.Retry{Reason: events.RetryParked, Topic: "orders", Group: "g"}.Headers()
		if got, want := slices.Sorted(slices.Values(s.Required)), slices.Sorted(maps.Keys(least)); !slices.Equal(got, want) {
			t.Errorf("document requires %q, code always writes %q", got, want)
		}
		for _, reason := range []events.RetryReason{events.RetryDelay, events.RetryRedrive, events.RetryParked, events.RetryDiscard} {
			if allowed := s.properties[events.HeaderRetryReason].Enum; !slices.Contains(allowed, string(reason)) {
				t.Errorf("document allows the reasons %q, not %q", allowed, reason)
			}
		}
		if want := slices.Sorted(slices.Values(events.RetryHeaders())); !slices.Equal(want, fieldOrder(t, headers)) {
			t.Errorf("RetryHeaders lists %q", want)
		}
	})
}

// checkForm compares a schema with a payload that has all its fields: same names, same
// order, same types; what is required is there.
func checkForm(t *testing.T, doc document, name string, s schema, payload []byte) {
	t.Helper()
	if s.Ref != "" {
		s = doc.Components.Schemas[ref{s.Ref}.name()]
	}
	s.read(t)
	var values map[string]json.RawMessage
	if err := json.Unmarshal(payload, &values); err != nil {
		t.Fatalf("%s: %v in %s", name, err, payload)
	}
	if got := fieldOrder(t, payload); !slices.Equal(got, s.order) {
		t.Errorf("%s: code writes %q, document says %q", name, got, s.order)
	}
	for _, field := range s.Required {
		if _, ok := values[field]; !ok {
			t.Errorf("%s: required field %s is not written", name, field)
		}
	}
	for field, value := range values {
		property := s.properties[field]
		if got := jsonType(value); property.Type != "" && got != property.Type && (got != "integer" || property.Type != "number") {
			t.Errorf("%s.%s: code writes a %s, document says %s", name, field, got, property.Type)
		}
		var text string
		_ = json.Unmarshal(value, &text)
		if property.Const != "" && text != property.Const || property.Enum != nil && !slices.Contains(property.Enum, text) {
			t.Errorf("%s.%s: code writes %q, document says %q%q", name, field, text, property.Const, property.Enum)
		}
		if property.Items != nil {
			var elements []json.RawMessage
			if err := json.Unmarshal(value, &elements); err != nil {
				t.Fatal(err)
			}
			checkForm(t, doc, name+"."+field, *property.Items, elements[0])
		}
	}
}

func fieldOrder(t *testing.T, object []byte) (names []string) {
	t.Helper()
	var node yaml.Node // JSON is YAML, and this keeps the order
	if err := yaml.Unmarshal(object, &node); err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(node.Content[0].Content); i += 2 {
		names = append(names, node.Content[0].Content[i].Value)
	}
	return names
}

func jsonType(value json.RawMessage) string {
	switch value[0] {
	case '"':
		return "string"
	case '{':
		return "object"
	case '[':
		return "array"
	case 't', 'f':
		return "boolean"
	default:
		if strings.ContainsAny(string(value), ".eE") {
			return "number"
		}
		return "integer"
	}
}
