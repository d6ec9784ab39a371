// Package engine is the part of protoactor-go that Troupe stands on: Props, Root.SpawnNamed, the Mailbox plug,
// MessageInvoker and the process registry, under Troupe's ids.
//
// Every process is a proto root actor. Its mailbox is Troupe's, so proto's own stop, restart, watch, failure and
// dead-letter paths are never taken; what reaches one of them all the same is a bug and is reported to Config.Trespass.
package engine

import (
	"context"
	"fmt"
	"log/slog"

	proto "github.com/asynkron/protoactor-go/actor"
)

// Process is what the engine needs to know of a process of package actor.
type Process interface {
	// Bind is called once, inside Spawn, before it returns.
	Bind(Invoker)
	// Receive handles the message that the process itself holds. It must not panic.
	Receive()
	// Post takes a message that came by proto's own means.
	Post(msg any)
	// Len is the number of messages that wait.
	Len() int
}

// Invoker carries a process through proto's message invocation to its Receive.
type Invoker struct{ proto proto.MessageInvoker }

// Invoke calls p.Receive by way of proto, on the caller's goroutine.
func (i Invoker) Invoke(p Process) { i.proto.InvokeUserMessage(p) }

// Config says how a System finds its processes and whom it tells of proto paths that were reached.
type Config struct {
	Find     func(id string) Process
	Trespass func(what string)
	Logger   *slog.Logger
}

// System is one proto ActorSystem. Making one starts no goroutine.
type System struct {
	proto *proto.ActorSystem
	props *proto.Props // shared by all: a Props of its own for each process would cost more than the process
}

// New makes a System.
func New(cfg Config) *System {
	s := &System{}
	s.proto = proto.NewActorSystem(proto.WithLoggerFactory(func(*proto.ActorSystem) *slog.Logger {
		return slog.New(fromWarn{cfg.Logger.Handler()})
	}))
	s.proto.EventStream.Subscribe(func(event any) { cfg.Trespass(fmt.Sprintf("%T", event)) })
	s.props = proto.PropsFromProducer(
		func() proto.Actor { return shell{} },
		proto.WithMailbox(func() proto.Mailbox { return &mailbox{cfg: &cfg} }),
	)
	return s
}

// Spawn registers a process under id, which must be new to this System, and binds it.
func (s *System) Spawn(id string) error {
	_, err := s.proto.Root.SpawnNamed(s.props, id)
	return err
}

// Remove takes id out of the registry. The process is garbage then; none of proto's stop messages is sent.
func (s *System) Remove(id string) {
	s.proto.ProcessRegistry.Remove(s.proto.NewLocalPID(id))
}

// Registered tells whether id is in proto's registry.
func (s *System) Registered(id string) bool {
	_, ok := s.proto.ProcessRegistry.GetLocal(id)
	return ok
}

// shell is the proto actor of every process. It has no state: the process travels in the message.
type shell struct{}

func (shell) Receive(ctx proto.Context) {
	if p, ok := ctx.Message().(Process); ok {
		p.Receive()
	}
}

// mailbox connects proto's Mailbox plug with the process of the same id.
type mailbox struct {
	cfg *Config
	p   Process
}

func (m *mailbox) RegisterHandlers(invoker proto.MessageInvoker, _ proto.Dispatcher) {
	// The invoker is proto's actor context, which knows its id before the mailbox gets its first message.
	m.p = m.cfg.Find(invoker.(interface{ Self() *proto.PID }).Self().Id)
	m.p.Bind(Invoker{invoker})
}

// PostSystemMessage ignores Started, with which proto greets every actor. Nothing else is ever sent.
func (m *mailbox) PostSystemMessage(msg any) {
	if _, ok := msg.(*proto.Started); !ok {
		m.cfg.Trespass(fmt.Sprintf("system message %T", msg))
	}
}

func (m *mailbox) PostUserMessage(msg any) { m.p.Post(proto.UnwrapEnvelopeMessage(msg)) }
func (m *mailbox) UserMessageCount() int   { return m.p.Len() }
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
