package main

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/actor/cluster/natsengine/embedded"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/supervisor"
	"github.com/troupe-dev/troupe/websock"
)

//go:embed index.html
var page []byte

// types are what processes of different nodes send to each other.
func types() *cluster.Types {
	t := new(cluster.Types)
	cluster.Register[letter](t, "letter")
	return t
}

// runNode runs one node until ctx is done.
func runNode(ctx context.Context, o options, out io.Writer) error {
	log := slog.New(slog.NewTextHandler(out, nil))
	sys, err := actor.NewSystem(actor.Config{Node: o.node, Logger: log})
	if err != nil {
		return err
	}
	// An error from here on ends the process, and nats with it.
	nats, err := embedded.Start(embedded.Config{Listen: o.listen, Routes: o.routes, Logger: log})
	if err != nil {
		return err
	}
	node, err := cluster.New(sys, cluster.Config{
		Name:      "example",
		Engine:    nats.Engine(),
		Types:     types(),
		DownAfter: o.downAfter,
		Logger:    log,
	})
	if err != nil {
		return err
	}
	sockets, err := socket.New(socket.Config{System: sys, MaxMessageSize: maxRequest, MaxSockets: 1000, Logger: log})
	if err != nil {
		return err
	}

	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(page)
	})
	mux.Handle("/ws", sockets.Handler(func(*http.Request) (websock.Handler, error) {
		return &visitor{node: node}, nil
	}))
	server := &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		IdleTimeout:       time.Minute,
	}
	listen := func(ctx context.Context) (net.Listener, error) {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", o.page)
		if err == nil {
			fmt.Fprintf(out, readyLine+"\n", o.node, l.Addr().String()+"/", os.Getpid(), nats.Addr())
		}
		return l, err
	}

	// Stopped from bottom to top: the sockets and all other processes end first, so that other nodes hear how each has ended;
	// then the node says goodbye, and only then the server ends that carries all of it.
	return supervisor.Run(ctx, supervisor.Config{Name: o.node, Logger: log},
		supervisor.ChildSpec{ID: "nats", Service: nats},
		supervisor.ChildSpec{ID: "node", Service: node},
		supervisor.ChildSpec{ID: "actors", Service: sys},
		supervisor.ChildSpec{ID: "http", Service: supervisor.HTTP(server, listen), Shutdown: 10 * time.Second},
		supervisor.ChildSpec{ID: "sockets", Service: sockets},
	)
}
