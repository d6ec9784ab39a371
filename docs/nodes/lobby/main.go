package main

import (
	"context"
	_ "embed"
	"flag"
	"log"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/actor/cluster/natsengine/embedded"
	"github.com/troupe-dev/troupe/registry"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/supervisor"
)

//go:embed index.html
var page []byte

func main() {
	if err := run(os.Args[1:]); err != nil {
		log.Fatal(err)
	}
}

func run(args []string) error {
	flags := flag.NewFlagSet("lobby", flag.ContinueOnError)
	name := flags.String("name", "", "of this node")
	addr := flags.String("addr", "127.0.0.1:4000", "for browsers")
	listen := flags.String("listen", "127.0.0.1:0", "for other nodes")
	routes := flags.String("routes", "", "where other nodes listen, with commas between")
	front := flags.String("front", "", "be no node, and pass browsers on to the nodes at these addresses")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *front != "" {
		log.Print("http://", *addr, "/")
		return supervisor.Run(context.Background(), supervisor.Config{Name: "front"},
			supervisor.ChildSpec{ID: "http", Service: supervisor.HTTP(newServer(*addr, newFront(list(*front))), nil), Shutdown: time.Second},
		)
	}

	nats, err := embedded.Start(embedded.Config{Listen: *listen, Routes: list(*routes)})
	if err != nil {
		return err
	}
	sys, err := actor.NewSystem(actor.Config{Node: *name, CallTimeout: 15 * time.Second})
	if err != nil {
		return err
	}
	node, err := cluster.New(sys, cluster.Config{Name: "lobby", Engine: nats.Engine(), Types: types()})
	if err != nil {
		return err
	}
	reg, err := registry.NewCluster(node, registry.Config{})
	if err != nil {
		return err
	}
	rooms, err := supervisor.NewDynamic(supervisor.DynamicConfig{Name: "rooms"})
	if err != nil {
		return err
	}
	sockets, err := socket.New(socket.Config{
		System:         sys,
		MaxMessageSize: 4000,
		Drain:          socket.Drain{ComeBack: 3 * time.Second},
	})
	if err != nil {
		return err
	}

	mux := http.NewServeMux()
	mux.Handle("GET /ws", sockets.Handler(newMember(reg, rooms, sys)))
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Write(page)
	})

	log.Printf("%s: http://%s/, process %d, other nodes connect at %s", *name, *addr, os.Getpid(), nats.Addr())
	return supervisor.Run(context.Background(), supervisor.Config{Name: *name},
		supervisor.ChildSpec{ID: "system", Service: sys},
		supervisor.ChildSpec{ID: "nats", Service: nats},
		supervisor.ChildSpec{ID: "node", Service: node},
		supervisor.ChildSpec{ID: "rooms", Service: rooms},
		supervisor.ChildSpec{ID: "http", Service: supervisor.HTTP(newServer(*addr, mux), nil), Shutdown: 5 * time.Second},
		supervisor.ChildSpec{ID: "sockets", Service: sockets},
	)
}

func newServer(addr string, h http.Handler) *http.Server {
	return &http.Server{
		Addr:              addr,
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		IdleTimeout:       time.Minute,
	}
}

func list(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' })
}
