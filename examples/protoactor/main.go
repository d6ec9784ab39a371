// Protoactor is a program written with protoactor-go, an auction, that got sockets. docs/how-to/inside-a-protoactor-go-program.md
// tells how, step by step.
//
//	go run .
//
// Each client is a bidder: ws://127.0.0.1:4000/ws?name=ann.
package main

import (
	"context"
	"errors"
	"log"
	"net"
	"net/http"
	"time"

	protoactor "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/proto"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/supervisor"
)

func main() {
	if err := run(context.Background(), protoactor.NewActorSystem(), nil); err != nil {
		log.Fatal(err)
	}
}

// run serves until ctx is done or a signal comes. listen is that of supervisor.HTTP.
func run(ctx context.Context, system *protoactor.ActorSystem, listen func(context.Context) (net.Listener, error)) error {
	sys, err := proto.NewSystem(system, actor.Config{}) // before anything runs in system
	if err != nil {
		return err
	}
	auction := system.Root.Spawn(protoactor.PropsFromProducer(func() protoactor.Actor { return &auctioneer{} }))
	checks := system.Root.Spawn(newChecks(auction))
	proxy, err := proto.Proxy(sys, auction)
	if err != nil {
		return err
	}
	sockets, err := socket.New(socket.Config{System: sys})
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/ws", sockets.Handler(newBidder(checks, proxy)))
	server := &http.Server{Addr: "127.0.0.1:4000", Handler: mux,
		ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, IdleTimeout: time.Minute}
	err = supervisor.Run(ctx, supervisor.Config{Name: "auction"},
		supervisor.ChildSpec{ID: "system", Service: sys},
		supervisor.ChildSpec{ID: "http", Service: supervisor.HTTP(server, listen)},
		supervisor.ChildSpec{ID: "sockets", Service: sockets})
	return errors.Join(err, system.Root.PoisonFuture(checks).Wait(), system.Root.PoisonFuture(auction).Wait())
}
