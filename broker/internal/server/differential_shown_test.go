package server_test

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/record"
)

// unlike are the fields that depend on the broker, on the clock or on chance: they are not compared. Their presence is where it
// means something.
var unlike = map[string]bool{
	"ThrottleMillis": true, "Host": true, "Port": true, "ClusterID": true, "ErrorMessage": true, "Documentation": true,
	"Size": true, "OffsetLag": true, "TotalBytes": true, "UsableBytes": true, "Dir": true, "LogDir": true,
	"DirectoryID": true, "ReplicaDirectoryID": true, "FinalizedFeaturesEpoch": true, "SupportedFeatures": true, "FinalizedFeatures": true,
	"Endpoints": true, "LastFetchTimestamp": true, "LastCaughtUpTimestamp": true, "IncarnationID": true,
}

// firstOfShare is empty when a member comes, and in ours is not (docs/divergence.md). Sweeps only come.
var firstOfShare = reflect.TypeFor[*kmsg.ShareGroupHeartbeatResponseAssignment]()

// epochsOfShare grow once more in Kafka when the partitions of a share group have their state, which is sooner or later.
var epochsOfShare = map[string]bool{"GroupEpoch": true, "AssignmentEpoch": true, "MemberEpoch": true}

// shown writes an answer in one line: the fields that are not zero, error codes by name, arrays sorted, since hash tables
// have no order.
func (c *conversation) shown(resp kmsg.Response) string {
	var out []string
	c.showFields(reflect.ValueOf(resp).Elem(), &out)
	if len(out) == 0 {
		return "{}"
	}
	return strings.Join(out, " ")
}

func (c *conversation) showFields(v reflect.Value, out *[]string) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if !isField(f) || unlike[f.Name] || c.sweeps && f.Type == firstOfShare || c.script == "share-groups" && epochsOfShare[f.Name] {
			continue
		}
		if text := c.showValue(v.Field(i), f.Name); text != "" {
			*out = append(*out, f.Name+"="+text)
		}
	}
}

func (c *conversation) showValue(v reflect.Value, name string) string {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return ""
		}
		if v.Elem().Kind() == reflect.String {
			return c.showText(v.Elem().String())
		}
		return c.showValue(v.Elem(), name)
	case reflect.Struct:
		var fields []string
		c.showFields(v, &fields)
		return "{" + strings.Join(fields, " ") + "}"
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return c.showBytes(v.Bytes(), name)
		}
		if v.IsNil() {
			return ""
		}
		var items []string
		for i := range v.Len() {
			if config, ok := v.Index(i).Interface().(kmsg.CreateTopicsResponseTopicConfig); ok && config.Source == defaultSource {
				continue
			}
			if !c.isForeign(v.Index(i)) {
				items = append(items, c.showValue(v.Index(i), name+"[]"))
			}
		}
		slices.Sort(items)
		return "[" + strings.Join(items, " ") + "]"
	case reflect.Array:
		switch {
		case v.IsZero():
			return ""
		case v.Interface() == c.topicID:
			return "its"
		}
		return "another"
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return c.showNumber(v.Int(), name)
	case reflect.String:
		if v.String() == "" && !strings.HasSuffix(name, "[]") {
			return ""
		}
		return c.showText(v.String())
	case reflect.Bool:
		if !v.Bool() {
			return ""
		}
	}
	return fmt.Sprint(v.Interface())
}

const defaultSource = 5 // of a setting that nobody made: DescribeConfigs compares them

func (c *conversation) showNumber(n int64, name string) string {
	const ofTests = 100_000 // times and ids above are the broker's
	switch {
	case strings.Contains(name, "ErrorCode"):
		if n == 0 {
			return ""
		}
		if err := kerr.TypedErrorForCode(int16(n)); err != nil {
			return err.Message
		}
	case n >= 0 && n != 99 && n != 1<<31-1 && name == "ProducerID", n > 0 && n != 1<<31-1 && name == "SessionID":
		return "some"
	case n >= 0 && name == "BaseOffset" && c.sweeps:
		return "some" // a request that one of the two refuses would shift all that follow
	case n == 0 && !strings.HasSuffix(name, "[]"):
		return ""
	case n > ofTests && n != 1<<31-1 && strings.Contains(name, "Time"):
		return "now"
	}
	return strconv.FormatInt(n, 10)
}

// numbered are the names that unique makes.
var numbered = regexp.MustCompile(`~-\d+$`)

var long = regexp.MustCompile(`x{100,}`)

// uuid is how Kafka writes one: in hexadecimal, or in base64 and then all there is.
var uuid = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|^[A-Za-z0-9_-]{22}$`)

func (c *conversation) showText(s string) string {
	s = numbered.ReplaceAllString(strings.ReplaceAll(s, c.name(""), "~"), "~-N")
	s = long.ReplaceAllString(s, "x...")
	return fmt.Sprintf("%q", uuid.ReplaceAllString(s, "UUID"))
}

// showBytes shows batches by their headers. The last one may be cut, as a client throws such a one away.
func (c *conversation) showBytes(b []byte, name string) string {
	if name != "Records" && name != "RecordBatches" {
		if len(b) == 0 {
			return ""
		}
		return c.showText(string(b))
	}
	var out []string
	for len(b) > 0 {
		first, rest, err := record.Next(b)
		if err != nil {
			break
		}
		out = append(out, fmt.Sprintf("%d-%d/%d", first.BaseOffset(), first.LastOffset(), first.Attributes()))
		b = rest
	}
	if out == nil {
		return ""
	}
	return "[" + strings.Join(out, " ") + "]"
}

// isForeign tells whether an item of an answer is about what another script made.
func (c *conversation) isForeign(v reflect.Value) bool {
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if v.Kind() == reflect.String {
		return c.isForeignName(v.String())
	}
	if v.Kind() != reflect.Struct {
		return false
	}
	if key, ok := v.Interface().(kmsg.ApiVersionsResponseApiKey); ok {
		return key.ApiKey == 88 || key.ApiKey == 89 // Streams groups, which docs/protocol.md says are not served
	}
	if group, ok := v.Interface().(kmsg.ListGroupsResponseGroup); ok && group.Group == "" {
		return true // all scripts commit to it
	}
	for _, f := range []string{"Topic", "Group", "GroupID", "TransactionalID", "Name", "ResourceName", "User"} {
		x := v.FieldByName(f)
		if x.Kind() == reflect.Pointer {
			x = x.Elem()
		}
		if x.Kind() == reflect.String && c.isForeignName(x.String()) {
			return true
		}
	}
	return false
}

func (c *conversation) isForeignName(s string) bool {
	return strings.HasPrefix(s, "__") || strings.HasPrefix(s, "differential-") && !strings.HasPrefix(s, c.name(""))
}
