// Package app puts the notification service together.
package app

import (
	"context"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"millrace/pkg/events"
	"millrace/pkg/fault"
	"millrace/pkg/service"
	"millrace/services/notification"
	"millrace/services/notification/consumer"
	"millrace/services/notification/postgres"
	"millrace/services/notification/smtpmail"
)

// commitInterval is short because of Rebuild: what the group had committed is all that
// the log tells of the mails that went out. After a crash that takes the database, too,
// those of the last interval would go out again.
const commitInterval = 100 * time.Millisecond

// Run runs the service until ctx ends, and returns nil after an orderly stop.
func Run(ctx context.Context, c Config) error {
	c.Kafka.CommitInterval = commitInterval
	return service.Run(ctx, service.Program{
		Name: "notification", HTTPAddr: c.HTTPAddr, Config: c.Config,
		Migrations: postgres.Migrations(), FaultPoints: faultPoints(),
		Build: func(env *service.Env) (service.Parts, error) { return build(env, c) },
	})
}

func faultPoints() []fault.Point {
	return slices.Concat(
		[]fault.Point{fault.MailBeforeSend, fault.MailAfterSend, fault.EffectBeforeCommit, fault.EffectAfterCommit},
		fault.ConsumerPoints())
}

func build(env *service.Env, c Config) (service.Parts, error) {
	sender, err := smtpmail.New(c.SMTP, env.Telemetry.TracerProvider)
	if err != nil {
		return service.Parts{}, err
	}
	// Both topics are read in one group: the instances share the partitions of both.
	group, err := env.Consumer(events.GroupNotification)
	if err != nil {
		return service.Parts{}, err
	}
	handler := consumer.Mails(postgres.NewStore(env.Pool, sender, env.Faults), env.Log, countMails(env.Registerer))
	group.Handle(events.TopicOrders, handler)
	group.Handle(events.TopicInventory, handler)
	letters, err := env.DeadLetters(events.GroupNotification)
	if err != nil {
		return service.Parts{}, err
	}
	consume := func(ctx context.Context) error {
		defer sender.Close()
		return group.Run(ctx)
	}
	return service.Parts{Intake: []service.Component{
		{Name: "consumer", Run: consume, Ready: group.Ready},
		service.Janitor(env.Log, env.ForgetMessages),
		letters,
	}}, nil
}

// countMails returns what counts the mails that went out.
func countMails(r prometheus.Registerer) func(notification.Kind) {
	mails := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "millrace_mails_total", Help: "Mails that the mail server took, by kind.",
	}, []string{"kind"})
	r.MustRegister(mails)
	for _, kind := range notification.Kinds {
		mails.WithLabelValues(string(kind)) // zero is a value, absence is none
	}
	return func(k notification.Kind) { mails.WithLabelValues(string(k)).Inc() }
}
