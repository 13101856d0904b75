package server

import (
	"reflect"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Metrics counts what the server does.
type Metrics struct {
	requests [keys]prometheus.Counter
	duration [keys]prometheus.Observer
	errors   *prometheus.CounterVec

	bytesIn, bytesOut         prometheus.Counter
	recordBytesIn, recordsIn  prometheus.Counter
	recordBytesOut            prometheus.Counter
	accepted, refused, closed prometheus.Counter
	panics                    prometheus.Counter

	fields sync.Map // reflect.Type → index of a response's ErrorCode, or -1
}

// NewMetrics registers the server's metrics with r.
func NewMetrics(r prometheus.Registerer) *Metrics {
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
		r.MustRegister(c)
		return c
	}
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "millrace_broker_requests_total", Help: "Requests answered, by API."}, []string{"api"})
	duration := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "millrace_broker_request_duration_seconds", Help: "Time from a request's last byte to its answer, waiting included.",
		Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5, 30}}, []string{"api"})
	m := &Metrics{
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_broker_request_errors_total", Help: "Error codes answered, by API and Kafka's name of the error."}, []string{"api", "error"}),
		bytesIn:        counter("millrace_broker_received_bytes_total", "Bytes read from clients."),
		bytesOut:       counter("millrace_broker_sent_bytes_total", "Bytes written to clients."),
		recordBytesIn:  counter("millrace_broker_produced_bytes_total", "Bytes of record batches appended for producers."),
		recordsIn:      counter("millrace_broker_produced_records_total", "Records appended for producers."),
		recordBytesOut: counter("millrace_broker_fetched_bytes_total", "Bytes of record batches sent to consumers."),
		accepted:       counter("millrace_broker_connections_accepted_total", "Connections accepted."),
		refused:        counter("millrace_broker_connections_refused_total", "Connections refused because there were too many."),
		closed:         counter("millrace_broker_connections_broken_total", "Connections closed by the broker for a broken or unknown request."),
		panics:         counter("millrace_broker_handler_failures_total", "Request handlers that failed; each is a bug."),
	}
	r.MustRegister(requests, duration, m.errors)
	for i := range apis {
		if a := &apis[i]; a.handle != nil {
			name := kmsg.NameForKey(a.key)
			m.requests[i] = requests.WithLabelValues(name)
			m.duration[i] = duration.WithLabelValues(name)
		}
	}
	return m
}

// done counts an answered request. nil is one that gets no answer.
func (m *Metrics) done(a *api, began time.Time, resp kmsg.Response) {
	m.requests[a.key].Inc()
	m.duration[a.key].Observe(time.Since(began).Seconds())
	if resp != nil {
		m.failed(a.key, m.topLevelError(resp))
	}
}

// failed counts an error code that is answered; 0 is none.
func (m *Metrics) failed(key, code int16) {
	if code == 0 {
		return
	}
	name := strconv.Itoa(int(code))
	if e := kerr.TypedErrorForCode(code); e != nil {
		name = e.Message
	}
	m.errors.WithLabelValues(kmsg.NameForKey(key), name).Inc()
}

// topLevelError reads the ErrorCode field of a response that has one.
func (m *Metrics) topLevelError(resp kmsg.Response) int16 {
	t := reflect.TypeOf(resp)
	index, ok := m.fields.Load(t)
	if !ok {
		index = -1
		if f, has := t.Elem().FieldByName("ErrorCode"); has && f.Type.Kind() == reflect.Int16 && len(f.Index) == 1 {
			index = f.Index[0]
		}
		m.fields.Store(t, index)
	}
	if i := index.(int); i >= 0 {
		return int16(reflect.ValueOf(resp).Elem().Field(i).Int())
	}
	return 0
}
