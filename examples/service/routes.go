package main

import (
	_ "embed"
	"fmt"
	"net/http"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/supervisor"
	"github.com/troupe-dev/troupe/websock"
)

//go:embed index.html
var page []byte

func routes(o options, sys *actor.System, sockets *socket.Server, jobs *supervisor.Dynamic, workers *supervisor.Supervisor,
	probes http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Write(page)
	})
	mux.Handle("/ws", sockets.Handler(func(*http.Request) (websock.Handler, error) {
		return &visitor{sys: sys, jobs: jobs}, nil
	}))

	for _, path := range []string{"GET /healthz", "GET /readyz"} {
		mux.Handle(path, probes)
	}

	// A restarted actor has a new PID, so it is looked up each time.
	counterInfo := func() supervisor.ChildInfo { return workers.Children()[0] }
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		c := counterInfo()
		fmt.Fprintf(w, "%s %v %v, restarts: %d\n", c.ID, c.PID, c.State, c.Restarts)
		fmt.Fprintf(w, "sockets: %d\njobs: %d\n", sockets.Count(), jobs.Count())
		for j := range jobs.Children() {
			fmt.Fprintf(w, "job %v %v\n", j.ID, j.State)
		}
	})
	if o.crashRoute {
		mux.HandleFunc("POST /crash", func(w http.ResponseWriter, _ *http.Request) {
			if pid := counterInfo().PID; !pid.Send(crash{}) {
				http.Error(w, "it is down already", http.StatusConflict)
				return
			}
			w.WriteHeader(http.StatusNoContent)
		})
	}
	// No page of another origin may crash our counter.
	return http.NewCrossOriginProtection().Handler(mux)
}

// probes answers whether the process is alive, which it is when it answers, and whether it is ready, which it is when the
// whole tree is up and a new socket may come. From then on a signal makes the sockets drain. A process that drains is alive
// and not ready.
func probes(service *supervisor.Supervisor) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "alive") })
	mux.Handle("GET /readyz", supervisor.Probe(service))
	return mux
}
