package actor

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"time"
)

const (
	// abandonedGrace is how long an abandoned goroutine has to return before it is reported. Most do: a write that ends
	// when its transport is closed, a callback that was about to return.
	abandonedGrace = 100 * time.Millisecond

	// The stack of another goroutine can only be had by taking all stacks, while the whole program stands still. So no
	// kill waits for a stack, and dumps are taken one at a time, only while there are no more goroutines than
	// maxStackGoroutines, and with stackInterval between two dumps.
	maxStackGoroutines = 1000
	stackInterval      = time.Second
	stackBytes         = 4 << 20
)

// reporter tells the Logger about goroutines that were abandoned with their processes. It runs on the goroutine of its
// timer, one report at a time, and only while there is something to report: whoever ends a process leaves a note and
// goes on. Shutdown reports the notes that are left itself, by reportNow.
type reporter struct {
	mu      sync.Mutex
	notes   []note // in the order in which they were left
	timer   *time.Timer
	running chan struct{} // closed when there is nothing more to report; nil: it does not run

	stack     sync.Mutex // held while a stack is taken
	lastStack int64      // by System.now: the end of the last dump; 0: none
}

// note is about one abandoned goroutine.
type note struct {
	p      *process
	turn   uint32 // which names the goroutine
	reason error
	at     int64 // by System.now
}

// abandon notes an abandoned goroutine.
func (s *System) abandon(n note) {
	r := &s.reporter
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notes = append(r.notes, n)
	if r.running != nil {
		return
	}
	r.running = make(chan struct{})
	if r.timer == nil {
		r.timer = time.AfterFunc(abandonedGrace, s.reportAbandoned)
	} else {
		r.timer.Reset(abandonedGrace)
	}
}

// reportAbandoned reports the notes that are due. The timer calls it again for the next one.
func (s *System) reportAbandoned() {
	for {
		n, ok := s.nextNote()
		if !ok {
			return
		}
		n.p.logAbandoned(n)
	}
}

func (s *System) nextNote() (n note, ok bool) {
	r := &s.reporter
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.notes) == 0 {
		close(r.running)
		r.running, r.notes = nil, nil
		return note{}, false
	}
	n = r.notes[0]
	if wait := n.at + int64(abandonedGrace) - s.now(); wait > 0 {
		r.timer.Reset(time.Duration(wait))
		return note{}, false
	}
	r.notes = r.notes[1:]
	return n, true
}

// reportNow reports all notes at once, without the grace. It is for Shutdown, after which the program may end. Goroutines
// that can return now, because their process has ended, get a chance to do so first.
func (s *System) reportNow() {
	for i := 0; i < 1000 && s.abandoned.Load() > 0; i++ {
		runtime.Gosched()
	}
	r := &s.reporter
	r.mu.Lock()
	notes, running := r.notes, r.running
	r.notes = nil
	if running != nil && r.timer.Stop() {
		close(running)
		r.running = nil
	}
	r.mu.Unlock()
	if running != nil {
		<-running
	}
	for _, n := range notes {
		n.p.logAbandoned(n)
	}
}

// logAbandoned reports an abandoned goroutine, if it still has not returned.
func (p *process) logAbandoned(n note) {
	p.mu.Lock()
	if !p.abandoned || p.turn != n.turn {
		p.mu.Unlock()
		return
	}
	handling, since := p.handling()
	label := p.label()
	p.mu.Unlock()
	stack := p.sys.stackOf(p, "Aside", "Receive", "receive", "conclude", "initialize", "run")
	p.sys.log.LogAttrs(context.Background(), slog.LevelError, "a callback does not return; its goroutine is abandoned",
		append(p.attrs(), slog.Any("exit_reason", n.reason), slog.String("handling", handling), slog.String("for", since.String()),
			slog.Int64("abandoned_goroutines", p.sys.abandoned.Load()), slog.String("stack", stack))...)
	if !p.hosted {
		p.sys.tell(Abandoned{PID: p.pid(), Label: label, Actor: p.actorType(), Handling: handling, For: since, Reason: n.reason, Stack: stack})
	} else if h, ok := p.host.(abandoner); ok {
		h.Abandoned(handling, since, stack)
	}
}

// abandoner is host.Abandoner.
type abandoner interface {
	Abandoned(handling string, d time.Duration, stack string)
}

// stackOf is the stack of the goroutine that is in one of these methods of p, or why it was not taken.
func (s *System) stackOf(p *process, methods ...string) string {
	r := &s.reporter
	r.stack.Lock()
	defer r.stack.Unlock()
	if n := runtime.NumGoroutine(); n > maxStackGoroutines {
		return fmt.Sprintf("not taken: %d goroutines run, above %d", n, maxStackGoroutines)
	}
	if r.lastStack != 0 && s.now()-r.lastStack < int64(stackInterval) {
		return fmt.Sprintf("not taken: another one was taken less than %v ago", stackInterval)
	}
	buf := make([]byte, stackBytes)
	dump := buf[:runtime.Stack(buf, true)]
	r.lastStack = s.now()
	for i, m := range methods {
		methods[i] = fmt.Sprintf("(*process).%s(%p", m, p)
	}
	return findStack(dump, methods...)
}

// findStack finds the goroutine in a dump of all that has one of the given calls in its trace. Of several, it is the one that is not
// waiting for another one, or for its turn, as a coroutine.
func findStack(dump []byte, calls ...string) string {
	found := "not found"
	for g := range bytes.SplitSeq(dump, []byte("\n\n")) {
		if !containsAny(g, calls) {
			continue
		}
		found = string(g)
		if state, _, _ := bytes.Cut(g, []byte("\n")); !bytes.Contains(state, []byte(" [coroutine")) {
			break
		}
	}
	return found
}

func containsAny(g []byte, calls []string) bool {
	return slices.ContainsFunc(calls, func(c string) bool { return bytes.Contains(g, []byte(c)) })
}
