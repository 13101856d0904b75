package config

import (
	"os"
	"strings"
	"testing"
)

// different lists where a default is not Kafka's, and why.
var different = map[string]string{
	"flush.messages":              "acknowledged means on disk",
	"log.flush.interval.messages": "acknowledged means on disk",
	"listeners":                   "loopback unless told otherwise",
	"log.dir":                     "not /tmp",
	"queued.max.request.bytes":    "a bound by default: many connections must not add up to all memory",
	"node.id":                     "1 rather than required",
	"controller.listener.names":   "required there",

	"offsets.topic.replication.factor":                 "one node is the usual case",
	"transaction.state.log.replication.factor":         "one node is the usual case",
	"transaction.state.log.min.isr":                    "one node is the usual case",
	"share.coordinator.state.topic.replication.factor": "one node is the usual case",
	"share.coordinator.state.topic.min.isr":            "one node is the usual case",
	"group.coordinator.rebalance.protocols":            "only the classic protocol is served",
	"process.roles":                                    "always both",

	"sasl.enabled.mechanisms": "no Kerberos",
	"ssl.keystore.type":       "no Java",
	"ssl.truststore.type":     "no Java",
}

// onlyThere lists what may change at run time in Kafka and not here.
var onlyThere = map[string]bool{
	"listeners": true, "listener.security.protocol.map": true, "sasl.enabled.mechanisms": true, "sasl.jaas.config": true, "ssl.client.auth": true,
	"ssl.cipher.suites": true, "ssl.enabled.protocols": true,
	"ssl.keystore.certificate.chain": true, "ssl.keystore.key": true, "ssl.keystore.location": true, "ssl.keystore.type": true,
	"ssl.truststore.certificates": true, "ssl.truststore.location": true, "ssl.truststore.type": true,
}

// TestDefs_AreKafkas compares the tables with what Apache Kafka says of itself.
func TestDefs_AreKafkas(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/kafka-4.3.1.tsv")
	if err != nil {
		t.Fatal(err)
	}
	levels := map[string]Level{"broker": BrokerLevel, "topic": TopicLevel, "group": GroupLevel, "client-metrics": ClientMetricsLevel}
	seen := map[Level]map[string]bool{BrokerLevel: {}, TopicLevel: {}, GroupLevel: {}, ClientMetricsLevel: {}}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		level, name := levels[f[0]], f[1]
		seen[level][name] = true
		d := Lookup(level, name)
		if d == nil {
			t.Errorf("%s setting %s is missing", f[0], name)
			continue
		}
		if d.Type.String() != f[2] {
			t.Errorf("%s: type %s, Kafka's is %s", name, d.Type, f[2])
		}
		if readOnly := d.Level() == BrokerLevel && d.Update == ReadOnly; readOnly != (f[3] == "read-only") && !onlyThere[name] {
			t.Errorf("%s: read-only %v, Kafka's is %s", name, readOnly, f[3])
		}
		value := d.Default
		if d.Null {
			value = "<null>"
		}
		if _, ok := different[name]; value != f[4] && !ok {
			t.Errorf("%s: default %q, Kafka's is %q", name, value, f[4])
		}
	}
	for _, level := range levels {
		for _, d := range Defs(level) {
			if !seen[level][d.Name] && !d.Hidden {
				t.Errorf("Kafka has no %s setting %s", level, d.Name)
			}
		}
	}
}

// TestDefs_AreWhole checks what every setting must have.
func TestDefs_AreWhole(t *testing.T) {
	t.Parallel()
	for _, level := range []Level{BrokerLevel, TopicLevel, GroupLevel, ClientMetricsLevel} {
		for _, d := range Defs(level) {
			if d.Doc == "" || !strings.HasSuffix(d.Doc, ".") {
				t.Errorf("%s: documentation %q is not a sentence", d.Name, d.Doc)
			}
			if d.Allowed() == "" {
				t.Errorf("%s: does not say what is allowed", d.Name)
			}
			if !d.Null {
				if _, err := d.parse(d.Default); err != nil {
					t.Errorf("%s: its own default: %v", d.Name, err)
				}
			}
			for _, s := range d.Synonyms {
				if Lookup(BrokerLevel, s.Name) == nil {
					t.Errorf("%s: synonym %s is not a broker's setting", d.Name, s.Name)
				}
			}
			if level == TopicLevel && d.topic == nil && !d.Ignored {
				t.Errorf("%s: is not read by anything", d.Name)
			}
		}
	}
}
