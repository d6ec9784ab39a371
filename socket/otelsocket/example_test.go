package otelsocket_test

import (
	"context"
	"fmt"
	"net/http"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/otelsocket"
	"github.com/troupe-dev/troupe/websock"
)

// The numbers of a program, for OpenTelemetry. A program has a PeriodicReader with its exporter, to which WithProducer is given in
// the same way.
func ExampleMetrics() {
	sockets, err := socket.New(socket.Config{Name: "chat", Logger: discard})
	if err != nil {
		panic(err)
	}
	defer sockets.Shutdown(context.Background())

	metrics := &otelsocket.Metrics{Servers: []*socket.Server{sockets}, System: sockets.System()}
	reader := sdkmetric.NewManualReader(sdkmetric.WithProducer(metrics)) // for the histograms
	stop, err := metrics.Register(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)))
	if err != nil {
		panic(err)
	}
	defer stop()

	var all metricdata.ResourceMetrics
	if err := reader.Collect(context.Background(), &all); err != nil {
		panic(err)
	}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			if m.Name == "troupe.socket.upgrades" || m.Name == "troupe.socket.rtt" {
				fmt.Println(m.Name, m.Unit)
			}
		}
	}
	// Output:
	// troupe.socket.upgrades {request}
	// troupe.socket.rtt s
}

// Spans of a socket's Init, HandleDrain and Terminate, and of each message of its peer. A program gives otelhttp.NewHandler what is
// made here, which makes the span of the request that they are linked to.
func ExampleTraces_Handler() {
	sockets, err := socket.New(socket.Config{Logger: discard})
	if err != nil {
		panic(err)
	}
	defer sockets.Shutdown(context.Background())

	traces := otelsocket.Traces{
		TracerProvider: noop.NewTracerProvider(), // yours; or none, and it is that of otel.SetTracerProvider
		Callbacks:      otelsocket.OnInit | otelsocket.OnIn | otelsocket.OnDrain | otelsocket.OnTerminate,
	}
	newHandler := func(*http.Request) (websock.Handler, error) { return echo{}, nil }
	http.NewServeMux().Handle("/ws", sockets.Handler(traces.Handler(newHandler)))
}
