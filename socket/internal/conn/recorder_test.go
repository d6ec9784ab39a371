package conn

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"
)

// Config.Record says that a socket that is recorded needs 3 KiB more.
func TestRecorder_size(t *testing.T) {
	if strconv.IntSize != 64 {
		t.Skip("the size is for 64 bits")
	}
	if got, want := unsafe.Sizeof(recorder{}), uintptr(3200); got > want {
		t.Errorf("a recorder has %d bytes, want at most %d", got, want)
	}
}

// A callback that returns when its moment is no longer kept changes no other.
func TestRecorder_returned(t *testing.T) {
	for after, want := range map[int]time.Duration{recordLen - 1: 0, recordLen: -1, 3 * recordLen: -1} {
		r := &recorder{began: time.Now()}
		callback := r.add(Moment{What: "callback", Took: -1})
		for range after {
			r.add(Moment{What: "frame", Sent: true, Took: -1})
		}
		r.returned(callback)
		for i, m := range r.moments() {
			if kept := m.What == "callback"; kept == (m.Took == -1) || kept != (i == 0 && want == 0) {
				t.Errorf("after %d frames: moment %d is %+v; the callback is kept: %t", after, i, m, want == 0)
			}
		}
	}
}

// The actor of a connection that is not recorded is the Conn itself, so that it pays nothing for those that are.
func TestGroup_records(t *testing.T) {
	for _, record := range []int{0, 1} {
		synctest.Test(t, func(t *testing.T) {
			c, _ := connected(t, Options{Record: record, HibernateAfter: -1})
			if got := c.Record() != nil; got != (record == 1) {
				t.Errorf("Record %d: there is a record: %t", record, got)
			}
		})
	}
	g := &Group{opts: Options{Record: 3}}
	for n := uint32(1); n <= 9; n++ {
		if got, want := g.records(n), n == 1 || n == 4 || n == 7; got != want {
			t.Errorf("one in 3: connection %d is recorded: %t, want %t", n, got, want)
		}
	}
}

// The count of taps is what deliver goes by: while it is 0, what comes in is handled without the writer's lock. Taps that came
// and went leave it as it was, also those that were taken off twice.
func TestConn_taps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := connected(t, Options{HibernateAfter: -1})
		var all []*recorder // any Watcher will do
		for range 1000 {
			x := &recorder{}
			added, over := c.Tap(x)
			if !added || over {
				t.Fatalf("Tap = %t, %t; want it added", added, over)
			}
			if len(all) < mostTaps-1 {
				all = append(all, x)
				continue
			}
			c.Untap(x)
			c.Untap(x)
		}
		if got := c.taps.Load(); got != mostTaps-1 {
			t.Errorf("%d taps are counted, want %d", got, mostTaps-1)
		}
		for _, x := range all {
			c.Untap(x)
		}
		if got := c.taps.Load(); got != 0 {
			t.Errorf("%d taps are counted when all are off, want 0", got)
		}
	})
}
