package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/actor/cluster/natsengine"
	"github.com/troupe-dev/troupe/actor/cluster/natsengine/embedded"
	"github.com/troupe-dev/troupe/registry"
)

// hello tells a process whom to tell how many messages it has, after each so many.
type hello struct {
	From  actor.PID
	Every int
}

const (
	lobby = "lobby" // the topic in which a crowd is present
	marks = "marks"
)

// member is the process of one node with a registry.
type member struct {
	sys  *actor.System
	node *cluster.Node
	reg  *registry.Registry
	stop func() error // of the node, once it is served

	crowd   []actor.PID
	entered int // how many have entered
	people  people
	sender  *caster
}

// people watches the lobby, as whoever shows who is there does.
type people struct {
	present map[string][]registry.Meta
	counts  chan int // of present: the last one that nobody has taken
	diffs   atomic.Int64
}

func (p *people) Receive(_ context.Context, msg any) error {
	if diff, ok := msg.(registry.PresenceDiff); ok {
		diff.Apply(p.present)
		p.diffs.Add(1)
		select {
		case <-p.counts:
		default:
		}
		p.counts <- len(p.present)
	}
	return nil
}

// await waits until so many are present. It does not poll: that would cost more than all else while a node is not missed yet.
func (p *people) await(n int) error {
	late := time.After(patience / 2)
	for {
		select {
		case got := <-p.counts:
			if got == n {
				return nil
			}
		case <-late:
			return fmt.Errorf("it has not come to %d that are present", n)
		}
	}
}

// silentActor does nothing: it stands for a socket.
type silentActor struct{}

func (silentActor) Receive(context.Context, any) error { return nil }

// memberProcess is main of it.
func memberProcess(args []string, in io.Reader, out io.Writer) (err error) {
	flags := flag.NewFlagSet("member", flag.ContinueOnError)
	name := flags.String("name", "", "of the node")
	url := flags.String("url", "", "of a NATS server; empty: an embedded one")
	route := flags.String("route", "", "address of another embedded server")
	if err := flags.Parse(args); err != nil {
		return err
	}
	engine, addr, stop, err := memberEngine(*url, *route)
	if err != nil {
		return err
	}
	defer stop()
	m := &member{people: people{present: make(map[string][]registry.Meta), counts: make(chan int, 1)}}
	if m.sys, err = actor.NewSystem(actor.Config{Node: *name, Logger: silent}); err != nil {
		return err
	}
	types := &cluster.Types{}
	cluster.Register[hello](types, "hello")
	if m.node, err = cluster.New(m.sys, cluster.Config{Engine: engine, Types: types, Logger: silent}); err != nil {
		return err
	}
	if m.reg, err = registry.NewCluster(m.node, registry.Config{}); err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, m.sys.Shutdown(context.Background()))
		if m.stop != nil {
			err = errors.Join(err, m.stop())
		}
	}()
	if err := json.NewEncoder(out).Encode(map[string]string{"Addr": addr}); err != nil {
		return err
	}
	return obey(in, out, m.do)
}

func memberEngine(url, route string) (e cluster.Engine, addr string, stop func() error, err error) {
	if url != "" {
		e, err := natsengine.New(natsengine.Config{URL: url})
		return e, "", func() error { return nil }, err
	}
	cfg := embedded.Config{Listen: "127.0.0.1:0", Logger: silent}
	if route != "" {
		cfg.Routes = []string{route}
	}
	s, err := embedded.Start(cfg)
	if err != nil {
		return nil, "", nil, err
	}
	return s.Engine(), s.Addr(), serve(s.Serve), nil
}

// do carries out a command, and answers it.
func (m *member) do(c command) (any, error) {
	switch c.Do {
	case "serve":
		m.stop = serve(m.node.Serve)
		return true, nil
	case "linked":
		return true, await(func() bool { return len(slices.Collect(m.node.Peers())) == c.N })
	case "held":
		return settled(c.Settle), nil
	case "spawn":
		return true, m.spawn(c.N)
	case "names":
		return true, m.each(func(i int, pid actor.PID) error { return m.reg.Register(fmt.Sprint("user:", i), pid, nil) })
	case "groups":
		return true, m.each(func(i int, pid actor.PID) error { return m.reg.Join(fmt.Sprint("user:", i), pid, nil) })
	case "mark": // what was told before has come when this has; and of what a new node is told, it is the last
		return true, m.reg.Track(marks, m.crowd[0], c.To, nil)
	case "marked":
		return true, await(func() bool { return len(m.reg.PresentOf(marks, c.To)) > 0 })
	case "watch":
		pid, err := m.sys.Spawn(context.Background(), &m.people, actor.SpawnOptions{})
		if err != nil {
			return nil, err
		}
		return true, m.reg.Watch(lobby, pid)
	case "enter":
		return true, m.each(func(_ int, pid actor.PID) error { time.Sleep(c.Settle); return m.enter(pid) })
	case "diffs":
		return m.people.diffs.Load(), nil
	case "present":
		return true, m.people.await(c.N)
	case "heard":
		return m.heard(c.To), nil
	case "join":
		return m.join(c)
	case "cast":
		return m.cast(c)
	}
	return nil, fmt.Errorf("command %q", c.Do)
}

// spawn makes processes, in place of those of the last call, which stay.
func (m *member) spawn(n int) error {
	m.crowd = make([]actor.PID, n)
	for i := range m.crowd {
		var err error
		if m.crowd[i], err = m.sys.Spawn(context.Background(), silentActor{}, actor.SpawnOptions{}); err != nil {
			return err
		}
	}
	return nil
}

func (m *member) each(f func(i int, pid actor.PID) error) error {
	for i, pid := range m.crowd {
		if err := f(i, pid); err != nil {
			return err
		}
	}
	return nil
}

// enter is what the Init of a socket does: a group of its user, the group and the presence of a room.
func (m *member) enter(pid actor.PID) error {
	user := fmt.Sprint("user:", m.entered)
	m.entered++
	return errors.Join(m.reg.Join(user, pid, nil), m.reg.Join(lobby, pid, nil), m.reg.Track(lobby, pid, user, nil))
}

// traffic is what has come from a node, in this session.
type traffic struct{ Records, Bytes uint64 }

func (m *member) heard(from string) (t traffic) {
	for p := range m.node.Peers() {
		if p.Node == from {
			t = traffic{p.RecordsIn, p.BytesIn}
		}
	}
	return t
}

// await waits until f, which costs next to nothing, says true.
func await(f func() bool) error {
	for began := time.Now(); !f(); time.Sleep(time.Millisecond) {
		if time.Since(began) > patience/2 {
			return errors.New("what was waited for has not come")
		}
	}
	return nil
}

// settled is the memory in use, heap and stacks, when what was done before is over.
func settled(pause time.Duration) int64 {
	time.Sleep(pause)
	for range 3 {
		runtime.GC()
	}
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc + s.StackInuse)
}

// others are the PIDs in the text of a command.
func (m *member) others(text string) (pids []actor.PID, err error) {
	for _, one := range strings.Fields(text) {
		pid, err := m.sys.ParsePID(one)
		if err != nil {
			return nil, err
		}
		if err := await(pid.Alive); err != nil {
			return nil, err
		}
		pids = append(pids, pid)
	}
	return pids, nil
}
