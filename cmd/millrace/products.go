package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"millrace/internal/terminal"
)

func newProducts(p *program) *cobra.Command {
	c := &cobra.Command{
		Use:   "products",
		Short: "List what can be ordered",
		Args:  cobra.NoArgs,
	}
	output, server := addOutputFlag(c), p.addServerFlag(c)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		client, err := p.orderClient(*server)
		if err != nil {
			return err
		}
		defer client.Close()
		catalogue, err := client.Products(cmd.Context())
		if err != nil {
			return advise(err)
		}
		if *output == formatJSON {
			return printJSON(p.stdout, catalogue)
		}
		t := terminal.Table{Right: []bool{false, false, true}}
		t.Add("PRODUCT", "NAME", "PRICE")
		for _, product := range catalogue.Products {
			t.Add(product.ID, product.Name, product.Price.String())
		}
		fmt.Fprint(p.stdout, t.Render(p.stdout))
		return nil
	}
	return c
}
