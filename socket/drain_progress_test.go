package socket_test

import (
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/socket"
)

// Progress: each stage in its order, with its counts.
func TestDrain_progress(t *testing.T) {
	s := time.Second
	for _, test := range []struct {
		name  string
		d     socket.Drain
		rude  int // of the 4
		empty bool
		want  []socket.DrainProgress
	}{
		{"all at once", socket.Drain{}, 0, false, []socket.DrainProgress{
			{socket.DrainDelaying, 0, 0, 4, 0, 0},
			{socket.DrainClosing, 4, 4, -1, 0, 0},
			{socket.DrainWaiting, 4, 4, -1, 0, 0},
			{socket.DrainDone, 4, 4, 0, 0, 0},
		}},
		{"paced", socket.Drain{Delay: 5 * s, Over: 4 * s}, 0, false, []socket.DrainProgress{
			{socket.DrainDelaying, 0, 0, 4, 0, 0},
			{socket.DrainClosing, 4, 1, -1, 0, 5 * s},
			{socket.DrainClosing, 4, 2, -1, 0, 6 * s},
			{socket.DrainClosing, 4, 3, -1, 0, 7 * s},
			{socket.DrainClosing, 4, 4, -1, 0, 8 * s},
			{socket.DrainWaiting, 4, 4, -1, 0, 8 * s},
			{socket.DrainDone, 4, 4, 0, 0, 8 * s},
		}},
		{"batches, and one is killed", socket.Drain{Over: 4 * s, Batch: 3, Timeout: 10 * s}, 1, false, []socket.DrainProgress{
			{socket.DrainDelaying, 0, 0, 4, 0, 0},
			{socket.DrainClosing, 4, 3, -1, 0, 0},
			{socket.DrainClosing, 4, 4, -1, 0, 3 * s},
			{socket.DrainWaiting, 4, 4, -1, 0, 3 * s},
			{socket.DrainKilling, 4, 4, -1, 1, 14 * s},
			{socket.DrainDone, 4, 4, 0, 1, 14 * s},
		}},
		{"empty", socket.Drain{Delay: 5 * s, Over: 4 * s, Timeout: 10 * s}, 0, true, []socket.DrainProgress{
			{socket.DrainDelaying, 0, 0, 0, 0, 0},
			{socket.DrainWaiting, 0, 0, 0, 0, 5 * s},
			{socket.DrainDone, 0, 0, 0, 0, 5 * s},
		}},
	} {
		bubble(t, test.name, func(t *testing.T) {
			r := serve(t, socket.Config{CloseTimeout: time.Hour})
			for i := range 4 {
				switch {
				case test.empty:
				case i < test.rude:
					r.rudePeer(puppet())
				default:
					r.peer(puppet())
				}
			}
			synctest.Wait()
			run := r.drain(t.Context(), test.d)
			<-run.done
			got := run.progress()
			for i := range got {
				if got[i].Left < 0 || got[i].Left > 4 {
					t.Errorf("step %d: %d left", i, got[i].Left)
				}
				if i < len(test.want) && test.want[i].Left < 0 {
					got[i].Left = -1 // they may have gone already
				}
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("progress:\ngot  %+v\nwant %+v", run.steps, test.want)
			}
		})
	}
	bubble(t, "Left follows the sockets", func(t *testing.T) {
		r := serve(t, socket.Config{})
		r.peers(10)
		run := r.drain(t.Context(), socket.Drain{Over: 10 * time.Second})
		<-run.done
		for i, p := range run.steps[1:11] {
			// Those of this step may still be on their way.
			if p.Left != 10-i && p.Left != 10-i-1 {
				t.Errorf("%+v: want %d or %d left", p, 10-i, 10-i-1)
			}
		}
	})
	bubble(t, "Draining", func(t *testing.T) {
		r := serve(t, socket.Config{CloseTimeout: time.Hour})
		check := func(when string, want socket.DrainProgress, runs bool) {
			t.Helper()
			synctest.Wait()
			if got, now := r.srv.Draining(); got != want || now != runs {
				t.Errorf("%s: got %+v, %t; want %+v, %t", when, got, now, want, runs)
			}
			if st := r.srv.Stats(); st.Draining != runs {
				t.Errorf("%s: Stats.Draining is %t, want %t", when, st.Draining, runs)
			}
		}
		r.rudePeer(puppet())
		time.Sleep(s) // it is the oldest, and the first that is told
		r.peers(3)
		check("before", socket.DrainProgress{}, false)
		run := r.drain(t.Context(), socket.Drain{Delay: 5 * s, Over: 4 * s, Timeout: 10 * s})
		time.Sleep(3 * s)
		check("in the Delay", socket.DrainProgress{Stage: socket.DrainDelaying, Left: 4, Elapsed: 3 * s}, true)
		time.Sleep(3*s + s/2)
		check("while it closes", socket.DrainProgress{Stage: socket.DrainClosing, Sockets: 4, Closed: 2, Left: 3, Elapsed: 6*s + s/2}, true)
		time.Sleep(3 * s)
		check("while it waits", socket.DrainProgress{Stage: socket.DrainWaiting, Sockets: 4, Closed: 4, Left: 1, Elapsed: 9*s + s/2}, true)
		<-run.done
		done, _ := r.srv.Draining()
		check("after", socket.DrainProgress{Stage: socket.DrainDone, Sockets: 4, Closed: 4, Killed: 1, Elapsed: 19 * s}, false)
		time.Sleep(time.Hour)
		check("an hour later", done, false)
	})
	bubble(t, "a panic in OnProgress", func(t *testing.T) {
		r := serve(t, socket.Config{})
		ps := r.peers(3)
		run := r.drain(t.Context(), socket.Drain{Delay: time.Second, OnProgress: func(socket.DrainProgress) { panic("as asked, in OnProgress") }})
		run.wantEnd(time.Second)
		for _, p := range ps {
			p.wantCode(1001, "")
		}
		found := 0
		for _, line := range r.logs.all(slog.LevelError) {
			if strings.Contains(line.text, "as asked, in OnProgress") && strings.Contains(line.text, "drain_progress_test.go") {
				found++
			}
		}
		if found != len(run.steps) || found == 0 {
			t.Errorf("the log names the panic %d times, want %d", found, len(run.steps))
		}
	})
	for stage, want := range map[socket.DrainStage]string{socket.DrainDelaying: "delaying", socket.DrainClosing: "closing",
		socket.DrainWaiting: "waiting", socket.DrainKilling: "killing", socket.DrainDone: "done", 9: "DrainStage(9)"} {
		if got := stage.String(); got != want {
			t.Errorf("DrainStage(%d): got %q, want %q", uint8(stage), got, want)
		}
	}
}
