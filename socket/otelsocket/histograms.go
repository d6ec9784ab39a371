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

// Produce implements the Producer of go.opentelemetry.io/otel/sdk/metric: the histograms of the Servers. It never fails.
//
// A reader calls it after the observation of [Metrics.Register], whose Stats it uses: with one reader the numbers of a
// collection are all of one moment, and with several those of the histograms may be a moment later. Without Register it
// asks for Stats itself.
func (m *Metrics) Produce(context.Context) ([]metricdata.ScopeMetrics, error) {
	s := m.take()
	var durations, trips []metricdata.HistogramDataPoint[float64]
	for i := range s.servers {
		st := &s.servers[i]
		server := serverKey.String(st.Name)
		for end, h := range st.Lifetimes {
			durations = append(durations, point(s.at, &h, server, causeKey.String(end.Cause.String()), codeKey.Int(int(end.Code))))
		}
		trips = append(trips, point(s.at, &st.RoundTrips, server))
	}
	var all []metricdata.Metrics
	for _, h := range []struct {
		name, description string
		points            []metricdata.HistogramDataPoint[float64]
	}{
		{"troupe.socket.duration", "How long sockets that have ended were open.", durations},
		{"troupe.socket.rtt", "How long peers took to answer pings.", trips},
	} {
		if len(h.points) > 0 {
			all = append(all, metricdata.Metrics{
				Name: h.name, Description: h.description, Unit: "s",
				Data: metricdata.Histogram[float64]{DataPoints: h.points, Temporality: metricdata.CumulativeTemporality},
			})
		}
	}
	if all == nil {
		return nil, nil
	}
	return []metricdata.ScopeMetrics{{Scope: instrumentation.Scope{Name: scope}, Metrics: all}}, nil
}

// point is h as it stands: both count what is at most a bound in the bucket of that bound. There is no StartTime, as nobody
// notes when New was called; OTLP has 0 for that, and whoever reads it sees a restart by a count that is less than before.
func point(at time.Time, h *socket.Histogram, attrs ...attribute.KeyValue) metricdata.HistogramDataPoint[float64] {
	bounds := make([]float64, len(h.Bounds))
	for i, b := range h.Bounds {
		bounds[i] = b.Seconds()
	}
	return metricdata.HistogramDataPoint[float64]{
		Attributes: attribute.NewSet(attrs...), Time: at,
		Count: h.Count(), Bounds: bounds, BucketCounts: slices.Clone(h.Counts), Sum: h.Sum,
	}
}
