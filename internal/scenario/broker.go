package scenario

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/internal/shop"
)

// Broker is a broker to play on.
type Broker struct {
	Addrs   []string
	Private bool // it may be killed, and nobody else is on it
	// MinSession is the shortest session timeout that it takes.
	MinSession time.Duration

	env     *Env
	admin   *kadm.Client
	process *process
	args    []string
	http    string // address of its metrics
	suffix  string // makes names unique
}

// Timeouts of a broker's life.
const (
	brokerStart = 20 * time.Second
	brokerStop  = 10 * time.Second
	// kafkaMinSession is group.min.session.timeout.ms where nobody has set it.
	kafkaMinSession = 6 * time.Second
)

// Broker gives the scenario what its Needs say: the broker that the user named,
// that of the running shop, or a private one.
func (e *Env) Broker(ctx context.Context, needs Needs) (*Broker, error) {
	if len(e.config.Brokers) > 0 {
		if needs != AnyBroker {
			return nil, errors.New("this scenario needs a broker of its own, which it may break: leave --brokers away")
		}
		e.say("named_broker", A{"address": e.config.Brokers})
		return e.foreign(e.config.Brokers)
	}
	running, runs, err := e.Running()
	if err != nil {
		return nil, err
	}
	if runs && needs == AnyBroker {
		e.say("running_broker", A{"address": running.Brokers})
		return e.foreign(strings.Split(running.Brokers, ","))
	}
	if runs {
		e.say("private_broker_beside", nil)
	}
	return e.privateBroker(ctx)
}

// foreign is a broker that somebody else runs.
func (e *Env) foreign(addrs []string) (*Broker, error) {
	b := &Broker{Addrs: addrs, env: e, suffix: "-" + strings.ToLower(rand.Text()[:6]), MinSession: kafkaMinSession}
	return b, b.connect()
}

func (b *Broker) connect() error {
	client, err := b.Client()
	if err != nil {
		return err
	}
	b.admin = kadm.NewClient(client)
	return nil
}

// privateBroker starts one in a temporary folder.
func (e *Env) privateBroker(ctx context.Context) (*Broker, error) {
	const shortSession = 500 * time.Millisecond
	data, err := e.temp("broker")
	if err != nil {
		return nil, err
	}
	b := &Broker{env: e, Private: true, MinSession: shortSession}
	const tries = 3 // a port may be taken between the choice and the start
	for try := 1; ; try++ {
		address, err := shop.FreeAddress()
		if err != nil {
			return nil, err
		}
		if b.http, err = shop.FreeAddress(); err != nil {
			return nil, err
		}
		b.Addrs = []string{address}
		b.args = []string{
			"broker", "--listen", address, "--http", b.http, "--data", data,
			"--set", "group.initial.rebalance.delay.ms=100", // no three seconds of waiting for further members
			"--set", "group.min.session.timeout.ms=" + strconv.FormatInt(shortSession.Milliseconds(), 10),
		}
		if err = b.Start(ctx); err == nil {
			break
		}
		if try == tries || ctx.Err() != nil {
			return nil, err
		}
	}
	e.atEnd(func(ctx context.Context) error {
		b.process.stop(ctx, brokerStop)
		return nil
	})
	e.say("private_broker", A{"address": b.Addrs})
	return b, b.connect()
}

// Start runs the private broker's process, also after its death, and waits until
// it is ready.
func (b *Broker) Start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, brokerStart)
	defer cancel()
	b.process = b.env.start("broker", b.args, nil)
	err := Poll(ctx, "the broker", func(ctx context.Context) error {
		select {
		case <-b.process.part.Done():
			cancel() // it will not come any more
		default:
		}
		_, err := b.get(ctx, "/readyz")
		return err
	})
	if err != nil {
		return b.process.failed(err)
	}
	return nil
}

// Kill ends the private broker as kill -9 does.
func (b *Broker) Kill() error { return b.process.kill() }

// Freeze stops the private broker's process as SIGSTOP does: connections stay, no
// answer comes. Only Kill ends that.
func (b *Broker) Freeze() error { return freeze(b.process.part.PID()) }

// Metric reads a number from the private broker's /metrics.
func (b *Broker) Metric(ctx context.Context, name string) (float64, error) {
	text, err := b.get(ctx, "/metrics")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strconv.ParseFloat(strings.TrimSpace(value), 64)
		}
	}
	return 0, fmt.Errorf("/metrics has no %s", name)
}

func (b *Broker) get(ctx context.Context, path string) (string, error) {
	const maxAnswer = 8 << 20
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+b.http+path, nil)
	if err != nil {
		return "", err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answers %s", path, res.Status)
	}
	return string(text), err
}

// Client makes a client of the broker. Close ends it.
func (b *Broker) Client(opts ...kgo.Opt) (*kgo.Client, error) {
	const firstWait, longestWait = 50 * time.Millisecond, 500 * time.Millisecond
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(b.Addrs...), kgo.ClientID("scenario"),
		// A broker that was killed is back soon: ask often.
		kgo.RetryBackoffFn(func(tries int) time.Duration { return min(firstWait<<min(tries, 4), longestWait) }),
		kgo.MetadataMinAge(firstWait),
	}, opts...)...)
	if err != nil {
		return nil, err
	}
	b.env.atEnd(func(context.Context) error {
		client.Close()
		return nil
	})
	return client, nil
}

// Admin administers the broker.
func (b *Broker) Admin() *kadm.Client { return b.admin }

// Name makes a name unique on a broker that others use, too.
func (b *Broker) Name(name string) string { return name + b.suffix }

// Topic makes a topic of the scenario's own and returns its name. On a broker that
// is not private it is deleted at the end.
func (b *Broker) Topic(ctx context.Context, name string, partitions int32) (string, error) {
	name = b.Name(name)
	answer, err := b.admin.CreateTopic(ctx, partitions, 1, nil, name)
	if err == nil {
		err = answer.Err
	}
	if err != nil {
		return "", fmt.Errorf("create topic %s: %w", name, err)
	}
	if !b.Private {
		b.env.atEnd(func(ctx context.Context) error {
			answer, err := b.admin.DeleteTopic(ctx, name)
			return errors.Join(err, answer.Err)
		})
	}
	return name, nil
}

// Group makes the name of a consumer group of the scenario's own. On a broker that
// is not private it is deleted at the end.
func (b *Broker) Group(name string) string {
	name = b.Name(name)
	if !b.Private {
		b.env.atEnd(func(ctx context.Context) error { return b.deleteGroup(ctx, name) })
	}
	return name
}

// deleteGroup waits for the members' end: a group that is not empty stays.
func (b *Broker) deleteGroup(ctx context.Context, name string) error {
	const patience = 15 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return Poll(ctx, "the end of group "+name, func(ctx context.Context) error {
		answer, err := b.admin.DeleteGroup(ctx, name)
		if err == nil {
			err = answer.Err
		}
		if errors.Is(err, kerr.GroupIDNotFound) {
			return nil
		}
		return err
	})
}
