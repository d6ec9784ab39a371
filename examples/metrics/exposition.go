package metrics

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/troupe-dev/troupe/socket"
)

// families are all metrics, in the order in which they are shown.
var families = [...]struct{ name, kind, help string }{
	{"troupe_socket_active", "gauge", "Sockets whose TCP connection is open."},
	{"troupe_socket_duration_seconds", "histogram", "How long sockets that have ended were open."},
	{"troupe_socket_ends_total", "counter", "Sockets that have ended."},
	{"troupe_socket_upgrades_total", "counter", "Requests for a socket, by the status of the answer."},
	{"troupe_socket_io_bytes_total", "counter", "Payload bytes of frames, as they were on the wire."},
	{"troupe_socket_frames_total", "counter", "Frames, as they were on the wire."},
	{"troupe_socket_rtt_seconds", "histogram", "How long peers took to answer pings."},
	{"troupe_socket_mailbox_max", "gauge", "Messages that wait for the socket for which most of them do."},
	{"troupe_socket_lag_max_seconds", "gauge", "For how long the oldest message that waits for a socket has waited."},
	{"troupe_socket_dropped_total", "counter", "Messages that were lost with sockets that ended."},
	{"troupe_callback_duration_seconds", "histogram", "How long callbacks of sockets took."},
	{"troupe_socket_left_out_total", "counter", "Messages that were left out because their client was behind."},
	{"troupe_callback_stuck", "gauge", "Callbacks of sockets that have been running for a second or longer."},
	{"troupe_drain_left", "gauge", "Sockets that are still open, while a drain runs."},
	{"troupe_drain_killed_total", "counter", "Sockets that drains have killed because their time was over."},
	{"troupe_process_active", "gauge", "Processes that live, sockets included."},
	{"troupe_process_exits_total", "counter", "Processes that have ended."},
	{"troupe_process_abandoned_total", "counter", "Goroutines that were left to themselves because their callback did not return."},
	{"troupe_process_stuck", "gauge", "Abandoned goroutines that have not returned."},
	{"troupe_message_undelivered_total", "counter", "Messages that have reached nobody."},
	{"troupe_supervisor_restarts_total", "counter", "Restarts of children."},
	{"troupe_supervisor_gave_up_total", "counter", "How often a supervisor has given up, or a Dynamic a child."},
	{"troupe_registry_names", "gauge", "Names that are held by processes of this node."},
	{"troupe_registry_groups", "gauge", "Groups that have members on this node."},
	{"troupe_registry_members", "gauge", "Members of all groups together, on this node."},
	{"troupe_broadcast_duration_seconds", "histogram", "How long broadcasts took."},
	{"troupe_broadcast_recipients", "histogram", "Mailboxes of this node that took a broadcast."},
}

// exposition is the text format of Prometheus, version 0.0.4. All lines of a metric must stand together, whichever server they
// are of, so there is a text for each.
type exposition struct {
	lines map[string]*bytes.Buffer // by name
}

func newExposition() *exposition { return &exposition{make(map[string]*bytes.Buffer)} }

// add adds a line. labels are names and values in turn; suffix comes after the name of the metric.
func (e *exposition) add(name, suffix string, value float64, labels ...string) {
	b := e.lines[name]
	if b == nil {
		b = new(bytes.Buffer)
		e.lines[name] = b
	}
	b.WriteString(name + suffix)
	for i := 0; i < len(labels); i += 2 {
		b.WriteByte("{,"[min(i, 1)])
		fmt.Fprintf(b, `%s="%s"`, labels[i], escaper.Replace(strings.ToValidUTF8(labels[i+1], "\uFFFD")))
	}
	if len(labels) > 0 {
		b.WriteByte('}')
	}
	b.WriteString(" " + strconv.FormatFloat(value, 'g', -1, 64) + "\n")
}

func (e *exposition) count(name string, value int64, labels ...string) {
	e.add(name, "", float64(value), labels...)
}

var escaper = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

func (e *exposition) durations(name string, h *socket.Histogram, labels ...string) {
	bounds := make([]float64, len(h.Bounds))
	for i, b := range h.Bounds {
		bounds[i] = b.Seconds()
	}
	e.histogram(name, bounds, h.Counts, h.Sum, labels...)
}

// histogram adds the buckets up: those of Prometheus hold what is at most their bound, whatever is below it.
func (e *exposition) histogram(name string, bounds []float64, counts []uint64, sum float64, labels ...string) {
	n := uint64(0)
	for i, bound := range bounds {
		n += counts[i]
		e.bucket(name, strconv.FormatFloat(bound, 'g', -1, 64), n, labels)
	}
	n += counts[len(bounds)]
	e.bucket(name, "+Inf", n, labels)
	e.add(name, "_sum", sum, labels...)
	e.add(name, "_count", float64(n), labels...)
}

func (e *exposition) bucket(name, le string, n uint64, labels []string) {
	e.add(name, "_bucket", float64(n), append(labels[:len(labels):len(labels)], "le", le)...)
}

func (e *exposition) bytes() []byte {
	var all bytes.Buffer
	for _, f := range families {
		if b := e.lines[f.name]; b != nil {
			fmt.Fprintf(&all, "# HELP %s %s\n# TYPE %s %s\n%s", f.name, f.help, f.name, f.kind, b)
		}
	}
	return all.Bytes()
}
