package observability

import (
	"bytes"
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

// Every metric of ours is named and described as Prometheus' conventions want it.
func TestMetrics_KeepTheConventions(t *testing.T) {
	for job, text := range shop(t).texts {
		problems, err := promlint.New(bytes.NewReader(text)).Lint()
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range problems {
			if ours(p.Metric) {
				t.Errorf("%s: %s: %s", job, p.Metric, p.Text)
			}
		}
	}
}

// What has to be seen of an order's way is exposed.
func TestMetrics_AreThere(t *testing.T) {
	e := shop(t)
	for name, labels := range map[string][]string{
		"outbox_pending_messages":                  {},
		"outbox_oldest_age_seconds":                {},
		"outbox_leader":                            {},
		"messaging_consumer_lag_records":           {"group", "topic", "partition"},
		"messaging_consumer_lag_seconds":           {"group", "topic"},
		"messaging_process_attempts_bucket":        {"group", "topic", "outcome"},
		"messaging_try_duration_seconds_bucket":    {"group", "topic", "outcome"},
		"messaging_retries_total":                  {"group", "topic"},
		"messaging_dead_letters_total":             {"group", "topic", "class"},
		"messaging_dead_letters_pending":           {"group", "topic"},
		"messaging_dead_letter_oldest_age_seconds": {"group", "topic"},
		"kafka_consumergroup_current_offset":       {"consumergroup", "topic", "partition"},
		"kafka_consumergroup_lag":                  {"consumergroup", "topic", "partition"},
		"kafka_consumergroup_lag_seconds":          {"consumergroup", "topic", "partition"},
		"kafka_consumergroup_members":              {"consumergroup"},
		"wrong_way_enabled":                        {"name"},
		"fault_injections_total":                   {"point", "kind"},
	} {
		families := e.families[name]
		if len(families) == 0 {
			t.Errorf("nothing exposes %s", name)
		}
		for _, f := range families {
			var got []string
			for label := range f.labels {
				if label != "job" && label != "instance" && label != "le" {
					got = append(got, label)
				}
			}
			slices.Sort(got)
			slices.Sort(labels)
			if !slices.Equal(got, labels) {
				t.Errorf("%s of %s has labels %v, want %v", name, f.job, got, labels)
			}
		}
	}
}
