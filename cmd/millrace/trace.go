package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"millrace/internal/datadir"
	"millrace/internal/shopclient"
	"millrace/internal/tracetree"
)

func newTrace(p *program) *cobra.Command {
	var options tracetree.Options
	var wait time.Duration
	var collectorURL string
	c := &cobra.Command{
		Use:   "trace ORDER_ID",
		Short: "Follow one order: request, transaction, outbox, topic, each group, e-mails",
		Long: `Follow one order through everything that happened to it, as a tree: the HTTP
request, the database transaction, the wait in the outbox, the sending (topic,
partition, offset), each consumer group's work (time in the queue, time at work,
attempts), the e-mails.`,
		Example: `  millrace trace 019ab1f6-7a3c-7d52-9c0e-6f2a8d4b1c90
  millrace trace --all 019ab1f6-7a3c-7d52-9c0e-6f2a8d4b1c90     # with every statement to the database`,
		Args: cobra.ExactArgs(1),
	}
	c.Flags().BoolVar(&options.All, "all", false, "show single statements to the database, too")
	c.Flags().DurationVar(&wait, "wait", 3*time.Second, "how long to wait for steps that are not seen yet")
	c.Flags().StringVar(&collectorURL, "collector", "", "address of the trace collector (default: "+collectorURLVar+", else the shop that runs on --data, else "+defaultCollectorURL+")")
	output, server := addOutputFlag(c), p.addServerFlag(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		url, err := p.locate(collectorURL, collectorURLVar, defaultCollectorURL, func(s datadir.Shop) string { return s.CollectorURL })
		if err != nil {
			return err
		}
		spans := shopclient.New(url)
		defer spans.Close()
		orders, err := p.orderClient(*server)
		if err != nil {
			return err
		}
		defer orders.Close()
		tree, err := followOrder(cmd.Context(), spans, args[0], wait, options)
		if err != nil {
			return advise(err)
		}
		if len(tree.Roots) == 0 {
			return noTrace(cmd.Context(), orders, args[0])
		}
		if *output == formatJSON {
			return printJSON(p.stdout, tree)
		}
		fmt.Fprint(p.stdout, traceText(p.stdout, tree))
		return nil
	}
	return c
}

// followOrder asks for an order's spans until its way is complete, or patience ends.
func followOrder(ctx context.Context, collector *shopclient.Client, orderID string, patience time.Duration, o tracetree.Options) (*tracetree.Tree, error) {
	const pollEvery = 100 * time.Millisecond
	deadline := time.Now().Add(patience)
	for {
		spans, err := collector.OrderSpans(ctx, orderID)
		if err != nil {
			return nil, err
		}
		tree := tracetree.Build(orderID, spans, o)
		if tree.Complete() || time.Now().After(deadline) {
			return tree, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(pollEvery):
		}
	}
}

// noTrace says why there is nothing to show.
func noTrace(ctx context.Context, orders *shopclient.Client, orderID string) error {
	_, err := orders.Order(ctx, orderID)
	var problem *shopclient.Problem
	switch {
	case errors.As(err, &problem) && problem.Status == http.StatusNotFound:
		return &hinted{err: fmt.Errorf("there is no order %s", orderID), hint: "List them: millrace order list"}
	case err != nil:
		return advise(err)
	default:
		return &hinted{
			err:  fmt.Errorf("order %s exists, but no span of it is kept", orderID),
			hint: "The collector keeps the latest orders only. The order itself: millrace order show " + orderID,
		}
	}
}
