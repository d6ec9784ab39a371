package socket_test

import (
	"bufio"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/exit"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/websock"
)

// heldWriter makes a handshake wait.
type heldWriter struct {
	http.ResponseWriter
	arrived, release chan struct{}
}

func (w *heldWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	close(w.arrived)
	<-w.release
	return http.NewResponseController(w.ResponseWriter).Hijack()
}

// lateUpgrade begins an upgrade, which waits for release in the middle of the handshake.
func lateUpgrade(t *testing.T, srv func() *socket.Server, hd websock.Handler) (h *site, release chan struct{}, upgraded chan *rawclient.Client) {
	t.Helper()
	w := &heldWriter{arrived: make(chan struct{}), release: make(chan struct{})}
	h = &site{t: t, logs: new(logs)}
	h.overMemory(http.HandlerFunc(func(hw http.ResponseWriter, req *http.Request) {
		w.ResponseWriter = hw
		srv().Upgrade(w, req, hd)
	}))
	upgraded = make(chan *rawclient.Client, 1)
	background(t, func() {
		conn, err := h.dial()
		if err != nil {
			t.Errorf("dial: %v", err)
		}
		t.Cleanup(func() { conn.Close() })
		c, _, _ := rawclient.Handshake(conn, rawclient.HandshakeOptions{})
		upgraded <- c
	})
	<-w.arrived
	return h, w.release, upgraded
}

// An upgrade that has its place when the server closes becomes a socket, which gets the Close frame of the Drain.
func TestDrain_upgradeInFlight(t *testing.T) {
	bubble(t, "in time", func(t *testing.T) {
		r := serve(t, socket.Config{})
		hd := puppet()
		_, release, upgraded := lateUpgrade(t, func() *socket.Server { return r.srv }, hd)
		run := r.drain(t.Context(), socket.Drain{Over: time.Second, Close: websock.CloseDetail{Code: 1012, Reason: "deploy"}, ComeBack: time.Second})
		time.Sleep(5 * time.Second)
		if run.over() {
			t.Fatalf("Drain is over while an upgrade is on its way: %v", run.err)
		}
		close(release)
		c := <-upgraded
		if c == nil {
			t.Fatal("the upgrade was refused after it had got its place")
		}
		f, err := c.ReadFrame()
		if err != nil || string(f.Raw) != closeFrame(1012, "deploy retry-after=1") {
			t.Errorf("got %v, %v, want Close 1012 with the reason of the Drain", f, err)
		}
		c.Close(1012, "")
		run.wantEnd(5 * time.Second)
		if got := hd.terminated(); len(got) != 1 || !errors.Is(got[0], websock.ErrShutdown) {
			t.Errorf("Terminate: got %v, want ErrShutdown once", got)
		}
	})
	bubble(t, "at last, when the time is over", func(t *testing.T) {
		r := serve(t, socket.Config{CloseTimeout: time.Hour})
		hd := puppet()
		_, release, upgraded := lateUpgrade(t, func() *socket.Server { return r.srv }, hd)
		run := r.drain(t.Context(), socket.Drain{Timeout: 10 * time.Second})
		<-run.done
		if run.err == nil || run.took < 10*time.Second || run.took > 11*time.Second {
			t.Errorf("Drain: got %v after %v, want an error within a second of its Timeout 10s", run.err, run.took)
		}
		close(release)
		c := <-upgraded
		if c == nil {
			t.Fatal("the upgrade was refused after it had got its place")
		}
		c.Conn().SetReadDeadline(time.Now().Add(time.Second))
		for err := error(nil); err == nil; {
			if _, err = c.ReadFrame(); errors.Is(err, context.DeadlineExceeded) {
				t.Error("a socket that opens after the kill lives")
			}
		}
		synctest.Wait()
		if n := r.srv.Count(); n != 0 {
			t.Errorf("Count: got %d, want 0", n)
		}
	})
}

// Drains and upgrades at once: a 101 before it means the Close frame of the Drain, whoever comes later gets 503, nobody
// is forgotten. It is not on a fake clock, where nothing happens at the same time.
func TestDrain_whileUpgrading(t *testing.T) {
	for round := range 30 {
		h := memorySite(t, socket.Config{CloseTimeout: 10 * time.Millisecond}, func() websock.Handler { return echo() })
		var wg sync.WaitGroup
		var sockets, refused atomic.Int64
		for range 40 {
			wg.Go(func() {
				c, resp, err := h.shake(rawclient.HandshakeOptions{})
				switch {
				case c != nil:
					sockets.Add(1)
					op, p, err := c.ReadMessage()
					if op != rawclient.OpClose || codeOf(p) != 1012 || err != nil {
						t.Errorf("got opcode %d, %q, %v, want Close 1012", op, p, err)
					}
					c.Conn().Close()
				case err != nil || resp.StatusCode != 503:
					t.Errorf("got %+v, %v, want 101 or 503", resp, err)
				default:
					refused.Add(1)
				}
			})
		}
		for range 2 {
			wg.Go(func() {
				for sockets.Load()+refused.Load() < int64(round) { // so that each round cuts elsewhere
					h.yield()
				}
				if err := h.srv.Drain(context.Background(), socket.Drain{
					Over: time.Duration(round%2) * time.Millisecond, Batch: 3, Timeout: patience, Close: websock.CloseDetail{Code: 1012},
				}); err != nil {
					t.Errorf("Drain: %v", err)
				}
				if n := h.srv.Count(); n != 0 {
					t.Errorf("Drain has returned with %d sockets", n)
				}
			})
		}
		wg.Wait()
		h.wantEnds(int(sockets.Load()))
		h.wantEmpty()
		if t.Failed() {
			return
		}
	}
}

// Sockets that end by themselves meanwhile are none of the Drain's business.
func TestDrain_othersEndMeanwhile(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{})
		ps := r.peers(10)
		hs := map[string]int{}
		run := r.drain(t.Context(), socket.Drain{Delay: 10 * time.Second, Over: 10 * time.Second})
		ps[0].must(ps[0].Client.Close(4000, "going"))
		ps[1].pid.Exit(websock.ErrRestart)
		time.Sleep(11500 * time.Millisecond) // at 10 s and 11.25 s two were closed
		synctest.Wait()
		var left []*peer
		for _, p := range ps[2:] {
			if p.pid.Alive() {
				left = append(left, p)
			}
		}
		if len(left) != 6 {
			t.Fatalf("%d are alive, want 6", len(left))
		}
		left[0].conn.Close()
		left[1].must(left[1].Client.Close(4001, ""))
		left[2].pid.Exit(actor.ErrKilled)
		run.wantEnd(18750 * time.Millisecond) // when it is the turn of the last
		for _, p := range ps {
			<-p.done
			closed := p.end()
			switch {
			case errors.Is(closed.Reason, websock.ErrShutdown):
				hs["drained"]++
			case errors.Is(closed.Reason, websock.ErrRemote):
				hs["remote"]++
			default:
				hs[closed.Reason.Error()]++
			}
		}
		if hs["drained"] != 5 || hs["remote"] != 3 || len(hs) != 4 {
			t.Errorf("ends: got %v, want 5 drained, 3 remote, and two others", hs)
		}
		last := run.steps[len(run.steps)-1]
		if last.Sockets != 8 || last.Closed != 8 || last.Killed != 0 || last.Left != 0 {
			t.Errorf("the last step: got %+v, want 8 sockets, 8 told, none killed", last)
		}
	})
	bubble(t, "all of them", func(t *testing.T) {
		r := serve(t, socket.Config{})
		ps := r.peers(4)
		run := r.drain(t.Context(), socket.Drain{Delay: 10 * time.Second})
		for _, p := range ps {
			p.conn.Close()
		}
		run.wantEnd(10 * time.Second)
	})
}

// Terminate gets, once, what is ErrShutdown and of the kind of a shutdown; so it is no error in the log.
func TestDrain_terminate(t *testing.T) {
	for name, d := range map[string]socket.Drain{
		"zero": {},
		"detail": {Delay: time.Second, Over: time.Second, Close: websock.CloseDetail{Code: 4000, Reason: "deploy"},
			ComeBack: time.Minute},
	} {
		bubble(t, name, func(t *testing.T) {
			r := serve(t, socket.Config{})
			hd := puppet()
			monitored := make(chan error, 1)
			p := r.peer(hd)
			background(t, func() {
				reason, err := actor.Wait(context.Background(), p.pid)
				if err != nil {
					t.Errorf("Wait: %v", err)
				}
				monitored <- reason
			})
			synctest.Wait()
			run := r.drain(t.Context(), d)
			<-run.done
			if run.err != nil {
				t.Errorf("Drain: %v", run.err)
			}
			got := append(hd.terminated(), <-monitored, p.end().Reason)
			if len(got) != 3 {
				t.Fatalf("Terminate was called %d times, want once", len(got)-2)
			}
			for _, reason := range got {
				if !errors.Is(reason, websock.ErrShutdown) || errors.Is(reason, websock.ErrNormal) || exit.KindOf(reason) != exit.Shutdown {
					t.Errorf("exit reason: got %v of kind %v, want ErrShutdown", reason, exit.KindOf(reason))
				}
			}
			lines := r.logs.of("socket closed", p.pid)
			if len(lines) != 1 || lines[0].level != slog.LevelInfo {
				t.Errorf("log: got %+v, want one line at Info", lines)
			}
		})
	}
}

// A callback in progress finishes, what it pushed goes before the Close frame, and what still waits is dropped.
func TestDrain_inFlight(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{})
		release := make(chan struct{})
		hd := &handler{in: func(_ context.Context, m websock.Message) websock.Result {
			<-release
			return websock.Push(websock.Text("answer to " + string(m.Data)))
		}}
		p := r.peer(hd)
		p.must(p.Text("question"))
		synctest.Wait()
		p.pid.Send(websock.Text("before"))
		run := r.drain(t.Context(), socket.Drain{})
		p.pid.Send(websock.Text("behind"))
		time.Sleep(3 * time.Second)
		close(release)
		run.wantEnd(3 * time.Second)
		p.wantCode(1001, "")
		if want := []string{"answer to question", "before"}; !slices.Equal(p.others, want) {
			t.Errorf("got %q, want %q", p.others, want)
		}
	})
}
