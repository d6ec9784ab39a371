// Package promsocket gives the numbers of sockets, processes, supervisors, registries and nodes to Prometheus. It is a module of its
// own, so that a program without Prometheus does not depend on it:
//
//	prometheus.MustRegister(&promsocket.Collector{Servers: []*socket.Server{sockets}, System: sockets.System()})
//	mux.Handle("/metrics", promhttp.Handler())
//
// Nothing is counted by this package, and nothing is paid between scrapes: a scrape asks for Stats. At 100,000 sockets that
// takes some half a microsecond of CPU for each, or less.
//
// The metrics and their labels are listed at [Collector]. No label is a PID, a label, a group, an address, a subject or the
// text of an error, and what peers send makes no new series.
package promsocket
