package actor

import (
	"context"
	"log/slog"
	"time"
	"unique"

	"github.com/troupe-dev/troupe/actor/internal/engine"
	"github.com/troupe-dev/troupe/actor/internal/hook"
	"github.com/troupe-dev/troupe/actor/internal/report"
)

// Inside is for packages host and proto. Nobody else can make a hook.Key.
func (s *System) Inside(hook.Key) inside { return inside{s} }

// Inside is for package host. It is the process that p names, or nil. Nobody else can make a hook.Key.
func (p PID) Inside(hook.Key) *Process { return p.find() }

// Process is what a host.Port and a host.Ref point to. It is of no use to anybody else: its zero value is no process.
type Process = process

// ExitHook is that of package host. Its zero value is ready for host.Ref.OnExit.
type ExitHook = exitHook

// Inside is for package proto. Nobody else can make a hook.Key.
func (c Config) Inside(hook.Key) insideConfig { return insideConfig{c} }

// Inside is for package proto. Nobody else can make a hook.Key.
func (o SpawnOptions) Inside(_ hook.Key, m *engine.Middleware) SpawnOptions {
	o.middleware = m
	return o
}

// insideConfig is a Config as package proto sees it.
type insideConfig struct{ cfg Config }

// NewSystem is proto.NewSystem.
func (i insideConfig) NewSystem(newEngine func(engine.Config) (*engine.System, error)) (*System, error) {
	return newSystem(i.cfg, newEngine)
}

// inside is a System as packages host and proto see it.
type inside struct{ s *System }

// Engine is what package proto rests on.
func (i inside) Engine() *engine.System { return i.s.engine }

// Closed tells whether the System was shut down.
func (i inside) Closed() bool { return i.s.closed.Load() }

// hosting is host.Host without the Actor.
type hosting interface {
	TurnEnd(delivering bool)
	Overflow()
	Ending(reason error) (brief bool)
	Exited(info ProcessInfo, reason error)
	Gone()
	Scope() (values context.Context, attrs []slog.Attr)
}

// Spawn makes a process of which nothing runs yet; see host.Spawn.
func (i inside) Spawn(a Actor, h hosting, o *hook.Options, so SpawnOptions) (*Process, PID, error) {
	p := &process{}
	p.init(i.s, a, &so)
	p.host, p.hosted, p.options = h, true, o
	p.flushes = o != nil && o.FlushesItself
	if err := i.s.add(p); err != nil {
		return nil, PID{}, err
	}
	return p, p.pid(), nil
}

// OnEnding is host.OnEnding.
func (i inside) OnEnding(f func(p PID)) bool { return i.s.ending.CompareAndSwap(nil, &f) }

// Log is host.LogOf.
func (i inside) Log() *report.Log { return i.s.log }

// Reopen is host.Reopen.
func (i inside) Reopen(ctx context.Context) error { return i.s.reopen(ctx) }

// Attach is host.Attach.
func (i inside) Attach(r remote) error { return i.s.attach(r) }

// PIDOf is host.PIDOf. What is of this node costs no lookup of its name.
func (i inside) PIDOf(node string, boot, num uint64) PID {
	o := i.s.origin
	if boot != i.s.boot || node != o.Value().node {
		if err := checkNode(node); err != nil {
			return PID{}
		}
		o = unique.Make(origin{node: node, boot: boot})
	}
	if num == 0 {
		return PID{}
	}
	return PID{sys: i.s, origin: o, num: num}
}

// Identity is host.Identity.
func (i inside) Identity() (node string, boot uint64) { return i.s.origin.Value().node, i.s.boot }

// ValidNode is host.ValidNode.
func (inside) ValidNode(node string) bool { return checkNode(node) == nil }

// Parts is host.Parts.
func (inside) Parts(p PID) (node string, boot, num uint64) {
	if p == (PID{}) {
		return "", 0, 0
	}
	o := p.origin.Value()
	return o.node, o.boot, p.num
}

// Ask is host.Ask.
func (inside) Ask(to, from PID, req any, deadline time.Time, answer func(v any, err error)) (cancel func()) {
	return to.ask(from, req, deadline, answer)
}

// SendCarried is host.SendCarried.
func (inside) SendCarried(p PID, msg any, with string) bool {
	if p.sys == nil || p.sys.carry == nil {
		return p.Send(msg)
	}
	return p.sendCarried(msg, with)
}

// Kill is host.Kill.
func (inside) Kill(p PID, reason error) bool {
	pr := p.find()
	return pr != nil && pr.killSoon(reasonOf(reason))
}

// Watch is host.Watch.
func (inside) Watch(p PID, down func(reason error)) (cancel func()) { return p.watch(down) }
