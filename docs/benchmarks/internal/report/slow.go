package report

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// SlowFile is where [Render] finds what slow clients get, if it was measured.
const SlowFile = "results/slow.json"

// The workloads with slow clients.
const (
	Ticker = "ticker"
	Stream = "stream"
	Tenth  = "tenth"
)

// The servers of Tenth.
const (
	WithSlow    = "a tenth is slow"
	WithoutSlow = "none is slow"
)

// The figures of slow clients.
const (
	AgeP50  = "age_p50_ms" // of a message when it is read
	AgeP99  = "age_p99_ms"
	AgeMax  = "age_max_ms"
	OnWay   = "on_the_way_bytes" // what comes when no more is sent
	Sent    = "sent"
	Arrived = "arrived"
	LeftOut = "left_out"
	Dropped = "dropped"
	Lived   = "lived_s"     // until the socket was ended; no figure: it was not
	Waiting = "waiting"     // messages in the mailbox, at most
	Grown   = "grown_bytes" // of the server's heap, at most
)

// Slow is what slow clients get, and what they cost those that are not. The way, such as a Delivery, stands as server.
type Slow struct {
	Began   time.Time     `json:"began"`
	Window  time.Duration `json:"window_ns"`
	Machine Machine       `json:"machine"`
	Ways    []string      `json:"ways"` // of the ticker, in the order of the table
	Results []Result      `json:"results"`
}

// Replace puts the results of more in the place of those of the same workloads.
func (s *Slow) Replace(more Slow) {
	old := slices.DeleteFunc(s.Results, func(r Result) bool {
		return slices.ContainsFunc(more.Results, func(n Result) bool { return n.Workload == r.Workload })
	})
	if len(more.Ways) == 0 {
		more.Ways = s.Ways
	}
	*s = Slow{more.Began, more.Window, more.Machine, more.Ways, append(old, more.Results...)}
}

// ReadSlow reads what was measured before; nothing, if nothing was.
func ReadSlow(name string) (Slow, error) {
	s, err := readJSON[Slow](name)
	if s == nil {
		s = &Slow{}
	}
	return *s, err
}

// Write writes it as JSON.
func (s Slow) Write(name string) error { return writeJSON(name, s) }

// Table is what was measured, in Markdown: a table for each workload.
func (s Slow) Table() string {
	runs := []Run{{Results: s.Results}}
	var all []string
	for _, t := range []struct {
		workload string
		table    func([]Run) string
	}{{Ticker, s.ticker}, {Stream, stream}, {Tenth, tenth}} {
		if slices.ContainsFunc(s.Results, func(r Result) bool { return r.Workload == t.workload }) {
			all = append(all, t.table(runs))
		}
	}
	return strings.Join(all, "\n")
}

func (s Slow) ticker(runs []Run) string {
	var p strings.Builder
	p.WriteString("| prices | age, p50 | p99 | oldest | on the way at the end | sent | came | left out | socket |\n|---|---|---|---|---|---|---|---|---|\n")
	for _, way := range s.Ways {
		fmt.Fprintf(&p, "| %s |", way)
		for _, c := range []struct{ name, unit string }{{AgeP50, "ms"}, {AgeP99, "ms"}, {AgeMax, "ms"}, {OnWay, "bytes"}, {Sent, ""}, {Arrived, ""}, {LeftOut, ""}} {
			fmt.Fprintf(&p, " %s |", cell(runs, Ticker, way, c.name, c.unit))
		}
		fmt.Fprintf(&p, " %s |\n", fate(runs, Ticker, way))
	}
	return p.String()
}

func stream(runs []Run) string {
	var p strings.Builder
	p.WriteString("| stream by | made | came | lost | waited at most | heap grew by | socket |\n|---|---|---|---|---|---|---|\n")
	for _, way := range Ways {
		fmt.Fprintf(&p, "| %s |", way)
		for _, c := range []struct{ name, unit string }{{Sent, ""}, {Arrived, ""}, {Dropped, ""}, {Waiting, ""}, {Grown, "bytes"}} {
			fmt.Fprintf(&p, " %s |", cell(runs, Stream, way, c.name, c.unit))
		}
		fmt.Fprintf(&p, " %s |\n", fate(runs, Stream, way))
	}
	return p.String()
}

func tenth(runs []Run) string {
	var p strings.Builder
	p.WriteString("| 10,000 sockets | p50, µs | p99, µs | p99.9, µs | CPU, µs | left out for each slow one |\n|---|---|---|---|---|---|\n")
	figures := []string{P50, P99, P999, CPU}
	for _, who := range []string{WithoutSlow, WithSlow} {
		fmt.Fprintf(&p, "| %s |", who)
		for _, name := range append(figures, LeftOut) {
			fmt.Fprintf(&p, " %s |", cell(runs, Tenth, who, name, ""))
		}
		p.WriteString("\n")
	}
	p.WriteString("| ratio, of one round |")
	for _, name := range figures {
		r, _ := summarize(Target{Workload: Tenth, Server: WithSlow, Figure: name}.hold(runs, bound{against: WithoutSlow}))
		fmt.Fprintf(&p, " %s |", r.around())
	}
	p.WriteString(" |\n")
	return p.String()
}

// cell is a figure of all rounds; "" when there is none.
func cell(runs []Run, workload, server, name, unit string) string {
	v, ok := figure(runs, workload, server, name)
	if !ok {
		return ""
	}
	return strings.TrimSpace(v.around() + " " + unit)
}

// fate is what has become of the socket.
func fate(runs []Run, workload, server string) string {
	if lived := cell(runs, workload, server, Lived, "s"); lived != "" {
		return "1013 after " + lived
	}
	return "open"
}

// Ways are those of a stream.
var Ways = []string{"Send", "SendWait", "Stream"}

// section is its part of the page.
func (s Slow) section(p *strings.Builder) {
	crowd := ""
	if slices.ContainsFunc(s.Results, func(r Result) bool { return r.Workload == Tenth }) {
		crowd = "*10,000 sockets*: broadcasts of 1 KiB with three keys and a SendBuffer of 16 KiB, the next when all that count have the last one. 9,000 count.\n" +
			"The others read as well, or they read what a small buffer holds after every tenth broadcast. Times are from the making of a message to its\n" +
			"arrival; CPU is that of the server for each message that counts.\n"
	}
	fmt.Fprintf(p, "\n## Slow clients\n\n"+
		"Over TCP, Troupe alone. *Ticker*: three symbols, a price each millisecond, one client that reads 100 messages a second, and no byte more.\n"+
		"What it has not read is in the kernels, in the write that waits, and in the mailbox. An age is that of a price when it is read. At the end the ticker\n"+
		"stops, and the client reads the rest, which was on the way: an age is what was on the way, divided by what is read in a second. How much that is\n"+
		"changes, as kernels make their buffers larger and smaller. What has\n"+
		"come and what was left out is what was sent, exactly, in every round.\n"+
		"*Stream*: 4 KiB, 1,000 a second, to a client that reads 200 a second, with a MailboxLimit of 1,024; a `websock.Stream` has them at hand.\n"+
		"%s`go run . slow` measures it. %s, commit %s, window %v.\n\n%s",
		crowd, s.Began.Format("2006-01-02 15:04 MST"), s.Machine.Commit, s.Window, s.Table())
}
