package proto_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"time"

	protoactor "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/proto"
	"github.com/troupe-dev/troupe/registry"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/websock"
)

func newExample() (*protoactor.ActorSystem, *actor.System) {
	system := protoactor.NewActorSystem(
		protoactor.WithLoggerFactory(func(*protoactor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }),
		protoactor.WithDeadLetterRequestLogging(false), // to log a dead letter, protoactor starts a goroutine
	)
	sys, err := proto.NewSystem(system, actor.Config{})
	if err != nil {
		log.Fatal(err)
	}
	return system, sys
}

// receives is an actor of Troupe's.
type receives func(ctx context.Context, msg any)

func (f receives) Receive(ctx context.Context, msg any) error { f(ctx, msg); return nil }

// printing is one that prints what it gets.
var printing = receives(func(_ context.Context, msg any) { fmt.Println(msg) })

// inProcess runs f in a process of its own.
func inProcess(sys *actor.System, f func(ctx context.Context)) {
	over := make(chan struct{})
	pid, err := sys.Spawn(context.Background(), receives(func(ctx context.Context, _ any) { f(ctx); close(over) }), actor.SpawnOptions{})
	if err != nil {
		log.Fatal(err)
	}
	pid.Send("begin")
	<-over
}

type parrot struct{}

func (parrot) Init(context.Context) websock.Result { return websock.OK() }
func (parrot) HandleIn(_ context.Context, msg websock.Message) websock.Result {
	return websock.Push(msg)
}
func (parrot) HandleInfo(context.Context, any) websock.Result { return websock.OK() }

// The program has an ActorSystem, and sockets live in it.
func ExampleNewSystem() {
	system := protoactor.NewActorSystem()
	sys, err := proto.NewSystem(system, actor.Config{}) // before the first actor
	if err != nil {
		log.Fatal(err)
	}
	sockets, err := socket.New(socket.Config{System: sys})
	if err != nil {
		log.Fatal(err)
	}
	http.Handle("/ws", sockets.Handler(func(*http.Request) (websock.Handler, error) { return parrot{}, nil }))
	// ...
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	fmt.Println(sockets.Shutdown(ctx), sys.Shutdown(ctx)) // and then the actors
	// Output: <nil> <nil>
}

// An actor sends to a process, and watches it. For a socket it is the same.
func ExamplePID() {
	system, sys := newExample()
	defer sys.Shutdown(context.Background())
	room, err := sys.Spawn(context.Background(), printing, actor.SpawnOptions{})
	if err != nil {
		log.Fatal(err)
	}
	over := make(chan struct{})
	system.Root.Spawn(protoactor.PropsFromFunc(func(ctx protoactor.Context) {
		switch ctx.Message().(type) {
		case *protoactor.Started:
			ctx.Watch(proto.PID(room))
			ctx.Send(proto.PID(room), "hello")
			ctx.Stop(proto.PID(room)) // after the hello
		case *protoactor.Terminated:
			fmt.Println("terminated")
			close(over)
		}
	}))
	<-over
	// Output:
	// hello
	// terminated
}

// A Terminated says who, in protoactor's words.
func ExampleActorPID() {
	system, sys := newExample()
	defer sys.Shutdown(context.Background())
	room, err := sys.Spawn(context.Background(), printing, actor.SpawnOptions{})
	if err != nil {
		log.Fatal(err)
	}
	over := make(chan struct{})
	system.Root.Spawn(protoactor.PropsFromFunc(func(ctx protoactor.Context) {
		switch m := ctx.Message().(type) {
		case *protoactor.Started:
			ctx.Watch(proto.PID(room))
			room.Exit(actor.ErrNormal)
		case *protoactor.Terminated:
			p, ok := proto.ActorPID(sys, m.Who)
			fmt.Println(p == room, ok)
			close(over)
		}
	}))
	<-over
	// Output: true true
}

// A handler tells an actor what its client has sent.
func ExampleSend() {
	// audit is an actor of the program's.
	handle := func(ctx context.Context, audit *protoactor.PID, msg websock.Message) websock.Result {
		proto.Send(ctx, audit, string(msg.Data))
		return websock.OK()
	}
	system, sys := newExample()
	defer sys.Shutdown(context.Background())
	got := make(chan string)
	audit := system.Root.Spawn(protoactor.PropsFromFunc(func(ctx protoactor.Context) {
		if s, ok := ctx.Message().(string); ok {
			got <- s
		}
	}))
	inProcess(sys, func(ctx context.Context) { handle(ctx, audit, websock.Text("hello")) })
	fmt.Println(<-got)
	// Output: hello
}

// A process asks an actor, and does not wait: the answer comes as a message.
func ExampleRequest() {
	system, sys := newExample()
	defer sys.Shutdown(context.Background())
	stock := system.Root.Spawn(protoactor.PropsFromFunc(func(ctx protoactor.Context) {
		if what, ok := ctx.Message().(string); ok {
			ctx.Respond("7 " + what)
		}
	}))
	over := make(chan struct{})
	asking, err := sys.Spawn(context.Background(), receives(func(ctx context.Context, msg any) {
		switch m := msg.(type) {
		case string:
			proto.Request(ctx, stock, m)
		case proto.Answer:
			fmt.Println(m.Value, m.From.Equal(stock))
			close(over)
		}
	}), actor.SpawnOptions{})
	if err != nil {
		log.Fatal(err)
	}
	asking.Send("apples")
	<-over
	// Output: 7 apples true
}

// Whoever asks an actor that is gone is told so.
func ExampleAnswer() {
	system, sys := newExample()
	defer sys.Shutdown(context.Background())
	over := make(chan struct{})
	asking, err := sys.Spawn(context.Background(), receives(func(ctx context.Context, msg any) {
		answer, ok := msg.(proto.Answer)
		if !ok {
			proto.Request(ctx, system.NewLocalPID("nobody"), msg)
			return
		}
		fmt.Println(answer.Value, errors.Is(answer.Err, actor.ErrNoProcess))
		close(over)
	}), actor.SpawnOptions{})
	if err != nil {
		log.Fatal(err)
	}
	asking.Send("apples")
	<-over
	// Output: <nil> true
}

// A process asks an actor and waits. What takes long belongs into an actor.Async.
func ExampleCall() {
	system, sys := newExample()
	defer sys.Shutdown(context.Background())
	double := system.Root.Spawn(protoactor.PropsFromFunc(func(ctx protoactor.Context) {
		if n, ok := ctx.Message().(int); ok {
			ctx.Respond(2 * n)
		}
	}))
	inProcess(sys, func(ctx context.Context) {
		n, err := proto.Call[int](ctx, double, 21)
		fmt.Println(n, err)
	})
	// Output: 42 <nil>
}

// A room remembers which actors have asked.
func ExampleSender() {
	system, sys := newExample()
	defer sys.Shutdown(context.Background())
	room, err := sys.Spawn(context.Background(), receives(func(ctx context.Context, _ any) {
		proto.Send(ctx, proto.Sender(ctx), "news, later")
		actor.Reply(ctx, "welcome")
	}), actor.SpawnOptions{})
	if err != nil {
		log.Fatal(err)
	}
	got := make(chan string)
	system.Root.Spawn(protoactor.PropsFromFunc(func(ctx protoactor.Context) {
		switch m := ctx.Message().(type) {
		case *protoactor.Started:
			ctx.Request(proto.PID(room), "join")
		case string:
			got <- m
		}
	}))
	fmt.Println(<-got)
	fmt.Println(<-got)
	// Output:
	// news, later
	// welcome
}

// An actor of protoactor's gets a name, and is monitored.
func ExampleProxy() {
	system, sys := newExample()
	defer sys.Shutdown(context.Background())
	stock := system.Root.Spawn(protoactor.PropsFromFunc(func(ctx protoactor.Context) {
		if what, ok := ctx.Message().(string); ok {
			ctx.Respond("7 " + what)
		}
	}))
	proxy, err := proto.Proxy(sys, stock)
	if err != nil {
		log.Fatal(err)
	}
	reg := registry.New(sys)
	if err := reg.Register("stock", proxy, nil); err != nil {
		log.Fatal(err)
	}
	p, _, _ := reg.Whereis("stock")
	answer, err := actor.Call[string](context.Background(), p, "apples")
	fmt.Println(answer, err)

	over := make(chan struct{})
	watching, err := sys.Spawn(context.Background(), receives(func(ctx context.Context, msg any) {
		switch m := msg.(type) {
		case string:
			actor.Monitor(ctx, p)
			system.Root.Stop(stock)
		case actor.Down:
			_, _, ok := reg.Whereis("stock")
			fmt.Println("down:", errors.Is(m.Reason, actor.ErrNormal), "still there:", ok)
			close(over)
		}
	}), actor.SpawnOptions{})
	if err != nil {
		log.Fatal(err)
	}
	watching.Send("begin")
	<-over
	// Output:
	// 7 apples <nil>
	// down: true still there: false
}

// Middleware of protoactor's sees the messages of rooms.
func ExampleWithReceiverMiddleware() {
	_, sys := newExample()
	logging := func(next protoactor.ReceiverFunc) protoactor.ReceiverFunc {
		return func(ctx protoactor.ReceiverContext, env *protoactor.MessageEnvelope) {
			fmt.Printf("before %v\n", env.Message)
			next(ctx, env)
			fmt.Printf("after %v\n", env.Message)
		}
	}
	o := proto.WithReceiverMiddleware(actor.SpawnOptions{Label: "room"}, logging)
	room, err := sys.Spawn(context.Background(), printing, o)
	if err != nil {
		log.Fatal(err)
	}
	room.Send("hello")
	if err := sys.Shutdown(context.Background()); err != nil { // after what was sent before
		log.Fatal(err)
	}
	// Output:
	// before hello
	// hello
	// after hello
}
