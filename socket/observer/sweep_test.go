package observer_test

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/observer"
	"github.com/troupe-dev/troupe/supervisor"
)

// slow is a value that takes its time to be looked at.
type slow struct{ d time.Duration }

func (s slow) MarshalJSON() ([]byte, error) { time.Sleep(s.d); return []byte("1"), nil }

// TestLive_otherPaths: however often a page changes what it watches, few looks are on their way, and none of it is an error.
func TestLive_otherPaths(t *testing.T) {
	bubble(t, "other paths", func(t *testing.T) {
		r := newRig(t, nil)
		release := make(chan struct{})
		r.reg.Join("stuck", r.spawn("x"), blocks{release})
		first := make(chan object, 1)
		go func() { first <- r.get("group?name=stuck") }() // the sweep that all others wait for
		c := r.mustLive()
		next(c)
		synctest.Wait()
		before := runtime.NumGoroutine()
		for i := range 1000 {
			watch(c, fmt.Sprintf("group?name=stuck&limit=%d", i), "exits")
			watch(c)
		}
		watch(c, "group?name=stuck&limit=7")
		synctest.Wait()
		if n := runtime.NumGoroutine() - before; n > 4 { // one, and what the runtime may do
			t.Errorf("goroutines that look after 2,001 orders: got %d, want one: those of what is not watched any more were cancelled", n)
		}
		close(release)
		<-first
		if v := nextOf(t, c, "snapshot"); v.str("path") != "group?name=stuck&limit=7" || v.in("data").num("of") != 1 {
			t.Errorf("snapshot: got %v, want what is watched", v)
		}
		if lines := r.logs.lines("level=ERROR"); len(lines) != 0 {
			t.Errorf("log: got %d errors, want none: %.300q", len(lines), lines)
		}
	})
}

// TestSweeps_areShort: whatever is asked for, a sweep and its rest are over within seconds.
func TestSweeps_areShort(t *testing.T) {
	within := func(t *testing.T, r *rig, most time.Duration, paths ...string) {
		t.Helper()
		begin := time.Now()
		for _, path := range paths {
			r.get(path)
		}
		if took := time.Since(begin); took > most {
			t.Errorf("%q after that: took %v, want at most %v", paths, took, most)
		}
	}
	bubble(t, "many questions that take long", func(t *testing.T) {
		r := newRig(t, nil)
		for i := range 40 {
			r.reg.Join(fmt.Sprint("g", i), r.spawn("x"), slow{250 * time.Millisecond})
		}
		statuses := make(chan int, 40)
		begin := time.Now()
		for i := range 40 {
			go func() { statuses <- r.ask("GET", fmt.Sprint("/api/v1/group?name=g", i), "", nil).StatusCode }()
		}
		got := map[int]int{}
		for range 40 {
			got[<-statuses]++
		}
		if took := time.Since(begin); took > 15*time.Second {
			t.Errorf("40 questions of 250 ms each: took %v, want at most two sweeps and a rest of 10 s", took)
		}
		if got[200] < 4 || got[429] == 0 || got[200]+got[429] != 40 {
			t.Errorf("answers by status: got %v, want a few 200, and 429", got)
		}
		within(t, r, 12*time.Second, "overview")
	})
	bubble(t, "a large group", func(t *testing.T) {
		r := newRig(t, nil)
		for range 1000 {
			r.reg.Join("large", r.spawn("x"), slow{10 * time.Millisecond})
		}
		begin := time.Now()
		v := r.get("group?name=large&limit=1000")
		if took, rows := time.Since(begin), len(v.list("rows")); took > time.Second || rows < 10 || rows > 50 || v.num("of") != 1000 || !v.yes("sampled") {
			t.Errorf("1,000 members whose metas take 10 ms each: took %v, %d rows, of %v, sampled %v; want 250 ms, what was seen then, 1000, true",
				took, rows, v["of"], v["sampled"])
		}
		within(t, r, 3*time.Second, "group?name=large&limit=1", "overview")
	})
	bubble(t, "a large topic", func(t *testing.T) {
		r := newRig(t, nil)
		for i := range 200 {
			r.reg.Track("large", r.spawn("x"), fmt.Sprint(i), slow{10 * time.Millisecond})
		}
		begin := time.Now()
		v := r.get("topic?name=large&limit=1000")
		if took, rows := time.Since(begin), len(v.list("rows")); took > time.Second || rows < 10 || rows > 50 || !v.yes("sampled") {
			t.Errorf("200 keys whose metas take 10 ms each: took %v, %d rows, sampled %v; want 250 ms, what was seen then, true", took, rows, v["sampled"])
		}
	})
	bubble(t, "one value that takes a minute", func(t *testing.T) {
		r := newRig(t, nil)
		r.reg.Join("g", r.spawn("x"), slow{time.Minute})
		r.get("group?name=g")
		within(t, r, 10*time.Second, "overview")
	})
	bubble(t, "parameters that mean nothing", func(t *testing.T) {
		r := newRig(t, nil)
		looks := 0
		r.reg.Join("g", r.spawn("x"), counts{&looks})
		release := make(chan struct{})
		r.reg.Join("stuck", r.spawn("x"), blocks{release})
		answers := make(chan object, 301)
		go func() { answers <- r.get("group?name=stuck") }()
		synctest.Wait()
		for i := range 300 {
			go func() { answers <- r.get(fmt.Sprintf("group?x=%d&name=g&name=%d", i, i)) }()
		}
		synctest.Wait()
		close(release)
		for range 301 {
			<-answers
		}
		if looks != 1 {
			t.Errorf("300 questions that differ in what means nothing: got %d looks, want 1", looks)
		}
	})
}

// TestSweeps_aMethodThatBlocks: a method of the program's that does not return holds up what calls such methods, and nothing else.
func TestSweeps_aMethodThatBlocks(t *testing.T) {
	bubble(t, "blocks", func(t *testing.T) {
		r := newRig(t, nil)
		_, pid := r.dial("one", "")
		release := make(chan struct{})
		r.reg.Join("stuck", r.spawn("x"), blocks{release})
		stuck := make(chan object, 1)
		go func() { stuck <- r.get("group?name=stuck") }()
		synctest.Wait()
		begin := time.Now()
		for _, path := range []string{"overview", "sockets", "processes", "groups", "names", "presence", "nodes", "drain", "process/" + pid.String()} {
			r.get(path)
		}
		if took := time.Since(begin); took > time.Second {
			t.Errorf("what calls no method of the program's: took %v, want no waiting", took)
		}
		close(release)
		<-stuck
	})
}

// panicky is a Service whose name panics.
type panicky struct{ supervisor.Service }

func (panicky) String() string { panic("no name") }

// TestSweeps_panicsInTheLog: a method that panics at each look is in the log once a minute.
func TestSweeps_panicsInTheLog(t *testing.T) {
	bubble(t, "a minute", func(t *testing.T) {
		r := newRig(t, func(cfg *observer.Config, _ *socket.Config) {
			tree, err := supervisor.New(supervisor.Config{Name: "root"}, supervisor.ChildSpec{ID: "bad", Service: panicky{}})
			must(t, err)
			cfg.Supervisors = []supervisor.Service{tree}
		})
		for range 125 {
			r.wantError(500, "unavailable", r.ask("GET", "/api/v1/tree", "", nil))
			time.Sleep(time.Second)
		}
		if lines := r.logs.lines("panic while the observer looked"); len(lines) != 3 || !strings.Contains(lines[1], "more=59") {
			t.Errorf("lines about 125 panics within 125 s: got %d, want 3, the second with more=59: %.200q", len(lines), lines)
		}
	})
}

func TestHandler_typedNils(t *testing.T) {
	sys := newRig(t, nil).sys
	for _, s := range []supervisor.Service{(*supervisor.Supervisor)(nil), (*supervisor.Dynamic)(nil)} {
		func() {
			defer func() {
				if v := recover(); !strings.Contains(fmt.Sprint(v), "Config.Supervisors[0] is nil") {
					t.Errorf("Handler with a nil %T: got %v, want a panic that says which one is nil", s, v)
				}
			}()
			observer.Handler(observer.Config{System: sys, Supervisors: []supervisor.Service{s}})
		}()
	}
}

// TestValues_ofOneAnswer: the values of one answer have a limit together; what is beyond it is named, not shown.
func TestValues_ofOneAnswer(t *testing.T) {
	bubble(t, "large", func(t *testing.T) {
		r := newRig(t, nil)
		for i := range 500 {
			pid := r.spawn("x")
			r.reg.Join("large", pid, strings.Repeat("\x00", 4000))
			for j := range 4 {
				r.reg.Track("large", pid, fmt.Sprint(i, "-", j), strings.Repeat("\x00", 4000))
			}
		}
		for _, path := range []string{"group?name=large&limit=1000", "topic?name=large&limit=1000"} {
			b, err := io.ReadAll(r.ask("GET", "/api/v1/"+path, "", nil).Body)
			must(t, err)
			var v object
			must(t, json.Unmarshal(b, &v))
			rows := v.list("rows")
			last := rows[len(rows)-1]
			meta := last.in("meta")
			if metas := last.list("metas"); len(metas) > 0 {
				meta = metas[0]
			}
			if len(b) > 2<<20 || len(rows) < 500 || !meta.yes("cut") || meta["text"] != nil || meta["json"] != nil || meta.str("type") != "string" {
				t.Errorf("%s: got %d bytes, %d rows, the last value %v; want at most 2 MiB, all rows, a value that is only named", path, len(b), len(rows), meta)
			}
		}
	})
}
