//go:build unix

package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"

	"millrace/internal/datadir"
	"millrace/pkg/fault"
	"millrace/pkg/fault/faultapi"
)

// part finds a part of the shop as shop.json has it now.
func (s *aShop) part(name string) (datadir.Part, error) {
	written, err := datadir.ReadShop(s.data)
	if err != nil {
		return datadir.Part{}, err
	}
	i := slices.IndexFunc(written.Parts, func(p datadir.Part) bool { return p.Name == name })
	if i < 0 {
		return datadir.Part{}, fmt.Errorf("no part %s in %+v", name, written.Parts)
	}
	return written.Parts[i], nil
}

// ready waits until a part does its work.
func (s *aShop) ready(t *testing.T, name string) datadir.Part {
	t.Helper()
	var p datadir.Part
	eventually(t, name+" is ready", func() (err error) {
		if p, err = s.part(name); err != nil {
			return err
		}
		return call(t.Context(), http.MethodGet, "http://"+p.Address+"/readyz", "", nil)
	})
	return p
}

// points lists the fault points of a part.
func (s *aShop) points(t *testing.T, name string) []faultapi.State {
	t.Helper()
	p := s.ready(t, name)
	var listing faultapi.Listing
	if err := call(t.Context(), http.MethodGet, "http://"+p.Address+faultapi.Path, "", &listing); err != nil {
		t.Fatal(err)
	}
	return listing.Points
}

// set sets rules at a part.
func (s *aShop) set(t *testing.T, name string, rules ...fault.Rule) {
	t.Helper()
	p := s.ready(t, name)
	for _, r := range rules {
		body, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := call(t.Context(), http.MethodPut, "http://"+p.Address+faultapi.Path+"/"+string(r.Point), string(body), nil); err != nil {
			t.Fatal(err)
		}
	}
}

// clear takes all rules of a part back. One that has died has none.
func (s *aShop) clear(t *testing.T, name string) {
	t.Helper()
	p := s.ready(t, name)
	if err := call(t.Context(), http.MethodDelete, "http://"+p.Address+faultapi.Path, "", nil); err != nil {
		t.Fatal(err)
	}
}

// fired tells how often the rule at a point fired in the process that runs now.
func (s *aShop) fired(ctx context.Context, p datadir.Part, point fault.Point) (int64, error) {
	var state faultapi.State
	err := call(ctx, http.MethodGet, "http://"+p.Address+faultapi.Path+"/"+string(point), "", &state)
	return state.Fired, err
}
