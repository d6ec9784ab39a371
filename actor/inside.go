package actor

import (
	"context"
	"log/slog"

	"github.com/troupe-dev/troupe/actor/internal/hook"
	"github.com/troupe-dev/troupe/actor/internal/report"
)

// Inside is for package host. Nobody else can make a hook.Key.
func (s *System) Inside(hook.Key) inside { return inside{s} }

// Inside is for package host. It is the process that p names, or nil. Nobody else can make a hook.Key.
func (p PID) Inside(hook.Key) *process { return p.find() }

// inside is a System as package host sees it.
type inside struct{ s *System }

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
func (i inside) Spawn(a Actor, h hosting, o *hook.Options, so SpawnOptions) (*process, PID, error) {
	p := &process{}
	p.init(i.s, a, &so, nil)
	p.host, p.hosted, p.options = h, true, o
	p.flushes = o != nil && o.FlushesItself
	if err := i.s.add(p); err != nil {
		return nil, PID{}, err
	}
	return p, p.pid(), nil
}

// Log is host.LogOf.
func (i inside) Log() *report.Log { return i.s.log }

// Reopen is host.Reopen.
func (i inside) Reopen(ctx context.Context) error { return i.s.reopen(ctx) }
