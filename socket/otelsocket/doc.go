// Package otelsocket gives the numbers of sockets, processes, supervisors, registries and nodes to OpenTelemetry, and makes spans of
// the callbacks of sockets. It is a module of its own, so that a program without OpenTelemetry does not depend on it.
//
// Numbers ([Metrics]):
//
//	metrics := &otelsocket.Metrics{Servers: []*socket.Server{sockets}, System: sockets.System()}
//	reader := sdkmetric.NewPeriodicReader(exporter, sdkmetric.WithProducer(metrics)) // for the histograms
//	stop, err := metrics.Register(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)))
//
// Nothing is counted by this package, and nothing is paid between collections: all instruments are observable, and a
// collection asks for Stats, once. They are those of package promsocket, which a dashboard cannot tell from them.
//
// Spans ([Traces]):
//
//	mux.Handle("/ws", otelhttp.NewHandler(sockets.Handler(otelsocket.Traces{}.Handler(newHandler)), "upgrade"))
//
// The span of the request ends with the 101. Spans of callbacks are not its children, which would come hours after their
// parent had ended, but linked to it. Frames get no spans unless you choose so.
//
// From process to process, and over nodes ([Carry]):
//
//	sys, err := actor.NewSystem(actor.Config{Carry: otelsocket.Carry, Fetch: otelsocket.Fetch})
package otelsocket
