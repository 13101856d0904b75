package dlq

import (
	"cmp"
	"encoding/base64"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"millrace/pkg/events"
)

// Summary is a letter in a list: everything but payload and headers. Its JSON form is
// stable.
type Summary struct {
	ID            string            `json:"id"`
	Status        Status            `json:"status"`
	Group         string            `json:"group,omitempty"`
	Class         events.ErrorClass `json:"error_class,omitempty"`
	Attempts      int               `json:"attempts,omitempty"`
	Time          time.Time         `json:"time"` // of the last failure
	FirstFailure  *time.Time        `json:"first_failure,omitempty"`
	OriginalTopic string            `json:"original_topic,omitempty"`
	Partition     *int32            `json:"original_partition,omitempty"`
	Offset        *int64            `json:"original_offset,omitempty"`
	Key           *string           `json:"original_key,omitempty"`
	KeyEncoding   string            `json:"original_key_encoding,omitempty"` // base64, or absent
	MessageID     string            `json:"message_id,omitempty"`
	Error         string            `json:"error"`
	Bytes         int               `json:"bytes"` // of the letter
	Edited        bool              `json:"edited,omitempty"`
	Redrive       *RedriveSummary   `json:"redrive,omitempty"`
	By            string            `json:"by,omitempty"` // who did the last thing
	At            *time.Time        `json:"at,omitempty"`
	Reason        string            `json:"reason,omitempty"`
}

// RedriveSummary is the latest redrive of a letter.
type RedriveSummary struct {
	ID        string `json:"id"`
	Group     string `json:"group"`
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    *int64 `json:"offset,omitempty"` // absent while it is not known whether it was sent
}

// maxSummaryText bounds the texts of a summary, in bytes.
const maxSummaryText = 500

// Summarize makes the summary of a letter. It keeps no part of the letter's value.
func Summarize(l *Letter, s State) Summary {
	sum := Summary{
		ID: l.ID.String(), Status: s.Status, Class: l.Class(), Time: l.Time().UTC(), Bytes: len(l.Value),
		Edited: s.Edit != none, By: s.Who, Reason: s.Reason,
	}
	if !s.When.IsZero() {
		sum.At = &s.When
	}
	if r := s.Redrive; r.ID != "" {
		sum.Redrive = &RedriveSummary{ID: r.ID, Group: r.Group, Topic: r.Topic, Partition: r.Partition}
		if r.Offset != none {
			sum.Redrive.Offset = &r.Offset
		}
	}
	if l.Problem != nil {
		sum.Error = Shorten(l.Problem.Error(), maxSummaryText)
		return sum
	}
	d := &l.Dead
	sum.Group, sum.Attempts, sum.OriginalTopic = Shorten(d.Group, maxSummaryText), d.Attempts, Shorten(d.OriginalTopic, maxSummaryText)
	partition, offset := d.OriginalPartition, d.OriginalOffset
	sum.Partition, sum.Offset = &partition, &offset
	sum.MessageID, sum.Error = Shorten(l.MessageID(), maxSummaryText), Shorten(d.Error, maxSummaryText)
	if !d.FirstFailure.IsZero() {
		sum.FirstFailure = &d.FirstFailure
	}
	if d.OriginalKey != nil {
		key, encoding := AsText(d.OriginalKey[:min(len(d.OriginalKey), maxSummaryText)])
		sum.Key, sum.KeyEncoding = &key, encoding
	}
	return sum
}

// Shorten cuts a text to at most limit bytes, at a character's end. It returns a copy.
func Shorten(text string, limit int) string {
	if len(text) <= limit {
		return strings.Clone(text)
	}
	return strings.ToValidUTF8(text[:limit], "") + "…"
}

// AsText is bytes as a JSON string: themselves when they are UTF-8, else base64, and
// encoding says so.
func AsText(b []byte) (text, encoding string) {
	if utf8.Valid(b) {
		return string(b), ""
	}
	return base64.StdEncoding.EncodeToString(b), "base64"
}

// newest keeps the newest letters of a stream, and counts all.
type newest struct {
	limit int
	kept  []Summary
	total int
}

func (n *newest) add(s Summary) {
	n.total++
	n.kept = append(n.kept, s)
	if len(n.kept) > 2*n.limit {
		n.cut()
	}
}

// cut drops all but the newest, which it leaves oldest first.
func (n *newest) cut() {
	slices.SortStableFunc(n.kept, func(a, b Summary) int { return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.ID, b.ID)) })
	n.kept = slices.Delete(n.kept, 0, max(0, len(n.kept)-n.limit))
}

// Stats counts letters. Its JSON form is stable.
type Stats struct {
	Letters int         `json:"letters"`
	Oldest  *time.Time  `json:"oldest_open,omitempty"`
	Rows    []StatsRow  `json:"rows"`
	Audit   AuditCounts `json:"audit"`
}

// StatsRow counts the letters that are alike.
type StatsRow struct {
	Topic   string            `json:"topic"`
	Group   string            `json:"group"`
	Class   events.ErrorClass `json:"error_class"`
	Status  Status            `json:"status"`
	Letters int               `json:"letters"`
	Oldest  time.Time         `json:"oldest"`
	Newest  time.Time         `json:"newest"`
}

// AuditCounts is what is odd in the audit topic.
type AuditCounts struct {
	Unreadable int `json:"unreadable"`
	Void       int `json:"void"`
}

// maxStatsRows bounds the rows: who writes a thousand group names into letters shall
// not fill the memory. What comes after is counted under the group "…".
const maxStatsRows = 1000

type statsKey struct {
	topic, group string
	class        events.ErrorClass
	status       Status
}

// counter makes Stats of a stream.
type counter struct {
	rows  map[statsKey]*StatsRow
	stats Stats
}

func (c *counter) add(l *Letter, s State) {
	if c.rows == nil {
		c.rows = map[statsKey]*StatsRow{}
	}
	key := statsKey{l.ID.Topic, Shorten(l.Dead.Group, maxSummaryText), events.ErrorClass(Shorten(string(l.Class()), maxSummaryText)), s.Status}
	row := c.rows[key]
	if row == nil && len(c.rows) >= maxStatsRows {
		key.group, key.class = "…", "…"
		row = c.rows[key]
	}
	when := l.Time().UTC()
	if row == nil {
		row = &StatsRow{Topic: key.topic, Group: key.group, Class: key.class, Status: key.status, Oldest: when, Newest: when}
		c.rows[key] = row
	}
	row.Letters++
	c.stats.Letters++
	if when.Before(row.Oldest) {
		row.Oldest = when
	}
	if when.After(row.Newest) {
		row.Newest = when
	}
	if s.Status == Open && (c.stats.Oldest == nil || when.Before(*c.stats.Oldest)) {
		c.stats.Oldest = &when
	}
}

func (c *counter) result(l *Ledger) Stats {
	c.stats.Rows = make([]StatsRow, 0, len(c.rows))
	for _, row := range c.rows {
		c.stats.Rows = append(c.stats.Rows, *row)
	}
	slices.SortFunc(c.stats.Rows, func(a, b StatsRow) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Group, b.Group), cmp.Compare(a.Class, b.Class), cmp.Compare(a.Status, b.Status))
	})
	c.stats.Audit = AuditCounts{Unreadable: l.Unreadable, Void: l.Void}
	return c.stats
}
