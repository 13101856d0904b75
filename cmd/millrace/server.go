package main

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"millrace/internal/datadir"
	"millrace/internal/shopclient"
)

// Variables that say where a shop is, for one that was not started by up on
// this folder.
const (
	orderURLVar     = "MILLRACE_ORDER_URL"
	collectorURLVar = "MILLRACE_COLLECTOR_URL"
)

// Where a shop is when nothing else is known.
const (
	defaultOrderURL     = "http://127.0.0.1:8081"
	defaultCollectorURL = "http://127.0.0.1:4318"
)

// addServerFlag gives a command --server and --data.
func (p *program) addServerFlag(c *cobra.Command) *string {
	c.Flags().StringVar(&p.data, "data", datadir.Default, "folder of the shop that `millrace up` runs")
	return c.Flags().String("server", "", "address of the order service (default: "+orderURLVar+", else the shop that runs on --data, else "+defaultOrderURL+")")
}

// locate finds an address: the flag, the variable, shop.json, the default.
func (p *program) locate(flag, variable, fallback string, of func(datadir.Shop) string) (string, error) {
	if flag != "" {
		return flag, nil
	}
	if url := p.getenv(variable); url != "" {
		return url, nil
	}
	shop, err := datadir.ReadShop(p.data)
	switch {
	case err == nil && of(shop) != "":
		return of(shop), nil
	case err == nil || errors.Is(err, fs.ErrNotExist):
		return fallback, nil
	default:
		return "", fmt.Errorf("read where the shop is: %w", err)
	}
}

func (p *program) orderClient(server string) (*shopclient.Client, error) {
	url, err := p.locate(server, orderURLVar, defaultOrderURL, func(s datadir.Shop) string { return s.OrderURL })
	if err != nil {
		return nil, err
	}
	return shopclient.New(url), nil
}

// advise adds what to try to errors of the shop's interfaces.
func advise(err error) error {
	var unreachable *shopclient.UnreachableError
	if errors.As(err, &unreachable) {
		return &hinted{err: err, hint: "Is the shop up? Start it with: millrace up\nIf it runs elsewhere, name it: --server URL, or --data FOLDER for its folder."}
	}
	var problem *shopclient.Problem
	if errors.As(err, &problem) {
		for _, v := range problem.Errors {
			if v.Rule == "unknownProduct" {
				return &hinted{err: err, hint: "What there is: millrace products"}
			}
		}
	}
	return err
}
