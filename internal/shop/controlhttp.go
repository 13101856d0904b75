package shop

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"millrace/pkg/problem"
	"millrace/pkg/proctree"
)

// control is the operator's way to the parts, over HTTP on the loopback interface:
//
//	GET    /parts                                  all parts
//	GET    /parts/{name}                           one
//	POST   /parts/{name}/{stop|start|kill|freeze|thaw}
//	POST   /services/{service}/instances           one more instance
//	DELETE /services/{service}/instances/{name}    one less
//
// An operation is answered when it is done: a start when the part does its work. Errors
// are problem details. Web pages cannot use it: neither those of another origin, nor those
// whose host name somebody has pointed at this machine (DNS rebinding).
type control struct {
	listener *port
	server   *http.Server
	done     chan struct{}
}

// PartList is the answer to GET /parts.
type PartList struct {
	Faults bool       `json:"faults"` // parts can be killed and frozen
	Parts  []PartInfo `json:"parts"`
}

// serveControl starts to listen.
func (s *Shop) serveControl() (*control, error) {
	held, err := pick("the control of the parts", portControl, s.log.Say)
	if err != nil {
		return nil, err
	}
	c := &control{listener: held, done: make(chan struct{}), server: &http.Server{
		Handler:           loopbackOnly(s.controlHandler()),
		ReadHeaderTimeout: 5 * time.Second,
		// No ReadTimeout: it would end the context of an operation that takes longer.
		IdleTimeout:    time.Minute,
		MaxHeaderBytes: 32 << 10,
		ErrorLog:       slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
	}}
	go func() {
		defer close(c.done)
		_ = c.server.Serve(held.held) // ends with close
	}()
	return c, nil
}

func (c *control) url() string {
	if c == nil {
		return ""
	}
	return "http://" + c.listener.address()
}

// close ends it, and breaks off what is under way.
func (c *control) close() {
	_ = c.server.Close()
	<-c.done
}

// loopbackOnly refuses requests whose host is a name that anybody can have.
func loopbackOnly(next http.Handler) http.Handler {
	protection := http.NewCrossOriginProtection()
	refuse := func(w http.ResponseWriter, _ *http.Request) {
		problem.Write(w, problem.Details{
			Type: "/problems/cross-origin", Title: "The request comes from a web page", Status: http.StatusForbidden,
			Detail: "the parts are controlled by programs of this machine, not by web pages",
		})
	}
	protection.SetDenyHandler(http.HandlerFunc(refuse))
	next = protection.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host
		}
		if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			refuse(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// controlProblems is the one table from error to status.
func controlProblems() *problem.Table {
	return problem.NewTable(slog.New(slog.DiscardHandler),
		problem.As(problem.Kind{
			Slug: "no-such-part", Status: http.StatusNotFound, Title: "There is no such part",
			Help: "GET /parts lists the parts; the services are order, inventory and notification.",
		}, func(e *UnknownError) (string, []problem.Violation) { return e.Error(), nil }),
		problem.As(problem.Kind{
			Slug: "refused", Status: http.StatusConflict, Title: "The part cannot do that now",
			Help: "The detail says why.",
		}, func(e *RefusedError) (string, []problem.Violation) { return e.Error(), nil }),
		problem.Is(ErrFaultsOff, problem.Kind{
			Slug: "faults-disabled", Status: http.StatusForbidden, Title: "Faults are not enabled in this shop",
			Help: "Start it with: millrace up --faults",
		}),
		problem.Is(proctree.ErrUnsupported, problem.Kind{
			Slug: "not-on-this-system", Status: http.StatusNotImplemented, Title: "This system cannot do that",
			Help: "Windows cannot freeze processes. Stop the part instead.",
		}),
		problem.Rule{Kind: problem.Kind{
			Slug: "not-running", Status: http.StatusConflict, Title: "The part does not run",
			Help: "Start it with: millrace part start NAME",
		}, Match: func(err error) (string, []problem.Violation, bool) {
			return err.Error(), nil, errors.Is(err, ErrNotRunning)
		}},
		problem.Is(ErrClosed, problem.Kind{
			Slug: "stopping", Status: http.StatusServiceUnavailable, Title: "The shop is being stopped",
			Help: "Start it again with: millrace up",
		}),
		// Whoever can ask may know: it is the operator of this very program.
		problem.Rule{Kind: problem.Kind{
			Slug: "failed", Status: http.StatusInternalServerError, Title: "It did not work",
			Help: "The detail says why; the part's log may say more.",
		}, Match: func(err error) (string, []problem.Violation, bool) { return err.Error(), nil, true }},
	)
}

func (s *Shop) controlHandler() http.Handler {
	problems := controlProblems()
	mux := http.NewServeMux()
	route := func(pattern string, methods problem.Methods) { mux.Handle(pattern, methods) }
	answer := func(w http.ResponseWriter, r *http.Request, status int, name string, err error) {
		var info PartInfo
		if err == nil {
			info, err = s.Part(name)
		}
		if err != nil {
			problems.Answer(w, r, err)
			return
		}
		writeJSON(w, status, info)
	}
	route("/parts", problem.Methods{http.MethodGet: func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, PartList{Faults: s.config.Faults, Parts: s.Parts()})
	}})
	route("/parts/{name}", problem.Methods{http.MethodGet: func(w http.ResponseWriter, r *http.Request) {
		answer(w, r, http.StatusOK, r.PathValue("name"), nil)
	}})
	for verb, act := range map[string]func(ctx context.Context, name string) error{
		// A client that leaves must not turn a stop into a kill.
		"stop":  func(ctx context.Context, name string) error { return s.Stop(context.WithoutCancel(ctx), name) },
		"start": s.Start, "kill": s.Kill,
		"freeze": func(_ context.Context, name string) error { return s.Freeze(name) },
		"thaw":   func(_ context.Context, name string) error { return s.Thaw(name) },
	} {
		route("/parts/{name}/"+verb, problem.Methods{http.MethodPost: func(w http.ResponseWriter, r *http.Request) {
			name := r.PathValue("name")
			answer(w, r, http.StatusOK, name, act(r.Context(), name))
		}})
	}
	route("/services/{service}/instances", problem.Methods{http.MethodPost: func(w http.ResponseWriter, r *http.Request) {
		name, err := s.AddInstance(r.Context(), r.PathValue("service"))
		answer(w, r, http.StatusCreated, name, err)
	}})
	route("/services/{service}/instances/{name}", problem.Methods{http.MethodDelete: func(w http.ResponseWriter, r *http.Request) {
		if err := s.RemoveInstance(context.WithoutCancel(r.Context()), r.PathValue("service"), r.PathValue("name")); err != nil {
			problems.Answer(w, r, err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}})
	route("/problems/{slug}", problem.Methods{http.MethodGet: problems.Help})
	mux.HandleFunc("/", problem.NotFound)
	return mux
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client may have gone
}
