//go:build unix

package natsengine_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/actor/cluster/natsengine"
)

// flooder is a node of this process that sends to one receiver without end.
type flooder struct {
	sys     *actor.System
	self    string
	to      actor.PID
	tried   int
	sent    spans
	refused int
}

// TestProcesses_eightFloodOne: eight nodes send to one whose process stands still for 4 s as much as they can. What it may
// have on its way to it is less than what makes a NATS server cut it off; the rest is refused; nothing is lost, and the
// memory of the others is bounded.
func TestProcesses_eightFloodOne(t *testing.T) {
	s := startServer(t, 0, nil)
	url := s.ClientURL()
	one := startChild(t, childConfig{Name: "one", DownAfter: long, URL: url})
	flooders := make([]*flooder, 8)
	for i := range flooders {
		flooders[i] = startFlooder(t, fmt.Sprint("f", i), url, one.pid)
	}
	waitFor(t, "all are connected", func() bool {
		for _, f := range flooders {
			if !f.to.Alive() {
				return false
			}
		}
		return true
	})
	before := heap()
	one.signal(syscall.SIGSTOP)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for _, f := range flooders {
		wg.Go(func() { f.flood(stop) })
	}
	time.Sleep(4 * time.Second)
	grown := heap() - before
	one.signal(syscall.SIGCONT)
	waitFor(t, "it takes items again", func() bool { return len(one.tell().Received) == len(flooders) })
	close(stop)
	wg.Wait()
	waitFor(t, "it has all that was sent", func() bool {
		a := one.tell()
		for _, f := range flooders {
			if a.Received[f.self].count() < f.sent.count() {
				return false
			}
		}
		return true
	})
	a := one.tell()
	total, refused := 0, 0
	for _, f := range flooders {
		for n := range a.Received[f.self].without(f.sent) {
			t.Errorf("%d of %s has arrived, whose Send was false", n, f.self)
		}
		if f.refused == 0 {
			t.Errorf("of %d items of %s none was refused", f.tried, f.self)
		}
		total, refused = total+f.sent.count(), refused+f.refused
	}
	for _, wrong := range a.Wrong {
		t.Errorf("it got %s", wrong)
	}
	if n := s.NumSlowConsumers(); n > 0 {
		t.Errorf("the NATS server has cut off %d clients", n)
	}
	if most := 192 << 20; grown > most {
		t.Errorf("eight nodes and the server hold %d MiB for one that stands still, want at most %d", grown>>20, most>>20)
	}
	t.Logf("%d items of 1 KiB received, %d refused, %d MiB held at most", total, refused, grown>>20)
	one.leave()
}

func startFlooder(t testing.TB, name, url, to string) *flooder {
	sys, err := actor.NewSystem(actor.Config{Node: name, Logger: silent})
	if err != nil {
		t.Fatal(err)
	}
	node, err := cluster.New(sys, cluster.Config{
		Engine: newEngine(t, natsengine.Config{URL: url}), Types: newTypes(), DownAfter: long, Logger: silent,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- node.Serve(ctx) }()
	t.Cleanup(func() {
		if err := sys.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	pid, err := sys.ParsePID(to)
	if err != nil {
		t.Fatal(err)
	}
	return &flooder{sys: sys, self: name, to: pid}
}

func (f *flooder) flood(stop <-chan struct{}) {
	pad := strings.Repeat(".", 1<<10)
	for {
		select {
		case <-stop:
			return
		default:
		}
		f.tried++
		if f.to.Send(item{From: f.self, N: f.tried, Pad: pad}) {
			f.sent.add(f.tried)
			continue
		}
		f.refused++
		time.Sleep(time.Millisecond)
	}
}

func heap() int {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int(stats.HeapAlloc)
}
