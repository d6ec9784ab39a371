package socket

import (
	"slices"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/socket/internal/conn"
	"github.com/troupe-dev/troupe/socket/internal/wire"
	"github.com/troupe-dev/troupe/websock"
)

// Stats are the numbers of a [Server], as [Server.Stats] returns them. Those that count have counted since New, whatever was
// shut down and served again meanwhile, and never become less from one call of Stats to a later one. Opened is always the
// sum of Open and Closed.
//
// However many sockets there are, and whatever their peers do, there are only so many keys in the maps.
type Stats struct {
	Name   string // Config.Name
	Open   int    // sockets whose TCP connection is open
	Asleep int    // those of them that sleep; see Config.HibernateAfter
	Opened uint64 // sockets that there have been

	// Refused counts the requests that have become no socket.
	Refused map[Refusal]uint64
	// Closed counts the sockets that have ended. It has each cause from the start, so the first end of a kind is a change of a
	// number that was there before.
	Closed map[Cause]uint64
	// Lifetimes are how long those were open. The counts of all of them are those of Closed.
	Lifetimes map[End]Histogram
	// CloseSent and CloseReceived count the Close frames. 3000 stands for all from 3000 to 3999, and 4000 for all from 4000
	// to 4999, but for those that Config.CloseCodes names; 1005 stands for a frame without a code.
	CloseSent, CloseReceived map[websock.CloseCode]uint64

	Read, Written Counts // of all sockets, ended ones included
	// Dropped counts the messages of other processes that were lost with sockets: the mailbox was full, they waited when
	// the socket ended, or they came after that.
	Dropped uint64
	// Overflowed counts those of Dropped that were lost with sockets that ended with CauseOverload: usually because more
	// waited than Config.MailboxLimit, MailboxBytes or MaxLag allow. The others waited when a socket ended for another reason,
	// or came after that.
	Overflowed uint64
	// LeftOut counts the messages that were left out because their client was behind, as their websock.Delivery allows or
	// Config.Overflow says.
	LeftOut uint64
	// RoundTrips are how long peers took to answer our pings.
	RoundTrips Histogram

	// Callbacks are how long the callbacks of all sockets took, by the name of the method: Init, HandleIn, HandleInfo,
	// HandleControl, HandleDrain, HandleExpiry, HandleLag, Terminate. It has all of them from the start. What a callback
	// pushes is encoded, compressed and, from 64 KiB on, written in that time, which waits for a slow client; Terminate includes
	// what a websock.Stream has deferred. One that panics counts; one that was abandoned does when it returns. nil
	// without Config.TimeCallbacks.
	Callbacks map[string]Histogram

	MailboxMax int           // how many messages wait for the socket for which most of them do
	LagMax     time.Duration // for how long the oldest message of all has waited; see websock.Lag
	// LongCallbacks is how many sockets have a callback that has been running for a second or longer. One that was abandoned
	// is not among them: its socket has ended; see actor.Stats.Stuck.
	LongCallbacks int

	// Draining says that a Drain runs, that of Serve included; Open is how many sockets it has left then.
	Draining bool
	// DrainKilled counts the sockets that drains have killed because their time was over, or their ctx done.
	DrainKilled uint64
}

// Refusal is what Stats tells refused requests apart by. The statuses are those of RFC 6455, 503, and those that newHandler
// chooses.
type Refusal struct {
	Reason RefuseReason
	Status int // of the answer; 101 when the connection was lost after it
}

// End is what Stats tells ended sockets apart by.
type End struct {
	Cause Cause
	// Code is that of our Close frame, else that of the peer's, else 1006: there was none. It stands for several as in
	// Stats.CloseSent.
	Code websock.CloseCode
}

// ended is what is left of the sockets of one shard of the table that have ended. It is guarded by the shard's lock, under
// which a socket leaves the table and comes in here: whoever holds it finds each socket in one of the two.
type ended struct {
	opened         uint64
	lifetimes      map[End]*Histogram
	sent, received map[websock.CloseCode]uint64
	counts         wire.Counts
	dropped        uint64
	overflowed     uint64 // of dropped
}

// note notes that a socket has ended.
func (e *ended) note(s *Server, cl *Closed, counts wire.Counts) {
	if e.lifetimes == nil {
		e.lifetimes = make(map[End]*Histogram)
		e.sent, e.received = make(map[websock.CloseCode]uint64), make(map[websock.CloseCode]uint64)
	}
	code := websock.CloseAbnormal
	if cl.Received != nil {
		code = s.codeClass(cl.Received.Code)
		e.received[code]++
	}
	if cl.Sent != nil {
		code = s.codeClass(cl.Sent.Code)
		e.sent[code]++
	}
	key := End{cl.Cause, code}
	if e.lifetimes[key] == nil {
		e.lifetimes[key] = newHistogram(lifeBounds)
	}
	e.lifetimes[key].observe(cl.Lifetime)
	e.counts.Add(counts)
	e.dropped += cl.Dropped
	if cl.Cause == CauseOverload {
		e.overflowed += cl.Dropped
	}
}

// addTo adds e to st, and to the tally of all.
func (e *ended) addTo(st *Stats, lifetimes map[End]*Histogram, all *conn.Tally) {
	st.Opened += e.opened
	st.Dropped += e.dropped
	st.Overflowed += e.overflowed
	all.Counts.Add(e.counts)
	for end, h := range e.lifetimes {
		if lifetimes[end] == nil {
			lifetimes[end] = h.clone()
		} else {
			lifetimes[end].add(h)
		}
	}
	for code, n := range e.sent {
		st.CloseSent[code] += n
	}
	for code, n := range e.received {
		st.CloseReceived[code] += n
	}
}

// codeClass is the code that Stats counts c by. There are 16 of them, and those of Config.CloseCodes.
func (s *Server) codeClass(c websock.CloseCode) websock.CloseCode {
	switch {
	case c < 3000 || slices.Contains(s.cfg.CloseCodes, c): // below 3000 only what is registered is sent or accepted
		return c
	case c < 4000:
		return 3000
	}
	return 4000
}

// Stats returns the numbers of the Server. What has ended costs nothing any more; each socket that lives is looked at, for a
// third of a microsecond or so, and none is stopped. It may be called as often as a metrics system scrapes. For what there
// is to know of each socket, see [Server.Sockets].
//
// A socket that ends meanwhile is counted once: it leaves the table of sockets and is added to those that have ended under
// one lock, and the counts with which it is added there are its last ones. So whoever has found it in the table, and
// reads its counts later, reads no more than what the next call finds.
func (s *Server) Stats() Stats {
	st := Stats{
		Name: s.cfg.Name, Asleep: s.group.Asleep(), Refused: s.refused.all(),
		Closed: make(map[Cause]uint64, causes), Lifetimes: make(map[End]Histogram),
		CloseSent: make(map[websock.CloseCode]uint64), CloseReceived: make(map[websock.CloseCode]uint64),
	}
	var sum conn.Tally
	lifetimes := make(map[End]*Histogram)
	var cs []*conn.Conn
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		cs = sh.append(cs[:0])
		sh.ended.addTo(&st, lifetimes, &sum)
		sh.mu.Unlock()
		st.Open += len(cs)
		sum.Add(cs)
	}
	for cause := range causes {
		st.Closed[cause] = 0
	}
	for end, h := range lifetimes {
		st.Lifetimes[end] = *h
		st.Closed[end.Cause] += h.Count()
	}
	st.Asleep = min(st.Asleep, st.Open)
	st.Read, st.Written = countsOf(sum.Counts.In), countsOf(sum.Counts.Out)
	st.MailboxMax, st.LagMax, st.LongCallbacks = sum.Mailbox, sum.Age, sum.Long
	st.Draining, st.DrainKilled = len(s.drains) > 0, s.cutOff.Load()
	st.LeftOut = s.leftOut.Load()
	st.RoundTrips = s.trips.get()
	st.Callbacks = callbacksOf(s.group.Timings())
	return st
}

func callbacksOf(t *conn.Timings) map[string]Histogram {
	if t == nil {
		return nil
	}
	all := make(map[string]Histogram, len(t))
	for k := range t {
		all[conn.Callback(k).String()] = Histogram{
			Bounds: slices.Clone(conn.TimingBounds[:]), Counts: slices.Clone(t[k].Counts[:]), Sum: t[k].Sum.Seconds(),
		}
	}
	return all
}

// refusedCounts counts refused requests.
type refusedCounts struct {
	mu sync.Mutex
	n  map[Refusal]uint64
}

func (c *refusedCounts) add(r Refusal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = make(map[Refusal]uint64)
	}
	c.n[r]++
}

func (c *refusedCounts) all() map[Refusal]uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := make(map[Refusal]uint64, len(c.n))
	for r, k := range c.n {
		n[r] = k
	}
	return n
}

// roundTrips counts the answers to our pings: one for each socket in PingInterval.
type roundTrips struct {
	mu sync.Mutex
	h  *Histogram
}

func (r *roundTrips) observe(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.h.observe(d)
}

func (r *roundTrips) get() Histogram {
	r.mu.Lock()
	defer r.mu.Unlock()
	return *r.h.clone()
}
