package shop

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"millrace/internal/datadir"
	"millrace/internal/supervise"
	"millrace/internal/terminal"
)

// Shop is a running shop. Take it down with Down.
type Shop struct {
	config Config
	parent environ // what the parts inherit
	dir    *datadir.Dir
	log    *terminal.Log
	sup    *supervise.Supervisor
	client *http.Client

	postgres  *part // nil when DATABASE_URL names a server
	broker    *part // nil when --brokers does
	mail      *part
	collector *part

	urls    map[string]string // service → its database
	brokers string            // bootstrap addresses of another Kafka, when --brokers names one
	control *control          // nil until the shop is ready

	began time.Time
	ready time.Duration

	publishing sync.Mutex // held while shop.json is written
	adding     sync.Mutex // held while an instance gets its number

	mu       sync.Mutex // guards what follows
	adminURL string     // of Postgres
	services []*part    // instances in the order of Services
	byName   map[string]*part
	logs     map[string]*logFile
	up       bool // shop.json is kept up to date
	closed   bool
}

// Up starts the shop and returns when all of it is ready. When it fails or ctx
// ends before that, what was started is taken down again.
func Up(ctx context.Context, c Config) (*Shop, error) {
	began := time.Now()
	if err := c.Validate(); err != nil {
		return nil, err
	}
	dir, err := datadir.Open(c.Data)
	if err != nil {
		return nil, err
	}
	s := &Shop{
		config: c, dir: dir, began: began,
		client: &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Second}},
		byName: map[string]*part{}, logs: map[string]*logFile{}, urls: map[string]string{},
	}
	s.log = terminal.NewLog(c.Out, s.partNames()...)
	s.sup = supervise.New(supervise.Options{Policy: c.Restart, Backoff: c.Backoff, Line: s.line, Event: s.event})
	if err := s.start(ctx); err != nil {
		s.log.EndProgress()
		s.Down(context.WithoutCancel(ctx), nil)
		return nil, err
	}
	s.ready = time.Since(began)
	s.log.EndProgress()
	return s, nil
}

// partNames lists all parts as their logs are called.
func (s *Shop) partNames() []string {
	var names []string
	if lookup(s.config.Environ, databaseVar) == "" {
		names = append(names, "postgres")
	}
	if s.config.Brokers == "" {
		names = append(names, "broker")
	}
	names = append(names, "mail", "collector")
	for _, service := range Services {
		for i := range max(1, s.config.Instances[service]) {
			names = append(names, instanceName(service, i))
		}
	}
	return names
}

func instanceName(service string, i int) string {
	if i == 0 {
		return service
	}
	return fmt.Sprintf("%s-%d", service, i+1)
}

// start brings up everything in the order of the package comment.
func (s *Shop) start(ctx context.Context) error {
	waiting, cancel := context.WithTimeout(ctx, stragglersTimeout)
	err := s.dir.WaitForStragglers(waiting, func() { s.log.Progress("Waiting for parts of an earlier run to end") })
	cancel()
	if err != nil {
		return err
	}
	if err := errors.Join(s.dir.RemoveShop(), s.plan()); err != nil {
		return err
	}
	s.launch(s.postgres, s.broker, s.mail, s.collector)

	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.awaitDatabases(groupCtx) })
	group.Go(func() error { return s.await(groupCtx, startTimeout, s.broker) })
	if err := group.Wait(); err != nil {
		return err
	}
	services := s.instances()
	s.launch(services...)
	if err := s.await(ctx, startTimeout, append([]*part{s.mail, s.collector}, services...)...); err != nil {
		return err
	}
	if s.control, err = s.serveControl(); err != nil {
		return err
	}
	s.mu.Lock()
	s.up = true
	s.mu.Unlock()
	return s.publish()
}

// launch starts parts; nil ones are servers that are not ours.
func (s *Shop) launch(parts ...*part) {
	for _, p := range parts {
		if p != nil {
			life := s.sup.Start(p.name, func() (supervise.Spec, error) { return p.spec(s.config.Executable, s.log.Say) })
			p.mu.Lock()
			p.sup, p.stopped = life, false
			p.mu.Unlock()
		}
	}
}

// await waits for all of them, and shows which are still missing.
func (s *Shop) await(ctx context.Context, timeout time.Duration, parts ...*part) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var mu sync.Mutex
	missing := map[string]bool{}
	show := func() {
		var names []string
		for _, p := range parts {
			if p != nil && missing[p.name] {
				names = append(names, p.name)
			}
		}
		if len(names) > 0 {
			s.log.Progress("Starting %s", strings.Join(names, ", "))
		}
	}
	for _, p := range parts {
		if p != nil {
			missing[p.name] = true
		}
	}
	show()
	group, ctx := errgroup.WithContext(ctx)
	for _, p := range parts {
		if p == nil {
			continue
		}
		group.Go(func() error {
			if err := p.awaitReady(ctx); err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			delete(missing, p.name)
			if s.config.Out.Animation {
				show()
			}
			return nil
		})
	}
	return group.Wait()
}

// line takes a line that a part printed.
func (s *Shop) line(name string, line []byte) {
	s.mu.Lock()
	p, file := s.byName[name], s.logs[name]
	s.mu.Unlock()
	if p != nil {
		p.keepLine(line)
	}
	if file != nil {
		file.line(line)
	}
	if text, ok := strings.CutPrefix(string(line), ProgressPrefix); ok {
		s.log.Progress("%s", text)
		return
	}
	if !s.config.Quiet {
		s.log.Line(name, line)
	}
}

// ProgressPrefix marks lines by which a part tells of a step that takes long,
// such as fetching Postgres: they are shown in a quiet run, too.
const ProgressPrefix = "progress: "

// event takes what the supervisor tells.
func (s *Shop) event(e supervise.Event) {
	switch e.Kind {
	case supervise.Started:
		if s.running() {
			s.log.Say("%s runs (pid %d)", e.Part, e.PID)
			s.publishChange()
		}
	case supervise.Ended:
		s.log.Say("%s ended: %s", e.Part, e.Exit.Reason)
		s.publishChange()
	case supervise.Waiting:
		s.log.Say("%s is started again in %s", e.Part, e.Wait)
	case supervise.GaveUp:
		s.log.Say("%s is not started again (restart policy %q)", e.Part, s.policy())
	case supervise.NotBegun:
		s.log.Say("%s cannot be started: %v", e.Part, e.Err)
	}
}

func (s *Shop) policy() supervise.Policy {
	if s.config.Restart == "" {
		return supervise.OnFailure
	}
	return s.config.Restart
}

func (s *Shop) running() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.up
}

// parts lists all parts that are ours, in the order of the table.
func (s *Shop) parts() []*part {
	var list []*part
	for _, p := range append([]*part{s.postgres, s.broker, s.mail, s.collector}, s.instances()...) {
		if p != nil {
			list = append(list, p)
		}
	}
	return list
}

// instances lists the instances of all services, in the order of Services.
func (s *Shop) instances() []*part {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.services)
}

// publish writes shop.json.
func (s *Shop) publish() error {
	s.publishing.Lock() // what is written last is the latest
	defer s.publishing.Unlock()
	shop := datadir.Shop{
		PID: os.Getpid(), Brokers: s.bootstrap(),
		OrderURL: s.service(Order).url(), InventoryURL: s.service(Inventory).url(),
		CollectorURL: s.collector.url(), MailURL: s.mail.url(),
		ControlURL: s.control.url(), Faults: s.config.Faults,
	}
	for _, p := range s.parts() {
		i := p.info()
		shop.Parts = append(shop.Parts, datadir.Part{Name: i.Name, Service: i.Service, State: string(i.State), PID: i.PID, Address: i.Address, URL: i.URL})
	}
	return s.dir.WriteShop(shop)
}

// publishChange brings shop.json up to date while the shop is up.
func (s *Shop) publishChange() {
	if !s.running() {
		return
	}
	if err := s.publish(); err != nil {
		s.log.Say("shop.json: %v", err)
	}
}

// service is the first instance of a service, or any part by its name; nil when there is none.
func (s *Shop) service(name string) *part {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byName[name]
}
