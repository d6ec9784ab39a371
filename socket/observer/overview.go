package observer

import (
	"cmp"
	"errors"
	"maps"
	"math"
	"runtime"
	"runtime/metrics"
	"slices"
	"time"

	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/actor/exit"
	"github.com/troupe-dev/troupe/registry"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/supervisor"
	"github.com/troupe-dev/troupe/websock"
)

// overviewJSON is all in numbers.
type overviewJSON struct {
	At          time.Time        `json:"at"`
	Took        float64          `json:"took_ms"`
	Since       time.Time        `json:"since"`
	Runtime     runtimeJSON      `json:"runtime"`
	System      systemJSON       `json:"system"`
	Servers     []serverJSON     `json:"servers"`
	Registry    *registryJSON    `json:"registry"`
	Supervisors []supervisorJSON `json:"supervisors"`
	Nodes       *nodesJSON       `json:"nodes"`
}

type runtimeJSON struct {
	Goroutines int     `json:"goroutines"`
	Processors int     `json:"gomaxprocs"`
	Memory     uint64  `json:"memory_bytes"`
	Heap       uint64  `json:"heap_bytes"`
	Collected  uint64  `json:"gc_cycles"`
	CPU        float64 `json:"cpu_ms"`
}

type systemJSON struct {
	Node        string            `json:"node"`
	Processes   int               `json:"processes"`
	Spawned     uint64            `json:"spawned"`
	Ended       map[string]uint64 `json:"ended"`
	Undelivered uint64            `json:"undelivered"`
	Abandoned   uint64            `json:"abandoned"`
	Stuck       int               `json:"stuck"`
	Running     int               `json:"running"`
	Resting     int               `json:"resting"`
}

type serverJSON struct {
	Name          string            `json:"name"`
	Open          int               `json:"open"`
	Asleep        int               `json:"asleep"`
	Opened        uint64            `json:"opened"`
	State         string            `json:"state"`
	Refused       []refusedJSON     `json:"refused"`
	Closed        map[string]uint64 `json:"closed"`
	CloseSent     []codeJSON        `json:"close_sent"`
	CloseReceived []codeJSON        `json:"close_received"`
	Read          countJSON         `json:"read"`
	Written       countJSON         `json:"written"`
	Dropped       uint64            `json:"dropped"`
	LeftOut       uint64            `json:"left_out"`
	MailboxMax    int               `json:"mailbox_max"`
	LagMax        float64           `json:"lag_max_ms"`
	LongCallbacks int               `json:"long_callbacks"`
	Draining      bool              `json:"draining"`
	DrainKilled   uint64            `json:"drain_killed"`
	RTT           *durationsJSON    `json:"rtt"`
	Lifetime      *durationsJSON    `json:"lifetime"`
}

type refusedJSON struct {
	Reason string `json:"reason"`
	Status int    `json:"status"`
	Count  uint64 `json:"count"`
}

type codeJSON struct {
	Code  websock.CloseCode `json:"code"`
	Count uint64            `json:"count"`
}

type durationsJSON struct {
	Count uint64  `json:"count"`
	Mean  float64 `json:"mean_ms"`
	P50   float64 `json:"p50_ms"`
	P99   float64 `json:"p99_ms"`
}

type registryJSON struct {
	Names   int `json:"names"`
	Groups  int `json:"groups"`
	Members int `json:"members"`
	Topics  int `json:"topics"`
	Present int `json:"present"`
}

type supervisorJSON struct {
	Name      string `json:"name"`
	Children  int    `json:"children"`
	Restarts  uint64 `json:"restarts"`
	GaveUp    uint64 `json:"gave_up"`
	Abandoned uint64 `json:"abandoned"`
}

// nodesJSON is cluster.Stats, and why the node is not ready.
type nodesJSON struct {
	Name        string  `json:"name"`
	Up          int     `json:"up"`
	Ready       bool    `json:"ready"`
	Error       string  `json:"error"`
	Ups         uint64  `json:"ups"`
	Left        uint64  `json:"left"`
	Lost        uint64  `json:"lost"`
	Resets      uint64  `json:"resets"`
	EngineLost  uint64  `json:"engine_lost"`
	RecordsIn   uint64  `json:"records_in"`
	RecordsOut  uint64  `json:"records_out"`
	BytesIn     uint64  `json:"bytes_in"`
	BytesOut    uint64  `json:"bytes_out"`
	Refused     uint64  `json:"refused"`
	Resent      uint64  `json:"resent"`
	Unencodable uint64  `json:"unencodable"`
	Undecodable uint64  `json:"undecodable"`
	Undelivered uint64  `json:"undelivered"`
	RTTMax      float64 `json:"rtt_max_ms"`
	InUse       int     `json:"in_use"`
	Window      int     `json:"window"`
}

func (o *Observer) overview(b budget) (any, error) {
	begin := time.Now()
	v := overviewJSON{At: begin, Since: o.since, Runtime: runtimeNow(), System: o.systemNow(), Servers: make([]serverJSON, 0, len(o.servers))}
	for _, s := range o.servers {
		v.Servers = append(v.Servers, s.now())
	}
	if r := o.cfg.Registry; r != nil {
		v.Registry = new(registryNow(r))
	}
	v.Supervisors = supervisorsOf(o.cfg.Supervisors)
	if n := o.cfg.Node; n != nil {
		v.Nodes = new(nodeNow(n))
	}
	v.Took = ms(time.Since(begin))
	return v, nil
}

// runtimeNow is what the Go runtime says of itself, without stopping anything.
func runtimeNow() runtimeJSON {
	samples := []metrics.Sample{
		{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/gc/cycles/total:gc-cycles"},
	}
	metrics.Read(samples)
	count := func(i int) uint64 {
		if samples[i].Value.Kind() != metrics.KindUint64 {
			return 0
		}
		return samples[i].Value.Uint64()
	}
	return runtimeJSON{
		Goroutines: runtime.NumGoroutine(), Processors: runtime.GOMAXPROCS(0), Memory: count(0), Heap: count(1), Collected: count(2), CPU: ms(cpuTime()),
	}
}

func (o *Observer) systemNow() systemJSON {
	st := o.sys.Stats()
	s := systemJSON{
		Node: o.node, Processes: st.Processes, Spawned: st.Spawned, Ended: make(map[string]uint64, len(exitKinds)),
		Undelivered: st.Undelivered, Abandoned: st.Abandoned, Stuck: st.Stuck, Running: st.Running, Resting: st.Resting,
	}
	for _, kind := range [...]exit.Kind{exit.Normal, exit.Shutdown, exit.Abnormal} {
		s.Ended[exitKinds[kind]] = st.Ended[kind]
	}
	return s
}

func (s *server) now() serverJSON {
	st := s.Stats()
	state, _ := s.state()
	v := serverJSON{
		Name: s.name, Open: st.Open, Asleep: st.Asleep, Opened: st.Opened, State: state,
		Refused: make([]refusedJSON, 0, len(st.Refused)), Closed: make(map[string]uint64, len(st.Closed)),
		CloseSent: codesOf(st.CloseSent), CloseReceived: codesOf(st.CloseReceived),
		Read: total(st.Read), Written: total(st.Written), Dropped: st.Dropped, LeftOut: st.LeftOut,
		MailboxMax: st.MailboxMax, LagMax: ms(st.LagMax),
		LongCallbacks: st.LongCallbacks, Draining: st.Draining, DrainKilled: st.DrainKilled,
		RTT: durationsOf(st.RoundTrips),
	}
	for r, n := range st.Refused {
		v.Refused = append(v.Refused, refusedJSON{Reason: r.Reason.String(), Status: r.Status, Count: n})
	}
	slices.SortFunc(v.Refused, func(a, b refusedJSON) int { return cmp.Or(cmp.Compare(a.Reason, b.Reason), a.Status-b.Status) })
	for cause, n := range st.Closed {
		v.Closed[cause.String()] = n
	}
	var lives socket.Histogram
	for _, h := range st.Lifetimes {
		if lives.Bounds == nil {
			lives = socket.Histogram{Bounds: h.Bounds, Counts: make([]uint64, len(h.Counts))}
		}
		for i, n := range h.Counts {
			lives.Counts[i] += n
		}
		lives.Sum += h.Sum
	}
	v.Lifetime = durationsOf(lives)
	return v
}

// state is what a Server lets in, in one word, and why.
func (s *server) state() (string, error) {
	switch err := s.Ready(); {
	case err == nil:
		return "open", nil
	case errors.Is(err, socket.ErrDraining):
		return "draining", err
	case errors.Is(err, socket.ErrFull):
		return "full", err
	default:
		return "closed", err
	}
}

func codesOf(counts map[websock.CloseCode]uint64) []codeJSON {
	codes := make([]codeJSON, 0, len(counts))
	for _, code := range slices.Sorted(maps.Keys(counts)) {
		codes = append(codes, codeJSON{code, counts[code]})
	}
	return codes
}

// durationsOf is a histogram in short; nil for an empty one.
func durationsOf(h socket.Histogram) *durationsJSON {
	n := h.Count()
	if n == 0 {
		return nil
	}
	return &durationsJSON{
		Count: n, Mean: math.Round(1e6*h.Sum/float64(n)) / 1e3,
		P50: ms(quantile(h, 0.5)), P99: ms(quantile(h, 0.99)),
	}
}

// quantile is where it is in its bucket if those in the bucket are spread evenly; in the last one, its lower bound.
func quantile(h socket.Histogram, q float64) time.Duration {
	rank := q * float64(h.Count())
	below, from := 0.0, time.Duration(0)
	for i, n := range h.Counts {
		if i == len(h.Bounds) {
			break
		}
		if n > 0 && below+float64(n) >= rank {
			return from + time.Duration(float64(h.Bounds[i]-from)*(rank-below)/float64(n))
		}
		below, from = below+float64(n), h.Bounds[i]
	}
	return from
}

func registryNow(r *registry.Registry) registryJSON {
	st := r.Stats()
	return registryJSON{Names: st.Names, Groups: st.Groups, Members: st.Members, Topics: st.Topics, Present: st.Present}
}

func nodeNow(n *cluster.Node) nodesJSON {
	st := n.Stats()
	v := nodesJSON{
		Name: st.Name, Up: st.Up, Error: errorText(n.Ready()), Ups: st.Ups, Left: st.Left, Lost: st.Lost, Resets: st.Resets, EngineLost: st.EngineLost,
		RecordsIn: st.RecordsIn, RecordsOut: st.RecordsOut, BytesIn: st.BytesIn, BytesOut: st.BytesOut,
		Refused: st.Refused, Resent: st.Resent, Unencodable: st.Unencodable, Undecodable: st.Undecodable, Undelivered: st.Undelivered,
		RTTMax: ms(st.RTTMax), InUse: st.InUse, Window: st.Window,
	}
	v.Ready = v.Error == ""
	return v
}

// supervisorsOf are the numbers of all supervisors in the tree that are not children of a Dynamic, which may be very many.
func supervisorsOf(roots []supervisor.Service) []supervisorJSON {
	list := []supervisorJSON{}
	var walk func(s supervisor.Service, depth int)
	walk = func(s supervisor.Service, depth int) {
		if len(list) >= mostRows || depth > mostDepth {
			return
		}
		switch s := s.(type) {
		case *supervisor.Supervisor:
			list = append(list, supervisorNow(s.Stats()))
			for _, c := range s.Children() {
				walk(c.Service, depth+1)
			}
		case *supervisor.Dynamic:
			list = append(list, supervisorNow(s.Stats()))
		}
	}
	for _, root := range roots {
		walk(root, 0)
	}
	return list
}

func supervisorNow(st supervisor.Stats) supervisorJSON {
	v := supervisorJSON{Name: text(st.Name, mostName), Children: st.Children, GaveUp: st.GaveUp, Abandoned: st.Abandoned}
	for _, n := range st.Restarts {
		v.Restarts += n
	}
	return v
}
