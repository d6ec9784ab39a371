package actor_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/exit"
)

// room is an actor: its fields are its state.
type room struct{ members []string }

type join struct{ name string }
type list struct{}

var errFull = errors.New("the room is full")

func (r *room) Receive(ctx context.Context, msg any) error {
	switch m := msg.(type) {
	case join:
		if len(r.members) == 2 {
			actor.Reply(ctx, errFull) // a refused request is a Reply; an error that is returned ends the process
			return nil
		}
		r.members = append(r.members, m.name)
		if !actor.Reply(ctx, nil) { // the caller has given up, and does not know that it has joined
			r.members = r.members[:len(r.members)-1]
		}
	case list:
		actor.Reply(ctx, r.members)
	}
	return nil
}

func Example() {
	ctx := context.Background()
	sys, err := actor.NewSystem(actor.Config{})
	if err != nil {
		panic(err)
	}
	defer sys.Shutdown(ctx)

	pid, err := sys.Spawn(context.Background(), &room{}, actor.SpawnOptions{Label: "room 7"})
	if err != nil {
		panic(err)
	}
	for _, name := range []string{"ada", "grace", "alan"} {
		if _, err := actor.Call[any](ctx, pid, join{name}); err != nil {
			fmt.Println(name, "may not join:", err)
		}
	}
	members, err := actor.Call[[]string](ctx, pid, list{})
	fmt.Println(members, err)
	// Output:
	// alan may not join: the room is full
	// [ada grace] <nil>
}

// started is an actor with an Init that may fail, and a Terminate.
type started struct{ address string }

func (s *started) Init(context.Context) error {
	if s.address == "" {
		return errors.New("no address")
	}
	fmt.Println("connected to", s.address)
	return nil
}

func (s *started) Receive(context.Context, any) error { return nil }

func (s *started) Terminate(_ context.Context, reason error) { fmt.Println("disconnected:", reason) }

func ExampleSystem_Spawn() {
	sys, _ := actor.NewSystem(actor.Config{})
	_, err := sys.Spawn(context.Background(), &started{}, actor.SpawnOptions{})
	fmt.Println("error:", err)
	_, err = sys.Spawn(context.Background(), &started{"db:5432"}, actor.SpawnOptions{})
	fmt.Println("error:", err)
	sys.Shutdown(context.Background())
	// Output:
	// error: no address
	// connected to db:5432
	// error: <nil>
	// disconnected: shutdown
}

func ExampleSpawn() {
	sys, _ := actor.NewSystem(actor.Config{})
	defer sys.Shutdown(context.Background())
	told := make(chan string)
	parent, _ := sys.Spawn(context.Background(), receiveFunc(func(ctx context.Context, msg any) error {
		switch m := msg.(type) {
		case string:
			child, err := actor.Spawn(ctx, &room{}, actor.SpawnOptions{})
			if err != nil {
				return err
			}
			child.Exit(errors.New(m))
		case actor.Down:
			told <- fmt.Sprint("the child ended: ", m.Reason)
		}
		return nil
	}), actor.SpawnOptions{})
	parent.Send("out of order")
	fmt.Println(<-told)
	// Output: the child ended: out of order
}

func ExampleCall() {
	ctx := context.Background()
	sys, _ := actor.NewSystem(actor.Config{CallTimeout: 2 * time.Second})
	defer sys.Shutdown(ctx)
	double, _ := sys.Spawn(context.Background(), receiveFunc(func(ctx context.Context, msg any) error {
		if n, ok := msg.(int); ok {
			actor.Reply(ctx, 2*n)
		}
		return nil
	}), actor.SpawnOptions{})

	fmt.Println(actor.Call[int](ctx, double, 21))
	_, err := actor.Call[int](ctx, double, "not a number")
	fmt.Println(errors.Is(err, actor.ErrNoReply))
	double.Exit(actor.ErrKilled)
	_, err = actor.Call[int](ctx, double, 21)
	fmt.Println(errors.Is(err, actor.ErrNoProcess))
	// Output:
	// 42 <nil>
	// true
	// true
}

func ExampleCaller() {
	ctx := context.Background()
	sys, _ := actor.NewSystem(actor.Config{})
	defer sys.Shutdown(ctx)
	waiting := make(chan actor.From, 1)
	pid, _ := sys.Spawn(context.Background(), receiveFunc(func(ctx context.Context, _ any) error {
		from, _ := actor.Caller(ctx) // keeps the Call open after the callback
		waiting <- from
		return nil
	}), actor.SpawnOptions{})
	go func() {
		from := <-waiting
		from.Reply("answered later, by another goroutine")
	}()
	fmt.Println(actor.Call[string](ctx, pid, "please"))
	// Output: answered later, by another goroutine <nil>
}

// printer does nothing for a caller that has given up.
type printer struct{ pages []string }

func (p *printer) Receive(ctx context.Context, _ any) error {
	from, ok := actor.Caller(ctx)
	if !ok {
		return nil
	}
	for _, page := range p.pages {
		if !from.Waiting() {
			return nil
		}
		fmt.Println("printing", page)
	}
	from.Reply(len(p.pages))
	return nil
}

func ExampleFrom_Waiting() {
	sys, err := actor.NewSystem(actor.Config{})
	if err != nil {
		panic(err)
	}
	defer sys.Shutdown(context.Background())
	pid, err := sys.Spawn(context.Background(), &printer{[]string{"one", "two"}}, actor.SpawnOptions{})
	if err != nil {
		panic(err)
	}
	n, err := actor.Call[int](context.Background(), pid, "print")
	fmt.Println(n, err)
	// Output:
	// printing one
	// printing two
	// 2 <nil>
}

func ExampleMonitor() {
	sys, _ := actor.NewSystem(actor.Config{})
	defer sys.Shutdown(context.Background())
	target, _ := sys.Spawn(context.Background(), &room{}, actor.SpawnOptions{})
	told := make(chan string)
	watcher, _ := sys.Spawn(context.Background(), receiveFunc(func(ctx context.Context, msg any) error {
		switch m := msg.(type) {
		case actor.PID:
			actor.Monitor(ctx, m)
			m.Exit(errors.New("closed for the night"))
		case actor.Down:
			told <- fmt.Sprint(m.PID == target, " ", m.Reason)
		}
		return nil
	}), actor.SpawnOptions{})
	watcher.Send(target)
	fmt.Println(<-told)
	// Output: true closed for the night
}

func ExampleSendAfter() {
	sys, _ := actor.NewSystem(actor.Config{})
	defer sys.Shutdown(context.Background())
	told := make(chan any)
	pid, _ := sys.Spawn(context.Background(), receiveFunc(func(ctx context.Context, msg any) error {
		if msg == "start" {
			actor.SendAfter(ctx, time.Millisecond, "time is up")
			actor.SendAfter(ctx, time.Hour, "never").Stop()
			return nil
		}
		told <- msg
		return nil
	}), actor.SpawnOptions{})
	pid.Send("start")
	fmt.Println(<-told)
	// Output: time is up
}

func ExampleAsync() {
	sys, _ := actor.NewSystem(actor.Config{})
	defer sys.Shutdown(context.Background())
	told := make(chan string)
	pid, _ := sys.Spawn(context.Background(), receiveFunc(func(ctx context.Context, msg any) error {
		switch m := msg.(type) {
		case string:
			actor.Async(ctx, func(context.Context) (int, error) { return len(m), nil }) // a slow query, say
		case actor.Done[int]:
			told <- fmt.Sprint(m.Value, " ", m.Err)
		}
		return nil
	}), actor.SpawnOptions{})
	pid.Send("hello")
	fmt.Println(<-told)
	// Output: 5 <nil>
}

func ExamplePID_Exit() {
	ctx := context.Background()
	sys, _ := actor.NewSystem(actor.Config{})
	defer sys.Shutdown(ctx)
	pid, _ := sys.Spawn(context.Background(), &started{"db:5432"}, actor.SpawnOptions{})
	pid.Exit(actor.ErrNormal) // takes its place in the mailbox
	actor.Wait(ctx, pid)
	fmt.Println(pid.Alive(), pid.Send("too late"))
	// Output:
	// connected to db:5432
	// disconnected: normal
	// false false
}

// desk is a table of one's own that never shows a process that has ended.
type desk struct {
	mu     sync.Mutex
	agents map[actor.PID]string
}

func (d *desk) enter(pid actor.PID, name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, ok := pid.OnExit(func(error) {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.agents, pid)
	})
	if ok { // else it has ended, and nothing would take it out
		d.agents[pid] = name
	}
}

func ExamplePID_OnExit() {
	ctx := context.Background()
	sys, _ := actor.NewSystem(actor.Config{})
	defer sys.Shutdown(ctx)
	pid, _ := sys.Spawn(ctx, &room{}, actor.SpawnOptions{})
	d := &desk{agents: make(map[actor.PID]string)}
	d.enter(pid, "ada")
	fmt.Println(len(d.agents))
	pid.Exit(actor.ErrNormal)
	actor.Wait(ctx, pid) // whoever waits, or has a Monitor, finds it taken out
	fmt.Println(len(d.agents))
	d.enter(pid, "ada")
	fmt.Println(len(d.agents))
	// Output:
	// 1
	// 0
	// 0
}

func ExampleSystem_Owns() {
	ctx := context.Background()
	sys, _ := actor.NewSystem(actor.Config{Node: "eu-1"})
	defer sys.Shutdown(ctx)
	pid, _ := sys.Spawn(ctx, &room{}, actor.SpawnOptions{})
	before, _ := sys.ParsePID("1.0123456789abcdef@eu-1") // of the same node, before its last restart
	fmt.Println(sys.Owns(pid), sys.Owns(before), sys.Owns(actor.PID{}))
	pid.Exit(actor.ErrKilled)
	fmt.Println(sys.Owns(pid)) // dead or alive
	// Output:
	// true false false
	// true
}

func ExampleSystem_ParsePID() {
	sys, _ := actor.NewSystem(actor.Config{Node: "eu-1"})
	defer sys.Shutdown(context.Background())
	pid, _ := sys.Spawn(context.Background(), &room{}, actor.SpawnOptions{})

	text := pid.String() // keep this in a database
	again, err := sys.ParsePID(text)
	fmt.Println(again == pid, err)

	old, err := sys.ParsePID("1.0123456789abcdef@eu-1") // kept before the last restart
	fmt.Println(old.Send("hi"), err)
	_, err = sys.ParsePID("1")
	fmt.Println(err)
	// Output:
	// true <nil>
	// false <nil>
	// actor: malformed PID "1": no @
}

func ExampleSystem_Shutdown() {
	sys, _ := actor.NewSystem(actor.Config{})
	sys.Spawn(context.Background(), &started{"db:5432"}, actor.SpawnOptions{Shutdown: time.Second})

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	fmt.Println(sys.Shutdown(ctx))
	_, err := sys.Spawn(context.Background(), &room{}, actor.SpawnOptions{})
	fmt.Println(errors.Is(err, actor.ErrShutdown))
	// Output:
	// connected to db:5432
	// disconnected: shutdown
	// <nil>
	// true
}

// The numbers of a System. What has ended is counted by the kind of its exit reason: only abnormal ends are alarms.
func ExampleSystem_Stats() {
	sys, err := actor.NewSystem(actor.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		panic(err)
	}
	defer sys.Shutdown(context.Background())
	for _, reason := range []error{actor.ErrNormal, errors.New("disk full")} {
		pid, _ := sys.Spawn(context.Background(), &room{}, actor.SpawnOptions{})
		pid.Exit(reason)
		actor.Wait(context.Background(), pid)
	}
	st := sys.Stats()
	fmt.Println(st.Spawned, "spawned,", st.Processes, "live,", st.Ended[exit.Abnormal], "failed")
	// Output: 2 spawned, 0 live, 1 failed
}

// What has failed is kept for a while, for whoever looks later.
func ExampleSystem_LastExits() {
	sys, err := actor.NewSystem(actor.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		panic(err)
	}
	defer sys.Shutdown(context.Background())
	pid, _ := sys.Spawn(context.Background(), &room{}, actor.SpawnOptions{Label: "room 7"})
	pid.Exit(errors.New("disk full"))
	actor.Wait(context.Background(), pid)
	for _, e := range sys.LastExits() {
		fmt.Println(e.Label, e.Actor, e.Reason)
	}
	// Output: room 7 *actor_test.room disk full
}

// A producer that is faster than the receiver goes on at the receiver's pace. In a socket that is the client's.
func ExampleSendWait() {
	ctx := context.Background()
	sys, err := actor.NewSystem(actor.Config{})
	if err != nil {
		panic(err)
	}
	defer sys.Shutdown(ctx)

	lines := &slowPrinter{done: make(chan struct{})}
	pid, err := sys.Spawn(ctx, lines, actor.SpawnOptions{MailboxLimit: 2})
	if err != nil {
		panic(err)
	}
	for _, line := range []string{"one", "two", "three", "four", ""} {
		if err := actor.SendWait(ctx, pid, line); err != nil { // Send would say false soon
			fmt.Println(err)
		}
	}
	<-lines.done
	// Output:
	// one
	// two
	// three
	// four
}

// slowPrinter prints what it gets, slowly, until it gets nothing.
type slowPrinter struct{ done chan struct{} }

func (p *slowPrinter) Receive(_ context.Context, msg any) error {
	time.Sleep(time.Millisecond)
	if msg == "" {
		close(p.done)
	} else {
		fmt.Println(msg)
	}
	return nil
}
