package link

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// maxStrangers is how many datagrams of unknown nodes are answered with RESET at once; the others are not answered.
const maxStrangers = 64

// Mesh is one node's sessions with all others. All methods may be called from any goroutine.
type Mesh struct {
	o        Options
	hello    hello
	start    time.Time // zero of the clock that round trips are measured with
	frameMax int       // longest frame, as a datagram
	small    sync.Pool // of *frame
	large    sync.Pool

	mu      sync.RWMutex // before pair.mu
	pairs   map[uint64]*pair
	running bool
	closed  bool
	wg      sync.WaitGroup // the goroutines of pairs, and announce

	leaving  atomic.Bool // Goodbye was called: no new sessions
	sessions atomic.Int64
	wake     chan struct{} // strangers wait, or grants have changed
	regrant  atomic.Bool

	engineLost atomic.Bool   // Publish failed the last time
	engineBack chan struct{} // it has succeeded after that: tell all others anew

	strayMu   sync.Mutex
	strangers []stranger
	number    uint64 // the last session number that was proposed; under strayMu

	badEvent, fullEvent                   throttle
	bad, resets, publishErrors, published atomic.Uint64
}

// stranger is a node that speaks of a session, and that this node does not know.
type stranger struct {
	boot, session uint64
	version       uint8
}

// New makes a Mesh. It does nothing before Run.
func New(o Options) (*Mesh, error) {
	o.setDefaults()
	if err := o.check(); err != nil {
		return nil, err
	}
	m := &Mesh{
		o: o, start: time.Now(), pairs: make(map[uint64]*pair), wake: make(chan struct{}, 1),
		engineBack: make(chan struct{}, 1),
		frameMax:   min(frameLen, o.MaxDatagram),
		hello: hello{
			name: o.Name, min: o.VersionMin, max: o.VersionMax,
			heartbeat: o.Heartbeat, downAfter: o.DownAfter, maxRecord: uint32(o.MaxRecord),
		},
	}
	return m, nil
}

// Run tells the other nodes of this one and keeps the sessions, until ctx is done. Then it ends every session without a
// word (see Goodbye), and returns when all Downs have returned and all goroutines have ended. It runs once.
func (m *Mesh) Run(ctx context.Context) error {
	m.mu.Lock()
	if m.running || m.closed {
		m.mu.Unlock()
		return errors.New("link: a Mesh runs once")
	}
	m.running = true
	m.mu.Unlock()
	m.wg.Go(func() { m.announce(ctx) })
	for {
		select {
		case <-ctx.Done():
			m.close()
			return nil
		case <-m.wake:
			m.answerStrangers()
			m.tellGrants()
		}
	}
}

// announce tells all others of this node until ctx is done. It has a goroutine of its own, so that an engine that holds it does
// not hold the end of the sessions.
func (m *Mesh) announce(ctx context.Context) {
	wait := openAfter
	next := time.NewTimer(wait)
	defer next.Stop()
	m.sayHello()
	for {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
			m.sayHello()
			wait = m.helloWait(wait)
			next.Reset(wait)
		case <-m.engineBack:
			wait = openAfter
			next.Reset(wait)
		}
	}
}

// helloWait is the time to the next HELLO after one that waited so long. The first ones are often lost, as those of an engine
// that is back: it may not have told the other nodes yet that somebody listens here. So they come after 100, 200, 400 ms and so
// on, up to helloEvery. An engine that fails is tried each second.
func (m *Mesh) helloWait(last time.Duration) time.Duration {
	if m.engineLost.Load() {
		return min(2*last, engineEvery)
	}
	return min(2*last, helloEvery)
}

// Goodbye ends every session in order: what has gathered is sent, then BYE, which the other node acknowledges. New sessions
// do not begin. It returns nil when all Downs (ErrClosed) have returned, or the error of ctx. Run goes on meanwhile; end it afterwards.
func (m *Mesh) Goodbye(ctx context.Context) error {
	m.leaving.Store(true)
	var ends []<-chan struct{}
	for _, pr := range m.all() {
		if done := pr.leave(); done != nil {
			ends = append(ends, done)
		}
	}
	left := 0
	for _, done := range ends {
		select {
		case <-done:
		case <-ctx.Done():
			left++
		}
	}
	if left > 0 {
		return fmt.Errorf("link: %d nodes have not acknowledged the goodbye: %w", left, context.Cause(ctx))
	}
	return nil
}

// close ends all goroutines.
func (m *Mesh) close() {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	for _, pr := range m.all() {
		pr.close()
	}
	m.wg.Wait()
}

// all is a snapshot of the pairs.
func (m *Mesh) all() []*pair {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return slices.Collect(maps.Values(m.pairs))
}

// Peers are the nodes with a session, by name and boot.
func (m *Mesh) Peers() []*Peer {
	var ps []*Peer
	for _, pr := range m.all() {
		if p := pr.current(); p != nil {
			ps = append(ps, p)
		}
	}
	slices.SortFunc(ps, func(a, b *Peer) int {
		return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.Boot(), b.Boot()))
	})
	return ps
}

// Suspect is for engines that can tell that a node may be gone: it has a second to answer.
func (m *Mesh) Suspect(boot uint64) {
	if pr := m.pair(boot); pr != nil {
		pr.suspect()
	}
}

// Receive takes a datagram from the engine. It may be called from several goroutines, and blocks only on callbacks of the
// same node. The bytes are read during the call only. What makes no sense is counted and dropped.
func (m *Mesh) Receive(datagram []byte) {
	h, body, ok := parseHead(datagram)
	switch {
	case !ok:
		m.badDatagram(nil, fmt.Errorf("link: datagram of %d bytes is shorter than a head of %d", len(datagram), headLen))
		return
	case h.from == m.o.Boot: // an engine's echo
		return
	case h.from == 0:
		m.badDatagram(nil, errors.New("link: datagram from boot 0"))
		return
	}
	var err error
	switch h.kind {
	case kindHello, kindOpen:
		var hl hello
		if hl, ok = parseHello(body); !ok {
			err = fmt.Errorf("link: malformed hello of %d bytes", len(body))
			break
		}
		pr := m.meet(h.from, hl)
		if pr == nil {
			return
		}
		if h.kind == kindHello {
			err = pr.heardHello(hl)
		} else {
			err = pr.heardOpen(h, hl)
		}
	case kindData, kindAck, kindBye:
		if pr := m.pair(h.from); pr != nil {
			err = pr.receive(h, body)
		} else if h.kind != kindBye || h.seq != 0 {
			m.stranger(h)
		}
	case kindReset:
		if pr := m.pair(h.from); pr != nil {
			pr.heardReset(h)
		}
	default:
		err = fmt.Errorf("link: datagram of kind %d and version %d", h.kind, h.version)
	}
	if err != nil {
		m.badDatagram(m.pair(h.from), err)
	}
}

// badDatagram counts a datagram that made no sense. No lock is held.
func (m *Mesh) badDatagram(pr *pair, err error) {
	m.bad.Add(1)
	if n := m.badEvent.pass(time.Now()); n > 0 {
		e := Event{Kind: BadDatagram, Count: n, Err: err}
		if pr != nil {
			e.Node, e.Boot = pr.name, pr.boot
		}
		m.o.Event(e)
	}
}

// pair is the pair with a node that is known, or nil.
func (m *Mesh) pair(boot uint64) *pair {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if !m.running || m.closed {
		return nil
	}
	return m.pairs[boot]
}

// meet returns the pair with a node that has told of itself; nil: it is not taken.
func (m *Mesh) meet(boot uint64, hl hello) *pair {
	if pr := m.pair(boot); pr != nil {
		return pr
	}
	m.mu.Lock()
	if pr := m.pairs[boot]; pr != nil || !m.running || m.closed || m.leaving.Load() {
		m.mu.Unlock()
		return pr
	}
	if len(m.pairs) >= m.o.MaxPeers {
		m.mu.Unlock()
		if n := m.fullEvent.pass(time.Now()); n > 0 {
			m.o.Event(Event{Kind: TooManyPeers, Node: hl.name, Boot: boot, Count: n,
				Err: fmt.Errorf("link: %d nodes are known, Options.MaxPeers", m.o.MaxPeers)})
		}
		return nil
	}
	var twins []*pair
	for _, other := range m.pairs {
		if other.name == hl.name {
			twins = append(twins, other)
		}
	}
	pr := newPair(m, boot, hl.name)
	m.pairs[boot] = pr
	m.wg.Go(pr.run)
	m.mu.Unlock()
	for _, twin := range twins { // most likely it is gone, and this is what was started in its place
		twin.replaced()
	}
	if hl.name == m.o.Name {
		m.o.Event(Event{Kind: SameName, Node: hl.name, Boot: boot, Count: 1, Err: errors.New("link: it has the name of this node")})
	}
	return pr
}

// stranger remembers to answer a node that believes in a session with this one. It never blocks.
func (m *Mesh) stranger(h head) {
	s := stranger{h.from, h.session, h.version}
	m.strayMu.Lock()
	if len(m.strangers) < maxStrangers && !slices.Contains(m.strangers, s) {
		m.strangers = append(m.strangers, s)
	}
	m.strayMu.Unlock()
	m.poke()
}

func (m *Mesh) poke() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

func (m *Mesh) answerStrangers() {
	m.strayMu.Lock()
	ss := m.strangers
	m.strangers = nil
	m.strayMu.Unlock()
	for _, s := range ss {
		b := make([]byte, headLen)
		head{version: s.version, kind: kindReset, from: m.o.Boot, session: s.session}.put(b)
		m.resets.Add(1)
		m.publish(s.boot, b)
	}
}

// tellGrants has every peer told what it may have on its way, when the number of sessions has changed.
func (m *Mesh) tellGrants() {
	if !m.regrant.Swap(false) {
		return
	}
	for _, pr := range m.all() {
		pr.tellGrant()
	}
}

// sessionsChanged counts a session that began or ended.
func (m *Mesh) sessionsChanged(by int64) {
	m.sessions.Add(by)
	m.regrant.Store(true)
	m.poke()
}

// grant is what each of so many peers may have on its way to this node.
func (m *Mesh) grant(sessions int64) uint32 {
	return uint32(min(int64(m.o.Window)/max(sessions, 1), math.MaxUint32))
}

func (m *Mesh) sayHello() {
	if m.leaving.Load() {
		return
	}
	b := make([]byte, headLen, headLen+256)
	head{version: versionHello, kind: kindHello, from: m.o.Boot}.put(b)
	m.publish(0, m.hello.append(b))
}

func (m *Mesh) publish(to uint64, b []byte) error {
	m.published.Add(1)
	err := m.o.Publish(to, b)
	switch {
	case err != nil:
		m.publishErrors.Add(1)
		m.engineLost.Store(true)
	case m.engineLost.Load() && m.engineLost.Swap(false):
		select {
		case m.engineBack <- struct{}{}:
		default:
		}
	}
	return err
}

// nextNumber is a session number above after and above all that this Mesh has proposed: the wall clock, unless that was
// stepped back.
func (m *Mesh) nextNumber(after uint64) uint64 {
	m.strayMu.Lock()
	defer m.strayMu.Unlock()
	m.number = max(m.number+1, after+1, uint64(max(m.o.Clock().UnixNano(), 0)))
	return m.number
}

// clock is the time since this Mesh was made, in microseconds, as ACK carries it. It wraps.
func (m *Mesh) clock(now time.Time) uint32 { return uint32(now.Sub(m.start) / time.Microsecond) }
