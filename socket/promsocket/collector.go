package promsocket

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/registry"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/supervisor"
)

// Collector is a prometheus.Collector. Register one for a program, with all that is to be watched; what is nil is left out,
// elements of the lists included. The fields must not be changed once it is registered. Its methods may be called from any
// goroutine.
//
// With the label troupe_server, which is socket.Config.Name, from each Server:
//
//	troupe_socket_active                 gauge      troupe_socket_state: awake, asleep
//	troupe_socket_duration_seconds       histogram  how long sockets that have ended were open; troupe_cause: normal, remote,
//	                                                shutdown, timeout, overload, protocol, panic, error, killed,
//	                                                expired, revoked, replaced, max_age;
//	                                                troupe_close_code: as socket.End has it
//	troupe_socket_ends_total             counter    sockets that have ended; troupe_cause: likewise, each from the start
//	troupe_socket_upgrades_total         counter    http_response_status_code: 101 for those that have become sockets;
//	                                                troupe_refused: "", malformed, origin, handler, full, draining, closed,
//	                                                server, lost, rate, address, subject
//	troupe_socket_io_bytes_total         counter    payload bytes; network_io_direction: receive, transmit
//	troupe_socket_frames_total           counter    likewise, and troupe_frame: text, binary, continuation, ping, pong, close
//	troupe_socket_rtt_seconds            histogram  how long peers took to answer pings
//	troupe_socket_mailbox_max            gauge      messages that wait for the socket for which most of them do
//	troupe_socket_lag_max_seconds        gauge      for how long the oldest message of all has waited
//	troupe_socket_dropped_total          counter    messages that were lost with sockets; troupe_dropped: overflow, when more
//	                                                waited than may; ended, otherwise
//	troupe_callback_duration_seconds     histogram  with socket.Config.TimeCallbacks alone: how long callbacks took;
//	                                                troupe_callback: Init, HandleIn, HandleInfo, HandleControl, HandleDrain,
//	                                                HandleExpiry, HandleLag, Terminate
//	troupe_socket_left_out_total         counter    messages that were left out because their client was behind
//	troupe_callback_stuck                gauge      callbacks of sockets that have been running for a second or longer
//	troupe_drain_left                    gauge      sockets that are still open, while a drain runs; else 0
//	troupe_drain_killed_total            counter    sockets that drains have killed because their time was over
//
// From the System:
//
//	troupe_process_active                gauge      processes that live, sockets included
//	troupe_process_exits_total           counter    troupe_exit_kind: normal, shutdown, abnormal, each from the start
//	troupe_process_abandoned_total       counter    goroutines that were left to themselves
//	troupe_process_stuck                 gauge      those of them that have not returned
//	troupe_message_undelivered_total     counter    messages that have reached nobody
//
// With the label troupe_supervisor, which is its Name, from each supervisor:
//
//	troupe_supervisor_restarts_total     counter    troupe_child: the ID of a child of New; dynamic for all others; each
//	                                                from the start
//	troupe_supervisor_gave_up_total      counter
//
// From the Registry, of this node alone:
//
//	troupe_registry_names                gauge
//	troupe_registry_groups               gauge
//	troupe_registry_members              gauge
//	troupe_broadcast_duration_seconds    histogram  with registry.Registry.MeasureBroadcasts alone: how long broadcasts took, those
//	                                                of other nodes included; troupe_group: what its function makes of the
//	                                                group, else empty, and other after 32 of them
//	troupe_broadcast_recipients          histogram  likewise: how many mailboxes of this node took each
//
// With the label troupe_node, which is its name, from each Node of this program; those of links are of all its links together,
// links that have ended included:
//
//	troupe_node_ready                    gauge      1: it can reach others; 0: it is not served, or its engine is lost
//	troupe_node_up                       gauge      other nodes that are up
//	troupe_node_ups_total                counter    links that have begun
//	troupe_node_downs_total              counter    links that have ended; troupe_down: left, by a goodbye; lost, otherwise
//	troupe_node_engine_lost_total        counter    how often the engine was lost
//	troupe_link_resets_total             counter    links that have begun again, to a node that was not restarted
//	troupe_link_io_bytes_total           counter    of records; network_io_direction: receive, transmit
//	troupe_link_records_total            counter    messages, calls, answers and what else nodes say; likewise
//	troupe_link_refused_total            counter    what was not sent because a window was full
//	troupe_link_resent_total             counter    datagrams that were sent again
//	troupe_link_unencodable_total        counter    messages that cannot cross, for their type or their length
//	troupe_link_undecodable_total        counter    what has come and could not be decoded
//	troupe_link_undelivered_total        counter    messages of other nodes that have reached nobody here
//	troupe_link_rtt_max_seconds          gauge      round trip to the node that is farthest
//	troupe_link_in_use_bytes             gauge      on their way to the node whose window is fullest
//	troupe_link_window_bytes             gauge      what may be on its way to that one
//
// No label names the other node: nodes come and go, often with a name that is new, and nothing bounds how many names that makes.
// cluster.Node.Peers says which link it is.
type Collector struct {
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
}

// Supervisor is a *supervisor.Supervisor or a *supervisor.Dynamic.
type Supervisor interface{ Stats() supervisor.Stats }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

var (
	socketActive    = desc("troupe_socket_active", "Sockets whose TCP connection is open.", "troupe_server", "troupe_socket_state")
	socketDuration  = desc("troupe_socket_duration_seconds", "How long sockets that have ended were open.", "troupe_server", "troupe_cause", "troupe_close_code")
	socketEnds      = desc("troupe_socket_ends_total", "Sockets that have ended.", "troupe_server", "troupe_cause")
	socketUpgrades  = desc("troupe_socket_upgrades_total", "Requests for a socket, by the status of the answer.", "troupe_server", "http_response_status_code", "troupe_refused")
	socketBytes     = desc("troupe_socket_io_bytes_total", "Payload bytes of frames, as they were on the wire.", "troupe_server", "network_io_direction")
	socketFrames    = desc("troupe_socket_frames_total", "Frames, as they were on the wire.", "troupe_server", "network_io_direction", "troupe_frame")
	socketRTT       = desc("troupe_socket_rtt_seconds", "How long peers took to answer pings.", "troupe_server")
	socketMailbox   = desc("troupe_socket_mailbox_max", "Messages that wait for the socket for which most of them do.", "troupe_server")
	socketLag       = desc("troupe_socket_lag_max_seconds", "For how long the oldest message that waits for a socket has waited.", "troupe_server")
	socketDropped   = desc("troupe_socket_dropped_total", "Messages that were lost with sockets that ended.", "troupe_server", "troupe_dropped")
	callbackTook    = desc("troupe_callback_duration_seconds", "How long callbacks of sockets took.", "troupe_server", "troupe_callback")
	socketLeftOut   = desc("troupe_socket_left_out_total", "Messages that were left out because their client was behind.", "troupe_server")
	callbackStuck   = desc("troupe_callback_stuck", "Callbacks of sockets that have been running for a second or longer.", "troupe_server")
	drainLeft       = desc("troupe_drain_left", "Sockets that are still open, while a drain runs.", "troupe_server")
	drainKilled     = desc("troupe_drain_killed_total", "Sockets that drains have killed because their time was over.", "troupe_server")
	processActive   = desc("troupe_process_active", "Processes that live, sockets included.")
	processExits    = desc("troupe_process_exits_total", "Processes that have ended.", "troupe_exit_kind")
	processLeft     = desc("troupe_process_abandoned_total", "Goroutines that were left to themselves because their callback did not return.")
	processStuck    = desc("troupe_process_stuck", "Abandoned goroutines that have not returned.")
	undelivered     = desc("troupe_message_undelivered_total", "Messages that have reached nobody.")
	restarts        = desc("troupe_supervisor_restarts_total", "Restarts of children.", "troupe_supervisor", "troupe_child")
	gaveUp          = desc("troupe_supervisor_gave_up_total", "How often a supervisor has given up, or a Dynamic a child.", "troupe_supervisor")
	registryNames   = desc("troupe_registry_names", "Names that are held by processes of this node.")
	registryGroups  = desc("troupe_registry_groups", "Groups that have members on this node.")
	registryMembers = desc("troupe_registry_members", "Members of all groups together, on this node.")
	broadcastTook   = desc("troupe_broadcast_duration_seconds", "How long broadcasts took.", "troupe_group")
	broadcastTo     = desc("troupe_broadcast_recipients", "Mailboxes of this node that took a broadcast.", "troupe_group")
	nodeReady       = desc("troupe_node_ready", "Whether this node can reach others.", "troupe_node")
	nodeUp          = desc("troupe_node_up", "Other nodes that are up.", "troupe_node")
	nodeUps         = desc("troupe_node_ups_total", "Links to other nodes that have begun.", "troupe_node")
	nodeDowns       = desc("troupe_node_downs_total", "Links to other nodes that have ended.", "troupe_node", "troupe_down")
	nodeEngineLost  = desc("troupe_node_engine_lost_total", "How often the engine of a node was lost.", "troupe_node")
	linkResets      = desc("troupe_link_resets_total", "Links that have begun again, to nodes that were not restarted.", "troupe_node")
	linkBytes       = desc("troupe_link_io_bytes_total", "Bytes of records from and to other nodes.", "troupe_node", "network_io_direction")
	linkRecords     = desc("troupe_link_records_total", "Records from and to other nodes.", "troupe_node", "network_io_direction")
	linkRefused     = desc("troupe_link_refused_total", "What was not sent to another node because its window was full.", "troupe_node")
	linkResent      = desc("troupe_link_resent_total", "Datagrams that were sent to other nodes again.", "troupe_node")
	linkUnencodable = desc("troupe_link_unencodable_total", "Messages that cannot be sent to another node, for their type or their length.", "troupe_node")
	linkUndecodable = desc("troupe_link_undecodable_total", "What has come from other nodes and could not be decoded.", "troupe_node")
	linkUndelivered = desc("troupe_link_undelivered_total", "Messages of other nodes that have reached nobody here.", "troupe_node")
	linkRTT         = desc("troupe_link_rtt_max_seconds", "Round trip to the node that is farthest.", "troupe_node")
	linkInUse       = desc("troupe_link_in_use_bytes", "Bytes on their way to the node whose window is fullest.", "troupe_node")
	linkWindow      = desc("troupe_link_window_bytes", "Bytes that may be on their way to the node whose window is fullest.", "troupe_node")
)

// Describe implements prometheus.Collector.
func (c *Collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		socketActive, socketDuration, socketEnds, socketUpgrades, socketBytes, socketFrames, socketRTT, socketMailbox,
		socketLag, socketDropped, socketLeftOut, callbackTook, callbackStuck, drainLeft, drainKilled, processActive, processExits, processLeft,
		processStuck, undelivered, restarts, gaveUp, registryNames, registryGroups, registryMembers, broadcastTook, broadcastTo,
		nodeReady, nodeUp, nodeUps, nodeDowns, nodeEngineLost, linkResets, linkBytes, linkRecords, linkRefused, linkResent,
		linkUnencodable, linkUndecodable, linkUndelivered, linkRTT, linkInUse, linkWindow,
	} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(to chan<- prometheus.Metric) {
	used := names{}
	for _, s := range c.Servers {
		if s == nil {
			continue
		}
		st := s.Stats()
		server(to, used.unique(st.Name), &st)
	}
	if c.System != nil {
		system(to, c.System.Stats())
	}
	used = names{}
	for _, s := range c.Supervisors {
		if absent(s) {
			continue
		}
		st := s.Stats()
		supervised(to, used.unique(st.Name), &st)
	}
	if c.Registry != nil {
		st := c.Registry.Stats()
		gauge(to, registryNames, float64(st.Names))
		gauge(to, registryGroups, float64(st.Groups))
		gauge(to, registryMembers, float64(st.Members))
		for group, st := range c.Registry.BroadcastStats() {
			histogram(to, broadcastTook, st.Durations.Bounds, st.Durations.Counts, st.Durations.Sum, group)
			histogram(to, broadcastTo, st.Recipients.Bounds, st.Recipients.Counts, st.Recipients.Sum, group)
		}
	}
	used = names{}
	for _, n := range c.Nodes {
		if n == nil {
			continue
		}
		st := n.Stats()
		node(to, used.unique(st.Name), &st)
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

func server(to chan<- prometheus.Metric, name string, st *socket.Stats) {
	gauge(to, socketActive, float64(st.Open-st.Asleep), name, "awake")
	gauge(to, socketActive, float64(st.Asleep), name, "asleep")
	for end, h := range st.Lifetimes {
		durations(to, socketDuration, &h, name, end.Cause.String(), strconv.Itoa(int(end.Code)))
	}
	for cause, n := range st.Closed {
		counter(to, socketEnds, float64(n), name, cause.String())
	}
	counter(to, socketUpgrades, float64(st.Opened), name, "101", "")
	for r, n := range st.Refused {
		counter(to, socketUpgrades, float64(n), name, strconv.Itoa(r.Status), r.Reason.String())
	}
	direction(to, name, "receive", &st.Read)
	direction(to, name, "transmit", &st.Written)
	durations(to, socketRTT, &st.RoundTrips, name)
	gauge(to, socketMailbox, float64(st.MailboxMax), name)
	gauge(to, socketLag, st.LagMax.Seconds(), name)
	counter(to, socketDropped, float64(st.Overflowed), name, "overflow")
	counter(to, socketDropped, float64(st.Dropped-st.Overflowed), name, "ended")
	for callback, h := range st.Callbacks {
		durations(to, callbackTook, &h, name, callback)
	}
	counter(to, socketLeftOut, float64(st.LeftOut), name)
	gauge(to, callbackStuck, float64(st.LongCallbacks), name)
	left := 0
	if st.Draining {
		left = st.Open
	}
	gauge(to, drainLeft, float64(left), name)
	counter(to, drainKilled, float64(st.DrainKilled), name)
}

func direction(to chan<- prometheus.Metric, name, direction string, c *socket.Counts) {
	bytes := int64(0)
	for _, f := range []struct {
		frame string
		n     socket.FrameCount
	}{
		{"text", c.Text}, {"binary", c.Binary}, {"continuation", c.Continuation}, {"ping", c.Ping}, {"pong", c.Pong}, {"close", c.Close},
	} {
		bytes += f.n.Bytes
		counter(to, socketFrames, float64(f.n.Frames), name, direction, f.frame)
	}
	counter(to, socketBytes, float64(bytes), name, direction)
}

func system(to chan<- prometheus.Metric, st actor.Stats) {
	gauge(to, processActive, float64(st.Processes))
	for kind, n := range st.Ended {
		counter(to, processExits, float64(n), kind.String())
	}
	counter(to, processLeft, float64(st.Abandoned))
	gauge(to, processStuck, float64(st.Stuck))
	counter(to, undelivered, float64(st.Undelivered))
}

func supervised(to chan<- prometheus.Metric, name string, st *supervisor.Stats) {
	byChild := map[string]uint64{}
	for child, n := range st.Restarts {
		if child == "" {
			child = "dynamic"
		}
		byChild[valid(child)] += n
	}
	for child, n := range byChild {
		counter(to, restarts, float64(n), name, child)
	}
	counter(to, gaveUp, float64(st.GaveUp), name)
}

func node(to chan<- prometheus.Metric, name string, st *cluster.Stats) {
	ready := 0.0
	if st.Ready {
		ready = 1
	}
	gauge(to, nodeReady, ready, name)
	gauge(to, nodeUp, float64(st.Up), name)
	counter(to, nodeUps, float64(st.Ups), name)
	counter(to, nodeDowns, float64(st.Left), name, "left")
	counter(to, nodeDowns, float64(st.Lost), name, "lost")
	counter(to, nodeEngineLost, float64(st.EngineLost), name)
	counter(to, linkResets, float64(st.Resets), name)
	counter(to, linkBytes, float64(st.BytesIn), name, "receive")
	counter(to, linkBytes, float64(st.BytesOut), name, "transmit")
	counter(to, linkRecords, float64(st.RecordsIn), name, "receive")
	counter(to, linkRecords, float64(st.RecordsOut), name, "transmit")
	counter(to, linkRefused, float64(st.Refused), name)
	counter(to, linkResent, float64(st.Resent), name)
	counter(to, linkUnencodable, float64(st.Unencodable), name)
	counter(to, linkUndecodable, float64(st.Undecodable), name)
	counter(to, linkUndelivered, float64(st.Undelivered), name)
	gauge(to, linkRTT, st.RTTMax.Seconds(), name)
	gauge(to, linkInUse, float64(st.InUse), name)
	gauge(to, linkWindow, float64(st.Window), name)
}

func gauge(to chan<- prometheus.Metric, d *prometheus.Desc, v float64, labels ...string) {
	to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func counter(to chan<- prometheus.Metric, d *prometheus.Desc, v float64, labels ...string) {
	to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
}

func durations(to chan<- prometheus.Metric, d *prometheus.Desc, h *socket.Histogram, labels ...string) {
	bounds := make([]float64, len(h.Bounds))
	for i, b := range h.Bounds {
		bounds[i] = b.Seconds()
	}
	histogram(to, d, bounds, h.Counts, h.Sum, labels...)
}

// histogram adds the buckets up: those of Prometheus hold what is at most their bound, whatever is below it.
func histogram(to chan<- prometheus.Metric, d *prometheus.Desc, bounds []float64, counts []uint64, sum float64, labels ...string) {
	buckets := make(map[float64]uint64, len(bounds))
	n := uint64(0)
	for i, bound := range bounds {
		n += counts[i]
		buckets[bound] = n
	}
	n += counts[len(bounds)]
	to <- prometheus.MustNewConstHistogram(d, n, sum, buckets, labels...)
}

// names are those in use.
type names map[string]bool

// unique is name, or another when it is in use: Prometheus refuses a scrape in which a series is there twice.
func (n names) unique(name string) string {
	name = valid(name)
	unique := name
	for i := 2; n[unique]; i++ {
		unique = fmt.Sprintf("%s-%d", name, i)
	}
	n[unique] = true
	return unique
}

// valid is what a label may be.
func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
