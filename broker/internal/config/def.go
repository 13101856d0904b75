package config

// Level is what a setting belongs to.
type Level uint8

// The levels, each with its own names.
const (
	BrokerLevel Level = iota
	TopicLevel
	GroupLevel
)

// NewBroker resolves the settings of a properties file and of flags.
func NewBroker(settings map[string]string) (*Broker, error) { panic("not yet") }

// With returns the broker with settings made at run time on top: forAll for every
// broker, own for this one.
func (b *Broker) With(forAll, own map[string]string) (*Broker, error) { panic("not yet") }

// NewTopic resolves the settings of a topic that sets these itself.
func (b *Broker) NewTopic(set map[string]string) (*Topic, error) { panic("not yet") }

// ParseSetting takes one name=value apart.
func ParseSetting(s string) (name, value string, err error) { panic("not yet") }

// ReadProperties reads a Java properties file, as Kafka does: no expansion of ${…},
// the last of a name given twice wins.
func ReadProperties(text []byte) (map[string]string, error) { panic("not yet") }
