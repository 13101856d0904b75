package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"millrace/internal/shopclient"
	"millrace/internal/terminal"
)

func newOrder(p *program) *cobra.Command {
	c := newService(p, orderService)
	c.Short = "Place orders and look at them; alone: run the order service"
	c.Long = `Place orders and look at them.

Without a subcommand this is the order service itself, as ` + "`millrace up`" + ` starts it:
its settings come from the environment, and DATABASE_URL is required.`
	c.Example = `  millrace order create --customer customer_123 --item coffee-beans=2
  millrace order list --status REJECTED
  millrace order show 019ab1f6-7a3c-7d52-9c0e-6f2a8d4b1c90 -o json`
	c.AddCommand(newOrderCreate(p), newOrderList(p), newOrderShow(p))
	return c
}

// defaultWait bounds how long --wait waits.
const defaultWait = 30 * time.Second

func newOrderCreate(p *program) *cobra.Command {
	var customer, key string
	var items []string
	var wait bool
	c := &cobra.Command{
		Use:   "create --customer ID --item PRODUCT=QUANTITY [--item …]",
		Short: "Place an order",
		Example: `  millrace order create --customer customer_123 --item coffee-beans=2
  millrace order create --customer customer_123 --item phin-filter=1 --item condensed-milk=12 --wait`,
		Args: cobra.NoArgs,
	}
	c.Flags().StringVar(&customer, "customer", "", "who orders; the e-mails go to them")
	c.Flags().StringArrayVar(&items, "item", nil, "what and how many, as coffee-beans=2; may be repeated")
	c.Flags().StringVar(&key, "idempotency-key", "", "repeating the command with the same key places no second order")
	c.Flags().BoolVar(&wait, "wait", false, "wait until the order is confirmed or rejected")
	_ = c.MarkFlagRequired("customer")
	_ = c.MarkFlagRequired("item")
	output, server := addOutputFlag(c), p.addServerFlag(c)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		lines, err := parseItems(items)
		if err != nil {
			return &usageError{err}
		}
		client, err := p.orderClient(*server)
		if err != nil {
			return err
		}
		defer client.Close()
		o, err := client.PlaceOrder(cmd.Context(), shopclient.NewOrder{CustomerID: customer, Items: lines}, key)
		if err != nil {
			return advise(err)
		}
		if wait {
			if o, err = waitForOutcome(cmd.Context(), client, o); err != nil {
				return err
			}
		}
		if *output == formatJSON {
			return printJSON(p.stdout, o)
		}
		fmt.Fprintf(p.stdout, "Order %s placed: %s, %s in all\n", o.ID, statusText(p.stdout, o), o.Total)
		fmt.Fprintf(p.stderr, "Follow it: millrace trace %s\n", o.ID)
		return nil
	}
	return c
}

func waitForOutcome(ctx context.Context, client *shopclient.Client, placed shopclient.Order) (shopclient.Order, error) {
	ctx, cancel := context.WithTimeout(ctx, defaultWait)
	defer cancel()
	o, err := client.WaitForOutcome(ctx, placed.ID)
	if errors.Is(err, context.DeadlineExceeded) {
		return o, &hinted{
			err:  fmt.Errorf("order %s is placed, but still pending after %s", placed.ID, defaultWait),
			hint: "Is the inventory service up? The order is not lost: millrace trace " + placed.ID,
		}
	}
	return o, advise(err)
}

// parseItems reads --item values.
func parseItems(items []string) ([]shopclient.Line, error) {
	lines := make([]shopclient.Line, 0, len(items))
	for _, item := range items {
		product, quantity, ok := strings.Cut(item, "=")
		n, err := strconv.ParseInt(quantity, 10, 64)
		if !ok || product == "" || err != nil || n < 1 {
			return nil, fmt.Errorf("--item %q is not of the form PRODUCT=QUANTITY with a quantity of 1 or more, as coffee-beans=2", item)
		}
		lines = append(lines, shopclient.Line{ProductID: product, Quantity: n})
	}
	return lines, nil
}

func newOrderList(p *program) *cobra.Command {
	var o shopclient.ListOptions
	c := &cobra.Command{
		Use:   "list",
		Short: "List orders, newest first",
		Args:  cobra.NoArgs,
	}
	c.Flags().IntVar(&o.Limit, "limit", 20, "how many, 1 to 200")
	c.Flags().StringVar(&o.Status, "status", "", "only PENDING, CONFIRMED or REJECTED ones")
	c.Flags().StringVar(&o.CustomerID, "customer", "", "only those of a customer")
	c.Flags().StringVar(&o.Cursor, "cursor", "", "go on after a page: its next_cursor")
	output, server := addOutputFlag(c), p.addServerFlag(c)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		o.Status = strings.ToUpper(o.Status)
		client, err := p.orderClient(*server)
		if err != nil {
			return err
		}
		defer client.Close()
		page, err := client.Orders(cmd.Context(), o)
		if err != nil {
			return advise(err)
		}
		if *output == formatJSON {
			return printJSON(p.stdout, page)
		}
		if len(page.Orders) == 0 {
			fmt.Fprintln(p.stderr, "No orders. Place one: millrace order create --customer customer_123 --item coffee-beans=2")
			return nil
		}
		t := terminal.Table{Right: []bool{false, false, false, true, false}}
		t.Add("ORDER", "CUSTOMER", "STATUS", "TOTAL", "PLACED")
		for _, o := range page.Orders {
			t.Add(o.ID, o.CustomerID, o.Status, o.Total.String(), o.CreatedAt.Local().Format(time.DateTime))
		}
		fmt.Fprint(p.stdout, t.Render(p.stdout))
		if page.NextCursor != "" {
			fmt.Fprintf(p.stderr, "More: millrace order list --cursor %s\n", page.NextCursor)
		}
		return nil
	}
	return c
}

func newOrderShow(p *program) *cobra.Command {
	var wait bool
	c := &cobra.Command{
		Use:   "show ORDER_ID",
		Short: "Show one order",
		Args:  cobra.ExactArgs(1),
	}
	c.Flags().BoolVar(&wait, "wait", false, "wait until the order is confirmed or rejected")
	output, server := addOutputFlag(c), p.addServerFlag(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		client, err := p.orderClient(*server)
		if err != nil {
			return err
		}
		defer client.Close()
		o, err := client.Order(cmd.Context(), args[0])
		if err == nil && wait {
			o, err = waitForOutcome(cmd.Context(), client, o)
		}
		if err != nil {
			return advise(err)
		}
		if *output == formatJSON {
			return printJSON(p.stdout, o)
		}
		fmt.Fprintf(p.stdout, "Order     %s\nCustomer  %s\nStatus    %s\nPlaced    %s\nChanged   %s\n\n", o.ID, o.CustomerID,
			statusText(p.stdout, o), o.CreatedAt.Local().Format(time.DateTime), o.UpdatedAt.Local().Format(time.DateTime))
		t := terminal.Table{Right: []bool{false, true, true}}
		t.Add("PRODUCT", "QUANTITY", "PRICE")
		for _, i := range o.Items {
			t.Add(i.ProductID, strconv.FormatInt(i.Quantity, 10), i.UnitPrice.String())
		}
		t.Add("total", "", o.Total.String())
		fmt.Fprint(p.stdout, t.Render(p.stdout))
		return nil
	}
	return c
}

// statusText is a status with its reason.
func statusText(out terminal.Output, o shopclient.Order) string {
	colour := map[string]terminal.Colour{shopclient.Confirmed: terminal.Green, shopclient.Rejected: terminal.Red, shopclient.Pending: terminal.Yellow}[o.Status]
	text := out.Paint(colour, o.Status)
	if o.Reason != "" {
		text += " (" + o.Reason + ")"
	}
	return text
}
