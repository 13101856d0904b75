package messaging

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/trace"
)

const (
	firstOutagePause   = 100 * time.Millisecond
	longestOutagePause = 2 * time.Second
)

// outlasts tells whether a failed try says nothing about the message, because what all
// messages need is away ([ConsumerConfig.Away]). Then it waits for a while and the try
// does not count: an outage of the service's own database would otherwise carry one
// message after the other to the dead letter topic, for as long as it lasts. released
// says that a rebalance or a shutdown did not let it wait.
func (c *Consumer) outlasts(ctx context.Context, h *inHand, err error) (outage, released bool) {
	if c.config.Away == nil || !c.config.Away(ctx, err) {
		h.outagePause = 0
		return false, false
	}
	h.delivery.Attempt-- // it was none
	c.metrics.outages.WithLabelValues(h.delivery.Group, h.intake.topic).Inc()
	if h.outagePause == 0 {
		trace.SpanFromContext(ctx).AddEvent("held", trace.WithAttributes(AttrErrorMessage.String(shorten(err.Error()))))
		c.log.WarnContext(ctx, "what every message needs is away, the message is held", h.logged("error", err)...)
	}
	h.outagePause = min(max(2*h.outagePause, firstOutagePause), longestOutagePause)
	return true, h.leaving() || !h.pause(h.outagePause)
}
