package registry

import (
	"maps"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/troupe-dev/troupe/actor/host"
)

// BroadcastStats are the numbers of broadcasts; see [Registry.MeasureBroadcasts].
type BroadcastStats struct {
	Durations  Histogram // in seconds: how long the calls took
	Recipients Histogram // how many mailboxes of this node took each
}

// Histogram counts values by how large they were. It is a copy, and does not change.
type Histogram struct {
	// Bounds are the upper bounds of the buckets, which belong to them. They are always the same for one number.
	Bounds []float64
	// Counts are how many values were in each bucket. The last one, for which there is no bound, is for what was larger than
	// all of them.
	Counts []uint64
	// Sum is all values added up.
	Sum float64
}

// Count is how many values there were.
func (h Histogram) Count() (n uint64) {
	for _, c := range h.Counts {
		n += c
	}
	return n
}

const (
	mostLabels = 32
	otherLabel = "other"
)

// MeasureBroadcasts has the Registry measure its broadcasts from now on: [Registry.BroadcastStats] says how long they took,
// and how many they reached. Those of [Registry.Broadcast], BroadcastFrom, BroadcastWhere and [Topic.Publish] count, and those that come
// from other nodes, on each node that they reach. It reads the clock twice for each; without it a broadcast costs one comparison
// more.
//
// labelOf says under what a group is counted, such as "room" for "room:42"; "" is without a label. It is called for each broadcast, on
// the goroutine of whoever broadcasts, after the members have got the message; when it panics, the caller does. For a broadcast that
// comes from another node it is called on the goroutine that receives all that comes from there, so it must not block; when it
// panics there, the broadcast is counted as "other", and the first such panic is logged. There are at most 32 labels: what comes
// beyond is counted as "other". nil: all are counted without a label. A broadcast whose match panics does not count.
//
// It may be called once; a second call panics.
func (r *Registry) MeasureBroadcasts(labelOf func(group string) string) {
	m := &measure{labelOf: labelOf, log: r.log}
	m.counts.Store(&map[string]*broadcastCounts{})
	if !r.measure.CompareAndSwap(nil, m) {
		panic("registry: MeasureBroadcasts: called before")
	}
}

// measure is what is known of broadcasts. Labels are only ever added, so the map is replaced when one is: whoever broadcasts takes no
// lock.
type measure struct {
	labelOf func(string) string
	log     *host.Log
	failed  atomic.Bool // labelOf has panicked for another node
	mu      sync.Mutex  // of whoever replaces counts
	counts  atomic.Pointer[map[string]*broadcastCounts]
}

type broadcastCounts struct {
	took  [len(tookBounds) + 1]atomic.Uint64
	nanos atomic.Uint64
	to    [len(recipientBounds) + 1]atomic.Uint64
	sum   atomic.Uint64
}

var (
	// tookBounds are those of a broadcast: from a handful of members to a million.
	tookBounds = [...]float64{1e-6, 1e-5, 1e-4, 5e-4, 1e-3, 5e-3, 0.01, 0.05, 0.1, 0.5, 1, 5}
	// recipientBounds begin with 0, for what has reached nobody.
	recipientBounds = [...]float64{0, 1, 10, 100, 1e3, 1e4, 1e5, 1e6}
)

// since notes a broadcast of this node that began at start and has reached n.
func (m *measure) since(start time.Time, group string, n int) {
	took := time.Since(start)
	m.note(took, m.label(group), n)
}

// sinceAway is since for a broadcast of another node. A panic of labelOf would end the link to it.
func (m *measure) sinceAway(start time.Time, group string, n int) {
	took, label := time.Since(start), otherLabel
	defer func() {
		if v := recover(); v != nil && m.failed.CompareAndSwap(false, true) {
			m.log.Error("panic in a callback", "callback", "labelOf of Registry.MeasureBroadcasts", "panic", v, "stack", string(debug.Stack()))
		}
		m.note(took, label, n)
	}()
	label = m.label(group)
}

func (m *measure) label(group string) string {
	if m.labelOf == nil {
		return ""
	}
	return strings.ToValidUTF8(m.labelOf(group), "\uFFFD")
}

// note counts a broadcast.
func (m *measure) note(took time.Duration, label string, n int) {
	all := *m.counts.Load()
	c := all[label]
	if c == nil && label != "" && m.labels(all) == mostLabels {
		c = all[otherLabel]
	}
	if c == nil {
		c = m.add(label)
	}
	i, _ := slices.BinarySearch(tookBounds[:], took.Seconds())
	c.took[i].Add(1)
	c.nanos.Add(uint64(took))
	i, _ = slices.BinarySearch(recipientBounds[:], float64(n))
	c.to[i].Add(1)
	c.sum.Add(uint64(n))
}

// add adds a label, or finds what stands for it.
func (m *measure) add(label string) *broadcastCounts {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := *m.counts.Load()
	if c := all[label]; c != nil {
		return c
	}
	if label != "" && m.labels(all) == mostLabels {
		label = otherLabel
		if c := all[label]; c != nil {
			return c
		}
	}
	c := &broadcastCounts{}
	all = maps.Clone(all)
	all[label] = c
	m.counts.Store(&all)
	return c
}

// labels is how many of them are the user's.
func (m *measure) labels(all map[string]*broadcastCounts) int {
	n := len(all)
	for _, free := range [...]string{"", otherLabel} {
		if all[free] != nil {
			n--
		}
	}
	return n
}

// BroadcastStats returns the numbers of the broadcasts that this node has made, or has got from other nodes, by the label of
// their group. They never become less. nil: they are not measured; see [Registry.MeasureBroadcasts].
func (r *Registry) BroadcastStats() map[string]BroadcastStats {
	m := r.measure.Load()
	if m == nil {
		return nil
	}
	return m.stats()
}

func (m *measure) stats() map[string]BroadcastStats {
	all := *m.counts.Load()
	st := make(map[string]BroadcastStats, len(all))
	for label, c := range all {
		st[label] = BroadcastStats{
			Durations:  histogramOf(tookBounds[:], c.took[:], float64(c.nanos.Load())/1e9),
			Recipients: histogramOf(recipientBounds[:], c.to[:], float64(c.sum.Load())),
		}
	}
	return st
}

func histogramOf(bounds []float64, counts []atomic.Uint64, sum float64) Histogram {
	h := Histogram{Bounds: slices.Clone(bounds), Counts: make([]uint64, len(counts)), Sum: sum}
	for i := range counts {
		h.Counts[i] = counts[i].Load()
	}
	return h
}
