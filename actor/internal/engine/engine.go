// Package engine is the part of protoactor-go that Troupe stands on: Props, SpawnNamed, the Mailbox plug, MessageInvoker
// and the process registry, under Troupe's ids, and the address resolver.
//
// A process that nobody hosts is a proto root actor. Its mailbox is Troupe's, so proto's own stop, restart, watch, failure
// and dead-letter paths are never taken; what reaches one of them all the same is a bug and is reported to Config.Trespass.
//
// A process that has a host, such as a socket, is not entered: there are too many of them. Proto reaches it, and every
// other, by Config.Address; see [System.PID].
//
// The ActorSystem is Troupe's own, made by [New], which nobody else can reach. Or it is one of the program's, by [Adopt],
// in which actors of the program live as well: there nothing that is not Troupe's is touched.
package engine

import (
	"context"
	"errors"
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
	// Len is the number of messages that wait.
	Len() int
	// Address is the engine of its System, and its number there.
	Address() (s *System, num uint64)
	// Trespass is told of a proto path that was reached.
	Trespass(what string)
	// Open is for [Middleware].
	Open
}

// Cell is the part of a process that belongs to the engine: proto's Mailbox, and the way through proto's message
// invocation. [System.Spawn] fills it.
type Cell struct {
	process Process
	invoker proto.MessageInvoker // proto's, or a *seen
	result  error                // of Receive, while Invoke runs
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
	// Away finds what reaches a process of another node, given the Address and the Id of its PID; false: nothing does.
	Away    func(address, id string) (Target, bool)
	Address string       // of all processes, hosted ones included; it begins with "troupe:" and has no slash
	Logger  *slog.Logger // of the ActorSystem, if that is Troupe's own
}

// System is one proto ActorSystem. Making one starts no goroutine.
type System struct {
	proto    *proto.ActorSystem
	root     *proto.RootContext // without the program's spawn middleware and guardian, which are for its own actors
	find     func(num uint64) (Target, bool)
	away     func(address, id string) (Target, bool)
	address  string
	prefix   string                             // of the ids of Troupe's processes in the registry
	answer   func(from *proto.PID, msg any) any // see Adopt; nil: the ActorSystem is Troupe's own
	spawners sync.Pool                          // of *spawner
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

func newSystem(as *proto.ActorSystem, cfg Config) *System {
	s := &System{proto: as, root: proto.NewRootContext(as, nil), find: cfg.Find, away: cfg.Away, address: cfg.Address}
	s.spawners.New = newSpawner
	return s
}

// New makes a System with an ActorSystem of its own.
func New(cfg Config) *System {
	as := proto.NewActorSystem(proto.WithLoggerFactory(func(*proto.ActorSystem) *slog.Logger {
		return slog.New(fromWarn{cfg.Logger.Handler()})
	}))
	as.EventStream.Subscribe(func(event any) {
		if e, ok := event.(*proto.DeadLetterEvent); !ok || e.PID.Address != cfg.Address {
			cfg.Trespass(fmt.Sprintf("%T", event))
		}
	})
	fewBuckets(as.ProcessRegistry)
	s := newSystem(as, cfg)
	s.resolveFirst()
	return s
}

// marker is the id in the registry of an ActorSystem by which a second System finds that there is one.
const marker = "troupe"

// Adopt makes a System in an ActorSystem of the program's own, in which nothing runs yet. Its registry is left as large as
// it is, its Logger and its EventStream are the program's, and processes have ids that no actor of the program has by
// accident. answer makes the message that a process gets when msg comes to an address of [System.AnswerPID].
func Adopt(as *proto.ActorSystem, cfg Config, answer func(from *proto.PID, msg any) any) (*System, error) {
	s := newSystem(as, cfg)
	s.prefix, s.answer = cfg.Address+"/", answer
	if _, ok := as.ProcessRegistry.Add(&reached{system: s}, marker); !ok {
		return nil, errors.New("the ActorSystem has a System already, or an actor named " + marker)
	}
	s.resolveFirst()
	return s, nil
}

// resolveFirst puts the address resolver in front of all others, since proto's remote says yes to every address; and now,
// before anything runs, since proto reads the list without a lock.
func (s *System) resolveFirst() {
	r := s.proto.ProcessRegistry
	r.RemoteHandlers = slices.Insert(r.RemoteHandlers, 0, s.resolve)
}

// buckets is how many the registry has, each of 32 maps with a lock.
const buckets = 16

// fewBuckets takes all but that many of the 1,024 buckets out of the registry. All of them would be 65,000 objects for every
// garbage collection to look at, more than a small service has altogether, and 9 MB with use.
func fewBuckets(r *proto.ProcessRegistryValue) {
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

// Adopted tells whether the ActorSystem is the program's.
func (s *System) Adopted() bool { return s.answer != nil }

// Spawn registers p, of which c is a part, under a num that must be new to this System.
func (s *System) Spawn(num uint64, p Process, c *Cell) error {
	c.process = p
	if seen, ok := c.invoker.(*seen); ok {
		return seen.middleware.spawn(s, num, c)
	}
	sp := s.spawners.Get().(*spawner)
	sp.cell = c
	err := s.spawn(sp.props, num)
	sp.cell = nil
	s.spawners.Put(sp)
	return err
}

func (s *System) spawn(props *proto.Props, num uint64) error {
	if _, err := s.root.SpawnNamed(props, s.id(num)); err != nil {
		return fmt.Errorf("actor: spawn: %w", err)
	}
	return nil
}

// Remove takes a process out of the registry. The process is garbage then; none of proto's stop messages is sent. The
// registry's own Remove would look it up a second time, to mark it dead for those who have kept a proto.PID; but those find
// that by its mailbox.
func (s *System) Remove(num uint64) {
	id := s.id(num)
	s.proto.ProcessRegistry.LocalPIDs.GetBucket(id).Remove(id)
}

// Registered tells whether a process is in proto's registry.
func (s *System) Registered(num uint64) bool {
	_, ok := s.proto.ProcessRegistry.GetLocal(s.id(num))
	return ok
}

// id is the id of a process in the registry: in Troupe's own a number, like none of proto's.
func (s *System) id(num uint64) string { return s.prefix + strconv.FormatUint(num, 10) }

// shell is the proto actor of every process that nobody hosts. It has no state: the message is the Cell of the process.
type shell struct{}

func (shell) Receive(ctx proto.Context) {
	if c, ok := ctx.Message().(*Cell); ok {
		c.result = c.process.Receive()
	}
}

// mailbox connects proto's Mailbox plug with the process. What comes here was sent to the process's entry in the registry,
// and goes the way of what is sent to its address.
type mailbox Cell

func (m *mailbox) RegisterHandlers(invoker proto.MessageInvoker, _ proto.Dispatcher) {
	if s, ok := m.invoker.(*seen); ok {
		s.MessageInvoker = invoker
		return
	}
	m.invoker = invoker
}

// PostSystemMessage ignores Started, with which proto greets every actor. What proto sends when an actor fails never comes.
func (m *mailbox) PostSystemMessage(msg any) {
	switch msg.(type) {
	case *proto.Started:
		return
	case *proto.Stop, *proto.Watch, *proto.Unwatch:
	default:
		m.process.Trespass(fmt.Sprintf("system message %T", msg))
	}
	r := m.reached()
	r.SendSystemMessage(r.system.entry(r.num), msg)
}

func (m *mailbox) PostUserMessage(msg any) {
	r := m.reached()
	r.SendUserMessage(r.system.entry(r.num), msg)
}

func (m *mailbox) reached() *reached {
	s, num := m.process.Address()
	return &reached{system: s, subject: subject{num: num}}
}

func (m *mailbox) UserMessageCount() int { return m.process.Len() }
func (m *mailbox) Start()                {}

// entry is the address of a process's entry in the registry.
func (s *System) entry(num uint64) *proto.PID { return s.proto.NewLocalPID(s.id(num)) }

// fromWarn passes proto's warnings and errors on and drops the rest ("actor system started").
type fromWarn struct{ slog.Handler }

func (h fromWarn) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && h.Handler.Enabled(ctx, l)
}
func (h fromWarn) WithAttrs(attrs []slog.Attr) slog.Handler {
	return fromWarn{h.Handler.WithAttrs(attrs)}
}
func (h fromWarn) WithGroup(name string) slog.Handler { return fromWarn{h.Handler.WithGroup(name)} }
