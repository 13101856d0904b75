package shopclient

import (
	"context"
	"net/http"
	"net/url"

	"millrace/internal/shop"
	"millrace/pkg/fault"
	"millrace/pkg/fault/faultapi"
)

// Parts lists the parts of a shop; the client's base is the control_url of shop.json, as
// for all that follows up to RemoveInstance.
func (c *Client) Parts(ctx context.Context) (shop.PartList, error) {
	var list shop.PartList
	return list, c.call(ctx, http.MethodGet, "/parts", nil, nil, &list)
}

// Part does something to a part: stop, start, kill, freeze or thaw. It returns the part as
// it is then.
func (c *Client) Part(ctx context.Context, name, verb string) (shop.PartInfo, error) {
	var p shop.PartInfo
	return p, c.call(ctx, http.MethodPost, "/parts/"+url.PathEscape(name)+"/"+url.PathEscape(verb), nil, nil, &p)
}

// AddInstance starts one more instance of a service.
func (c *Client) AddInstance(ctx context.Context, service string) (shop.PartInfo, error) {
	var p shop.PartInfo
	return p, c.call(ctx, http.MethodPost, "/services/"+url.PathEscape(service)+"/instances", nil, nil, &p)
}

// RemoveInstance stops an instance and forgets it.
func (c *Client) RemoveInstance(ctx context.Context, service, name string) error {
	return c.call(ctx, http.MethodDelete, "/services/"+url.PathEscape(service)+"/instances/"+url.PathEscape(name), nil, nil, nil)
}

// Faults lists the fault points of a program; the client's base is the program's url, as
// for SetFault and ClearFaults.
func (c *Client) Faults(ctx context.Context) ([]faultapi.State, error) {
	var list faultapi.Listing
	return list.Points, c.call(ctx, http.MethodGet, faultapi.Path, nil, nil, &list)
}

// SetFault sets a rule at its point.
func (c *Client) SetFault(ctx context.Context, r fault.Rule) (faultapi.State, error) {
	var s faultapi.State
	return s, c.call(ctx, http.MethodPut, faultapi.Path+"/"+url.PathEscape(string(r.Point)), nil, r, &s)
}

// ClearFaults takes the rule of a point away; of all points when point is empty.
func (c *Client) ClearFaults(ctx context.Context, point fault.Point) error {
	path := faultapi.Path
	if point != "" {
		path += "/" + url.PathEscape(string(point))
	}
	return c.call(ctx, http.MethodDelete, path, nil, nil, nil)
}
