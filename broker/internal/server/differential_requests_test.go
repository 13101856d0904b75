package server_test

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// The topic and the group that the requests of TestDifferential are about. Both brokers have them.
const (
	sameTopic = "differential"
	sameGroup = "differential-group"
)

// fillIn gives the fields of a request values that make sense: the topic, its id, the group, short waits, one element
// in each array. What has no meaning by its name keeps its default.
func fillIn(v reflect.Value, topicID [16]byte) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if !isField(f) {
			continue
		}
		x, name := v.Field(i), f.Name
		isText := x.Kind() == reflect.String || x.Type() == reflect.TypeFor[*string]()
		switch {
		case name == "Acks":
			x.SetInt(-1)
		case name == "TopicID":
			x.Set(reflect.ValueOf(topicID))
		case isText && (name == "Topic" || name == "Name" && strings.Contains(v.Type().Name(), "Topic")):
			setText(x, sameTopic)
		case isText && strings.HasPrefix(name, "Group"):
			setText(x, sameGroup)
		case x.Type() == reflect.TypeFor[[]string]():
			x.Set(reflect.ValueOf([]string{sameTopic}))
			if strings.Contains(name, "Group") {
				x.Set(reflect.ValueOf([]string{sameGroup}))
			}
		case name == "MaxWaitMillis":
			x.SetInt(1)
		case strings.Contains(name, "Session") && strings.Contains(name, "Millis"), strings.Contains(name, "Rebalance") && x.CanInt():
			x.SetInt(10_000)
		case strings.Contains(name, "Millis") && x.CanInt():
			x.SetInt(1000)
		case x.Kind() == reflect.Slice && x.Type().Elem().Kind() == reflect.Struct:
			one := reflect.MakeSlice(x.Type(), 1, 1)
			setDefaults(one.Index(0).Addr())
			fillIn(one.Index(0), topicID)
			x.Set(one)
		case x.Kind() == reflect.Slice && x.Type().Elem().Kind() != reflect.Uint8:
			x.Set(reflect.MakeSlice(x.Type(), 1, 1))
		case x.Kind() == reflect.Struct:
			fillIn(x, topicID)
		}
	}
}

func isField(f reflect.StructField) bool {
	return f.IsExported() && f.Name != "UnknownTags" && f.Name != "Version"
}

func setDefaults(pointer reflect.Value) {
	if m := pointer.MethodByName("Default"); m.IsValid() {
		m.Call(nil)
	}
}

func setText(x reflect.Value, s string) {
	if x.Kind() == reflect.Pointer {
		x.Set(reflect.ValueOf(&s))
	} else {
		x.SetString(s)
	}
}

// change makes one field of a request absurd.
type change struct {
	what  string // the field and what becomes of it, as in "Topics.Partitions.Offset -2"
	apply func(request reflect.Value)
}

// changes lists what can be done to the fields of a type, one at a time. path leads to the type, through the first
// element of each array.
func changes(t reflect.Type, path []int, name string) []change {
	var list []change
	add := func(what string, f func(reflect.Value)) {
		list = append(list, change{name + " " + what, func(request reflect.Value) {
			if v, ok := follow(request, path); ok {
				f(v)
			}
		}})
	}
	switch t.Kind() {
	case reflect.Struct:
		for i := range t.NumField() {
			if f := t.Field(i); isField(f) {
				list = append(list, changes(f.Type, append(slices.Clone(path), i), strings.TrimPrefix(name+"."+f.Name, "."))...)
			}
		}
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			add("junk", func(v reflect.Value) { v.SetBytes([]byte("junk")) })
			break
		}
		add("empty", func(v reflect.Value) { v.Set(reflect.MakeSlice(t, 0, 0)) })
		add("null", func(v reflect.Value) { v.SetZero() })
		add("twice", func(v reflect.Value) {
			if v.Len() > 0 {
				v.Set(reflect.Append(v, v.Index(0)))
			}
		})
		if t.Elem().Kind() == reflect.Struct {
			list = append(list, changes(t.Elem(), path, name)...)
		}
	case reflect.String, reflect.Pointer:
		if t != reflect.TypeFor[string]() && t != reflect.TypeFor[*string]() {
			break
		}
		for what, s := range map[string]string{"''": "", "unknown": "differential-nowhere", "slash": "a/b", "long": strings.Repeat("x", 300)} {
			add(what, func(v reflect.Value) { setText(v, s) })
		}
		if t.Kind() == reflect.Pointer {
			add("null", reflect.Value.SetZero)
		}
	case reflect.Bool:
		add("flipped", func(v reflect.Value) { v.SetBool(!v.Bool()) })
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		for _, n := range []int64{-2, -1, 0, 1, 99, math.MaxInt32} {
			waits := n > 0 && (strings.Contains(name, "MaxWait") || strings.Contains(name, "Timeout"))
			if !waits && !reflect.Zero(t).OverflowInt(n) {
				add(strconv.FormatInt(n, 10), func(v reflect.Value) { v.SetInt(n) })
			}
		}
	case reflect.Array: // a topic id
		add("unknown", func(v reflect.Value) { v.Index(3).SetUint(v.Index(3).Uint() ^ 1) })
	}
	return list
}

// follow goes from field to field, and through the first element of arrays between.
func follow(v reflect.Value, path []int) (reflect.Value, bool) {
	for _, i := range path {
		if v.Kind() == reflect.Slice {
			if v.Len() == 0 {
				return v, false
			}
			v = v.Index(0)
		}
		v = v.Field(i)
	}
	return v, true
}

// shown is what is compared of an answer: error codes, names, partitions and how many there are. Ids, times, offsets and
// messages depend on the broker.
func shown(resp kmsg.Response) string {
	var out []string
	showValue(reflect.ValueOf(resp).Elem(), "", &out)
	return strings.Join(out, " ")
}

func showValue(v reflect.Value, name string, out *[]string) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			showValue(v.Elem(), name, out)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); isField(f) {
				showValue(v.Field(i), f.Name, out)
			}
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return
		}
		var items []string
		for i := range v.Len() {
			var item []string
			showValue(v.Index(i), name, &item)
			items = append(items, strings.Join(item, " "))
		}
		slices.Sort(items) // hash tables have no order
		*out = append(*out, fmt.Sprintf("%s:%d[%s]", name, v.Len(), strings.Join(items, "; ")))
	case reflect.Int16:
		if strings.Contains(name, "ErrorCode") {
			*out = append(*out, fmt.Sprintf("%s=%d", name, v.Int()))
		}
	case reflect.Int32:
		if name == "Partition" {
			*out = append(*out, strconv.FormatInt(v.Int(), 10))
		}
	case reflect.String:
		if name == "Topic" || name == "Group" || name == "State" {
			*out = append(*out, fmt.Sprintf("%s=%.24q", name, v.String()))
		}
	}
}
