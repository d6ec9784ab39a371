package otelsocket

import (
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// The attributes. What each can be is listed at Metrics.
const (
	serverKey     = attribute.Key("troupe.server")
	stateKey      = attribute.Key("troupe.socket.state")
	causeKey      = attribute.Key("troupe.cause")
	codeKey       = attribute.Key("troupe.close_code")
	statusKey     = attribute.Key("http.response.status_code")
	refusedKey    = attribute.Key("troupe.refused")
	directionKey  = attribute.Key("network.io.direction")
	frameKey      = attribute.Key("troupe.frame")
	droppedKey    = attribute.Key("troupe.dropped")
	groupKey      = attribute.Key("troupe.group")
	exitKindKey   = attribute.Key("troupe.exit_kind")
	supervisorKey = attribute.Key("troupe.supervisor")
	childKey      = attribute.Key("troupe.child")
	nodeKey       = attribute.Key("troupe.node")
	downKey       = attribute.Key("troupe.down")
)

// instruments are all that are observed.
type instruments struct {
	active                                                    metric.Int64ObservableUpDownCounter
	ends, upgrades, io, frames, dropped, leftOut, drainKilled metric.Int64ObservableCounter
	mailboxMax, long, drainLeft                               metric.Int64ObservableGauge
	lagMax                                                    metric.Float64ObservableGauge

	processes                     metric.Int64ObservableUpDownCounter
	exits, abandoned, undelivered metric.Int64ObservableCounter
	stuck                         metric.Int64ObservableGauge

	restarts, gaveUp       metric.Int64ObservableCounter
	names, groups, members metric.Int64ObservableGauge

	nodeReady, nodeUp, linkInUse, linkWindow                 metric.Int64ObservableGauge
	nodeUps, nodeDowns, engineLost                           metric.Int64ObservableCounter
	linkResets, linkIO, linkRecords, linkRefused, linkResent metric.Int64ObservableCounter
	linkUnencodable, linkUndecodable, linkUndelivered        metric.Int64ObservableCounter
	linkRTT                                                  metric.Float64ObservableGauge

	all []metric.Observable
}

func newInstruments(meter metric.Meter) (*instruments, error) {
	mk := maker{meter: meter}
	made := &instruments{
		active:          mk.upDown("troupe.socket.active", "{connection}", "Sockets whose TCP connection is open."),
		ends:            mk.counter("troupe.socket.ends", "{connection}", "Sockets that have ended."),
		upgrades:        mk.counter("troupe.socket.upgrades", "{request}", "Requests for a socket, by the status of the answer."),
		io:              mk.counter("troupe.socket.io", "By", "Payload bytes of frames, as they were on the wire."),
		frames:          mk.counter("troupe.socket.frames", "{frame}", "Frames, as they were on the wire."),
		mailboxMax:      mk.gauge("troupe.socket.mailbox.max", "{message}", "Messages that wait for the socket for which most of them do."),
		lagMax:          mk.seconds("troupe.socket.lag.max", "For how long the oldest message that waits for a socket has waited."),
		dropped:         mk.counter("troupe.socket.dropped", "{message}", "Messages that were lost with sockets that ended."),
		leftOut:         mk.counter("troupe.socket.left_out", "{message}", "Messages that were left out because their client was behind."),
		long:            mk.gauge("troupe.callback.stuck", "{callback}", "Callbacks of sockets that have been running for a second or longer."),
		drainLeft:       mk.gauge("troupe.drain.left", "{connection}", "Sockets that are still open, while a drain runs."),
		drainKilled:     mk.counter("troupe.drain.killed", "{connection}", "Sockets that drains have killed because their time was over."),
		processes:       mk.upDown("troupe.process.active", "{process}", "Processes that live, sockets included."),
		exits:           mk.counter("troupe.process.exits", "{process}", "Processes that have ended."),
		abandoned:       mk.counter("troupe.process.abandoned", "{goroutine}", "Goroutines that were left to themselves because their callback did not return."),
		stuck:           mk.gauge("troupe.process.stuck", "{goroutine}", "Abandoned goroutines that have not returned."),
		undelivered:     mk.counter("troupe.message.undelivered", "{message}", "Messages that have reached nobody."),
		restarts:        mk.counter("troupe.supervisor.restarts", "{restart}", "Restarts of children."),
		gaveUp:          mk.counter("troupe.supervisor.gave_up", "{time}", "How often a supervisor has given up, or a Dynamic a child."),
		names:           mk.gauge("troupe.registry.names", "{name}", "Names that are held by processes of this node."),
		groups:          mk.gauge("troupe.registry.groups", "{group}", "Groups that have members on this node."),
		members:         mk.gauge("troupe.registry.members", "{process}", "Members of all groups together, on this node."),
		nodeReady:       mk.gauge("troupe.node.ready", "{node}", "Whether this node can reach others."),
		nodeUp:          mk.gauge("troupe.node.up", "{node}", "Other nodes that are up."),
		nodeUps:         mk.counter("troupe.node.ups", "{link}", "Links to other nodes that have begun."),
		nodeDowns:       mk.counter("troupe.node.downs", "{link}", "Links to other nodes that have ended."),
		engineLost:      mk.counter("troupe.node.engine_lost", "{time}", "How often the engine of a node was lost."),
		linkResets:      mk.counter("troupe.link.resets", "{link}", "Links that have begun again, to nodes that were not restarted."),
		linkIO:          mk.counter("troupe.link.io", "By", "Bytes of records from and to other nodes."),
		linkRecords:     mk.counter("troupe.link.records", "{record}", "Records from and to other nodes."),
		linkRefused:     mk.counter("troupe.link.refused", "{record}", "What was not sent to another node because its window was full."),
		linkResent:      mk.counter("troupe.link.resent", "{datagram}", "Datagrams that were sent to other nodes again."),
		linkUnencodable: mk.counter("troupe.link.unencodable", "{message}", "Messages that cannot be sent to another node, for their type or their length."),
		linkUndecodable: mk.counter("troupe.link.undecodable", "{message}", "What has come from other nodes and could not be decoded."),
		linkUndelivered: mk.counter("troupe.link.undelivered", "{message}", "Messages of other nodes that have reached nobody here."),
		linkRTT:         mk.seconds("troupe.link.rtt.max", "Round trip to the node that is farthest."),
		linkInUse:       mk.gauge("troupe.link.in_use", "By", "Bytes on their way to the node whose window is fullest."),
		linkWindow:      mk.gauge("troupe.link.window", "By", "Bytes that may be on their way to the node whose window is fullest."),
	}
	made.all = mk.all
	return made, errors.Join(mk.errs...)
}

// maker makes instruments, and keeps them and what went wrong.
type maker struct {
	meter metric.Meter
	all   []metric.Observable
	errs  []error
}

func (mk *maker) note(i metric.Observable, err error) {
	mk.all = append(mk.all, i)
	if err != nil {
		mk.errs = append(mk.errs, err)
	}
}

func (mk *maker) counter(name, unit, description string) metric.Int64ObservableCounter {
	i, err := mk.meter.Int64ObservableCounter(name, metric.WithUnit(unit), metric.WithDescription(description))
	mk.note(i, err)
	return i
}

func (mk *maker) upDown(name, unit, description string) metric.Int64ObservableUpDownCounter {
	i, err := mk.meter.Int64ObservableUpDownCounter(name, metric.WithUnit(unit), metric.WithDescription(description))
	mk.note(i, err)
	return i
}

func (mk *maker) gauge(name, unit, description string) metric.Int64ObservableGauge {
	i, err := mk.meter.Int64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(description))
	mk.note(i, err)
	return i
}

func (mk *maker) seconds(name, description string) metric.Float64ObservableGauge {
	i, err := mk.meter.Float64ObservableGauge(name, metric.WithUnit("s"), metric.WithDescription(description))
	mk.note(i, err)
	return i
}
