package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"millrace/internal/orderrun"
	"millrace/internal/shop"
	"millrace/internal/shopclient"
	"millrace/internal/terminal"
	"millrace/internal/tracetree"
)

// errNotGood is returned when a run has lost or doubled something; its findings
// were printed.
var errNotGood = errors.New("orders were lost or dealt with twice")

// placeOrders is `up --orders`.
func (p *program) placeOrders(ctx context.Context, s *shop.Shop, f upFlags) error {
	at := s.Addresses()
	kafka, err := kafkaClient(at.Brokers, p.environ, f.brokers != "")
	if err != nil {
		return err
	}
	result, err := orderrun.Run(ctx, orderrun.Config{
		Orders: f.orders, Seed: f.seed,
		OrderURL: at.OrderURL, InventoryURL: at.InventoryURL, MailURL: at.MailURL,
		OrderDatabase: at.Databases[shop.Order], InventoryDatabase: at.Databases[shop.Inventory], MailsDatabase: at.Databases[shop.Notification],
		Kafka: kafka, Progress: s.Progress,
	})
	s.EndProgress()
	if err != nil {
		return err
	}
	result.ReadyMS = s.Ready().Milliseconds()
	result.RSSMB = math.Round(10*float64(s.Memory())/(1<<20)) / 10
	for _, finding := range result.Findings {
		s.Say("%s", finding)
	}
	if result.Redelivered > 0 {
		s.Say("%d records stand in a topic a second time; the inbox of each reader took them once", result.Redelivered)
	}
	p.showExample(ctx, s, at, result.Example, f.exit)
	line, err := json.Marshal(result)
	if err != nil {
		return err
	}
	if f.exit {
		fmt.Fprintf(p.stdout, "%s\n", line)
	} else {
		s.Say("%s", line)
	}
	if !result.Good() {
		return errNotGood
	}
	return nil
}

// showExample prints the trace of one order of the run.
func (p *program) showExample(ctx context.Context, s *shop.Shop, at shop.Addresses, orderID string, toStderr bool) {
	if orderID == "" {
		return
	}
	out := p.stdout
	if toStderr {
		out = p.stderr
	}
	const patience = 5 * time.Second
	collector := shopclient.New(at.CollectorURL)
	defer collector.Close()
	tree, err := followOrder(ctx, collector, orderID, patience, tracetree.Options{})
	if err != nil || len(tree.Roots) == 0 {
		s.Say("no trace of order %s: %v", orderID, err)
		return
	}
	s.Say("\nOne of them:\n%s", traceText(out, tree))
}

func traceText(out terminal.Output, t *tracetree.Tree) string {
	text := fmt.Sprintf("%s  %s from the request to the last step\n\n%s", out.Paint(terminal.Bold, "Order "+t.OrderID), tracetree.Duration(t.Duration), tracetree.Render(t, out))
	if !t.Complete() {
		text += "\nNot seen yet:"
		for _, step := range t.Missing {
			text += "\n  " + step
		}
		text += "\n"
	}
	return text
}
