package events

import (
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"
)

// RetryReason is why a record lies in a retry topic.
type RetryReason string

// Reasons of a [Retry].
const (
	// RetryDelay: the tries in process have failed, a later one may succeed.
	RetryDelay RetryReason = "delay"
	// RetryRedrive: it was a dead letter, and somebody has sent it anew.
	RetryRedrive RetryReason = "redrive"
	// RetryParked: an earlier event of its key is not worked off yet.
	RetryParked RetryReason = "parked"
	// RetryDiscard: it was a dead letter, and somebody has given it up. It is not
	// processed; the group only learns that later events of its key may go on.
	RetryDiscard RetryReason = "discard"
)

// Names of the record headers that a retry topic adds to the original ones.
const (
	HeaderRetryReason        = "millrace_retry_reason"
	HeaderOriginalTopic      = "millrace_original_topic"
	HeaderOriginalPartition  = "millrace_original_partition"
	HeaderOriginalOffset     = "millrace_original_offset"
	HeaderOriginalTimestamp  = "millrace_original_timestamp"
	HeaderGroup              = "millrace_group"
	HeaderAttempts           = "millrace_attempts"
	HeaderDelays             = "millrace_delays"
	HeaderFirstFailure       = "millrace_first_failure"
	HeaderNotBefore          = "millrace_not_before"
	HeaderRedriveID          = "millrace_redrive_id"
	HeaderRedriveTraceparent = "millrace_redrive_traceparent"
)

// RetryHeaders lists all names that a retry topic adds. Who passes the original
// record on takes them off first.
func RetryHeaders() []string {
	return []string{
		HeaderRetryReason, HeaderOriginalTopic, HeaderOriginalPartition, HeaderOriginalOffset,
		HeaderOriginalTimestamp, HeaderGroup, HeaderAttempts, HeaderDelays, HeaderFirstFailure, HeaderNotBefore,
		HeaderRedriveID, HeaderRedriveTraceparent,
	}
}

const (
	// MaxAttempts bounds what a record may say about its tries.
	MaxAttempts = 1_000_000
	// MaxDelays bounds the waits between the tries of a record, and MaxDelay one of them.
	MaxDelays = 100
	MaxDelay  = 24 * time.Hour
)

// Retry describes a record of a retry topic: the original record, byte for byte with
// its key and headers, is to be processed again by one group. It travels in headers,
// so that the payload stays what it was.
type Retry struct {
	Reason RetryReason
	// Topic, Partition, Offset and Timestamp are the place of the original record. The
	// timestamp is kept to the millisecond, as in Kafka; zero: the record had none.
	Topic     string
	Partition int32
	Offset    int64
	Timestamp time.Time
	// Group is the consumer group that is to process the record.
	Group string
	// Attempts counts the tries so far; 0 where there was none.
	Attempts int
	// Delays counts the waits that it has had in the retry topic; 0 again after a redrive.
	Delays int
	// FirstFailure is when the first try failed; zero when none has.
	FirstFailure time.Time
	// NotBefore is when the next try is due, at most [MaxDelay] ahead; zero: at once.
	NotBefore time.Time
	// RedriveID is the id of the redrive in [TopicDLQAudit], and RedriveTraceparent the
	// W3C trace context of it; both are empty for other reasons.
	RedriveID          string
	RedriveTraceparent string
}

// Headers returns the headers to add to those of the original record. Times are
// written in UTC with milliseconds; what is zero or empty is left out.
func (r Retry) Headers() map[string]string {
	h := map[string]string{
		HeaderRetryReason:       string(r.Reason),
		HeaderOriginalTopic:     r.Topic,
		HeaderOriginalPartition: strconv.FormatInt(int64(r.Partition), 10),
		HeaderOriginalOffset:    strconv.FormatInt(r.Offset, 10),
		HeaderGroup:             r.Group,
		HeaderAttempts:          strconv.Itoa(r.Attempts),
	}
	if !r.Timestamp.IsZero() {
		h[HeaderOriginalTimestamp] = strconv.FormatInt(r.Timestamp.UnixMilli(), 10)
	}
	if r.Delays > 0 {
		h[HeaderDelays] = strconv.Itoa(r.Delays)
	}
	if !r.FirstFailure.IsZero() {
		h[HeaderFirstFailure] = formatTime(r.FirstFailure)
	}
	if !r.NotBefore.IsZero() {
		h[HeaderNotBefore] = formatTime(r.NotBefore)
	}
	if r.RedriveID != "" {
		h[HeaderRedriveID] = r.RedriveID
	}
	if r.RedriveTraceparent != "" {
		h[HeaderRedriveTraceparent] = r.RedriveTraceparent
	}
	return h
}

// ParseRetry reads the headers of a record. ok is false when it has no
// [HeaderRetryReason], and so is no record of a retry topic. Errors are *[HeaderError]
// and name the first header that is wrong.
func ParseRetry(headers map[string]string) (r Retry, ok bool, err error) {
	if _, ok := headers[HeaderRetryReason]; !ok {
		return Retry{}, false, nil
	}
	p := headerParser{headers: headers}
	r = Retry{
		Reason:             p.reason(),
		Topic:              p.topic(),
		Partition:          int32(p.number(HeaderOriginalPartition, maxInt32)), //nolint:gosec // bounded by the call
		Offset:             p.number(HeaderOriginalOffset, maxInt64),
		Timestamp:          p.millis(HeaderOriginalTimestamp),
		Group:              p.text(HeaderGroup, true),
		Attempts:           int(p.number(HeaderAttempts, MaxAttempts)),
		Delays:             int(p.optionalNumber(HeaderDelays, MaxDelays)),
		FirstFailure:       p.time(HeaderFirstFailure),
		NotBefore:          p.time(HeaderNotBefore),
		RedriveID:          p.text(HeaderRedriveID, false),
		RedriveTraceparent: p.traceparent(HeaderRedriveTraceparent),
	}
	if p.err != nil {
		return Retry{}, true, p.err
	}
	return r, true, nil
}

const (
	maxInt32 = 1<<31 - 1
	maxInt64 = 1<<63 - 1
	// maxMillis is the last millisecond of the year 9999, beyond which RFC 3339 ends.
	maxMillis = 253_402_300_799_999
)

// headerParser reads headers and keeps the first error.
type headerParser struct {
	headers map[string]string
	err     error
}

func (p *headerParser) fail(name, rule string) {
	if p.err == nil {
		value, present := p.headers[name]
		p.err = &HeaderError{Header: name, Value: shorten(value), Absent: !present, Rule: rule}
	}
}

func (p *headerParser) reason() RetryReason {
	switch reason := RetryReason(p.headers[HeaderRetryReason]); reason {
	case RetryDelay, RetryRedrive, RetryParked, RetryDiscard:
		return reason
	default:
		p.fail(HeaderRetryReason, fmt.Sprintf("must be %s, %s, %s or %s", RetryDelay, RetryRedrive, RetryParked, RetryDiscard))
		return ""
	}
}

func (p *headerParser) topic() string {
	topic := p.headers[HeaderOriginalTopic]
	if !ValidTopic(topic) {
		p.fail(HeaderOriginalTopic, "must be the name of a topic: 1 to 249 of a-z A-Z 0-9 . _ -")
	}
	return topic
}

// number reads a decimal without sign, leading zeros allowed, up to limit.
func (p *headerParser) number(name string, limit int64) int64 {
	text := p.headers[name]
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil || int64(n) > limit { //nolint:gosec // 63 bits fit
		p.fail(name, fmt.Sprintf("must be a whole number from 0 to %d", limit))
		return 0
	}
	return int64(n) //nolint:gosec // 63 bits fit
}

func (p *headerParser) optionalNumber(name string, limit int64) int64 {
	if _, present := p.headers[name]; !present {
		return 0
	}
	return p.number(name, limit)
}

func (p *headerParser) millis(name string) time.Time {
	if _, present := p.headers[name]; !present {
		return time.Time{}
	}
	return time.UnixMilli(p.number(name, maxMillis)).UTC()
}

func (p *headerParser) text(name string, required bool) string {
	value, present := p.headers[name]
	if !present && !required {
		return ""
	}
	if value == "" || len(value) > MaxIDLength || !utf8.ValidString(value) {
		p.fail(name, fmt.Sprintf("must be UTF-8 of 1 to %d bytes", MaxIDLength))
	}
	return value
}

func (p *headerParser) time(name string) time.Time {
	value, present := p.headers[name]
	if !present {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339Nano, value)
	if err != nil || t.Unix() < 0 || t.UnixMilli() > maxMillis {
		p.fail(name, "must be a time in RFC 3339 from 1970 to 9999, as 2026-01-02T15:04:05.000Z")
		return time.Time{}
	}
	return t.UTC()
}

// traceparent checks the form of version 00, see https://www.w3.org/TR/trace-context/.
func (p *headerParser) traceparent(name string) string {
	value, present := p.headers[name]
	if !present {
		return ""
	}
	const form = "xx-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-xxxxxxxxxxxxxxxx-xx"
	ok := len(value) == len(form)
	for i := 0; ok && i < len(form); i++ {
		c := value[i]
		if form[i] == '-' {
			ok = c == '-'
		} else {
			ok = c >= '0' && c <= '9' || c >= 'a' && c <= 'f'
		}
	}
	if !ok {
		p.fail(name, "must be a W3C traceparent, as 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	}
	return value
}
