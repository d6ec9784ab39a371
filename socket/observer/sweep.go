package observer

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"
)

// budget is what looking may cost.
type budget struct {
	most     int           // sockets, processes, names or groups that one look may go through
	patience time.Duration // for how long it may; none of a sweep begins after mostLooks times as long
	rest     int           // after a sweep there is none for so many times as long as that took
	asks     int           // that one sweep may answer
}

const (
	mostLooks = 4
	// mostRest is the rest after a sweep at most: a live connection whose page hears nothing for 20 s is taken for dead. A sweep takes
	// longer than a ninth of it only when a method of the program's does.
	mostRest = 10 * time.Second
)

var defaultBudget = budget{most: 200_000, patience: 250 * time.Millisecond, rest: 9, asks: 256}

// sweeper makes the sweeps. One runs at a time, and at most one more waits: whoever asks meanwhile joins that, and equal questions
// have one answer. So pages that are open at the same time cost what one of them does.
//
// There are two of them: what calls methods of the program's types, which may block, has one of its own, so that all else can be looked
// at meanwhile. They share the pause, so that all sweeps together take a tenth of a core.
//
// A sweep runs on the goroutine of the first who has asked for it: there is no other, so nothing has to be stopped. When that one
// goes before the sweep begins, the others ask again, and the first of them makes it. One that has begun goes on to its end, which is
// near, also when a method of a user's panics.
type sweeper struct {
	budget budget
	log    *slog.Logger
	pause  *pause
	panics seldom

	mu   sync.Mutex
	next *sweep        // who has not begun yet; nil: none
	last chan struct{} // done of the one that was made last; nil: none
}

// pause is when the next sweep may begin.
type pause struct {
	mu   sync.Mutex
	from time.Time
}

func (p *pause) left() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Until(p.from)
}

// add makes it longer, by so much for a sweep that is over.
func (p *pause) add(rest time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.from.Before(now) {
		p.from = now
	}
	p.from = p.from.Add(rest)
	if latest := now.Add(mostRest); p.from.After(latest) {
		p.from = latest
	}
}

// seldom is what comes into the log once a minute at most.
type seldom struct {
	mu   sync.Mutex
	next time.Time
	more int // that have not come into it since
}

// now tells whether it is to be logged this time, and how many were not since the last time.
func (s *seldom) now() (more int, yes bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if now.Before(s.next) {
		s.more++
		return 0, false
	}
	more, s.more, s.next = s.more, 0, now.Add(time.Minute)
	return more, true
}

// sweep is one of them. Before it begins the sweeper's mutex guards asks; then they belong to its goroutine, and after done is
// closed nothing of it is changed any more.
type sweep struct {
	asks   map[string]*ask
	order  []*ask        // in which they have come
	before chan struct{} // done of the one that it comes after; nil: there is none
	done   chan struct{}
	left   bool // who was to make it has gone: ask again
}

// ask is a question, and its answer. One of sockets, processes and look is set.
type ask struct {
	sockets   *socketAsk                  // is shown each socket
	processes *processAsk                 // each process
	look      func(b budget) (any, error) // anything else
	calls     bool                        // look calls methods of the program's types
	answer    any
	err       error
}

// ask has a question answered by the next sweep. key is the same for equal questions.
func (s *sweeper) ask(ctx context.Context, o *Observer, key string, a *ask) (any, error) {
	for {
		if ctx.Err() != nil {
			return nil, failed(503, "unavailable", "nobody waits for the answer: %v", context.Cause(ctx))
		}
		sw, mine, err := s.join(key, a)
		if err != nil {
			return nil, err
		}
		if mine {
			s.lead(ctx, sw, o)
		}
		select {
		case <-sw.done:
		case <-ctx.Done():
			continue
		}
		if !sw.left {
			first := sw.asks[key]
			return first.answer, first.err
		}
	}
}

// join adds a question to the sweep that has not begun. mine: there was none, and the caller has to make it.
func (s *sweeper) join(key string, a *ask) (sw *sweep, mine bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next == nil {
		s.next = &sweep{asks: make(map[string]*ask), before: s.last, done: make(chan struct{})}
		s.last = s.next.done
		mine = true
	}
	sw = s.next
	switch {
	case sw.asks[key] != nil:
	case len(sw.asks) >= s.budget.asks:
		return nil, false, failed(429, "too_many", "%d different questions wait for the next sweep already", s.budget.asks)
	default:
		sw.asks[key] = a
		sw.order = append(sw.order, a)
	}
	return sw, mine, nil
}

// lead makes a sweep when it is its turn, or gives it up when ctx is done before that.
func (s *sweeper) lead(ctx context.Context, sw *sweep, o *Observer) {
	defer close(sw.done)
	begins := s.turn(ctx, sw)
	s.mu.Lock()
	s.next = nil // nobody joins any more
	if !begins {
		sw.left, s.last = true, sw.before
		s.mu.Unlock()
		return
	}
	s.mu.Unlock()
	begin := time.Now()
	defer func() { s.pause.add(min(time.Since(begin), mostRest) * time.Duration(s.budget.rest)) }()
	sw.run(s, o)
}

// turn waits until the sweep before is over and has been for long enough. false: ctx was done first.
func (s *sweeper) turn(ctx context.Context, sw *sweep) bool {
	if sw.before != nil {
		select {
		case <-sw.before:
		case <-ctx.Done():
			return false
		}
	}
	rest := s.pause.left()
	if rest <= 0 {
		return true
	}
	timer := time.NewTimer(rest)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// run answers what was asked, in the order in which it was. What the time does not suffice for is refused.
func (sw *sweep) run(s *sweeper, o *Observer) {
	until := time.Now().Add(mostLooks * max(s.budget.patience, 0))
	var sockets []*socketAsk
	var processes []*processAsk
	for _, a := range sw.order {
		switch {
		case a.sockets != nil:
			sockets = append(sockets, a.sockets)
		case a.processes != nil:
			processes = append(processes, a.processes)
		}
	}
	socketsErr := s.guarded(func() error { o.lookAtSockets(s.budget, sockets); return nil })
	processesErr := s.guarded(func() error { o.lookAtProcesses(s.budget, processes); return nil })
	for _, a := range sw.order {
		a.err = s.guarded(func() (err error) {
			switch {
			case a.sockets != nil && socketsErr != nil:
				return socketsErr
			case a.sockets != nil:
				a.answer = a.sockets.list()
			case a.processes != nil && processesErr != nil:
				return processesErr
			case a.processes != nil:
				a.answer = a.processes.list()
			default:
				if time.Now().After(until) {
					return failed(429, "too_many", "what was asked for before has taken as long as a sweep may: ask again")
				}
				a.answer, err = a.look(s.budget)
			}
			return err
		})
	}
}

// guarded runs f, which calls methods of users' types.
func (s *sweeper) guarded(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			if more, yes := s.panics.now(); yes {
				s.log.Error("panic while the observer looked", slog.Any("panic", v), slog.Int("more", more), slog.String("stack", string(debug.Stack())))
			}
			err = failed(500, "unavailable", "%s", text(fmt.Sprintf("a method of what was looked at has panicked: %v", v), mostError))
		}
	}()
	return f()
}

// clock says when a look has gone on for long enough.
type clock struct {
	begin time.Time
	until time.Time
	every int // it reads the time once in so many calls
	most  int
	n     int  // how many were looked at
	cut   bool // and there were more
	bytes int  // of values, that may still be shown
}

// clock is one for what takes less time than reading a clock.
func (b budget) clock() clock {
	now := time.Now()
	return clock{begin: now, until: now.Add(b.patience), every: 256, most: b.most}
}

// slowClock is one for what calls methods of the program's types: any of them may take long.
func (b budget) slowClock() clock {
	c := b.clock()
	c.every, c.bytes = 1, mostValues
	return c
}

// over tells whether no more is to be looked at; if not, it counts one that is.
func (c *clock) over() bool {
	if c.n >= c.most || c.n%c.every == c.every-1 && time.Now().After(c.until) {
		c.cut = true
		return true
	}
	c.n++
	return false
}

// valueOf is valueOf as long as the answer has room for it; then the value is only named.
func (c *clock) valueOf(v any, most int) *valueJSON {
	if v != nil && c.bytes <= 0 {
		return &valueJSON{Type: typeOf(v), Cut: true}
	}
	shown := valueOf(v, min(most, c.bytes))
	if shown != nil {
		c.bytes -= len(shown.JSON)
		if shown.Text != nil {
			c.bytes -= len(*shown.Text)
		}
	}
	return shown
}

// list is what answers that are lists have in common.
type list struct {
	At      time.Time `json:"at"`
	Took    float64   `json:"took_ms"`
	Of      int       `json:"of"`
	Looked  int       `json:"looked"`
	Sampled bool      `json:"sampled"`
	Matched int       `json:"matched"`
	Rows    any       `json:"rows"`
}

// list makes the answer: of are how many there are.
func (c *clock) list(of, matched int, rows any) list {
	return list{At: c.begin, Took: ms(time.Since(c.begin)), Of: max(of, c.n), Looked: c.n, Sampled: c.cut, Matched: matched, Rows: rows}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
