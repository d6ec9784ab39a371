// Package report keeps the results of runs, and makes a page with charts of them.
package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// The figures that a workload may have.
const (
	CPU     = "cpu_us" // of the server for one message, delivery or connection, in microseconds
	Rate    = "per_s"  // messages, deliveries or connections in a second
	Cores   = "cores"  // of the server that were in use: what CPU and Rate say
	Load    = "load"   // cores of the load generator that were in use
	P50     = "p50_us" // latency
	P99     = "p99_us"
	P999    = "p999_us"
	Fresh   = "fresh_kb"    // resident memory of one idle connection in KB (1,000 bytes)
	Used    = "used_kb"     // the same after one message
	Left    = "left_kb"     // the same when nobody has ever asked for a garbage collection
	CastP99 = "cast_p99_us" // latency of the broadcasts beside it
	Time    = "time_ms"     // of one broadcast, from the call to the last client
	Total   = "total_gb"    // resident memory of the process
	Growth  = "growth"      // of the cost per connection, from 10,000 connections to all of them
	Nanos   = "ns"          // of one operation in the process
	Bytes   = "bytes"       // allocated by one operation
	Allocs  = "allocs"      // of one operation

	// Of the connections in memory, with their number as the server's name.
	Heap       = "heap_bytes" // of one connection, both ends
	Pipe       = "pipe_bytes" // of that the pipe's
	Connect    = "connect_ns" // for each connection
	Deliver    = "deliver_ns" // the same, of a broadcast
	Drain      = "drain_ns"   // the same, of a drain of all
	Goroutines = "goroutines" // at most
)

// Values are figures by name.
type Values map[string]float64

// String returns the figures on one line, in the order of their names.
func (v Values) String() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(v)) {
		fmt.Fprintf(&b, "%s %.4g  ", name, v[name])
	}
	return strings.TrimSpace(b.String())
}

// A Result is one server under one workload in one round.
type Result struct {
	Workload string `json:"workload"`
	Server   string `json:"server"`
	Round    int    `json:"round"`
	Values   Values `json:"values"`
}

// A Run is what one call of the runner has measured, and on what.
type Run struct {
	Began   time.Time         `json:"began"`
	Took    time.Duration     `json:"took_ns"`
	Rounds  int               `json:"rounds"`
	Window  time.Duration     `json:"window_ns"`
	Machine Machine           `json:"machine"`
	Modules map[string]string `json:"modules"`          // versions of the servers, by name
	Absent  []string          `json:"absent,omitempty"` // servers that are not on the machine, and why
	Results []Result          `json:"results"`
}

// A Machine is where a run took place.
type Machine struct {
	Commit string `json:"commit"`
	Go     string `json:"go"`
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Kernel string `json:"kernel"`
}

// servers are those of names that took part in r.
func (r Run) servers(names []string) (took []string) {
	for _, name := range names {
		if slices.ContainsFunc(r.Results, func(res Result) bool { return res.Server == name }) {
			took = append(took, name)
		}
	}
	return took
}

// Write writes the run as JSON.
func (r Run) Write(name string) error { return writeJSON(name, r) }

func writeJSON(name string, v any) error {
	b, err := json.MarshalIndent(v, "", "\t")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		return err
	}
	return os.WriteFile(name, append(b, '\n'), 0o666)
}

// readJSON reads what writeJSON wrote; nil when there is no such file.
func readJSON[T any](name string) (*T, error) {
	text, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	v := new(T)
	if err := json.Unmarshal(text, v); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return v, nil
}

// Read reads what [Run.Write] wrote.
func Read(name string) (Run, error) {
	var r Run
	b, err := os.ReadFile(name)
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return r, fmt.Errorf("%s: %w", name, err)
	}
	return r, nil
}
