package otelsocket

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/registry"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/supervisor"
)

// scope is the name of the Meter and of the Tracer.
const scope = "github.com/troupe-dev/troupe/socket/otelsocket"

// Metrics are the numbers of a program. Make one, with all that is to be watched; what is nil is left out,
// elements of the lists included. The fields must not be changed once it is registered. Its methods may be called from any goroutine.
//
// [Metrics.Register] has all but the histograms, which no observable instrument can have: they are counted already, and
// OpenTelemetry would count them again. The reader of an SDK takes them as they are, when Metrics is given to it as a
// [go.opentelemetry.io/otel/sdk/metric.Producer], by sdkmetric.WithProducer or that of the exporter. They are cumulative,
// whatever temporality the reader has.
//
// With the attribute troupe.server, which is socket.Config.Name, from each Server:
//
//	troupe.socket.active         updowncounter  {connection}  troupe.socket.state: awake, asleep
//	troupe.socket.duration       histogram      s             how long sockets that have ended were open; troupe.cause: normal,
//	                                                          remote, shutdown, timeout, overload, protocol, panic, error,
//	                                                          killed, expired, revoked, replaced, max_age;
//	                                                          troupe.close_code: as socket.End has it
//	troupe.socket.ends           counter        {connection}  that have ended; troupe.cause: likewise, each from the start
//	troupe.socket.upgrades       counter        {request}     http.response.status_code: 101 for those that have become
//	                                                          sockets; else troupe.refused: malformed, origin, handler,
//	                                                          full, draining, closed, server, lost, rate, address,
//	                                                          subject
//	troupe.socket.io             counter        By            payload; network.io.direction: receive, transmit
//	troupe.socket.frames         counter        {frame}       likewise, and troupe.frame: text, binary, continuation, ping,
//	                                                          pong, close
//	troupe.socket.rtt            histogram      s             how long peers took to answer pings
//	troupe.socket.mailbox.max    gauge          {message}     that wait for the socket for which most of them do
//	troupe.socket.lag.max        gauge          s             for how long the oldest message of all has waited
//	troupe.socket.dropped        counter        {message}     that were lost with sockets; troupe.dropped: overflow, when more
//	                                                          waited than may; ended, otherwise
//	troupe.callback.duration     histogram      s             with socket.Config.TimeCallbacks alone: how long callbacks took;
//	                                                          troupe.callback: Init, HandleIn, HandleInfo, HandleControl,
//	                                                          HandleDrain, HandleExpiry, HandleLag, Terminate
//	troupe.socket.left_out       counter        {message}     that were left out because their client was behind
//	troupe.callback.stuck        gauge          {callback}    of sockets, that have been running for a second or longer
//	troupe.drain.left            gauge          {connection}  that are still open, while a drain runs; else 0
//	troupe.drain.killed          counter        {connection}  that drains have killed because their time was over
//
// From the System:
//
//	troupe.process.active        updowncounter  {process}     that live, sockets included
//	troupe.process.exits         counter        {process}     troupe.exit_kind: normal, shutdown, abnormal, each from the
//	                                                          start
//	troupe.process.abandoned     counter        {goroutine}   that were left to themselves
//	troupe.process.stuck         gauge          {goroutine}   those of them that have not returned
//	troupe.message.undelivered   counter        {message}     that have reached nobody
//
// With the attribute troupe.supervisor, which is its Name, from each supervisor:
//
//	troupe.supervisor.restarts   counter        {restart}     troupe.child: the ID of a child of New; dynamic for all
//	                                                          others; each from the start
//	troupe.supervisor.gave_up    counter        {time}
//
// From the Registry, of this node alone:
//
//	troupe.registry.names        gauge          {name}
//	troupe.registry.groups       gauge          {group}
//	troupe.registry.members      gauge          {process}
//	troupe.broadcast.duration    histogram      s             with registry.Registry.MeasureBroadcasts alone: how long broadcasts
//	                                                          took, those of other nodes included; troupe.group: what its
//	                                                          function makes of the group, else none, and other after 32
//	troupe.broadcast.recipients  histogram      {process}     likewise: how many mailboxes of this node took each
//
// With the attribute troupe.node, which is its name, from each Node of this program; those of links are of all its links
// together, links that have ended included:
//
//	troupe.node.ready            gauge          {node}        1: it can reach others; 0: it is not served, or its engine is lost
//	troupe.node.up               gauge          {node}        other nodes that are up
//	troupe.node.ups              counter        {link}        that have begun
//	troupe.node.downs            counter        {link}        that have ended; troupe.down: left, by a goodbye; lost, otherwise
//	troupe.node.engine_lost      counter        {time}
//	troupe.link.resets           counter        {link}        that have begun again, to a node that was not restarted
//	troupe.link.io               counter        By            of records; network.io.direction: receive, transmit
//	troupe.link.records          counter        {record}      messages, calls, answers and what else nodes say; likewise
//	troupe.link.refused          counter        {record}      not sent because a window was full
//	troupe.link.resent           counter        {datagram}
//	troupe.link.unencodable      counter        {message}     that cannot cross, for their type or their length
//	troupe.link.undecodable      counter        {message}     that have come and could not be decoded
//	troupe.link.undelivered      counter        {message}     of other nodes, that have reached nobody here
//	troupe.link.rtt.max          gauge          s             round trip to the node that is farthest
//	troupe.link.in_use           gauge          By            on their way to the node whose window is fullest
//	troupe.link.window           gauge          By            what may be on its way to that one
//
// No attribute names the other node: nodes come and go, often with a name that is new, and nothing bounds how many names that
// makes. cluster.Node.Peers says which link it is.
//
// No attribute is a PID, a label, a group, an address, a subject or the text of an error, and what peers send makes no new
// series.
type Metrics struct {
	// Servers are the servers. Give each a Config.Name: when two have the same, the second one is NAME-2, and so on, in the
	// order of this list.
	Servers []*socket.Server
	// System is that of the processes.
	System *actor.System
	// Supervisors are *supervisor.Supervisor and *supervisor.Dynamic. For their names the same holds as for servers.
	Supervisors []Supervisor
	// Registry is that of names and groups.
	Registry *registry.Registry
	// Nodes are those of this program: usually one.
	Nodes []*cluster.Node

	// mu is held while the Servers are asked, so what one collection has read is never older than what an earlier one had.
	// fresh is what the last observation has left for Produce, which the same collection calls after it: the sockets that
	// live are looked at once for both.
	mu    sync.Mutex
	fresh *sweep
}

// sweep is what the Servers said at one moment, in their order.
type sweep struct {
	at      time.Time
	servers []socket.Stats
}

// Supervisor is a *supervisor.Supervisor or a *supervisor.Dynamic.
type Supervisor interface{ Stats() supervisor.Stats }

// Register makes the instruments at mp and has them observed at each collection, until stop is called. stop may be called
// more than once. A second Register at the same provider would count everything twice.
func (m *Metrics) Register(mp metric.MeterProvider) (stop func() error, err error) {
	meter := mp.Meter(scope)
	made, err := newInstruments(meter)
	if err != nil {
		return nil, fmt.Errorf("otelsocket: %w", err)
	}
	reg, err := meter.RegisterCallback(func(_ context.Context, to metric.Observer) error {
		m.observe(&observation{to, made})
		return nil
	}, made.all...)
	if err != nil {
		return nil, fmt.Errorf("otelsocket: %w", err)
	}
	return func() error {
		err := reg.Unregister()
		m.drop()
		return err
	}, nil
}

// look asks the Servers, and leaves the answer for Produce.
func (m *Metrics) look() []socket.Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fresh = m.sweep()
	return m.fresh.servers
}

// take is what the last look has left, once. Where there is none, it asks.
func (m *Metrics) take() *sweep {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.fresh
	m.fresh = nil
	if s == nil {
		s = m.sweep()
	}
	return s
}

// drop forgets what the last look has left: it would be old when Produce is called next.
func (m *Metrics) drop() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fresh = nil
}

// sweep asks the Servers. The caller holds m.mu.
func (m *Metrics) sweep() *sweep {
	all := make([]socket.Stats, 0, len(m.Servers))
	used := names{}
	for _, s := range m.Servers {
		if s == nil {
			continue
		}
		st := s.Stats()
		st.Name = used.unique(st.Name)
		all = append(all, st)
	}
	return &sweep{time.Now(), all}
}

func (m *Metrics) observe(o *observation) {
	servers := m.look()
	for i := range servers {
		o.server(&servers[i])
	}
	if m.System != nil {
		o.system(m.System.Stats())
	}
	used := names{}
	for _, s := range m.Supervisors {
		if absent(s) {
			continue
		}
		st := s.Stats()
		o.supervised(used.unique(st.Name), &st)
	}
	if m.Registry != nil {
		st := m.Registry.Stats()
		o.int(o.names, int64(st.Names))
		o.int(o.groups, int64(st.Groups))
		o.int(o.members, int64(st.Members))
	}
	used = names{}
	for _, n := range m.Nodes {
		if n == nil {
			continue
		}
		st := n.Stats()
		o.node(nodeKey.String(used.unique(st.Name)), &st)
	}
}

// absent reports whether s is nil, or a nil pointer of the types that it may be.
func absent(s Supervisor) bool {
	switch s := s.(type) {
	case nil:
		return true
	case *supervisor.Supervisor:
		return s == nil
	case *supervisor.Dynamic:
		return s == nil
	}
	return false
}

// observation is one collection.
type observation struct {
	to metric.Observer
	*instruments
}

func (o *observation) int(i metric.Int64Observable, v int64, attrs ...attribute.KeyValue) {
	o.to.ObserveInt64(i, v, metric.WithAttributes(attrs...))
}

func (o *observation) server(st *socket.Stats) {
	server := serverKey.String(st.Name)
	o.int(o.active, int64(st.Open-st.Asleep), server, stateKey.String("awake"))
	o.int(o.active, int64(st.Asleep), server, stateKey.String("asleep"))
	for cause, n := range st.Closed {
		o.int(o.ends, int64(n), server, causeKey.String(cause.String()))
	}
	o.int(o.upgrades, int64(st.Opened), server, statusKey.Int(101))
	for r, n := range st.Refused {
		o.int(o.upgrades, int64(n), server, statusKey.Int(r.Status), refusedKey.String(r.Reason.String()))
	}
	o.direction(server, directionKey.String("receive"), &st.Read)
	o.direction(server, directionKey.String("transmit"), &st.Written)
	o.int(o.mailboxMax, int64(st.MailboxMax), server)
	o.to.ObserveFloat64(o.lagMax, st.LagMax.Seconds(), metric.WithAttributes(server))
	o.int(o.dropped, int64(st.Overflowed), server, droppedKey.String("overflow"))
	o.int(o.dropped, int64(st.Dropped-st.Overflowed), server, droppedKey.String("ended"))
	o.int(o.leftOut, int64(st.LeftOut), server)
	o.int(o.long, int64(st.LongCallbacks), server)
	left := 0
	if st.Draining {
		left = st.Open
	}
	o.int(o.drainLeft, int64(left), server)
	o.int(o.drainKilled, int64(st.DrainKilled), server)
}

func (o *observation) direction(server, direction attribute.KeyValue, c *socket.Counts) {
	bytes := int64(0)
	for _, f := range []struct {
		frame string
		n     socket.FrameCount
	}{
		{"text", c.Text}, {"binary", c.Binary}, {"continuation", c.Continuation}, {"ping", c.Ping}, {"pong", c.Pong}, {"close", c.Close},
	} {
		bytes += f.n.Bytes
		o.int(o.frames, f.n.Frames, server, direction, frameKey.String(f.frame))
	}
	o.int(o.io, bytes, server, direction)
}

func (o *observation) system(st actor.Stats) {
	o.int(o.processes, int64(st.Processes))
	for kind, n := range st.Ended {
		o.int(o.exits, int64(n), exitKindKey.String(kind.String()))
	}
	o.int(o.abandoned, int64(st.Abandoned))
	o.int(o.stuck, int64(st.Stuck))
	o.int(o.undelivered, int64(st.Undelivered))
}

func (o *observation) supervised(name string, st *supervisor.Stats) {
	byChild := map[string]uint64{}
	for child, n := range st.Restarts {
		if child == "" {
			child = "dynamic"
		}
		byChild[valid(child)] += n
	}
	for child, n := range byChild {
		o.int(o.restarts, int64(n), supervisorKey.String(name), childKey.String(child))
	}
	o.int(o.gaveUp, int64(st.GaveUp), supervisorKey.String(name))
}

func (o *observation) node(node attribute.KeyValue, st *cluster.Stats) {
	ready := int64(0)
	if st.Ready {
		ready = 1
	}
	receive, transmit := directionKey.String("receive"), directionKey.String("transmit")
	o.int(o.nodeReady, ready, node)
	o.int(o.nodeUp, int64(st.Up), node)
	o.int(o.nodeUps, int64(st.Ups), node)
	o.int(o.nodeDowns, int64(st.Left), node, downKey.String("left"))
	o.int(o.nodeDowns, int64(st.Lost), node, downKey.String("lost"))
	o.int(o.engineLost, int64(st.EngineLost), node)
	o.int(o.linkResets, int64(st.Resets), node)
	o.int(o.linkIO, int64(st.BytesIn), node, receive)
	o.int(o.linkIO, int64(st.BytesOut), node, transmit)
	o.int(o.linkRecords, int64(st.RecordsIn), node, receive)
	o.int(o.linkRecords, int64(st.RecordsOut), node, transmit)
	o.int(o.linkRefused, int64(st.Refused), node)
	o.int(o.linkResent, int64(st.Resent), node)
	o.int(o.linkUnencodable, int64(st.Unencodable), node)
	o.int(o.linkUndecodable, int64(st.Undecodable), node)
	o.int(o.linkUndelivered, int64(st.Undelivered), node)
	o.to.ObserveFloat64(o.linkRTT, st.RTTMax.Seconds(), metric.WithAttributes(node))
	o.int(o.linkInUse, int64(st.InUse), node)
	o.int(o.linkWindow, int64(st.Window), node)
}

// names are those in use.
type names map[string]bool

// unique is name, or another when it is in use: two values of one series would be added up, or one of them lost.
func (n names) unique(name string) string {
	name = valid(name)
	unique := name
	for i := 2; n[unique]; i++ {
		unique = fmt.Sprintf("%s-%d", name, i)
	}
	n[unique] = true
	return unique
}

// valid is what an attribute may be: OTLP is made of protobuf, which refuses a string that is not UTF-8.
func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
