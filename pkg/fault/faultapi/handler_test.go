package faultapi_test

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"millrace/pkg/fault"
	"millrace/pkg/fault/faultapi"
	"millrace/pkg/problem"
)

func newSet() *fault.Set {
	return fault.New(fault.Options{}, fault.EffectBeforeCommit, fault.ConsumeAfterAck)
}

// call sends a request; headers are name, value, name, value.
func call(t *testing.T, set *fault.Set, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, "http://127.0.0.1:8081"+path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	faultapi.New(set, slog.New(slog.DiscardHandler)).ServeHTTP(w, r)
	return w
}

const point = faultapi.Path + "/effect.before-commit"

func TestHandler_SetsShowsAndClears(t *testing.T) {
	t.Parallel()
	set := newSet()
	const rule = `{"point":"effect.before-commit","kind":"error","times":2,"skip":1,"match":{"product_id":"kettle"}}`
	w := call(t, set, http.MethodPut, point, rule)
	if want := `{"point":"effect.before-commit","summary":"`; w.Code != http.StatusOK || !strings.HasPrefix(w.Body.String(), want) || !strings.Contains(w.Body.String(), `"rule":`+rule+`,"fired":0,"seen":0}`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	for range 3 {
		_ = set.Hit(t.Context(), fault.EffectBeforeCommit, fault.Attr{Key: fault.ProductID, Value: "kettle"})
	}
	var listing faultapi.Listing
	if err := json.Unmarshal(call(t, set, http.MethodGet, faultapi.Path, "").Body.Bytes(), &listing); err != nil || len(listing.Points) != 2 {
		t.Fatalf("%+v, %v", listing, err)
	}
	if first := listing.Points[0]; first.Fired != 2 || first.Seen != 3 || first.Rule.String() != "effect.before-commit=error,times=2,skip=1,match.product_id=kettle" || listing.Points[1].Rule != nil {
		t.Errorf("%+v", listing)
	}
	if w := call(t, set, http.MethodDelete, point, ""); w.Code != http.StatusNoContent || set.List()[0].Rule != nil {
		t.Errorf("%d, %+v", w.Code, set.List()[0])
	}
	call(t, set, http.MethodPut, point, `{"kind":"delay","delay":"1m"}`)
	if w := call(t, set, http.MethodDelete, faultapi.Path, ""); w.Code != http.StatusNoContent || set.List()[0].Rule != nil {
		t.Errorf("%d, %+v", w.Code, set.List()[0])
	}
}

// What is wrong is named together with what is allowed, and changes nothing.
func TestHandler_BadInput(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		method, path, body string
		status             int
		kind               string
		says               string
	}{
		"unknown point":    {"PUT", faultapi.Path + "/effect.before-comit", `{"kind":"error"}`, 404, "no-such-fault-point", "the nearest is effect.before-commit"},
		"foreign point":    {"PUT", faultapi.Path + "/mail.before-send", `{"kind":"error"}`, 404, "no-such-fault-point", "effect.before-commit or consume.after-ack"},
		"clear unknown":    {"DELETE", faultapi.Path + "/x", ``, 404, "no-such-fault-point", "allowed is"},
		"get unknown":      {"GET", faultapi.Path + "/x", ``, 404, "no-such-fault-point", "allowed is"},
		"other point":      {"PUT", point, `{"point":"consume.after-ack","kind":"crash"}`, 422, "invalid-fault", "which the path names"},
		"no kind":          {"PUT", point, `{}`, 400, "unexpected-body", "/kind"},
		"unknown kind":     {"PUT", point, `{"kind":"eror"}`, 422, "invalid-fault", "the nearest is error"},
		"kind not here":    {"PUT", faultapi.Path + "/consume.after-ack", `{"kind":"error"}`, 422, "invalid-fault", "delay, hang, crash or panic"},
		"unknown field":    {"PUT", point, `{"kind":"error","time":1}`, 400, "unexpected-body", "/time"},
		"times":            {"PUT", point, `{"kind":"error","times":-1}`, 422, "invalid-fault", `times is \"-1\"`},
		"many times":       {"PUT", point, `{"kind":"error","times":1e300}`, 422, "invalid-fault", "from 0 to 1000000000"},
		"fraction":         {"PUT", point, `{"kind":"error","skip":1.5}`, 400, "unexpected-body", "/skip"},
		"delay":            {"PUT", point, `{"kind":"delay","delay":"soon"}`, 422, "invalid-fault", `delay is \"soon\"`},
		"delay of error":   {"PUT", point, `{"kind":"error","delay":"1s"}`, 422, "invalid-fault", "the kind error has none"},
		"unknown match":    {"PUT", point, `{"kind":"error","match":{"product":"x"}}`, 422, "invalid-fault", "group, order_id or product_id"},
		"empty match":      {"PUT", point, `{"kind":"error","match":{"product_id":""}}`, 422, "invalid-fault", "/match/product_id"},
		"many matches":     {"PUT", point, `{"kind":"error","match":{` + manyKeys(5000) + `}}`, 400, "unexpected-body", "additionalProperties"},
		"not JSON":         {"PUT", point, `kind=error`, 400, "malformed-json", "line 1"},
		"too large":        {"PUT", point, `{"kind":"` + strings.Repeat("e", problem.MaxBody) + `"}`, 413, "body-too-large", ""},
		"method":           {"POST", point, `{"kind":"error"}`, 405, "method-not-allowed", "DELETE, GET, HEAD, OPTIONS, PUT"},
		"nothing there":    {"GET", faultapi.Path + "/a/b", ``, 404, "no-such-route", ""},
		"percent in point": {"PUT", faultapi.Path + "/%00%ff", `{"kind":"error"}`, 404, "no-such-fault-point", ""},
	} {
		set := newSet()
		w := call(t, set, c.method, c.path, c.body)
		var d problem.Details
		if err := json.Unmarshal(w.Body.Bytes(), &d); err != nil || w.Code != c.status || d.Type != "/problems/"+c.kind || !strings.Contains(w.Body.String(), c.says) || w.Header().Get("Content-Type") != problem.ContentType {
			t.Errorf("%s: %d %s; want %d %s with %q", name, w.Code, w.Body, c.status, c.kind, c.says)
		}
		for _, s := range set.List() {
			if s.Rule != nil {
				t.Errorf("%s: set %s", name, s.Rule)
			}
		}
	}
}

func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`"k` + strings.Repeat("0", i%7) + string(rune('a'+i%26)) + `":"v"`)
	}
	return b.String()
}

// While faults are not enabled there is one answer, which says how to enable them.
func TestHandler_Disabled(t *testing.T) {
	t.Parallel()
	for method, path := range map[string]string{"GET": faultapi.Path, "PUT": point, "DELETE": faultapi.Path} {
		w := call(t, nil, method, path, `{"kind":"error"}`)
		if w.Code != http.StatusForbidden || w.Header().Get("Content-Type") != problem.ContentType ||
			!strings.Contains(w.Body.String(), "/problems/faults-disabled") || !strings.Contains(w.Body.String(), "FAULTS_ENABLED=true") {
			t.Errorf("%s %s: %d %s", method, path, w.Code, w.Body)
		}
	}
}

// No web page of another origin can set or clear a fault; programs and own pages can.
func TestHandler_RefusesOtherOrigins(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		headers []string
		status  int
	}{
		"a program":        {nil, 200},
		"own page":         {[]string{"Sec-Fetch-Site", "same-origin", "Origin", "http://127.0.0.1:8081"}, 200},
		"other site":       {[]string{"Sec-Fetch-Site", "cross-site"}, 403},
		"other port":       {[]string{"Sec-Fetch-Site", "same-site", "Origin", "http://127.0.0.1:3000"}, 403},
		"an older browser": {[]string{"Origin", "http://evil.example"}, 403},
	} {
		set := newSet()
		w := call(t, set, http.MethodPut, point, `{"kind":"error"}`, c.headers...)
		if w.Code != c.status || (set.List()[0].Rule != nil) != (c.status == 200) {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}

// The answer to a rule is what the text form means.
func TestHandler_RuleIsTheTextForm(t *testing.T) {
	t.Parallel()
	set := newSet()
	rule, err := fault.ParseRule("effect.before-commit=delay,times=3,skip=1,delay=1.5s,match.order_id=o-1")
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(rule)
	if err != nil {
		t.Fatal(err)
	}
	if w := call(t, set, http.MethodPut, point, string(body)); w.Code != http.StatusOK {
		t.Fatal(errors.New(w.Body.String()))
	}
	if got := set.List()[0].Rule.String(); got != rule.String() {
		t.Errorf("%s, want %s", got, rule)
	}
}
