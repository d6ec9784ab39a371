package otelsocket

import (
	"context"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/troupe-dev/troupe/socket"
)

// Produce implements the Producer of go.opentelemetry.io/otel/sdk/metric: the histograms of the Servers and of the Registry. It
// never fails.
//
// A reader calls it after the observation of [Metrics.Register], whose Stats it uses: with one reader the numbers of Servers in a
// collection are all of one moment, and with several those of the histograms may be a moment later. Without Register it
// asks for Stats itself.
func (m *Metrics) Produce(context.Context) ([]metricdata.ScopeMetrics, error) {
	s := m.take()
	var lives, trips, callbacks, took, to points
	for i := range s.servers {
		st := &s.servers[i]
		server := serverKey.String(st.Name)
		for end, h := range st.Lifetimes {
			lives.durations(s.at, &h, server, causeKey.String(end.Cause.String()), codeKey.Int(int(end.Code)))
		}
		trips.durations(s.at, &st.RoundTrips, server)
		for callback, h := range st.Callbacks {
			callbacks.durations(s.at, &h, server, callbackKey.String(callback))
		}
	}
	if m.Registry != nil {
		at := time.Now()
		for group, st := range m.Registry.BroadcastStats() {
			var attrs []attribute.KeyValue
			if group != "" {
				attrs = append(attrs, groupKey.String(group))
			}
			took.add(at, st.Durations.Bounds, st.Durations.Counts, st.Durations.Sum, attrs...)
			to.add(at, st.Recipients.Bounds, st.Recipients.Counts, st.Recipients.Sum, attrs...)
		}
	}
	var all []metricdata.Metrics
	for _, h := range []struct {
		name, unit, description string
		points                  points
	}{
		{"troupe.socket.duration", "s", "How long sockets that have ended were open.", lives},
		{"troupe.socket.rtt", "s", "How long peers took to answer pings.", trips},
		{"troupe.callback.duration", "s", "How long callbacks of sockets took.", callbacks},
		{"troupe.broadcast.duration", "s", "How long broadcasts took.", took},
		{"troupe.broadcast.recipients", "{process}", "Mailboxes of this node that took a broadcast.", to},
	} {
		if len(h.points) > 0 {
			all = append(all, metricdata.Metrics{
				Name: h.name, Description: h.description, Unit: h.unit,
				Data: metricdata.Histogram[float64]{DataPoints: h.points, Temporality: metricdata.CumulativeTemporality},
			})
		}
	}
	if all == nil {
		return nil, nil
	}
	return []metricdata.ScopeMetrics{{Scope: instrumentation.Scope{Name: scope}, Metrics: all}}, nil
}

// points are the series of one histogram.
type points []metricdata.HistogramDataPoint[float64]

func (p *points) durations(at time.Time, h *socket.Histogram, attrs ...attribute.KeyValue) {
	bounds := make([]float64, len(h.Bounds))
	for i, b := range h.Bounds {
		bounds[i] = b.Seconds()
	}
	p.add(at, bounds, h.Counts, h.Sum, attrs...)
}

// add adds a histogram as it stands: both count what is at most a bound in the bucket of that bound. There is no StartTime, as
// nobody notes when New was called; OTLP has 0 for that, and whoever reads it sees a restart by a count that is less than before.
func (p *points) add(at time.Time, bounds []float64, counts []uint64, sum float64, attrs ...attribute.KeyValue) {
	n := uint64(0)
	for _, c := range counts {
		n += c
	}
	*p = append(*p, metricdata.HistogramDataPoint[float64]{
		Attributes: attribute.NewSet(attrs...), Time: at,
		Count: n, Bounds: bounds, BucketCounts: slices.Clone(counts), Sum: sum,
	})
}
