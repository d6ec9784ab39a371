package cluster_test

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/actor/host"
)

// agent is a process of a simulation: it does what it is told to, and notes everything. It never blocks.
type agent struct {
	w    *world
	sys  *actor.System
	boot *nodeNote
	pid  actor.PID
	text string

	// by w.mu
	tick    int                // counts what it has done and got, to tell what came first
	out     map[string]*speech // by the PID of the receiver
	in      map[string][]heard // by the PID of the sender
	watches []*watch           // its Monitors
	refs    map[actor.MonitorRef]*watch
	news    []news
	ended   bool
	endedAt time.Duration
	reason  error
}

// do is told to an agent by the test.
type do func(ctx context.Context, a *agent) error

// speech is what an agent has sent to another one; the seq of the first is 1.
type speech struct {
	to     string
	said   []*said
	attend *watch // the Monitor that lasts meanwhile
}

type kind string

const (
	aLetter    kind = "letter"
	aQuestion  kind = "question"
	aDismissal kind = "dismissal"
	aKill      kind = "kill"
)

type said struct {
	kind kind
	tick int
	at   time.Duration
	ok   bool      // what Send and Exit have returned
	call *callNote // of a question
}

type heard struct {
	seq  uint64
	kind kind
	tick int
	at   time.Duration
}

// watch is a Monitor.
type watch struct {
	to      string
	tick    int
	at      time.Duration
	stopped int // tick; 0: it was not
	downs   []downNote
}

type downNote struct {
	tick   int
	at     time.Duration
	reason error
}

type news struct {
	tick int
	at   time.Duration
	up   bool
	boot string
	why  error
}

type callNote struct {
	id       uint64
	mode     uint64
	asked    bool // by host.Ask
	by       *agent
	to       string
	at       time.Duration
	deadline time.Duration
	ends     int
	endedAt  time.Duration
	value    any
	err      error
}

type waitNote struct {
	by          *agent
	to          string
	at, limit   time.Duration
	ended       bool
	endedAt     time.Duration
	reason, err error
}

// gone tells whether a cannot do anything any more; w.mu is held.
func (a *agent) gone() bool { return a.ended || a.boot.killed != never || a.boot.stopped != never }

// next is the next tick; w.mu is held.
func (a *agent) next() int {
	a.tick++
	return a.tick
}

func (a *agent) Init(ctx context.Context) error {
	a.pid = actor.Self(ctx)
	a.text = a.pid.String()
	a.pid.OnExit(func(reason error) {
		now := a.w.now()
		a.w.mu.Lock()
		defer a.w.mu.Unlock()
		if a.ended {
			a.w.problem("%s has ended twice", a.text)
		}
		a.ended, a.endedAt, a.reason = true, now, reason
	})
	a.w.mu.Lock()
	defer a.w.mu.Unlock()
	a.w.agents = append(a.w.agents, a)
	a.w.byPID[a.text] = a
	return nil
}

func (a *agent) Receive(ctx context.Context, msg any) error {
	switch m := msg.(type) {
	case do:
		return m(ctx, a)
	case letter:
		a.heard(m.To, m.From, m.Seq, aLetter)
	case question:
		return a.answer(ctx, m)
	case actor.Down:
		a.noteDown(m)
	case cluster.NodeUp:
		a.note(news{up: true, boot: m.Boot})
	case cluster.NodeDown:
		a.note(news{boot: m.Boot, why: m.Reason})
	case actor.Done[any]:
	default:
		a.w.mu.Lock()
		a.w.problem("%s got a %T", a.text, msg)
		a.w.mu.Unlock()
	}
	return nil
}

// Terminate notes who has ended the agent, and says a last word to all that it has talked to.
func (a *agent) Terminate(ctx context.Context, reason error) {
	var d *dismissal
	if errors.As(reason, &d) {
		a.heard(d.To, d.From, d.Seq, aDismissal)
	}
	a.w.mu.Lock()
	var all []string
	for to := range a.in {
		all = append(all, to)
	}
	a.w.mu.Unlock()
	for _, to := range all {
		a.send(ctx, to, 5)
	}
}

// heard notes what has come from another agent.
func (a *agent) heard(to, from string, seq uint64, k kind) {
	now := a.w.now()
	a.w.mu.Lock()
	defer a.w.mu.Unlock()
	if to != a.text {
		a.w.problem("%s got %s %d of %s, which was for %s", a.text, k, seq, from, to)
		return
	}
	a.in[from] = append(a.in[from], heard{seq, k, a.next(), now})
}

func (a *agent) note(n news) {
	n.at = a.w.now()
	a.w.mu.Lock()
	defer a.w.mu.Unlock()
	n.tick = a.next()
	a.news = append(a.news, n)
}

func (a *agent) noteDown(m actor.Down) {
	now := a.w.now()
	a.w.mu.Lock()
	defer a.w.mu.Unlock()
	wa := a.refs[m.Ref]
	if wa == nil {
		a.w.problem("%s got %+v, which it has not asked for", a.text, m)
		return
	}
	if m.PID.String() != wa.to {
		a.w.problem("%s got a Down of %v by a Monitor of %s", a.text, m.PID, wa.to)
	}
	wa.downs = append(wa.downs, downNote{a.next(), now, m.Reason})
}

// parse is a PID from text, as from a database.
func (a *agent) parse(to string) actor.PID {
	pid, err := a.sys.ParsePID(to)
	if err != nil {
		panic(err)
	}
	return pid
}

// begin notes the next thing that a says to another agent, which it monitors meanwhile.
func (a *agent) begin(ctx context.Context, to string, k kind) (pid actor.PID, seq uint64, s *said) {
	sp := a.out[to] // only a's own goroutine adds to it
	if sp == nil {
		sp = &speech{to: to}
	}
	a.w.mu.Lock()
	lasts := sp.attend != nil && len(sp.attend.downs) == 0
	a.w.mu.Unlock()
	if !lasts {
		sp.attend = a.monitor(ctx, to)
	}
	s = &said{kind: k, at: a.w.now()}
	a.w.mu.Lock()
	defer a.w.mu.Unlock()
	a.out[to] = sp
	s.tick = a.next()
	sp.said = append(sp.said, s)
	return a.parse(to), uint64(len(sp.said)), s
}

func (a *agent) did(s *said, ok bool) {
	a.w.mu.Lock()
	s.ok = ok
	a.w.mu.Unlock()
}

func (a *agent) send(ctx context.Context, to string, size int) {
	pid, seq, s := a.begin(ctx, to, aLetter)
	a.did(s, pid.Send(letter{to, a.text, seq, size}))
}

// sendUnencodable sends what another node cannot get; to its own node it sends nothing.
func (a *agent) sendUnencodable(ctx context.Context, to string) {
	pid := a.parse(to)
	if pid.Node() != a.pid.Node() && pid.Send(make(chan int)) {
		a.w.mu.Lock()
		a.w.problem("%s: Send of a chan to %s = true", a.text, to)
		a.w.mu.Unlock()
	}
}

func (a *agent) dismiss(ctx context.Context, to string, kill bool) {
	k := aDismissal
	if kill {
		k = aKill
	}
	pid, seq, s := a.begin(ctx, to, k)
	a.did(s, pid.Exit(&dismissal{to, a.text, seq, kill}))
}

// overwhelm sends a node more than it must take: Exits of a process that there is not.
func (a *agent) overwhelm(to string) {
	node, boot, _ := host.Parts(a.parse(to))
	nobody := host.PIDOf(a.sys, node, boot, 1<<40)
	long := errors.New(strings.Repeat("long", 1<<10))
	for range 40 {
		nobody.Exit(long)
	}
}

func (a *agent) monitor(ctx context.Context, to string) *watch {
	wa := &watch{to: to, at: a.w.now()}
	a.w.mu.Lock()
	wa.tick = a.next()
	a.watches = append(a.watches, wa)
	a.w.mu.Unlock()
	ref := actor.Monitor(ctx, a.parse(to))
	a.w.mu.Lock()
	a.refs[ref] = wa
	a.w.mu.Unlock()
	return wa
}

// demonitor stops one of the Monitors, old or new, whether or not it has brought a Down; none of those that accompany a
// speech.
func (a *agent) demonitor(old bool) {
	a.w.mu.Lock()
	var ref actor.MonitorRef
	var chosen *watch
	for r, wa := range a.refs {
		sp := a.out[wa.to]
		if wa.stopped == 0 && (sp == nil || sp.attend != wa) && (chosen == nil || old == (wa.tick < chosen.tick)) {
			ref, chosen = r, wa
		}
	}
	a.w.mu.Unlock()
	if chosen == nil {
		return
	}
	ref.Stop()
	a.w.mu.Lock()
	chosen.stopped = a.next()
	a.w.mu.Unlock()
}

// newCall notes a Call.
func (a *agent) newCall(to string, seed uint64) *callNote {
	w := a.w
	w.mu.Lock()
	defer w.mu.Unlock()
	c := &callNote{
		id: uint64(len(w.calls)), mode: seed >> 32 % 8, by: a, to: to, at: w.now(),
		deadline: time.Duration(1+seed%1500) * time.Millisecond,
	}
	if seed == 0 { // it is to succeed
		c.mode, c.deadline = 0, 100*time.Millisecond
	}
	w.calls = append(w.calls, c)
	return c
}

func (c *callNote) end(w *world, v any, err error) {
	now := w.now()
	w.mu.Lock()
	defer w.mu.Unlock()
	c.ends++
	c.endedAt, c.value, c.err = now, v, err
}

// call makes a Call on another goroutine, out of order with what a says.
func (a *agent) call(ctx context.Context, to string, seed uint64) {
	if to == a.text { // an error at once
		return
	}
	c := a.newCall(to, seed)
	pid := a.parse(to)
	actor.Async(ctx, func(ctx context.Context) (any, error) {
		ctx, cancel := context.WithTimeout(ctx, c.deadline)
		defer cancel()
		v, err := actor.Call[any](ctx, pid, question{To: to, ID: c.id, Mode: c.mode})
		c.end(a.w, v, err)
		return nil, nil
	})
}

// ask makes a Call in order with what a says.
func (a *agent) ask(ctx context.Context, to string, seed uint64) {
	c := a.newCall(to, seed)
	pid, seq, s := a.begin(ctx, to, aQuestion)
	a.w.mu.Lock()
	s.call, c.asked = c, true
	a.w.mu.Unlock()
	host.Ask(pid, a.pid, question{to, a.text, seq, c.id, c.mode}, time.Now().Add(c.deadline), func(v any, err error) {
		if failed, ok := v.(error); ok {
			v, err = nil, failed
		}
		c.end(a.w, v, err)
	})
}

// answer handles a question.
func (a *agent) answer(ctx context.Context, q question) error {
	a.w.mu.Lock()
	a.w.ran[q.ID]++
	a.w.mu.Unlock()
	if q.From != "" {
		a.heard(q.To, q.From, q.Seq, aQuestion)
	} else if q.To != a.text {
		a.w.mu.Lock()
		a.w.problem("%s got Call %d, which was for %s", a.text, q.ID, q.To)
		a.w.mu.Unlock()
	}
	caller, ok := actor.Caller(ctx)
	if !ok {
		a.w.mu.Lock()
		a.w.problem("%s got Call %d as a message", a.text, q.ID)
		a.w.mu.Unlock()
		return nil
	}
	if want := q.From; want != "" && caller.PID().String() != want {
		a.w.mu.Lock()
		a.w.problem("%s: Call %d is from %v, want %s", a.text, q.ID, caller.PID(), want)
		a.w.mu.Unlock()
	}
	switch q.Mode {
	case 0, 1, 2:
		caller.Reply(q.ID)
	case 3, 4:
		time.AfterFunc(time.Duration(q.ID%700)*time.Millisecond, func() { caller.Reply(q.ID) })
	case 5:
		caller.Reply(&leaving{Who: "answer", Why: q.ID})
	case 6: // never
	case 7:
		if q.ID%4 == 0 {
			return &leaving{Who: a.text, Why: q.ID}
		}
		caller.Reply(q.ID)
		caller.Reply(q.ID + 1)
	}
	return nil
}

// wait waits for the end of a process, on a goroutine that belongs to none.
func (a *agent) wait(to string, limit time.Duration) {
	w := a.w
	n := &waitNote{by: a, to: to, at: w.now(), limit: limit}
	pid := a.parse(to)
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case <-w.endWaits:
		return
	default:
	}
	w.waits = append(w.waits, n)
	w.waiters.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		go func() {
			select {
			case <-w.endWaits:
				cancel()
			case <-ctx.Done():
			}
		}()
		reason, err := actor.Wait(ctx, pid)
		now := w.now()
		w.mu.Lock()
		defer w.mu.Unlock()
		n.ended, n.endedAt, n.reason, n.err = true, now, reason, err
	})
}
