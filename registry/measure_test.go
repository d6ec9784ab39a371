package registry_test

import (
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster/clustertest"
	"github.com/troupe-dev/troupe/registry"
)

// inBuckets is the buckets of a histogram that are not empty, as bound:count; and its sum.
func inBuckets(h registry.Histogram) string {
	text := ""
	for i, n := range h.Counts {
		if n == 0 {
			continue
		}
		bound := "more"
		if i < len(h.Bounds) {
			bound = fmt.Sprint(h.Bounds[i])
		}
		text += fmt.Sprintf("%s:%d ", bound, n)
	}
	return text + fmt.Sprintf("sum %.6g of %d", h.Sum, h.Count())
}

func TestRegistry_MeasureBroadcasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg, sys := newRegistry(t)
		for _, m := range spawnMany(t, sys, 12) {
			reg.Join("room:1", m.pid, nil)
		}
		one := spawn(t, sys)
		reg.Join("room:2", one.pid, nil)
		reg.Broadcast("room:1", "before")
		if got := reg.BroadcastStats(); got != nil {
			t.Errorf("not measured: got %v, want nil", got)
		}
		reg.MeasureBroadcasts(func(group string) string {
			label, _, _ := strings.Cut(group, ":")
			time.Sleep(time.Hour) // is not part of what is measured
			return label
		})
		slow := func(actor.PID, any) bool { time.Sleep(time.Millisecond); return true }
		reg.Broadcast("room:1", "x")
		reg.BroadcastFrom("room:2", one.pid, "x")
		reg.BroadcastWhere("room:1", slow, "x")
		reg.Broadcast("nobody", "x")
		topic, err := registry.TopicOf[string](reg, ":prices")
		if err != nil {
			t.Fatal(err)
		}
		if err := topic.Subscribe(one.pid); err != nil {
			t.Fatal(err)
		}
		topic.Publish("x")
		got := reg.BroadcastStats()
		want := map[string][2]string{
			"room":   {"1e-06:2 0.05:1 sum 0.012 of 3", "0:1 100:2 sum 24 of 3"},
			"nobody": {"1e-06:1 sum 0 of 1", "0:1 sum 0 of 1"},
			"":       {"1e-06:1 sum 0 of 1", "1:1 sum 1 of 1"},
		}
		for label, w := range want {
			if g := [2]string{inBuckets(got[label].Durations), inBuckets(got[label].Recipients)}; g != w {
				t.Errorf("label %q: got %q, want %q", label, g, w)
			}
		}
		if len(got) != len(want) {
			t.Errorf("got the labels %q, want three", slices.Collect(maps.Keys(got)))
		}
		got[""].Durations.Bounds[0], got[""].Durations.Counts[0] = 7, 7
		if again := reg.BroadcastStats()[""].Durations; again.Bounds[0] != 1e-6 || again.Counts[0] != 1 {
			t.Errorf("what is returned is not a copy: got %v", again)
		}
	})
}

// Whatever groups there are, there are 32 labels, and "other" and none beside them; a label is UTF-8, so that two of them are not one for
// whoever shows them.
func TestRegistry_MeasureBroadcasts_bounded(t *testing.T) {
	reg, _ := newRegistry(t)
	reg.MeasureBroadcasts(func(group string) string { return group })
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for i := range 1000 {
				reg.Broadcast(fmt.Sprint((i+g*125)%1000), "x")
			}
		})
	}
	all.Wait()
	for _, group := range []string{"", "other", "new", "bad\xff"} {
		reg.Broadcast(group, "x")
	}
	got := reg.BroadcastStats()
	n := uint64(0)
	for label, st := range got {
		if label == "new" || strings.HasPrefix(label, "bad") {
			t.Errorf("the label %q came after 1,000 others, and is there", label)
		}
		if d, r := st.Durations.Count(), st.Recipients.Count(); d != r {
			t.Errorf("%q: %d durations and %d recipients", label, d, r)
		}
		n += st.Durations.Count()
	}
	if len(got) != 34 || n != 8004 {
		t.Errorf("got %d labels and %d broadcasts, want 34 and 8004", len(got), n)
	}
	if st := got["other"]; st.Durations.Count() != 8*(1000-32)+3 {
		t.Errorf("other has %d, want %d", st.Durations.Count(), 8*(1000-32)+3)
	}

	reg, _ = newRegistry(t)
	reg.MeasureBroadcasts(func(group string) string { return group })
	reg.Broadcast("a\xff", "x")
	reg.Broadcast("a\xfe", "x")
	if got := slices.Collect(maps.Keys(reg.BroadcastStats())); !reflect.DeepEqual(got, []string{"a\uFFFD"}) {
		t.Errorf("labels that are not UTF-8: got %q, want one", got)
	}
}

// A second call is a mistake, as the first one's counts would be lost; without a function all are counted together.
func TestRegistry_MeasureBroadcasts_again(t *testing.T) {
	reg, _ := newRegistry(t)
	reg.MeasureBroadcasts(nil)
	reg.Broadcast("a", "x")
	reg.Broadcast("b", "x")
	func() {
		defer func() {
			if got, want := fmt.Sprint(recover()), "registry: MeasureBroadcasts: called before"; got != want {
				t.Errorf("a second call panics with %q, want %q", got, want)
			}
		}()
		reg.MeasureBroadcasts(nil)
	}()
	if got := reg.BroadcastStats(); len(got) != 1 || got[""].Recipients.Counts[0] != 2 {
		t.Errorf("got %v, want two that have reached nobody, without a label", got)
	}
}

// A broadcast counts on each node that it reaches, with those that it has reached there.
func TestRegistry_MeasureBroadcasts_cluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, clustertest.Config{Nodes: 3, Seed: 1}, nil)
		for i, n := range []int{1, 2, 0} {
			for range n {
				c.regs[i].Join("room", c.spawn(t, i).pid, nil)
			}
			c.regs[i].MeasureBroadcasts(nil)
		}
		settle()
		c.regs[0].Broadcast("room", "x")
		settle()
		for i, want := range []string{"1:1 sum 1 of 1", "10:1 sum 2 of 1", "sum 0 of 0"} {
			if got := inBuckets(c.regs[i].BroadcastStats()[""].Recipients); got != want {
				t.Errorf("node %d: got %q, want %q", i, got, want)
			}
		}
	})
}

// A labelOf that panics is the trouble of whoever broadcasts, and of no other node: there the broadcast is counted as "other", the link
// stays, and the log says so once.
func TestRegistry_MeasureBroadcasts_panics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lines []string // of node 1; one goroutine writes them
		logger := slog.New(logFunc(func(r slog.Record) {
			line := r.Message
			r.Attrs(func(a slog.Attr) bool { line += " " + a.String(); return true })
			lines = append(lines, line)
		}))
		c := newCluster(t, clustertest.Config{Nodes: 2, Seed: 1, System: func(i int) actor.Config {
			return actor.Config{Logger: []*slog.Logger{nil, logger}[i]}
		}}, nil)
		p := c.join(t, 1, "room")
		settle()
		c.regs[1].MeasureBroadcasts(func(string) string { panic("as asked") })
		for i := range 3 {
			c.regs[0].Broadcast("room", i)
			settle()
		}
		if got, want := p.take(), []any{0, 1, 2}; !slices.Equal(got, want) {
			t.Errorf("the member has got %v, want %v", got, want)
		}
		for i := range 2 {
			if n := c.Node(i).Stats().Resets; n != 0 {
				t.Errorf("node %d has begun its link again %d times, want never", i, n)
			}
		}
		st := c.regs[1].BroadcastStats()
		if got, want := inBuckets(st["other"].Recipients), "1:3 sum 3 of 3"; got != want || len(st) != 1 {
			t.Errorf("counted as other: %q, with %d labels; want %q, and no other label", got, len(st), want)
		}
		synctest.Wait()
		if len(lines) != 1 || !strings.Contains(lines[0], "panic=as asked") || !strings.Contains(lines[0], "labelOf") {
			t.Errorf("logged\n%q\nwant one line about labelOf and its panic", lines)
		}
		func() {
			defer func() {
				if got := recover(); got != "as asked" {
					t.Errorf("a broadcast of this node panics with %v, want what labelOf panics with", got)
				}
			}()
			c.regs[1].Broadcast("room", 3)
		}()
	})
}

// A broadcast whose match panics does not count, and labelOf is not called for it.
func TestRegistry_MeasureBroadcasts_match(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg, sys := newRegistry(t)
		reg.Join("room", spawn(t, sys).pid, nil)
		reg.MeasureBroadcasts(func(string) string { panic("labelOf") })
		func() {
			defer func() {
				if p := recover(); p != "match" {
					t.Errorf("the caller panics with %v, want what match has panicked with", p)
				}
			}()
			reg.BroadcastWhere("room", func(actor.PID, any) bool { panic("match") }, "x")
		}()
		if st := reg.BroadcastStats(); len(st) != 0 {
			t.Errorf("got %v, want nothing counted", st)
		}
	})
}

// Measuring allocates nothing once the label is known.
func TestRegistry_MeasureBroadcasts_allocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	allocs := func(measured bool) float64 {
		reg, sys := newRegistry(t)
		reg.Join("room", spawn(t, sys).pid, nil)
		if measured {
			reg.MeasureBroadcasts(func(string) string { return "room" })
		}
		none := func(actor.PID, any) bool { return false }
		return testing.AllocsPerRun(100, func() { reg.BroadcastWhere("room", none, "x") })
	}
	if off, on := allocs(false), allocs(true); on != off {
		t.Errorf("a broadcast allocates %v times when measured, else %v", on, off)
	}
}
