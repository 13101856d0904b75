package fault

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"
)

// path is where the points are; one is at path/POINT.
const path = "/admin/faults"

// How to open what is closed.
const howToEnable = "start the broker with --faults, or the whole shop with `millrace up --faults`; never where others depend on it"

// maxBody bounds the body of a request.
const maxBody = 16 << 10

// jsonRule is a rule as it goes over the wire.
type jsonRule struct {
	Point Point             `json:"point,omitempty"`
	Kind  Kind              `json:"kind"`
	Times int               `json:"times,omitempty"`
	Skip  int               `json:"skip,omitempty"`
	Delay string            `json:"delay,omitempty"`
	Match map[string]string `json:"match,omitempty"`
}

// jsonState is a point as it goes over the wire.
type jsonState struct {
	Point   Point     `json:"point"`
	Summary string    `json:"summary"`
	Kinds   []Kind    `json:"kinds"`
	Match   []string  `json:"match"`
	Rule    *jsonRule `json:"rule,omitempty"`
	Fired   int64     `json:"fired"`
	Seen    int64     `json:"seen"`
}

// Handler serves the rules of a set, which may be nil:
//
//	GET    /admin/faults           the points, each with its rule and how often it fired
//	GET    /admin/faults/{point}
//	PUT    /admin/faults/{point}   {"kind":"delay","delay":"500ms","times":3,"match":{"topic":"orders"}}
//	DELETE /admin/faults/{point}
//	DELETE /admin/faults
//
// Errors are problem details (RFC 9457); 403 while faults are not enabled, and for what a
// browser sends for a page of another origin.
func Handler(s *Set) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
		states := make([]jsonState, len(catalogue))
		for i := range catalogue {
			states[i] = s.state(i)
		}
		write(w, http.StatusOK, "application/json", map[string]any{"points": states})
	})
	mux.HandleFunc("DELETE "+path, func(w http.ResponseWriter, _ *http.Request) {
		for _, i := range catalogue {
			s.set(i.Point, nil)
		}
		s.log.Warn("all faults cleared")
		w.WriteHeader(http.StatusNoContent)
	})
	at := func(pattern string, do func(w http.ResponseWriter, r *http.Request, i int)) {
		mux.HandleFunc(pattern+" "+path+"/{point}", func(w http.ResponseWriter, r *http.Request) {
			i := place(Point(r.PathValue("point")))
			if i < 0 {
				names := make([]Point, len(catalogue))
				for i := range catalogue {
					names[i] = catalogue[i].Point
				}
				problem(w, http.StatusNotFound, "no-such-fault-point", "The broker has no such point", (&invalidError{"point", clip(r.PathValue("point")), list(names)}).Error())
				return
			}
			do(w, r, i)
		})
	}
	show := func(w http.ResponseWriter, _ *http.Request, i int) {
		write(w, http.StatusOK, "application/json", s.state(i))
	}
	at("GET", show)
	at("DELETE", func(w http.ResponseWriter, _ *http.Request, i int) {
		s.set(catalogue[i].Point, nil)
		s.log.Warn("fault cleared", "point", string(catalogue[i].Point))
		w.WriteHeader(http.StatusNoContent)
	})
	at("PUT", func(w http.ResponseWriter, r *http.Request, i int) {
		rule, err := readRule(w, r, catalogue[i])
		var invalid *invalidError
		switch {
		case errors.As(err, &invalid):
			problem(w, http.StatusUnprocessableEntity, "invalid-fault", "There cannot be such a fault", err.Error())
			return
		case err != nil:
			problem(w, http.StatusBadRequest, "unexpected-body", "The body is no rule", err.Error())
			return
		}
		s.set(rule.Point, &rule)
		s.log.Warn("fault set", "point", string(rule.Point), "kind", string(rule.Kind), "times", rule.Times, "skip", rule.Skip, "delay", rule.Delay, "match", rule.Match)
		show(w, r, i)
	})
	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		problem(w, http.StatusForbidden, "cross-origin", "The request comes from a page of another origin", "faults cannot be set by web pages of others")
	}))
	return protection.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s == nil {
			problem(w, http.StatusForbidden, "faults-disabled", "Faults are not enabled here", howToEnable)
			return
		}
		mux.ServeHTTP(w, r)
	}))
}

func readRule(w http.ResponseWriter, r *http.Request, i Info) (Rule, error) {
	var j jsonRule
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	d.DisallowUnknownFields()
	if err := d.Decode(&j); err != nil {
		return Rule{}, err
	}
	if d.More() {
		return Rule{}, errors.New("there is more after the rule")
	}
	if j.Point != "" && j.Point != i.Point {
		return Rule{}, &invalidError{"point", clip(string(j.Point)), string(i.Point) + ", which the path names, or nothing"}
	}
	rule := Rule{Point: i.Point, Kind: j.Kind, Times: j.Times, Skip: j.Skip, Match: j.Match}
	if j.Delay != "" {
		delay, err := time.ParseDuration(j.Delay)
		if err != nil {
			return rule, &invalidError{"delay", clip(j.Delay), "a duration above 0 and up to " + maxDelay.String() + ", as 500ms"}
		}
		rule.Delay = delay
	}
	return rule, rule.validate(i)
}

func (s *Set) state(i int) jsonState {
	info := catalogue[i]
	state := jsonState{Point: info.Point, Summary: info.Summary, Kinds: info.Kinds, Match: info.Match}
	if state.Match == nil {
		state.Match = []string{}
	}
	a := s.rules[i].Load()
	if a == nil {
		return state
	}
	state.Rule = &jsonRule{Point: info.Point, Kind: a.Kind, Times: a.Times, Skip: a.Skip, Match: a.Match}
	if a.Delay > 0 {
		state.Rule.Delay = a.Delay.String()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	state.Fired, state.Seen = a.fired, a.seen
	return state
}

func problem(w http.ResponseWriter, status int, kind, title, detail string) {
	write(w, status, "application/problem+json", map[string]any{"type": "/problems/" + kind, "title": title, "status": status, "detail": detail})
}

func write(w http.ResponseWriter, status int, contentType string, body any) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client may have gone
}
