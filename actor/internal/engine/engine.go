// Package engine is the part of protoactor-go that Troupe stands on: Props, Root.SpawnNamed, the Mailbox plug,
// MessageInvoker and the process registry, under Troupe's ids, and the address resolver.
//
// A process that nobody hosts is a proto root actor. Its mailbox is Troupe's, so proto's own stop, restart, watch, failure
// and dead-letter paths are never taken; what reaches one of them all the same is a bug and is reported to Config.Trespass.
//
// A process that has a host, such as a socket, is not entered: there are too many of them. Proto reaches it, and every
// other, by Config.Address; see [System.PID].
package engine

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"

	proto "github.com/asynkron/protoactor-go/actor"
)

// Process is what the engine needs to know of a process of package actor.
type Process interface {
	// Receive handles the message that the process itself holds, and returns the error that it ends with. It must not panic.
	Receive() error
	// Post takes a message that came by proto's own means.
	Post(msg any)
	// Len is the number of messages that wait.
	Len() int
	// Trespass is told of a proto path that was reached.
	Trespass(what string)
}

// Cell is the part of a process that belongs to the engine: proto's Mailbox, and the way through proto's message
// invocation. [System.Spawn] fills it.
type Cell struct {
	process Process
	invoker proto.MessageInvoker
	result  error // of Receive, while Invoke runs
}

// Invoke returns what the process's Receive returns, which it calls by way of proto, on the caller's goroutine.
func (c *Cell) Invoke() error {
	c.result = nil
	c.invoker.InvokeUserMessage(c)
	return c.result
}

// Config is what a System needs to know.
type Config struct {
	Trespass func(what string)               // is told of proto paths that were reached
	Find     func(num uint64) (Target, bool) // finds a living process
	Address  string                          // of all processes, hosted ones included
	Logger   *slog.Logger
}

// System is one proto ActorSystem. Making one starts no goroutine.
type System struct {
	proto    *proto.ActorSystem
	find     func(num uint64) (Target, bool)
	address  string
	spawners sync.Pool // of *spawner
	watches  watches
}

// spawner is a Props with the process that it is about to make: a Props is the only thing that goes through SpawnNamed to
// the mailbox. Spawners are reused: proto keeps the Props of every process, and a new one for each would cost more memory
// than the process.
type spawner struct {
	props *proto.Props
	cell  *Cell
}

func newSpawner() any {
	s := &spawner{}
	s.props = proto.PropsFromProducer(
		func() proto.Actor { return shell{} },
		proto.WithMailbox(func() proto.Mailbox { return (*mailbox)(s.cell) }),
	)
	return s
}

// New makes a System.
func New(cfg Config) *System {
	s := &System{find: cfg.Find, address: cfg.Address}
	s.proto = proto.NewActorSystem(proto.WithLoggerFactory(func(*proto.ActorSystem) *slog.Logger {
		return slog.New(fromWarn{cfg.Logger.Handler()})
	}))
	s.proto.EventStream.Subscribe(func(event any) {
		if e, ok := event.(*proto.DeadLetterEvent); !ok || e.PID.Address != s.address {
			cfg.Trespass(fmt.Sprintf("%T", event))
		}
	})
	s.spawners.New = newSpawner
	r := s.proto.ProcessRegistry
	shrink(r)
	// To the front, since proto's remote says yes to every address; and now, since proto reads the list without a lock.
	r.RemoteHandlers = slices.Insert(r.RemoteHandlers, 0, s.resolve)
	return s
}

// buckets is how many the registry has, each of 32 maps with a lock.
const buckets = 16

// shrink takes all but that many of the 1,024 buckets out of the registry. All of them would be 65,000 objects for every
// garbage collection to look at, more than a small service has altogether, and 9 MB with use.
func shrink(r *proto.ProcessRegistryValue) {
	all := r.LocalPIDs.LocalPIDs
	r.LocalPIDs.LocalPIDs = slices.Clone(all[:buckets])
	for _, b := range all {
		if b.Count() == 0 {
			continue // without Items, which starts 33 goroutines
		}
		for id, p := range b.Items() { // proto's own: the event stream
			b.Remove(id)
			r.Add(p.(proto.Process), id)
		}
	}
}

// Spawn registers p, of which c is a part, under a num that must be new to this System.
func (s *System) Spawn(num uint64, p Process, c *Cell) error {
	c.process = p
	sp := s.spawners.Get().(*spawner)
	sp.cell = c
	_, err := s.proto.Root.SpawnNamed(sp.props, localID(num))
	sp.cell = nil
	s.spawners.Put(sp)
	if err != nil {
		return fmt.Errorf("actor: spawn: %w", err)
	}
	return nil
}

// Remove takes a process out of the registry. The process is garbage then; none of proto's stop messages is sent. The registry's
// own Remove would look it up a second time, to mark it dead for those who have kept a proto.PID, and nobody has one.
func (s *System) Remove(num uint64) {
	id := localID(num)
	s.proto.ProcessRegistry.LocalPIDs.GetBucket(id).Remove(id)
}

// Registered tells whether a process is in proto's registry.
func (s *System) Registered(num uint64) bool {
	_, ok := s.proto.ProcessRegistry.GetLocal(localID(num))
	return ok
}

// localID is the id of a process in the registry: a number, like none of proto's own.
func localID(num uint64) string { return strconv.FormatUint(num, 10) }

// shell is the proto actor of every process that nobody hosts. It has no state: the message is the Cell of the process.
type shell struct{}

func (shell) Receive(ctx proto.Context) {
	if c, ok := ctx.Message().(*Cell); ok {
		c.result = c.process.Receive()
	}
}

// mailbox connects proto's Mailbox plug with the process.
type mailbox Cell

func (m *mailbox) RegisterHandlers(invoker proto.MessageInvoker, _ proto.Dispatcher) {
	m.invoker = invoker
}

// PostSystemMessage ignores Started, with which proto greets every actor. Nothing else is ever sent.
func (m *mailbox) PostSystemMessage(msg any) {
	if _, ok := msg.(*proto.Started); !ok {
		m.process.Trespass(fmt.Sprintf("system message %T", msg))
	}
}

func (m *mailbox) PostUserMessage(msg any) { m.process.Post(proto.UnwrapEnvelopeMessage(msg)) }
func (m *mailbox) UserMessageCount() int   { return m.process.Len() }
func (m *mailbox) Start()                  {}

// fromWarn passes proto's warnings and errors on and drops the rest ("actor system started").
type fromWarn struct{ slog.Handler }

func (h fromWarn) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && h.Handler.Enabled(ctx, l)
}
func (h fromWarn) WithAttrs(attrs []slog.Attr) slog.Handler {
	return fromWarn{h.Handler.WithAttrs(attrs)}
}
func (h fromWarn) WithGroup(name string) slog.Handler { return fromWarn{h.Handler.WithGroup(name)} }
