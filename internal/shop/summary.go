package shop

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"millrace/internal/terminal"
)

// Ready is how long it took from the start of Up until all parts were ready.
func (s *Shop) Ready() time.Duration { return s.ready }

// Memory sums what all parts use, up itself included, in bytes; 0 when it is
// not known on this system.
func (s *Shop) Memory() int64 {
	var sum int64
	for _, bytes := range memoryOf(s.pids()) {
		sum += bytes
	}
	return sum
}

func (s *Shop) pids() []int {
	pids := []int{os.Getpid()}
	for _, p := range s.parts() {
		if pid := p.pid(); pid != 0 {
			pids = append(pids, pid)
		}
	}
	return pids
}

// Summary is the table of what runs, and what to do next.
func (s *Shop) Summary() string {
	memory := memoryOf(s.pids())
	t := terminal.Table{Right: []bool{false, false, true, true}}
	t.Add("PART", "ADDRESS", "PID", "MEMORY")
	var sum int64
	row := func(name, address string, pid int) {
		t.Add(name, address, strconv.Itoa(pid), megabytes(memory[pid]))
		sum += memory[pid]
	}
	if s.postgres == nil {
		t.Add("postgres", s.databaseAddress(), "-", "-")
	}
	if s.broker == nil {
		t.Add("broker", s.bootstrap(), "-", "-")
	}
	for _, p := range s.parts() {
		row(p.name, p.address(), p.pid())
	}
	row("up", "", os.Getpid())

	var b strings.Builder
	fmt.Fprintf(&b, "\n%s\n", t.Render(s.config.Out))
	total := ""
	if sum > 0 {
		total = ", " + megabytes(sum) + " in all"
	}
	fmt.Fprintf(&b, "Ready in %s%s. Data: %s\n\n", s.ready.Round(10*time.Millisecond), total, s.dir.Path())
	next := terminal.Table{}
	next.Add("Place an order", s.invocation("order create --customer customer_123 --item coffee-beans=2"))
	next.Add("Follow it", s.invocation("trace ORDER_ID"))
	next.Add("See all of them", s.invocation("order list"))
	next.Add("Their e-mails", s.mail.url())
	next.Add("Kafka clients", s.bootstrap())
	if s.config.Faults {
		next.Add("Make it fail", s.invocation("fault list"))
	}
	next.Add("End it", "Ctrl-C")
	b.WriteString(strings.TrimPrefix(next.Render(terminal.Plain(nil)), "\n"))
	return b.String()
}

func megabytes(bytes int64) string {
	if bytes == 0 {
		return "-"
	}
	return strconv.FormatFloat(float64(bytes)/(1<<20), 'f', 1, 64) + " MB"
}

// Addresses is where the parts are, for what runs inside up.
type Addresses struct {
	OrderURL, InventoryURL, NotificationURL, MailURL, CollectorURL string
	Brokers                                                        []string
	Databases                                                      map[string]string // service → URL
}

// Addresses tells where the parts are.
func (s *Shop) Addresses() Addresses {
	return Addresses{
		OrderURL: s.service(Order).url(), InventoryURL: s.service(Inventory).url(), NotificationURL: s.service(Notification).url(),
		MailURL: s.mail.url(), CollectorURL: s.collector.url(),
		Brokers: strings.Split(s.bootstrap(), ","), Databases: s.urls,
	}
}

// Say writes a line among the logs.
func (s *Shop) Say(format string, args ...any) { s.log.Say(format, args...) }

// Progress shows what is going on, until the next call or EndProgress.
func (s *Shop) Progress(format string, args ...any) { s.log.Progress(format, args...) }

// EndProgress removes what Progress shows.
func (s *Shop) EndProgress() { s.log.EndProgress() }
