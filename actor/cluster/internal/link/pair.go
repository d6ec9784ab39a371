package link

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// phase is where a pair stands.
//
//	from     to       who                       when
//	idle     opening  goroutine                 the other has the higher boot: a session is proposed
//	idle     opening  Receive                   the other has the lower boot, and proposes one
//	opening  up       Receive                   the proposal is answered or confirmed; then Up
//	opening  idle     Receive, goroutine        RESET of the proposal; nobody confirms it
//	up       ended    anybody                   silence, RESET, BYE, a newer proposal, overflow, Peer.Reset, the end of Run
//	ended    idle     goroutine                 after Down has returned
type phase uint8

const (
	idle phase = iota
	opening
	up
	ended
)

// maxSession is the highest session number that is taken: a wall clock reaches it in the year 2116.
const maxSession = 1 << 62

// pair is this node and another boot. It exists from the first HELLO or OPEN until the other has been silent for long.
//
// Locks: deliver is taken before mu. mu is never held during a callback or Publish.
type pair struct {
	mesh *Mesh
	boot uint64
	name string

	deliver sync.Mutex // held while Up and Record run: one at a time
	mu      sync.Mutex // all below

	wake   chan struct{} // has room for one; the goroutine sleeps on it
	awake  bool          // the goroutine runs, or has been told to
	timer  *time.Timer   // tells it
	armed  time.Time     // when timer fires; zero: it does not
	expect time.Time     // when the goroutine should next look at the clock: if it is much later, this process stood still
	gone   bool          // forgotten or closed: the goroutine ends, datagrams are dropped

	hello   hello
	version uint8     // the highest common one; 0: none
	helloAt time.Time // when it last told of itself
	twin    bool      // another boot of its name has told of itself since
	phase   phase
	peer    *Peer // up, ended

	proposal uint64    // the number that was proposed or is answered
	last     uint64    // the highest number ever seen; older ones are ignored
	tries    int       // of opening
	retryAt  time.Time // the next try
	flaps    int       // sessions in a row that did not last
	resets   int       // sessions that have ended

	// What the goroutine is to say next, outside of a session.
	sayHello, sayOpen bool
	resetOf           uint64 // session; 0: none
	byeOf, byeAck     uint64 // session to acknowledge the goodbye of; 0: none
	byeVersion        uint8  // of it

	tell      [Flapping + 1]bool // Events that the goroutine is to tell
	told      [Flapping + 1]bool // of them those that are told once
	flapDelay time.Duration
	scratch   []byte // datagrams without records; the goroutine's
}

func newPair(m *Mesh, boot uint64, name string) *pair {
	now := time.Now()
	pr := &pair{
		mesh: m, boot: boot, name: name, wake: make(chan struct{}, 1), awake: true, helloAt: now, expect: now,
		scratch: make([]byte, headLen, 2*maxName),
	}
	pr.timer = time.AfterFunc(time.Hour, pr.ring)
	return pr
}

// proposes reports whether this node is the one that proposes sessions.
func (pr *pair) proposes() bool { return pr.mesh.o.Boot < pr.boot }

// heardHello takes what the node says of itself.
func (pr *pair) heardHello(hl hello) error {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	if pr.gone {
		return nil
	}
	return pr.meet(hl)
}

// meet keeps hl; mu is held.
func (pr *pair) meet(hl hello) error {
	if hl.name != pr.name {
		return fmt.Errorf("link: boot %016x is %q now, it was %q", pr.boot, hl.name, pr.name)
	}
	pr.hello, pr.helloAt = hl, time.Now()
	pr.lives()
	v, ok := pr.mesh.hello.common(hl)
	if !ok {
		pr.version = 0
		pr.once(Incompatible)
		return nil
	}
	if !pr.mesh.hello.suits(hl) {
		pr.once(Settings)
	}
	if pr.version == 0 {
		pr.tries, pr.retryAt = 0, time.Time{}
	}
	pr.version = v
	if pr.phase == idle {
		pr.poke()
	}
	return nil
}

// once has an Event told, once for this pair; mu is held.
func (pr *pair) once(k Kind) {
	if !pr.told[k] {
		pr.told[k], pr.tell[k] = true, true
		pr.poke()
	}
}

// heardOpen takes a proposal, or the answer to one.
func (pr *pair) heardOpen(h head, hl hello) error {
	if pr.proposes() {
		return pr.receive(h, nil) // an answer
	}
	if h.session == 0 || h.session > maxSession {
		return fmt.Errorf("link: proposal of session %d", h.session)
	}
	pr.mu.Lock()
	defer pr.mu.Unlock()
	if pr.gone || pr.mesh.leaving.Load() {
		return nil
	}
	if err := pr.meet(hl); err != nil {
		return err
	}
	if pr.version == 0 {
		return nil
	}
	if h.version != pr.version {
		return fmt.Errorf("link: session in version %d, the common one is %d", h.version, pr.version)
	}
	if h.session <= pr.last {
		switch {
		case h.session == pr.proposal: // the answer was lost, or the Down of the last session has not returned
			pr.sayOpen = true
		case pr.peer == nil || h.session != pr.peer.session:
			pr.resetOf = h.session // and this is the highest number that I know
		}
		pr.poke()
		return nil
	}
	pr.last, pr.proposal, pr.sayOpen = h.session, h.session, true
	switch pr.phase {
	case up: // it knows nothing of the session that we have
		pr.end(ErrReset)
	case idle:
		pr.phase = opening
	}
	pr.poke()
	return nil
}

// heardReset takes the word that the other knows nothing of a session.
func (pr *pair) heardReset(h head) {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	switch {
	case pr.gone || h.session == 0:
	case pr.phase == up && h.session == pr.peer.session && pr.peer.byeSent:
		pr.end(ErrClosed)
	case pr.phase == up && h.session == pr.peer.session:
		pr.end(ErrReset)
	case pr.phase == opening && h.session == pr.proposal:
		if pr.proposes() { // it has seen a higher number, by a clock that has been stepped back since
			pr.last = max(pr.last, min(h.seq, maxSession-1))
		}
		pr.phase, pr.proposal = idle, 0
		pr.retryAt = time.Now().Add(pr.wait())
		pr.poke()
	}
}

// wait is the time before the next try to open, and counts it; mu is held.
func (pr *pair) wait() time.Duration {
	d := min(openAfter<<min(pr.tries, 16), helloEvery)
	pr.tries++
	return d
}

// refuse has a datagram of an unknown session answered; mu is held.
func (pr *pair) refuse(session uint64) {
	if session != 0 {
		pr.resetOf = session
		pr.poke()
	}
}

// begin makes the session that was proposed; mu is held.
func (pr *pair) begin(h head) *Peer {
	now := time.Now()
	p := &Peer{
		pair: pr, session: pr.proposal, name: pr.name, version: pr.version, since: now, done: make(chan struct{}),
		maxRecord: int(min(uint32(pr.mesh.o.MaxRecord), pr.hello.maxRecord)),
		heard:     now, spoke: now, first: 1, next: 1, want: 1, ackNow: true,
		heartbeat: max(min(pr.mesh.o.Heartbeat, pr.hello.downAfter/3), 10*time.Millisecond),
	}
	p.begin = p.beginFrame
	p.stats.Resets = pr.resets
	p.setGrant(h.grant)
	pr.phase, pr.peer, pr.proposal, pr.sayOpen = up, p, 0, false
	pr.tries, pr.retryAt = 0, time.Time{}
	pr.mesh.sessionsChanged(1)
	pr.poke()
	return p
}

// end ends the session; Down follows on the goroutine of the pair. mu is held.
func (pr *pair) end(reason error) {
	if pr.phase != up {
		return
	}
	p := pr.peer
	pr.phase = ended
	p.over = reason
	p.drop()
	pr.poke()
}

// finish calls Down and decides when the next session may be opened.
func (pr *pair) finish(p *Peer, reason error) {
	pr.deliver.Lock()   // the callback in progress returns first; none comes after it, as the phase is ended
	pr.deliver.Unlock() //lint:ignore SA2001 it is for waiting
	p.stopSnapshots()
	pr.mesh.sessionsChanged(-1)
	pr.mesh.o.Down(p, reason)
	close(p.done)

	pr.mu.Lock()
	defer pr.mu.Unlock()
	now := time.Now()
	pr.phase, pr.peer = idle, nil
	if pr.proposal != 0 { // of a newer one
		pr.phase = opening
	}
	if errors.Is(reason, ErrGoodbye) { // it is not there any more, unless it says so
		pr.version, pr.helloAt = 0, time.Time{}
	}
	pr.resets++
	pr.tries = 0
	pr.retryAt = now.Add(pr.flapped(now.Sub(p.since), reason))
}

// flapped is how long to wait after a session that ended: nothing after one, then 1, 2, 4 .. 30 s. mu is held.
func (pr *pair) flapped(lasted time.Duration, reason error) time.Duration {
	if lasted >= calmAfter || errors.Is(reason, ErrGoodbye) {
		pr.flaps = 0
	}
	pr.flaps++
	if pr.flaps < 2 {
		return 0
	}
	pr.flapDelay = min(time.Second<<min(pr.flaps-2, 16), 30*time.Second)
	pr.tell[Flapping] = true
	return pr.flapDelay
}

// leave asks the session to end in order; the channel is closed after Down. nil: there is no session.
func (pr *pair) leave() <-chan struct{} {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	if pr.peer == nil {
		return nil
	}
	pr.peer.leaving = true
	pr.poke()
	return pr.peer.done
}

// close ends the session without a word, and the goroutine.
func (pr *pair) close() {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	pr.gone = true
	pr.end(ErrClosed)
	pr.poke()
}

// replaced notes that there is another boot of this name. If this one is heard again, both live.
func (pr *pair) replaced() {
	pr.mu.Lock()
	pr.twin = true
	pr.mu.Unlock()
	pr.suspect()
}

// lives takes a sign of life; mu is held.
func (pr *pair) lives() {
	if pr.twin {
		pr.once(SameName)
	}
}

// suspect gives the node a second to answer.
func (pr *pair) suspect() {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	if pr.phase == up && pr.peer.suspectAt.IsZero() {
		pr.peer.suspectAt, pr.peer.ask = time.Now(), true
		pr.poke()
	}
}

// current is the Peer of the session; nil: there is none.
func (pr *pair) current() *Peer {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	if pr.phase != up {
		return nil
	}
	return pr.peer
}

// tellGrant has the other told what it may have on its way.
func (pr *pair) tellGrant() {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	if pr.phase == up {
		pr.peer.ackNow = true
		pr.poke()
	}
}
