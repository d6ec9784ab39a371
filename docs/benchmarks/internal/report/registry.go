package report

import (
	"fmt"
	"strings"
	"time"
)

// RegistryFile is where [Render] finds what was measured of a registry that nodes share, if there is anything.
const RegistryFile = "results/registry.json"

// The workloads of a registry that nodes share.
const (
	Cast   = "cast"   // broadcasts, as fast as the members take them
	Cast20 = "cast20" // 20 at a time
	Names  = "names"
	Groups = "groups"
	Late   = "late"  // a node that comes when there are names and groups
	Joins  = "joins" // sockets that come to another node, one by one
	Dies   = "dies"  // that node
	Back   = "back"  // and is there again, with all its sockets

	Trickle = "trickle" // sockets that come to it, one in a millisecond
)

// The figures of them.
const (
	LocalCPU    = "local_us"     // of a broadcast to one member on the same node
	NodeCPU     = "node_us"      // of each other node with a member, beyond that
	HolderBytes = "holder_bytes" // on the node that has them, for each
	OtherBytes  = "other_bytes"  // on each other node
	HolderCPU   = "holder_cpu"   // in µs for each, or in ms for all
	OtherCPU    = "other_cpu"
	Records     = "records"
	Wire        = "wire_bytes"
	Diffs       = "diffs" // that a watcher gets
)

// Registry is what it costs nodes to share a registry.
type Registry struct {
	Began   time.Time `json:"began"`
	Machine Machine   `json:"machine"`
	Beside  string    `json:"beside"` // what else ran on the machine
	Names   int       `json:"names"`
	Groups  int       `json:"groups"`
	Sockets int       `json:"sockets"`
	Results []Result  `json:"results"`
}

// targets are what is wanted, and what is only shown.
func (r Registry) targets() []Target {
	names, groups, sockets := thousands(int64(r.Names))+" names: ", thousands(int64(r.Groups))+" groups: ", thousands(int64(r.Sockets))+" sockets "
	comes := []struct{ title, workload string }{
		{sockets + "come to a node one by one: ", Joins}, {"that node is killed: ", Dies}, {"it is there again, with all of them: ", Back},
	}
	all := []Target{
		{Title: "Broadcast to one member on the same node, flood, CPU", Workload: Cast, Figure: LocalCPU, unit: "µs"},
		{Title: "for each other node with a member, CPU beyond that", Workload: Cast, Figure: NodeCPU, Limit: bound{value: 2}, unit: "µs"},
		{Title: "Broadcast to one member on the same node, 20 at a time, CPU", Workload: Cast20, Figure: LocalCPU, unit: "µs"},
		{Title: "for each other node with a member, CPU beyond that", Workload: Cast20, Figure: NodeCPU, unit: "µs"},
	}
	for _, w := range []struct{ title, workload string }{{names, Names}, {groups, Groups}} {
		all = append(all,
			Target{Title: w.title + "memory for each, on the node that has them", Workload: w.workload, Figure: HolderBytes, unit: "bytes"},
			Target{Title: w.title + "memory for each, on each other node", Workload: w.workload, Figure: OtherBytes, unit: "bytes"},
			Target{Title: w.title + "CPU for each, on the node that has them", Workload: w.workload, Figure: HolderCPU, unit: "µs"},
			Target{Title: w.title + "CPU for each, on each other node", Workload: w.workload, Figure: OtherCPU, unit: "µs"},
			Target{Title: w.title + "until both others have all", Workload: w.workload, Figure: Time, unit: "ms"})
	}
	all = append(all,
		Target{Title: "a node that comes then: CPU until it has all", Workload: Late, Figure: OtherCPU, unit: "ms"},
		Target{Title: "a node that comes then: CPU of the one that tells it", Workload: Late, Figure: HolderCPU, unit: "ms"},
		Target{Title: "a node that comes then: until it has all", Workload: Late, Figure: Time, unit: "ms"})
	for _, w := range comes {
		all = append(all,
			Target{Title: w.title + "CPU of each other node", Workload: w.workload, Figure: OtherCPU, unit: "ms"},
			Target{Title: w.title + "records to each", Workload: w.workload, Figure: Records},
			Target{Title: w.title + "bytes to each", Workload: w.workload, Figure: Wire, unit: "bytes"},
			Target{Title: w.title + "messages to a watcher of the room", Workload: w.workload, Figure: Diffs},
			Target{Title: w.title + "until each has noticed all", Workload: w.workload, Figure: Time, unit: "ms"})
	}
	return append(all,
		Target{Title: sockets + "of another node: memory for each, on each other node", Workload: Joins, Figure: OtherBytes, unit: "bytes"},
		Target{Title: "more sockets, one in a millisecond: CPU for each, on each other node", Workload: Trickle, Figure: OtherCPU, unit: "µs"},
		Target{Title: "more sockets, one in a millisecond: CPU for each, on their node", Workload: Trickle, Figure: HolderCPU, unit: "µs"})
}

// Table is what it has shown, in Markdown.
func (r Registry) Table() string {
	runs := []Run{{Results: r.Results}}
	var p strings.Builder
	p.WriteString("| figure | Troupe | target | rounds | met |\n|---|---|---|---|---|\n")
	for _, t := range r.targets() {
		v := t.Judge(runs)
		if !v.Measured {
			continue
		}
		target, met := "", ""
		if t.Limit != (bound{}) {
			target, met = "at most "+t.bound(t.Limit), v.Met.String()
		}
		fmt.Fprintf(&p, "| %s | %s | %s | %d | %s |\n", t.Title, strings.TrimSpace(v.Reached.around()+" "+unit(t)), target, v.Rounds, met)
	}
	return p.String()
}

// section is its part of the page.
func (r Registry) section(p *strings.Builder) {
	fmt.Fprintf(p, "\n## A registry across nodes\n\n"+
		"Three nodes, each a process of its own. For the broadcasts each has a NATS server embedded, and CPU is that of all three, servers\n"+
		"included. For the rest the server is a process of its own, which does not count. `go run . registry` in [nodes](nodes/registry.go)\n"+
		"measures it. %s, commit %s. Beside it:\n%s.\n\n%s",
		r.Began.Format("2006-01-02 15:04 MST"), r.Machine.Commit, r.Beside, r.Table())
}

// Write writes it as JSON.
func (r Registry) Write(name string) error { return writeJSON(name, r) }
