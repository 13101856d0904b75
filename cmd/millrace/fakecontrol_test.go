package main

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"slices"

	"millrace/internal/shop"
	"millrace/pkg/fault"
	"millrace/pkg/fault/faultapi"
	"millrace/pkg/problem"
)

// fakeControl answers as the control of up and as a service with faults, without processes.
func fakeControl(mux *http.ServeMux) {
	parts := []shop.PartInfo{
		{Name: "broker", State: shop.Running, PID: 2, Address: "127.0.0.1:1"},
		{Name: "inventory", Service: "inventory", State: shop.Running, PID: 3, Address: "127.0.0.1:2"},
		{Name: "inventory-2", Service: "inventory", State: shop.Running, PID: 4, Address: "127.0.0.1:3"},
	}
	answer := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v)
	}
	mux.HandleFunc("GET /parts", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, shop.PartList{Faults: true, Parts: parts})
	})
	mux.HandleFunc("POST /parts/{name}/{verb}", func(w http.ResponseWriter, r *http.Request) {
		name := r.PathValue("name")
		at := slices.IndexFunc(parts, func(p shop.PartInfo) bool { return p.Name == name })
		switch {
		case name == "collector":
			problem.Write(w, problem.Details{Type: "/problems/faults-disabled", Title: "Faults are not enabled in this shop", Status: http.StatusForbidden})
		case at < 0:
			err := &shop.UnknownError{What: "part", Name: name, Allowed: []string{"broker", "inventory", "inventory-2"}, Nearest: "broker"}
			problem.Write(w, problem.Details{Type: "/problems/no-such-part", Title: "There is no such part", Status: http.StatusNotFound, Detail: err.Error()})
		default:
			part := parts[at]
			part.State = map[string]shop.State{"stop": shop.Stopped, "freeze": shop.Frozen}[r.PathValue("verb")]
			if part.State == "" {
				part.State = shop.Running
			}
			answer(w, part)
		}
	})
	mux.HandleFunc("POST /services/inventory/instances", func(w http.ResponseWriter, _ *http.Request) { answer(w, parts[2]) })
	mux.HandleFunc("DELETE /services/inventory/instances/inventory-2", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	set := fault.New(fault.Options{}, append([]fault.Point{fault.EffectBeforeCommit, fault.EffectAfterCommit}, fault.ConsumerPoints()...)...)
	faults := faultapi.New(set, slog.New(slog.DiscardHandler))
	mux.Handle(faultapi.Path, faults)
	mux.Handle(faultapi.Path+"/", faults)
	disabled := http.StripPrefix("/disabled", faultapi.New(nil, slog.New(slog.DiscardHandler)))
	mux.Handle("/disabled"+faultapi.Path, disabled)
}
