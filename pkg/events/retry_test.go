package events_test

import (
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"millrace/pkg/events"
)

var fullRetry = events.Retry{
	Reason: events.RetryRedrive, Topic: events.TopicOrders, Partition: 3, Offset: 41, Timestamp: moment,
	Group: events.GroupInventory, Attempts: 6, Delays: 1, FirstFailure: moment.Add(time.Second), NotBefore: moment.Add(time.Minute),
	RedriveID: "0192-7f", RedriveTraceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
}

func TestRetry_GoldenAndBack(t *testing.T) {
	for name, retry := range map[string]events.Retry{
		"retry_full":  fullRetry,
		"retry_least": {Reason: events.RetryParked, Topic: events.TopicInventory, Group: events.GroupOrder},
		"retry_delay": {
			Reason: events.RetryDelay, Topic: events.TopicOrders, Partition: 1, Offset: 7, Timestamp: moment, Group: events.GroupNotification,
			Attempts: 3, FirstFailure: moment, NotBefore: moment.Add(5 * time.Second),
		},
	} {
		t.Run(name, func(t *testing.T) {
			headers := retry.Headers()
			text, err := json.MarshalIndent(headers, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name, text)
			headers["traceparent"] = "another's header"
			got, ok, err := events.ParseRetry(headers)
			if err != nil || !ok || got != retry {
				t.Errorf("\n got %+v, %t, %v\nwant %+v", got, ok, err, retry)
			}
		})
	}
}

func TestParseRetry_OtherZonesBecomeUTC(t *testing.T) {
	headers := fullRetry.Headers()
	headers[events.HeaderNotBefore] = "2026-11-22T16:31:15.123+07:00"
	got, _, err := events.ParseRetry(headers)
	if err != nil || got != fullRetry {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestParseRetry_WithoutReasonIsNone(t *testing.T) {
	headers := fullRetry.Headers()
	delete(headers, events.HeaderRetryReason)
	for _, h := range []map[string]string{nil, {}, headers} {
		if got, ok, err := events.ParseRetry(h); ok || err != nil || got != (events.Retry{}) {
			t.Errorf("%v: got %+v, %t, %v", h, got, ok, err)
		}
	}
}

func TestParseRetry_RefusesByName(t *testing.T) {
	const absent = "(absent)"
	for _, c := range []struct{ header, value, says string }{
		{events.HeaderRetryReason, "", `header millrace_retry_reason is "", it must be delay, redrive, parked or discard`},
		{events.HeaderRetryReason, "DELAY", "must be delay, redrive, parked or discard"},
		{events.HeaderOriginalTopic, absent, "header millrace_original_topic is absent, it must be the name of a topic"},
		{events.HeaderOriginalTopic, "", "1 to 249 of a-z"},
		{events.HeaderOriginalTopic, "..", "1 to 249"},
		{events.HeaderOriginalTopic, "orders/../x", `is "orders/../x"`},
		{events.HeaderOriginalTopic, strings.Repeat("x", 250), "…"},
		{events.HeaderOriginalPartition, absent, "is absent, it must be a whole number from 0 to 2147483647"},
		{events.HeaderOriginalPartition, "-1", "from 0 to 2147483647"},
		{events.HeaderOriginalPartition, "2147483648", `is "2147483648"`},
		{events.HeaderOriginalPartition, "1.0", "whole number"},
		{events.HeaderOriginalOffset, "", "whole number from 0 to 9223372036854775807"},
		{events.HeaderOriginalOffset, "9223372036854775808", "whole number"},
		{events.HeaderOriginalOffset, "+1", "whole number"},
		{events.HeaderOriginalOffset, "1_000", "whole number"},
		{events.HeaderOriginalOffset, " 1", "whole number"},
		{events.HeaderOriginalOffset, "0x10", "whole number"},
		{events.HeaderOriginalTimestamp, "253402300800000", "from 0 to 253402300799999"},
		{events.HeaderOriginalTimestamp, "2026-01-01T00:00:00Z", "whole number"},
		{events.HeaderGroup, absent, "header millrace_group is absent"},
		{events.HeaderGroup, "", "1 to 256 bytes"},
		{events.HeaderGroup, strings.Repeat("g", 257), "1 to 256 bytes"},
		{events.HeaderGroup, "\xff", "must be UTF-8"},
		{events.HeaderAttempts, absent, "header millrace_attempts is absent, it must be a whole number from 0 to 1000000"},
		{events.HeaderAttempts, "three", `header millrace_attempts is "three", it must be a whole number from 0 to 1000000`},
		{events.HeaderAttempts, "1000001", "from 0 to 1000000"},
		{events.HeaderAttempts, strings.Repeat("9", 10_000), "…"},
		{events.HeaderDelays, "101", `header millrace_delays is "101", it must be a whole number from 0 to 100`},
		{events.HeaderDelays, "", "from 0 to 100"},
		{events.HeaderFirstFailure, "", "must be a time in RFC 3339"},
		{events.HeaderFirstFailure, "yesterday", `header millrace_first_failure is "yesterday"`},
		{events.HeaderFirstFailure, "1969-12-31T23:59:59Z", "from 1970"},
		{events.HeaderFirstFailure, "0001-01-01T00:00:00Z", "from 1970"},
		{events.HeaderNotBefore, "2026-11-22 09:30:15", "header millrace_not_before"},
		{events.HeaderNotBefore, "2026-02-30T00:00:00Z", "RFC 3339"},
		{events.HeaderNotBefore, "9999-12-31T23:59:59-01:00", "to 9999"},
		{events.HeaderNotBefore, "10000-01-01T00:00:00Z", "to 9999"},
		{events.HeaderRedriveID, "", "header millrace_redrive_id"},
		{events.HeaderRedriveID, strings.Repeat("r", 300), "1 to 256 bytes"},
		{events.HeaderRedriveTraceparent, "", "must be a W3C traceparent"},
		{events.HeaderRedriveTraceparent, "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", "W3C traceparent"},
		{events.HeaderRedriveTraceparent, "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "W3C traceparent"},
	} {
		headers := maps.Clone(fullRetry.Headers())
		headers[c.header] = c.value
		if c.value == absent {
			delete(headers, c.header)
		}
		got, ok, err := events.ParseRetry(headers)
		var wrong *events.HeaderError
		if !ok || got != (events.Retry{}) || !errors.As(err, &wrong) || wrong.Header != c.header ||
			!strings.Contains(err.Error(), c.says) || len(err.Error()) > 300 {
			t.Errorf("%s=%.40q: got %+v, %t, %v", c.header, c.value, got, ok, err)
		}
	}
}

func FuzzParseRetry(f *testing.F) {
	f.Add("delay", "orders", "1", "2", "3", "2026-01-02T15:04:05.000Z")
	f.Add("parked", "", "-1", "x", "", "9999")
	f.Fuzz(func(t *testing.T, reason, topic, partition, offset, attempts, notBefore string) {
		headers := fullRetry.Headers()
		headers[events.HeaderRetryReason], headers[events.HeaderOriginalTopic] = reason, topic
		headers[events.HeaderOriginalPartition], headers[events.HeaderOriginalOffset] = partition, offset
		headers[events.HeaderAttempts], headers[events.HeaderNotBefore] = attempts, notBefore
		first, _, err := events.ParseRetry(headers)
		if err != nil {
			return
		}
		// What is accepted is written in a form that reads back to the same, to the millisecond.
		first.NotBefore = first.NotBefore.Truncate(time.Millisecond)
		second, ok, err := events.ParseRetry(first.Headers())
		if err != nil || !ok || second != first {
			t.Errorf("\n got %+v, %t, %v\nwant %+v", second, ok, err, first)
		}
	})
}

func TestTopics_EachGroupHasItsRetryTopic(t *testing.T) {
	partitions := map[string]int32{}
	for _, topic := range events.Topics() {
		partitions[topic.Name] = topic.Partitions
	}
	for name, want := range map[string]int32{
		"orders": 4, "inventory": 4, "stock": 4, "orders-dlq": 4, "inventory-dlq": 4, "dlq-audit": 1,
		"orders-retry-inventory-service": 4, "orders-retry-notification-service": 4,
		"inventory-retry-order-service": 4, "inventory-retry-notification-service": 4,
	} {
		if partitions[name] != want {
			t.Errorf("%s has %d partitions, want %d", name, partitions[name], want)
		}
		delete(partitions, name)
	}
	if len(partitions) != 0 {
		t.Errorf("and also %v", partitions)
	}
}
