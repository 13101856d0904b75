// Package faultapi lets rules of package fault be set over HTTP:
//
//	GET    /admin/faults           the program's points, each with its rule and counts
//	GET    /admin/faults/{point}   one of them
//	PUT    /admin/faults/{point}   {"kind":"error","times":3}: the rule of the point
//	DELETE /admin/faults/{point}   no rule at the point
//	DELETE /admin/faults           no rule anywhere
//
// Errors are problem details (RFC 9457). Where faults are not enabled everything is
// answered with 403 and how to enable them. Requests that a browser makes for a page of
// another origin are refused: a web page must not be able to crash a shop on the
// machine that it is read on.
package faultapi

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"

	"millrace/pkg/fault"
	"millrace/pkg/problem"
)

// Path is where the points are; one is at Path + "/" + its name.
const Path = "/admin/faults"

// State is a point as it goes over the wire.
type State struct {
	Point   fault.Point  `json:"point"`
	Summary string       `json:"summary"`
	Kinds   []fault.Kind `json:"kinds"`
	Match   []string     `json:"match"`
	Rule    *fault.Rule  `json:"rule,omitempty"` // none: nothing is set
	Fired   int64        `json:"fired"`          // since the rule was set
	Seen    int64        `json:"seen"`           // hits that matched it
}

// Listing is all points of a program.
type Listing struct {
	Points []State `json:"points"`
}

// disabled is the answer to everything while faults are not enabled.
var disabled = problem.Kind{
	Slug: "faults-disabled", Status: http.StatusForbidden, Title: "Faults are not enabled here",
	Help: "Start the program with FAULTS_ENABLED=true, or the whole shop with `millrace up --faults`. Never do so where others depend on it.",
}

type handler struct {
	set      *fault.Set
	log      *slog.Logger
	problems *problem.Table
}

// New returns the handler for Path and what is below it. set may be nil: not enabled.
func New(set *fault.Set, log *slog.Logger) http.Handler {
	h := &handler{set: set, log: log, problems: problem.NewTable(log,
		problem.Is(fault.ErrDisabled, disabled),
		problem.As(problem.Kind{
			Slug: "invalid-fault", Status: http.StatusUnprocessableEntity, Title: "There cannot be such a fault",
			Help: "The detail names the field, its value and what is allowed. GET /admin/faults lists the points.",
		}, func(e *fault.InvalidError) (string, []problem.Violation) {
			return "", []problem.Violation{{Pointer: pointer(e.Field), Rule: "allowed", Detail: e.Error()}}
		}),
	)}
	mux := http.NewServeMux()
	mux.Handle(Path, problem.Methods{http.MethodGet: h.list, http.MethodDelete: h.clearAll})
	mux.Handle(Path+"/{point}", problem.Methods{http.MethodGet: h.get, http.MethodPut: h.put, http.MethodDelete: h.clear})
	mux.HandleFunc("/", problem.NotFound)
	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(http.HandlerFunc(crossOrigin))
	return protection.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !set.Enabled() {
			d := problem.Details{Type: problem.TypeOf(disabled), Title: disabled.Title, Status: disabled.Status, Detail: disabled.Help}
			problem.Write(w, d)
			return
		}
		mux.ServeHTTP(w, r)
	}))
}

func crossOrigin(w http.ResponseWriter, _ *http.Request) {
	problem.Write(w, problem.Details{
		Type: "/problems/cross-origin", Title: "The request comes from a page of another origin", Status: http.StatusForbidden,
		Detail: "faults cannot be set by web pages of others",
	})
}

// pointer is where a field is in the body.
func pointer(field string) string {
	if key, ok := strings.CutPrefix(field, "match."); ok {
		return "/match/" + key
	}
	return "/" + field
}

func (h *handler) list(w http.ResponseWriter, _ *http.Request) {
	states := h.set.List()
	listing := Listing{Points: make([]State, len(states))}
	for i, s := range states {
		listing.Points[i] = wire(s)
	}
	write(w, listing)
}

func wire(s fault.State) State {
	match := s.Match
	if match == nil {
		match = []string{}
	}
	return State{Point: s.Point, Summary: s.Summary, Kinds: s.Kinds, Match: match, Rule: s.Rule, Fired: s.Fired, Seen: s.Seen}
}

func (h *handler) get(w http.ResponseWriter, r *http.Request) {
	point, err := h.point(r)
	if err != nil {
		refuse(w, err)
		return
	}
	for _, s := range h.set.List() {
		if s.Point == point {
			write(w, wire(s))
			return
		}
	}
}

func (h *handler) put(w http.ResponseWriter, r *http.Request) {
	point, err := h.point(r)
	if err != nil {
		refuse(w, err)
		return
	}
	rule, err := readRule(w, r, point)
	if err == nil {
		err = h.set.Set(rule)
	}
	if err != nil {
		h.problems.Answer(w, r, err)
		return
	}
	h.log.WarnContext(r.Context(), "fault set", "rule", rule.String())
	h.get(w, r)
}

// maxMatch bounds what is kept of a rule; a point has fewer attributes.
const maxMatch = 16

func readRule(w http.ResponseWriter, r *http.Request, point fault.Point) (fault.Rule, error) {
	rule := fault.Rule{Point: point}
	body, err := problem.Body(w, r)
	if err != nil {
		return rule, err
	}
	named, delay := string(point), ""
	body.Object(func(name string) bool {
		switch name {
		case "point":
			named = body.String()
		case "kind":
			rule.Kind = fault.Kind(body.String())
		case "times":
			rule.Times = int(min(max(body.Int(), -1), fault.MaxCount+1))
		case "skip":
			rule.Skip = int(min(max(body.Int(), -1), fault.MaxCount+1))
		case "delay":
			delay = body.String()
		case "match":
			rule.Match = map[string]string{}
			body.Object(func(key string) bool {
				if len(rule.Match) == maxMatch {
					return false
				}
				rule.Match[key] = body.String()
				return true
			})
		default:
			return false
		}
		return true
	}, "kind")
	if err := body.Err(); err != nil {
		return rule, err
	}
	if named != string(point) {
		return rule, &fault.InvalidError{Field: "point", Value: named, Allowed: string(point) + ", which the path names, or nothing"}
	}
	if delay != "" {
		if rule.Delay, err = fault.ParseDelay(delay); err != nil {
			return rule, err
		}
	}
	return rule, nil
}

func (h *handler) clear(w http.ResponseWriter, r *http.Request) {
	point, err := h.point(r)
	if err == nil {
		err = h.set.Clear(point)
	}
	if err != nil {
		refuse(w, err)
		return
	}
	h.log.WarnContext(r.Context(), "fault cleared", "point", string(point))
	w.WriteHeader(http.StatusNoContent)
}

func (h *handler) clearAll(w http.ResponseWriter, r *http.Request) {
	h.set.ClearAll()
	h.log.WarnContext(r.Context(), "all faults cleared")
	w.WriteHeader(http.StatusNoContent)
}

// point is the point that the path names, or why there is none.
func (h *handler) point(r *http.Request) (fault.Point, error) {
	info, err := h.set.Info(fault.Point(r.PathValue("point")))
	return info.Point, err
}

// refuse answers for a point that the program does not have.
func refuse(w http.ResponseWriter, err error) {
	problem.Write(w, problem.Details{
		Type: "/problems/no-such-fault-point", Title: "The program has no such point", Status: http.StatusNotFound, Detail: err.Error(),
	})
}

func write(w http.ResponseWriter, body any) {
	text, err := json.Marshal(body)
	if err != nil { // none of our bodies can cause it
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(append(text, '\n')) // the client may have gone
}
