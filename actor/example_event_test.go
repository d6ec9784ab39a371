package actor_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/troupe-dev/troupe/actor"
)

// worker fails when it is told to.
type worker struct{}

func (worker) Receive(_ context.Context, msg any) error {
	if msg == "fail" {
		return errors.New("no database")
	}
	return nil
}

// What fails in a System, as values.
func ExampleConfig_onEvent() {
	events := make(chan actor.Event, 16)
	sys, err := actor.NewSystem(actor.Config{
		Logger:  slog.New(slog.DiscardHandler),
		OnEvent: func(e actor.Event) { events <- e },
	})
	if err != nil {
		panic(err)
	}
	defer sys.Shutdown(context.Background())
	pid, err := sys.Spawn(context.Background(), worker{}, actor.SpawnOptions{Label: "worker"})
	if err != nil {
		panic(err)
	}
	pid.Send("fail")
	if e, ok := (<-events).(actor.Ended); ok {
		fmt.Println(e.Label, "has ended:", e.Reason)
	}
	pid.Send("are you there?")
	if e, ok := (<-events).(actor.Undelivered); ok {
		fmt.Println(e.Count, e.Type, "has reached nobody")
	}
	// Output:
	// worker has ended: no database
	// 1 string has reached nobody
}

// requestID is the key under which a ctx has the id of a request.
type requestID struct{}

// handles says for which request it handles a message.
type handles struct{}

func (handles) Receive(ctx context.Context, msg any) error {
	fmt.Println(msg, "for request", ctx.Value(requestID{}))
	actor.Reply(ctx, "done")
	return nil
}

// The id of a request goes along with messages, from the ctx of the sender to that of the callback.
func ExampleSend() {
	sys, err := actor.NewSystem(actor.Config{
		Logger: slog.New(slog.DiscardHandler),
		Carry:  func(ctx context.Context) any { return ctx.Value(requestID{}) },
		Fetch: func(ctx context.Context, carried any) context.Context {
			return context.WithValue(ctx, requestID{}, carried)
		},
	})
	if err != nil {
		panic(err)
	}
	defer sys.Shutdown(context.Background())
	pid, err := sys.Spawn(context.Background(), handles{}, actor.SpawnOptions{})
	if err != nil {
		panic(err)
	}
	ctx := context.WithValue(context.Background(), requestID{}, "r-17")
	actor.Send(ctx, pid, "sent")
	if _, err := actor.Call[string](ctx, pid, "called"); err != nil {
		panic(err)
	}
	// Output:
	// sent for request r-17
	// called for request r-17
}
