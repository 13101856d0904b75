package fault

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func newSet(fired *[]string) *Set {
	return New(slog.New(slog.DiscardHandler), func(p Point, k Kind) {
		if fired != nil {
			*fired = append(*fired, string(p)+" "+string(k))
		}
	})
}

func call(t *testing.T, s *Set, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, "http://127.0.0.1:8084"+path, strings.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	Handler(s).ServeHTTP(w, r)
	return w
}

func TestSet_NilNeverFires(t *testing.T) {
	t.Parallel()
	var s *Set
	if err := s.Hit(t.Context(), ProduceAfterAppend, Topic, "orders"); err != nil {
		t.Error(err)
	}
}

// Every point has a place of its own for its rule.
func TestCatalogue(t *testing.T) {
	t.Parallel()
	if room := len(newSet(nil).rules); len(catalogue) != room {
		t.Fatalf("%d points, room for %d rules", len(catalogue), room)
	}
	for i, info := range catalogue {
		if place(info.Point) != i || len(info.Kinds) == 0 || info.Summary == "" {
			t.Errorf("%+v", info)
		}
	}
}

func TestSet_FiresAsTheRuleSays(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"kind":"error"}`:                                                 "EEEE",
		`{"kind":"error","times":2,"skip":1}`:                              "-EE-",
		`{"kind":"error","match":{"topic":"orders"}}`:                      "EEEE",
		`{"kind":"error","match":{"topic":"orders","client_id":"relay"}}`:  "EEEE",
		`{"kind":"error","match":{"topic":"orders","client_id":"others"}}`: "----",
	} {
		var fired []string
		s := newSet(&fired)
		if w := call(t, s, "PUT", path+"/produce.after-append", body); w.Code != http.StatusOK {
			t.Fatalf("%s: %d %s", body, w.Code, w.Body)
		}
		got := ""
		for range 4 {
			switch err := s.Hit(t.Context(), ProduceAfterAppend, Client, "relay", Topic, "inventory", Topic, "orders"); {
			case err == nil:
				got += "-"
			case errors.Is(err, ErrInjected):
				got += "E"
			}
		}
		if got != want || len(fired) != strings.Count(want, "E") {
			t.Errorf("%s: %s, want %s; fired %v", body, got, want, fired)
		}
		if err := s.Hit(t.Context(), ProduceBeforeAppend, Topic, "orders"); err != nil {
			t.Errorf("another point: %v", err)
		}
	}
}

func TestSet_WaitsEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSet(nil)
		call(t, s, "PUT", path+"/fetch.before-read", `{"kind":"delay","delay":"3s"}`)
		began := time.Now()
		if err := s.Hit(t.Context(), FetchBeforeRead); err != nil || time.Since(began) != 3*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		call(t, s, "PUT", path+"/fetch.before-read", `{"kind":"hang"}`)
		done := make(chan error)
		go func() { done <- s.Hit(t.Context(), FetchBeforeRead) }()
		synctest.Wait()
		call(t, s, "DELETE", path, "")
		if err := <-done; err != nil {
			t.Errorf("cleared: %v", err)
		}
		call(t, s, "PUT", path+"/fetch.before-read", `{"kind":"hang"}`)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { done <- s.Hit(ctx, FetchBeforeRead) }()
		synctest.Wait()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("the broker stops: %v", err)
		}
	})
}

func TestSet_Crash(t *testing.T) {
	t.Parallel()
	s := newSet(nil)
	crashed := false
	s.crash = func() { crashed = true; panic("gone") }
	call(t, s, "PUT", path+"/produce.after-append", `{"kind":"crash"}`)
	defer func() {
		if recover() == nil || !crashed {
			t.Error("it lives")
		}
	}()
	_ = s.Hit(t.Context(), ProduceAfterAppend)
}

func TestHandler_ShowsAndClears(t *testing.T) {
	t.Parallel()
	s := newSet(nil)
	const rule = `{"point":"produce.before-append","kind":"delay","times":3,"skip":1,"delay":"500ms","match":{"topic":"orders"}}`
	w := call(t, s, "PUT", path+"/produce.before-append", rule)
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"rule":`+rule) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	var listing struct{ Points []jsonState }
	if err := json.Unmarshal(call(t, s, "GET", path, "").Body.Bytes(), &listing); err != nil || len(listing.Points) != len(catalogue) {
		t.Fatalf("%+v, %v", listing, err)
	}
	if w := call(t, s, "DELETE", path+"/produce.before-append", ""); w.Code != http.StatusNoContent || s.rules[place(ProduceBeforeAppend)].Load() != nil {
		t.Errorf("%d", w.Code)
	}
}

// What is wrong is named with what is allowed, and nothing is set.
func TestHandler_BadInput(t *testing.T) {
	t.Parallel()
	const point = path + "/produce.after-append"
	for name, c := range map[string]struct {
		method, path, body string
		status             int
		says               string
	}{
		"unknown point":  {"PUT", path + "/produce", `{"kind":"error"}`, 404, "connection.accept, request.before-handle"},
		"clear unknown":  {"DELETE", path + "/produce", ``, 404, "produce.after-append"},
		"kind":           {"PUT", point, `{"kind":"panic"}`, 422, "error, delay, hang or crash"},
		"kind not here":  {"PUT", path + "/connection.accept", `{"kind":"hang"}`, 422, `at connection.accept error`},
		"other point":    {"PUT", point, `{"point":"storage.append","kind":"error"}`, 422, "which the path names"},
		"times":          {"PUT", point, `{"kind":"error","times":-1}`, 422, "0 to 1000000000"},
		"delay missing":  {"PUT", point, `{"kind":"delay"}`, 422, "above 0"},
		"delay too long": {"PUT", point, `{"kind":"delay","delay":"1h"}`, 422, "up to 10m0s"},
		"delay":          {"PUT", point, `{"kind":"delay","delay":"soon"}`, 422, "soon"},
		"delay of error": {"PUT", point, `{"kind":"error","delay":"1s"}`, 422, "has none"},
		"match":          {"PUT", point, `{"kind":"error","match":{"group":"x"}}`, 422, "client_id or topic"},
		"match nothing":  {"PUT", path + "/storage.append", `{"kind":"error","match":{"topic":"x"}}`, 422, "knows no attributes"},
		"match empty":    {"PUT", point, `{"kind":"error","match":{"topic":""}}`, 422, "1 to 256"},
		"unknown field":  {"PUT", point, `{"kind":"error","time":1}`, 400, "time"},
		"not JSON":       {"PUT", point, `kind`, 400, "invalid character"},
		"two":            {"PUT", point, `{"kind":"error"}{}`, 400, "more after"},
		"large":          {"PUT", point, `{"kind":"` + strings.Repeat("e", maxBody) + `"}`, 400, "too large"},
	} {
		s := newSet(nil)
		w := call(t, s, c.method, c.path, c.body)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.says) || w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %s; want %d with %q", name, w.Code, w.Body, c.status, c.says)
		}
		for i := range s.rules {
			if s.rules[i].Load() != nil {
				t.Errorf("%s: %s is set", name, catalogue[i].Point)
			}
		}
	}
}

func TestHandler_IsClosedTo(t *testing.T) {
	t.Parallel()
	if w := call(t, nil, "GET", path, ""); w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "--faults") {
		t.Errorf("not enabled: %d %s", w.Code, w.Body)
	}
	for _, headers := range [][]string{{"Origin", "http://evil.example"}, {"Sec-Fetch-Site", "cross-site"}} {
		s := newSet(nil)
		if w := call(t, s, "PUT", path+"/storage.append", `{"kind":"error"}`, headers...); w.Code != http.StatusForbidden || s.rules[place(StorageAppend)].Load() != nil {
			t.Errorf("%v: %d %s", headers, w.Code, w.Body)
		}
	}
}

func TestSet_TellsEveryFiring(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	s := New(slog.New(slog.NewTextHandler(&log, nil)), func(Point, Kind) {})
	call(t, s, "PUT", path+"/produce.after-append", `{"kind":"error","times":1}`)
	log.Reset()
	for range 2 {
		_ = s.Hit(t.Context(), ProduceAfterAppend, Topic, "orders")
	}
	if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, `level=WARN msg="fault injected" point=produce.after-append kind=error about="topic orders"`) {
		t.Errorf("log: %s", text)
	}
}
