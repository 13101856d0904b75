package fault_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"millrace/pkg/fault"
)

func TestParseRules(t *testing.T) {
	t.Parallel()
	rules, err := fault.ParseRules(` effect.before-commit = error , times = 3,match.product_id=kettle ;; mail.before-send=delay,delay=1m30s,skip=2; `)
	want := []fault.Rule{
		{Point: "effect.before-commit", Kind: fault.Error, Times: 3, Match: map[string]string{"product_id": "kettle"}},
		{Point: "mail.before-send", Kind: fault.Delay, Skip: 2, Delay: 90 * time.Second},
	}
	if err != nil || !reflect.DeepEqual(rules, want) {
		t.Errorf("%+v, %v", rules, err)
	}
	const text = "effect.before-commit=error,times=3,match.product_id=kettle;mail.before-send=delay,skip=2,delay=1m30s"
	if got := fault.FormatRules(rules); got != text {
		t.Errorf("written as %s, want %s", got, text)
	}
	if rules, err := fault.ParseRules("  "); len(rules) != 0 || err != nil {
		t.Errorf("no text: %v, %v", rules, err)
	}
}

// What is wrong is named, together with what is allowed.
func TestParseRules_NamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"order.before-commit":             {"POINT=KIND"},
		"=error":                          {"POINT=KIND"},
		"p=":                              {`kind is ""`, "error, permanent, delay, hang, crash, panic or duplicate"},
		"p=eror":                          {`kind is "eror"`, "nearest is error"},
		"p=error,times=-1":                {`times is "-1"`, "0 to 1000000000"},
		"p=error,times=many":              {`times is "many"`},
		"p=error,times=1000000001":        {`times is "1000000001"`},
		"p=error,times=9999999999999":     {`times is "9999999999999"`},
		"p=error,skip=1.5":                {`skip is "1.5"`},
		"p=error,skip=1,skip=2":           {"skip is given twice"},
		"p=error,delay=1s":                {`delay is "1s"`, "the kind error has none"},
		"p=error,delay=0s":                {`delay is "0s"`, "above 0"},
		"p=delay":                         {`delay is "0s"`, "needs one"},
		"p=delay,delay=5":                 {`delay is "5"`, "500ms"},
		"p=delay,delay=11m":               {`delay is "11m0s"`, "up to 10m0s"},
		"p=delay,delay=-1s":               {`delay is "-1s"`},
		"p=error,match.=x":                {`"match." is no part`},
		"p=error,match.order_id=":         {`match.order_id is ""`, "1 to 256 bytes"},
		"p=error,match.order_id=a\x00":    {"match.order_id", "printable"},
		"p=error,match.order_id=\xff":     {"match.order_id", "printable"},
		"p=error,often":                   {`"often" is no part`, "times=N"},
		"p=error;p=delay,delay=1s":        {"p is set twice"},
		"p=error;q":                       {`rule "q"`},
		strings.Repeat("p", 17<<10):       {"17408 bytes", "16384"},
		manyRules(65):                     {"more than 64 rules"},
		"p=" + strings.Repeat("e", 10000): {"…"},
	} {
		rules, err := fault.ParseRules(text)
		if err == nil {
			t.Errorf("%.80s: taken as %v", text, rules)
			continue
		}
		for _, part := range want {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%.80s: %v; want %q in it", text, err, part)
			}
		}
		if len(err.Error()) > 600 {
			t.Errorf("%.80s: the error has %d bytes", text, len(err.Error()))
		}
	}
}

func manyRules(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat("p", i+1) + "=error;")
	}
	return b.String()
}

func TestRule_JSON(t *testing.T) {
	t.Parallel()
	rule := fault.Rule{Point: "mail.before-send", Kind: fault.Delay, Times: 3, Skip: 1, Delay: 500 * time.Millisecond, Match: map[string]string{"order_id": "o-1"}}
	text, err := json.Marshal(rule)
	if want := `{"point":"mail.before-send","kind":"delay","times":3,"skip":1,"delay":"500ms","match":{"order_id":"o-1"}}`; err != nil || string(text) != want {
		t.Errorf("%s, %v; want %s", text, err, want)
	}
	var back fault.Rule
	if err := json.Unmarshal(text, &back); err != nil || !reflect.DeepEqual(back, rule) {
		t.Errorf("%+v, %v", back, err)
	}
	var invalid *fault.InvalidError
	if err := json.Unmarshal([]byte(`{"kind":"delay","delay":"long"}`), &back); !errors.As(err, &invalid) || invalid.Field != "delay" {
		t.Errorf("delay that is none: %v", err)
	}
	if err := json.Unmarshal([]byte(`{"kind":"error","time":1}`), &back); err == nil || !strings.Contains(err.Error(), `"time"`) {
		t.Errorf("unknown field: %v", err)
	}
	if !reflect.DeepEqual(back, rule) {
		t.Errorf("a failed reading left %+v", back)
	}
}

// Whatever is taken is valid, and is the same when it is written and read again, in
// both forms.
func FuzzParseRules(f *testing.F) {
	f.Add("effect.before-commit=error,times=3,match.product_id=kettle;mail.before-send=delay,delay=1m30s,skip=2")
	f.Add("a=crash,match.b=c=d")
	f.Add("a=hang;;b=panic,times=0")
	f.Add("a = duplicate , skip = 1")
	f.Fuzz(func(t *testing.T, text string) {
		rules, err := fault.ParseRules(text)
		if err != nil {
			return
		}
		written := fault.FormatRules(rules)
		again, err := fault.ParseRules(written)
		if err != nil || !reflect.DeepEqual(again, rules) {
			t.Fatalf("%q was read as %+v, written as %q and read as %+v, %v", text, rules, written, again, err)
		}
		for _, r := range rules {
			if err := r.Validate(); err != nil {
				t.Fatal(err)
			}
		}
		body, err := json.Marshal(rules)
		if err != nil {
			t.Fatal(err)
		}
		var back []fault.Rule
		if err := json.Unmarshal(body, &back); err != nil {
			t.Fatal(err)
		}
		if strings.ToValidUTF8(text, "") == text && fault.FormatRules(back) != written {
			t.Fatalf("%s is %q, want %q", body, fault.FormatRules(back), written)
		}
	})
}

func TestNearest(t *testing.T) {
	t.Parallel()
	names := []string{"order.before-commit", "order.after-commit", "mail.after-send"}
	for given, want := range map[string]string{
		"order.before-comit": "order.before-commit", "order.aftercommit": "order.after-commit", "mail-after-send": "mail.after-send",
		"x": "", "": "", "something-else": "", strings.Repeat("order", 20): "",
	} {
		if got := fault.Nearest(given, names); got != want {
			t.Errorf("%q: %q, want %q", given, got, want)
		}
	}
}
