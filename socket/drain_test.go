package socket_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/websock"
)

// Delay: from its first moment Ready says no and upgrades get 503; those that are there are served until it is over, and
// then closed.
func TestDrain_delay(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{})
		before := r.peer(puppet())
		r.wantReady(nil)
		during := r.dial(echo())
		run := r.drain(t.Context(), socket.Drain{Delay: 10 * time.Second, ComeBack: 3 * time.Second})
		r.wantReady(socket.ErrDraining)
		r.wantRefused(3)
		time.Sleep(10*time.Second - 1)
		r.wantReady(socket.ErrDraining)
		r.wantRefused(3)
		during.must(during.Text("still served"))
		during.want(textFrame("still served"))
		if n := r.srv.Count(); n != 2 || run.over() {
			t.Errorf("at the end of Delay: %d sockets, Drain over %v, want 2, false", n, run.over())
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		r.wantReady(socket.ErrClosed)
		r.wantRefused(3)
		if op, p, err := during.ReadMessage(); op != rawclient.OpClose || codeOf(p) != 1001 || err != nil {
			t.Errorf("who was served during Delay: got opcode %d, %q, %v, want Close 1001", op, p, err)
		}
		during.must(during.Client.Close(1001, ""))
		run.wantEnd(10 * time.Second)
		<-before.done
		if at := before.closedAt.Sub(run.start); at != 10*time.Second {
			t.Errorf("Close frame after %v, want 10s", at)
		}
		r.wantRefused(3)
		r.wantReady(socket.ErrClosed)
	})
}

// The oldest are closed first.
func TestDrain_oldestFirst(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{})
		const sockets = 100 // in more than one shard
		var peers []*peer
		for range sockets {
			peers = append(peers, r.peer(puppet()))
			time.Sleep(time.Nanosecond)
		}
		run := r.drain(t.Context(), socket.Drain{Over: sockets * time.Second})
		run.wantEnd((sockets - 1) * time.Second)
		for i, p := range peers {
			<-p.done
			if at := p.closedAt.Sub(run.start); at != time.Duration(i)*time.Second {
				t.Errorf("the socket that came as number %d is closed after %v, want %ds", i, at, i)
			}
		}
	})
}

// The closes are spread evenly: Batch sockets every Over x Batch / sockets, the last before Over ends.
func TestDrain_paced(t *testing.T) {
	for _, test := range []struct {
		sockets, batch int
		delay, over    time.Duration
	}{
		{1, 1, 0, 10 * time.Second},
		{10, 1, 0, 10 * time.Second},
		{10, 0, 3 * time.Second, 10 * time.Second},
		{10, 3, 0, 10 * time.Second},
		{10, 5, 0, time.Minute},
		{7, 10, 0, 5 * time.Second},
		{3, 1, 0, time.Second},
		{45, 1, 0, time.Second}, // 27/45 s is a little less than its double
		{90, 2, 0, time.Second},
		{100, 7, time.Second, time.Minute},
		{25, 1, 0, -1},
		{25, 4, time.Second, -1},
		{25, 1, 0, 10}, // several in one nanosecond
	} {
		bubble(t, fmt.Sprintf("%d by %d over %v after %v", test.sockets, test.batch, test.over, test.delay), func(t *testing.T) {
			r := serve(t, socket.Config{})
			ps := r.peers(test.sockets)
			run := r.drain(t.Context(), socket.Drain{Delay: test.delay, Over: test.over, Batch: test.batch})
			<-run.done
			batch := max(test.batch, 1)
			var got, want []time.Duration
			for i, p := range ps {
				p.wantCode(1001, "")
				got = append(got, p.closedAt.Sub(run.start))
				first := i / batch * batch // of its batch
				at := new(big.Int).Mul(big.NewInt(int64(max(test.over, 0))), big.NewInt(int64(first)))
				at.Div(at, big.NewInt(int64(test.sockets)))
				want = append(want, test.delay+time.Duration(at.Int64()))
			}
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("Close frames after\ngot  %v\nwant %v", got, want)
			}
			run.wantEnd(want[len(want)-1])
			if test.over > 0 && want[len(want)-1] >= test.delay+test.over {
				t.Errorf("the last is closed after %v, want before %v", want[len(want)-1], test.delay+test.over)
			}
		})
	}
}

var hint = regexp.MustCompile(`^(.*?) ?retry-after=([1-9][0-9]*)$`)

// The Close frame is the one that was asked for, with a come-back hint that is spread.
func TestDrain_close(t *testing.T) {
	longest := strings.Repeat("x", 123-len(" retry-after=60"))
	for _, test := range []struct {
		name     string
		d        socket.Drain
		code     uint16
		reason   string
		comeBack int // the longest hint; 0: none
	}{
		{"zero", socket.Drain{}, 1001, "", 0},
		{"reason alone", socket.Drain{Close: websock.CloseDetail{Reason: "bye"}}, 1001, "bye", 0},
		{"1012", socket.Drain{Close: websock.CloseDetail{Code: 1012, Reason: "deploy"}}, 1012, "deploy", 0},
		{"hint alone", socket.Drain{ComeBack: 5 * time.Second}, 1001, "", 5},
		{"hint and reason", socket.Drain{Close: websock.CloseDetail{Code: 1012, Reason: "deploy"}, ComeBack: 20 * time.Second}, 1012, "deploy", 20},
		{"hint and the longest reason", socket.Drain{Close: websock.CloseDetail{Reason: longest}, ComeBack: time.Minute}, 1001, longest, 60},
		{"a second", socket.Drain{ComeBack: time.Second}, 1001, "", 1},
		{"less than a second", socket.Drain{ComeBack: time.Millisecond}, 1001, "", 1},
	} {
		bubble(t, test.name, func(t *testing.T) {
			r := serve(t, socket.Config{})
			const n = 200
			ps := r.peers(n)
			r.drain(t.Context(), test.d).wantEnd(150 * time.Millisecond) // 1,000 a second, 50 in a step
			hints := map[int]int{}
			for _, p := range ps {
				<-p.done
				reason := p.reason
				if m := hint.FindStringSubmatch(p.reason); m != nil {
					seconds, _ := strconv.Atoi(m[2])
					hints[seconds]++
					reason = m[1]
				}
				if p.code != test.code || reason != test.reason {
					t.Fatalf("Close frame: got %d %q, want %d %q", p.code, p.reason, test.code, test.reason)
				}
			}
			total := 0
			for seconds, count := range hints {
				total += count
				if seconds < 1 || seconds > test.comeBack {
					t.Errorf("hint: got %d, want 1 to %d", seconds, test.comeBack)
				}
			}
			if want := min(test.comeBack, 1) * n; total != want {
				t.Errorf("%d hints, want %d", total, want)
			}
			// 200 random numbers miss one out of 5 once in 10^19 runs; of 20, more than half once in far more.
			if want := (test.comeBack + 1) / 2; len(hints) < want {
				t.Errorf("hints are not spread: got %v, want at least %d values", hints, want)
			}
		})
	}
}

// What cannot be carried out is refused, before anything has happened.
func TestDrain_refuses(t *testing.T) {
	for _, test := range []struct {
		name string
		d    socket.Drain
		want []string
	}{
		{"delay", socket.Drain{Delay: -1}, []string{"Delay", "-1ns"}},
		{"batch", socket.Drain{Batch: -1}, []string{"Batch", "-1"}},
		{"timeout", socket.Drain{Timeout: -1}, []string{"Timeout", "-1ns"}},
		{"come back", socket.Drain{ComeBack: -1}, []string{"ComeBack", "-1ns"}},
		{"code", socket.Drain{Close: websock.CloseDetail{Code: 1006}}, []string{"Drain.Close", "1006"}},
		{"reason", socket.Drain{Close: websock.CloseDetail{Reason: strings.Repeat("x", 124)}}, []string{"Drain.Close", "124", "123"}},
		{"reason and hint", socket.Drain{Close: websock.CloseDetail{Reason: strings.Repeat("x", 109)}, ComeBack: time.Minute},
			[]string{"Drain.Close", "ComeBack", "124", "123"}},
		{"not UTF-8", socket.Drain{Close: websock.CloseDetail{Reason: "\xff"}}, []string{"Drain.Close", "UTF-8"}},
	} {
		bubble(t, test.name, func(t *testing.T) {
			check := func(call string, err error) {
				t.Helper()
				for _, want := range test.want {
					if err == nil || !strings.Contains(err.Error(), want) {
						t.Errorf("%s: got error %v, want one with %q", call, err, want)
					}
				}
			}
			_, err := socket.New(socket.Config{Drain: test.d})
			check("New", err)
			r := serve(t, socket.Config{})
			c := r.dial(echo())
			test.d.OnProgress = func(p socket.DrainProgress) { t.Errorf("progress %+v of a Drain that was refused", p) }
			check("Drain", r.srv.Drain(t.Context(), test.d))
			r.wantReady(nil)
			c.must(c.Text("nothing has happened"))
			c.want(textFrame("nothing has happened"))
		})
	}
}

// The Retry-After of refused upgrades is spread over ComeBack: of the Drain, or else of Config.Drain.
func TestDrain_retryAfter(t *testing.T) {
	for _, test := range []struct {
		name string
		cfg  socket.Drain
		end  func(ctx context.Context, s *socket.Server) error
		most int
	}{
		{"Shutdown, default", socket.Drain{}, func(ctx context.Context, s *socket.Server) error { return s.Shutdown(ctx) }, 10},
		{"Shutdown, Config.Drain", socket.Drain{ComeBack: 4 * time.Second}, func(ctx context.Context, s *socket.Server) error { return s.Shutdown(ctx) }, 4},
		{"Drain, default", socket.Drain{}, func(ctx context.Context, s *socket.Server) error { return s.Drain(ctx, socket.Drain{}) }, 10},
		{"Drain, Config.Drain", socket.Drain{ComeBack: 4 * time.Second}, func(ctx context.Context, s *socket.Server) error { return s.Drain(ctx, socket.Drain{}) }, 4},
		{"Drain with its own", socket.Drain{ComeBack: 4 * time.Second}, func(ctx context.Context, s *socket.Server) error {
			return s.Drain(ctx, socket.Drain{ComeBack: 20 * time.Second})
		}, 20},
	} {
		bubble(t, test.name, func(t *testing.T) {
			r := serve(t, socket.Config{Drain: test.cfg})
			if err := test.end(t.Context(), r.srv); err != nil {
				t.Fatal(err)
			}
			seen := map[int]bool{}
			highest := 0
			for range 20 * test.most {
				n, err := strconv.Atoi(r.knock().Header.Get("Retry-After"))
				if err != nil || n < 1 || n > test.most {
					t.Fatalf("Retry-After: got %d, %v, want 1 to %d", n, err, test.most)
				}
				seen[n] = true
				highest = max(highest, n)
			}
			// Each of them is missed with a probability of less than 1/e^20.
			if len(seen) < test.most-1 || highest < test.most-1 {
				t.Errorf("Retry-After is not spread: got %v, want 1 to %d", seen, test.most)
			}
		})
	}
}

// stuck is a handler whose HandleInfo stays until release is closed.
func stuck(release <-chan struct{}) *handler {
	return &handler{info: func(context.Context, any) websock.Result {
		<-release
		return websock.OK()
	}}
}

// Those that are left when the time is over are killed, and the error says how many.
func TestDrain_timeout(t *testing.T) {
	type deadline struct {
		name string
		cfg  socket.Config
		d    socket.Drain
		took time.Duration
	}
	const hour = time.Hour
	for _, test := range []deadline{
		{"Timeout", socket.Config{ShutdownTimeout: hour, CloseTimeout: hour}, socket.Drain{Timeout: 7 * time.Second}, 7 * time.Second},
		{"after Delay and Over", socket.Config{ShutdownTimeout: hour, CloseTimeout: hour},
			socket.Drain{Delay: time.Second, Over: 10 * time.Second, Timeout: 7 * time.Second}, 18 * time.Second},
		{"no ShutdownTimeout", socket.Config{ShutdownTimeout: -1, CloseTimeout: hour}, socket.Drain{Timeout: 7 * time.Second}, 7 * time.Second},
	} {
		bubble(t, test.name, func(t *testing.T) {
			r := serve(t, test.cfg)
			release := make(chan struct{})
			var inside []*peer
			for range 2 {
				p := r.peer(stuck(release))
				p.pid.Send("x")
				inside = append(inside, p)
			}
			rude, polite := r.rudePeer(puppet()), r.peer(puppet())
			synctest.Wait()
			run := r.drain(t.Context(), test.d)
			run.wantKilled(3, context.DeadlineExceeded, test.took)
			if !strings.Contains(run.err.Error(), test.took.String()) {
				t.Errorf("error: got %v, want one that names the time, %v", run.err, test.took)
			}
			if n := r.srv.Count(); n != 0 {
				t.Errorf("after the Drain: %d sockets, want 0", n)
			}
			for _, p := range inside {
				p.wantCode(0, "")
				if closed := p.end(); !errors.Is(closed.Reason, actor.ErrKilled) || closed.Sent != nil {
					t.Errorf("stuck: got %v, Close frame %v, want ErrKilled and none", closed.Reason, closed.Sent)
				}
			}
			for _, p := range []*peer{rude, polite} {
				p.wantCode(1001, "")
				if closed := p.end(); !errors.Is(closed.Reason, actor.ErrShutdown) {
					t.Errorf("not stuck: got %v, want ErrShutdown", closed.Reason)
				}
			}
			close(release)
		})
	}
}

// Timeout 0 is what the sockets may take by Config: nobody who keeps to that is killed, whatever is off or unlimited.
func TestDrain_defaultTimeout(t *testing.T) {
	for _, test := range []struct {
		name string
		cfg  socket.Config
		want time.Duration // ShutdownTime, but for its second
	}{
		{"zero", socket.Config{}, 20 * time.Second},
		{"given", socket.Config{CloseTimeout: 3 * time.Second, ShutdownTimeout: 4 * time.Second}, 7 * time.Second},
		{"CloseTimeout off", socket.Config{CloseTimeout: -1}, 15 * time.Second},
		{"ShutdownTimeout off", socket.Config{ShutdownTimeout: -1}, 20 * time.Second},
		{"both off", socket.Config{CloseTimeout: -1, ShutdownTimeout: -1}, 15 * time.Second},
	} {
		bubble(t, test.name, func(t *testing.T) {
			r := serve(t, test.cfg)
			if got := r.srv.ShutdownTime(); got != test.want+11*time.Second {
				t.Errorf("ShutdownTime: got %v, want %v, 10s for Over and a second", got, test.want)
			}
			slow := puppet()
			slow.terminate = func(context.Context, error) { time.Sleep(test.want / 2) }
			p := r.peer(slow)
			synctest.Wait()
			r.drain(t.Context(), socket.Drain{}).wantEnd(test.want / 2)
			p.wantCode(1001, "")
		})
	}
	t.Run("for ever", func(t *testing.T) { // sums do not overflow
		const ever = math.MaxInt64
		for name, cfg := range map[string]socket.Config{
			"ShutdownTimeout": {ShutdownTimeout: ever},
			"Timeout":         {Drain: socket.Drain{Delay: time.Second, Over: time.Second, Timeout: ever}},
			"all":             {ShutdownTimeout: ever, CloseTimeout: ever, Drain: socket.Drain{Timeout: ever}},
		} {
			bubble(t, name, func(t *testing.T) {
				r := serve(t, cfg)
				if got := r.srv.ShutdownTime(); got != ever {
					t.Errorf("ShutdownTime: got %v, want %v", got, time.Duration(ever))
				}
				p := r.peer(puppet())
				synctest.Wait()
				r.drain(t.Context(), cfg.Drain).wantEnd(cfg.Drain.Delay)
				p.wantCode(1001, "")
			})
		}
	})
}

// When ctx is done, at whatever stage, what is left is killed and Drain returns.
func TestDrain_ctx(t *testing.T) {
	d := socket.Drain{Delay: 10 * time.Second, Over: 10 * time.Second, Batch: 1, Timeout: 10 * time.Second}
	for _, test := range []struct {
		name   string
		at     time.Duration // -1: before the call
		closes int           // how many have their Close frame by then
	}{
		{"before", -1, 0},
		{"at the beginning", 0, 0},
		{"during Delay", 5 * time.Second, 0},
		{"during Over", 15 * time.Second, 3},
		{"during Timeout", 25 * time.Second, 5},
	} {
		bubble(t, test.name, func(t *testing.T) {
			r := serve(t, socket.Config{CloseTimeout: time.Hour, ShutdownTimeout: time.Hour})
			var ps []*peer
			for range 5 {
				ps = append(ps, r.rudePeer(puppet()))
			}
			synctest.Wait()
			cause := errors.New("no more patience")
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			if test.at < 0 {
				cancel(cause)
			} else {
				time.AfterFunc(test.at, func() { cancel(cause) })
			}
			run := r.drain(ctx, d)
			end := max(test.at, 0)
			if test.closes < len(ps) {
				end += 250 * time.Millisecond // for the Close frames of the others
			}
			run.wantKilled(5, cause, end)
			closes := 0
			for _, p := range ps {
				<-p.done
				if p.code != 1001 {
					t.Errorf("a socket was killed with the Close frame %d, want 1001", p.code)
				}
				if p.closedAt.Sub(run.start) < max(test.at, 1) {
					closes++
				}
				if r.onClose(p.pid) != 1 {
					t.Error("Drain has returned before the TCP connection is closed")
				}
			}
			if test.at > 0 && closes != test.closes {
				t.Errorf("%d Close frames before, want %d", closes, test.closes)
			}
			r.wantReady(socket.ErrClosed)
			r.wantRefused(10)
		})
	}
	bubble(t, "a callback that runs pushes", func(t *testing.T) { // after the farewell has written its Close frame
		r := serve(t, socket.Config{})
		h := puppet()
		p := r.peer(h)
		synctest.Wait()
		for range 2 { // the second stands before the Exit, and runs all the same
			p.pid.Send(do(func(context.Context) websock.Result {
				time.Sleep(650 * time.Millisecond)
				return websock.Push(websock.Text("late"))
			}))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := r.srv.Drain(ctx, socket.Drain{}); err != nil {
			t.Errorf("Drain: %v, want nil: the callbacks are over within the farewell", err)
		}
		<-p.done
		if got := h.terminated(); p.code != 1001 || len(got) != 1 || !errors.Is(got[0], websock.ErrShutdown) {
			t.Errorf("Close frame %d, Terminate got %v; want 1001, and once what is websock.ErrShutdown", p.code, got)
		}
	})
	t.Run("before, always", func(t *testing.T) { // it has two reasons to go on, and must not choose
		done, cancel := context.WithCancel(context.Background())
		cancel()
		for range 20 {
			bubble(t, "", func(t *testing.T) {
				r := serve(t, socket.Config{})
				p := r.peer(puppet())
				synctest.Wait()
				r.srv.Drain(done, socket.Drain{Delay: time.Minute})
				r.wantReady(socket.ErrClosed)
				if n := r.srv.Count(); n != 0 {
					t.Errorf("Drain has returned with %d sockets", n)
				}
				<-p.done
			})
		}
	})
	bubble(t, "all over already", func(t *testing.T) {
		r := serve(t, socket.Config{})
		done, cancel := context.WithCancel(t.Context())
		cancel()
		if err := r.srv.Drain(done, d); err != nil {
			t.Errorf("Drain of an empty server with a ctx that is done: got %v, want nil", err)
		}
	})
	bubble(t, "while another Drain runs", func(t *testing.T) {
		r := serve(t, socket.Config{CloseTimeout: time.Hour, ShutdownTimeout: time.Hour})
		p := r.rudePeer(puppet())
		synctest.Wait()
		first := r.drain(t.Context(), socket.Drain{Delay: time.Hour})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		second := r.drain(ctx, socket.Drain{})
		second.wantKilled(1, context.DeadlineExceeded, 5*time.Second+250*time.Millisecond)
		<-p.done
		r.wantReady(socket.ErrClosed)
		first.wantEnd(time.Hour)
	})
}

// One at a time: a second one waits for the first, and finds nothing to do.
func TestDrain_second(t *testing.T) {
	bubble(t, "waits", func(t *testing.T) {
		r := serve(t, socket.Config{})
		ps := r.peers(3)
		first := r.drain(t.Context(), socket.Drain{Delay: 10 * time.Second, Close: websock.CloseDetail{Code: 1012}})
		second := r.drain(t.Context(), socket.Drain{Delay: time.Hour, Over: time.Hour, Close: websock.CloseDetail{Code: 4000}})
		if got := second.progress(); len(got) != 0 {
			t.Errorf("progress of the second one while the first runs: %+v", got)
		}
		first.wantEnd(10 * time.Second)
		second.wantEnd(10 * time.Second) // nobody is let in any more, so there is nothing to delay
		for _, p := range ps {
			p.wantCode(1012, "")
		}
		r.wantReady(socket.ErrClosed)
	})
	bubble(t, "after a Shutdown", func(t *testing.T) {
		r := serve(t, socket.Config{})
		if err := r.srv.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		run := r.drain(t.Context(), socket.Drain{Delay: time.Hour})
		r.wantReady(socket.ErrClosed)
		run.wantEnd(0)
	})
	bubble(t, "a Shutdown meanwhile", func(t *testing.T) {
		r := serve(t, socket.Config{})
		ps := r.peers(3)
		run := r.drain(t.Context(), socket.Drain{Over: time.Hour, Close: websock.CloseDetail{Code: 1012}})
		time.Sleep(time.Minute)
		if err := r.srv.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		codes := map[uint16]int{}
		for _, p := range ps {
			<-p.done
			codes[p.code]++
			if at := p.closedAt.Sub(run.start); at > time.Minute {
				t.Errorf("closed after %v, want at the Shutdown", at)
			}
		}
		if codes[1012] != 1 || codes[1001] != 2 {
			t.Errorf("Close frames: got %v, want one of the Drain and two of the Shutdown", codes)
		}
		<-run.done
		if run.err != nil {
			t.Errorf("Drain: %v", run.err)
		}
	})
}

// The zero Drain closes 1,000 sockets a second, a handful at once.
func TestDrain_zeroIsPaced(t *testing.T) {
	for _, test := range []struct {
		sockets int
		d       socket.Drain
		last    time.Duration
	}{
		{1, socket.Drain{}, 0},
		{50, socket.Drain{}, 0},
		{51, socket.Drain{}, 50 * time.Millisecond},
		{300, socket.Drain{}, 250 * time.Millisecond},
		{300, socket.Drain{Over: -1}, 0},
	} {
		bubble(t, fmt.Sprintf("%d, Over %v", test.sockets, test.d.Over), func(t *testing.T) {
			r := serve(t, socket.Config{})
			ps := r.peers(test.sockets)
			run := r.drain(t.Context(), test.d)
			run.wantEnd(test.last)
			at := map[time.Duration]int{}
			for _, p := range ps {
				p.wantCode(1001, "")
				at[p.closedAt.Sub(run.start)]++
			}
			for d, n := range at {
				if most := 50; n > most && test.last > 0 {
					t.Errorf("%d sockets are closed after %v, want at most %d in one step", n, d, most)
				}
			}
		})
	}
}
