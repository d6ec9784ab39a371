package report

import (
	"fmt"
	"strings"
	"time"
)

// NodesFile is where [Render] finds what was measured between nodes, if there is anything.
const NodesFile = "results/nodes.json"

// The workloads between nodes, and what runs them.
const (
	Flood = "flood"
	Ask   = "call"
	Link  = "link"

	NATS = "nats" // nats.go alone
)

// The figures of a link on which nothing is sent.
const (
	LinkBytes = "link_bytes" // heap and stacks
	LinkCPU   = "link_cpu"   // of a core, in percent
)

// NodesTargets are those between nodes.
var NodesTargets = []Target{
	{Title: "Send to another node, 64 bytes, flood", Workload: Flood, Figure: CPU, Limit: times(0.6, NATS)},
	{Title: "Call to another node, p50", Workload: Ask, Figure: P50, Limit: times(1.15, NATS)},
	{Title: "Call to another node, CPU", Workload: Ask, Figure: CPU, Limit: times(1.15, NATS)},
	{Title: "a link without traffic, memory in each node", Workload: Link, Figure: LinkBytes, Limit: bound{value: 16 << 10}, unit: "bytes"},
	{Title: "a link without traffic, CPU in each node", Workload: Link, Figure: LinkCPU, Limit: bound{value: 0.05}, unit: "% of a core"},
}

// Nodes is what it costs to send to another node.
type Nodes struct {
	Began   time.Time `json:"began"`
	Machine Machine   `json:"machine"`
	Beside  string    `json:"beside"` // what else ran on the machine
	Results []Result  `json:"results"`
}

// Table is what it has shown, in Markdown.
func (n Nodes) Table() string {
	runs := []Run{{Results: n.Results}}
	var p strings.Builder
	p.WriteString("| figure | NATS alone | Troupe | ratio | target | rounds | met |\n|---|---|---|---|---|---|---|\n")
	for _, t := range NodesTargets {
		v := t.Judge(runs)
		if !v.Measured {
			continue
		}
		other, ratio := "", ""
		if t.Limit.against != "" {
			o, _ := figure(runs, t.Workload, NATS, t.Figure)
			other, ratio = o.around()+" µs", v.Ratio.around()
		}
		fmt.Fprintf(&p, "| %s | %s | %s | %s | at most %s | %d | %s |\n",
			t.Title, other, strings.TrimSpace(v.Reached.around()+" "+unit(t)), ratio, t.bound(t.Limit), v.Rounds, v.Met)
	}
	return p.String()
}

// section is its part of the page.
func (n Nodes) section(p *strings.Builder) {
	fmt.Fprintf(p, "\n## Between nodes\n\n"+
		"Two processes, each with a NATS server embedded, linked by routes over loopback. CPU is that of both processes together, servers\n"+
		"included, for one message or one request with its answer. `go run .` in [nodes](nodes/main.go) measures it. %s, commit %s. Beside it:\n%s.\n\n%s",
		n.Began.Format("2006-01-02 15:04 MST"), n.Machine.Commit, n.Beside, n.Table())
}

// Write writes it as JSON.
func (n Nodes) Write(name string) error { return writeJSON(name, n) }
