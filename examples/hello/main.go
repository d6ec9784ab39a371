package main

import (
	"context"
	_ "embed"
	"io"
	"log"
	"net/http"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/registry"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/websock"
)

type guest struct{ reg *registry.Registry } // one for each connection

func (g *guest) Init(ctx context.Context) websock.Result {
	g.reg.Join("lobby", actor.Self(ctx), nil) // until the connection ends, however it ends
	return websock.OK()
}

func (g *guest) HandleIn(ctx context.Context, msg websock.Message) websock.Result {
	g.reg.Broadcast("lobby", msg) // never waits for a slow client
	return websock.OK()
}

func (g *guest) HandleInfo(ctx context.Context, msg any) websock.Result { return websock.OK() }

//go:embed index.html
var page string

func routes(sockets *socket.Server) http.Handler {
	reg, mux := registry.New(sockets.System()), http.NewServeMux()
	mux.Handle("/ws", sockets.Handler(func(*http.Request) (websock.Handler, error) { return &guest{reg}, nil }))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, page) })
	return mux
}

func main() {
	sockets, err := socket.New(socket.Config{})
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Addr: "127.0.0.1:4000", Handler: routes(sockets),
		ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, IdleTimeout: time.Minute}
	log.Println("http://127.0.0.1:4000/")
	log.Fatal(server.ListenAndServe())
}
