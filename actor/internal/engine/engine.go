// Package engine is the part of protoactor-go that Troupe stands on: Props, Root.SpawnNamed, the Mailbox plug,
// MessageInvoker and the process registry, under Troupe's ids.
//
// Messages of a process that has a host, such as a socket, do not come by the MessageInvoker; all others do.
//
// Every process is a proto root actor. Its mailbox is Troupe's, so proto's own stop, restart, watch, failure and
// dead-letter paths are never taken; what reaches one of them all the same is a bug and is reported to Config.Trespass.
package engine

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
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

// Config says whom a System tells of proto paths that were reached.
type Config struct {
	Trespass func(what string)
	Logger   *slog.Logger
}

// System is one proto ActorSystem. Making one starts no goroutine.
type System struct {
	proto    *proto.ActorSystem
	spawners sync.Pool // of *spawner
}

// spawner is a Props with the process that it is about to make: a Props is the only thing that goes through SpawnNamed to
// the mailbox. It stays behind as the Props of all that it has made, so a new one for each would cost more than the
// process.
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
	s := &System{}
	s.proto = proto.NewActorSystem(proto.WithLoggerFactory(func(*proto.ActorSystem) *slog.Logger {
		return slog.New(fromWarn{cfg.Logger.Handler()})
	}))
	s.proto.EventStream.Subscribe(func(event any) { cfg.Trespass(fmt.Sprintf("%T", event)) })
	s.spawners.New = newSpawner
	shrink(s.proto.ProcessRegistry)
	return s
}

// buckets is how many the registry has, each of 32 maps with a lock.
const buckets = 16

// shrink leaves so many of the registry's 1,024 buckets. All of them would be 65,000 objects for every garbage collection
// to look at, more than a small service has altogether, and 9 MB with use.
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

// Spawn registers p, whose part c is, under id, which must be new to this System.
func (s *System) Spawn(id string, p Process, c *Cell) error {
	c.process = p
	sp := s.spawners.Get().(*spawner)
	sp.cell = c
	_, err := s.proto.Root.SpawnNamed(sp.props, id)
	sp.cell = nil
	s.spawners.Put(sp)
	if err != nil {
		return fmt.Errorf("actor: spawn: %w", err)
	}
	return nil
}

// Remove takes id out of the registry. The process is garbage then; none of proto's stop messages is sent. The registry's
// own Remove would look it up a second time, to mark it dead for those who have kept a proto.PID, and nobody has one.
func (s *System) Remove(id string) { s.proto.ProcessRegistry.LocalPIDs.GetBucket(id).Remove(id) }

// Registered tells whether id is in proto's registry.
func (s *System) Registered(id string) bool {
	_, ok := s.proto.ProcessRegistry.GetLocal(id)
	return ok
}

// shell is the proto actor of every process. It has no state: the process travels in the message.
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

// fromWarn passes proto's warnings and errors and drops its chatter ("actor system started").
type fromWarn struct{ slog.Handler }

func (h fromWarn) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && h.Handler.Enabled(ctx, l)
}
func (h fromWarn) WithAttrs(attrs []slog.Attr) slog.Handler {
	return fromWarn{h.Handler.WithAttrs(attrs)}
}
func (h fromWarn) WithGroup(name string) slog.Handler { return fromWarn{h.Handler.WithGroup(name)} }
