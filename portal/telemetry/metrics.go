package telemetry

import (
	"runtime"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Metrics are the portal's numbers, in a registry of their own. Its methods are
// what other rooms are given as functions; they never wait and are safe for
// concurrent use. No label holds anything that was sent: see label.
type Metrics struct {
	registry *prometheus.Registry

	requests   *prometheus.HistogramVec
	cases      *prometheus.CounterVec
	recovery   *prometheus.HistogramVec
	refusals   *prometheus.CounterVec
	alarms     *prometheus.CounterVec
	messages   *prometheus.CounterVec
	waits      *prometheus.HistogramVec
	deliveries *prometheus.HistogramVec
	panics     *prometheus.CounterVec
	operations *prometheus.HistogramVec

	route, purpose, outcome, limit, alarm, channel, template, delivered, place, directory label
}

// short are bounds in seconds for what somebody waits for at a screen, long for
// what takes a person, or a mail, its time.
func short() []float64 {
	return []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
}
func long() []float64 { return []float64{1, 5, 15, 30, 60, 120, 180, 300, 600, 1200, 1800, 3600} }

// NewMetrics returns metrics at zero. version is that of the program.
func NewMetrics(version string) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "postern", Name: name, Help: help}, labels)
	}
	histogram := func(buckets []float64, name, help string, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: "postern", Name: name, Help: help, Buckets: buckets}, labels)
	}
	m := &Metrics{
		registry:   prometheus.NewRegistry(),
		requests:   histogram(short(), "http_request_duration_seconds", "Requests answered, by the pattern of their route.", "method", "route", "status"),
		cases:      counter("cases_total", "Cases that came to an outcome.", "purpose", "outcome"),
		recovery:   histogram(long(), "case_duration_seconds", "From the start of a case to its success.", "purpose"),
		refusals:   counter("limit_refusals_total", "Requests refused because a limit was reached.", "limit"),
		alarms:     counter("alarms_total", "Tripwires crossed: somebody may be trying names or passwords.", "alarm"),
		messages:   counter("messages_total", "Attempts to deliver a message, by what came of them.", "channel", "template", "outcome"),
		waits:      histogram(long(), "message_wait_seconds", "From writing a message to its delivery.", "channel"),
		deliveries: histogram(short(), "message_delivery_seconds", "How long one attempt to deliver a message took.", "channel", "outcome"),
		panics:     counter("panics_total", "Panics that were caught.", "where"),
		operations: histogram(short(), "directory_operation_seconds", "Operations of a directory, by what it answered.", "directory", "operation", "outcome"),
	}
	info := prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "postern", Name: "build_info", Help: "What is running; always 1.",
		ConstLabels: prometheus.Labels{"version": tidy(version), "go": runtime.Version()}})
	info.Set(1)
	m.registry.MustRegister(m.requests, m.cases, m.recovery, m.refusals, m.alarms, m.messages, m.waits, m.deliveries, m.panics, m.operations, info,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Request counts one request. route is its pattern and never its address.
func (m *Metrics) Request(method, route string, status int, took time.Duration) {
	code := "other"
	if 100 <= status && status < 600 {
		code = strconv.Itoa(status)
	}
	m.requests.WithLabelValues(verb(method), m.route.of(route), code).Observe(took.Seconds())
}

// verb: a method is free text of the client's.
func verb(method string) string {
	switch method {
	case "GET", "HEAD", "POST":
		return method
	}
	return "other"
}

// Applied is the outcome of a case that helped somebody.
const applied = "done"

// Case counts one case that came to an outcome, took after its start. The time
// is kept for those that are "done".
func (m *Metrics) Case(purpose, outcome string, took time.Duration) {
	purpose = m.purpose.of(purpose)
	m.cases.WithLabelValues(purpose, m.outcome.of(outcome)).Inc()
	if outcome == applied {
		m.recovery.WithLabelValues(purpose).Observe(took.Seconds())
	}
}

// LimitHit counts a refusal by a limit.
func (m *Metrics) LimitHit(name string) { m.refusals.WithLabelValues(m.limit.of(name)).Inc() }

// Alarm counts a tripwire that was crossed.
func (m *Metrics) Alarm(name string) { m.alarms.WithLabelValues(m.alarm.of(name)).Inc() }

// sent is the outcome of an attempt after which the message is gone out.
const sent = "sent"

// Delivery counts one attempt to deliver a message, waited after it was written.
func (m *Metrics) Delivery(channel, template, outcome string, waited, took time.Duration) {
	channel = m.channel.of(channel)
	m.messages.WithLabelValues(channel, m.template.of(template), m.delivered.of(outcome)).Inc()
	m.deliveries.WithLabelValues(channel, m.delivered.of(outcome)).Observe(took.Seconds())
	if outcome == sent {
		m.waits.WithLabelValues(channel).Observe(waited.Seconds())
	}
}

// Panic counts a panic that was caught; where is the name of what was running.
func (m *Metrics) Panic(where string) { m.panics.WithLabelValues(m.place.of(where)).Inc() }
