package socket_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/conn"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/websock"
)

// lease is a puppet whose time is set by many goroutines. Its fields belong to its callbacks, and to the test when it has ended.
type lease struct {
	handler
	until  time.Time // of the last Expire: when it ends; zero: never
	ended  time.Time // when Terminate was called; zero: it was not
	reason error
	free   time.Time // when the last callback has returned
	calls  int
	renew  func() time.Duration // by which HandleExpiry renews; 0: it does not
}

// set is Expire, and notes it. A time that is over is now.
func (l *lease) set(ctx context.Context, at time.Time) {
	socket.Expire(ctx, at)
	l.calls++
	if l.until = at; !at.IsZero() && at.Before(time.Now()) {
		l.until = time.Now()
	}
}

// HandleInfo sets the time that it is sent, and takes as long as it is told to.
func (l *lease) HandleInfo(ctx context.Context, msg any) websock.Result {
	switch msg := msg.(type) {
	case time.Time:
		l.set(ctx, msg)
	case time.Duration:
		time.Sleep(msg)
		l.free = time.Now()
	}
	return websock.OK()
}

func (l *lease) Terminate(_ context.Context, reason error) { l.ended, l.reason = time.Now(), reason }

// renewing is a lease with an ExpiryHandler.
type renewing struct{ *lease }

func (r renewing) HandleExpiry(ctx context.Context) websock.Result {
	if d := r.renew(); d > 0 {
		r.set(ctx, time.Now().Add(d))
	}
	return websock.OK()
}

// Many goroutines renew many sockets, that sleep in between, all at whole seconds, so that much happens in the same instant, in a drain
// too: a socket ends exactly when the last Expire that a callback has made says, or when the callback returns that runs then, never before and
// never after, and one that the drain ends has not outlived its time.
func TestExpire_stress(t *testing.T) {
	const sockets, workers, seconds = 80, 8, 60
	for seed := range uint64(6) {
		bubble(t, fmt.Sprint("seed ", seed), func(t *testing.T) {
			cfg := undisturbed()
			cfg.HibernateAfter, cfg.ExpiryWarning, cfg.Logger = 500*time.Millisecond, time.Second, quiet
			r := serve(t, cfg)
			first := rand.New(rand.NewPCG(seed, 0))
			in := func(random *rand.Rand, most int) time.Duration { return time.Duration(random.IntN(most)) * time.Second }
			leases := make([]*lease, sockets)
			clients := make([]*client, sockets)
			for i := range leases {
				mine := rand.New(rand.NewPCG(seed, uint64(i)+1)) // HandleExpiry runs on the process, and on no other
				leases[i] = &lease{renew: func() time.Duration { return in(mine, 6) }}
				var h websock.Handler = leases[i]
				if i%2 == 0 {
					h = renewing{leases[i]}
				}
				clients[i] = r.dial(h)
				clients[i].pid.Send(start(t).Add(time.Second + in(first, 20)))
			}
			var all sync.WaitGroup
			for w := range workers {
				all.Go(func() {
					random := rand.New(rand.NewPCG(seed, 1000+uint64(w)))
					for range 2 * seconds {
						time.Sleep(in(random, 2))
						c := clients[random.IntN(sockets)]
						switch random.IntN(20) {
						case 0:
							c.pid.Send(time.Time{})
						case 1:
							c.pid.Send(time.Now().Add(-time.Second))
						case 2:
							c.Text("wake up") // it may have ended
						case 3, 4:
							c.pid.Send(in(random, 4)) // what comes meanwhile waits, an expiry, too
						default:
							c.pid.Send(time.Now().Add(in(random, 20)))
						}
					}
				})
			}
			if seed%2 == 1 {
				all.Go(func() {
					time.Sleep(seconds / 3 * time.Second)
					_ = r.srv.Drain(t.Context(), socket.Drain{Delay: 5 * time.Second, Over: 10 * time.Second, Timeout: time.Hour})
				})
			}
			for _, c := range clients { // each answers the Close
				all.Go(func() {
					c.conn.SetReadDeadline(time.Now().Add(10 * time.Minute))
					for {
						op, p, err := c.ReadMessage()
						if op == rawclient.OpClose {
							c.Close(codeOf(p), "")
						}
						if err != nil {
							c.conn.Close()
							return
						}
					}
				})
			}
			all.Wait()
			synctest.Wait()
			expired, drained, still := 0, 0, 0
			for i, l := range leases {
				switch {
				case l.ended.IsZero():
					t.Errorf("seed %d: socket %d has not ended", seed, i)
				case errors.Is(l.reason, websock.ErrExpired):
					at := l.until
					if at.Before(l.free) {
						at = l.free
					}
					if expired++; !l.ended.Equal(at) {
						t.Errorf("seed %d: socket %d ended at %v by expiry, and its time was %v, set %d times; its last long callback returned at %v",
							seed, i, l.ended, l.until, l.calls, l.free)
					}
				case errors.Is(l.reason, websock.ErrShutdown):
					if drained++; !l.until.IsZero() && l.ended.After(l.until) && l.ended.After(l.free) {
						t.Errorf("seed %d: socket %d was drained at %v, and its time was %v", seed, i, l.ended, l.until)
					}
				default: // the client has gone, after ten minutes
					if still++; !l.until.IsZero() {
						t.Errorf("seed %d: socket %d lived for ten minutes, and its time was %v", seed, i, l.until)
					}
				}
			}
			t.Logf("%d have expired, %d were drained, %d have no time", expired, drained, still)
			if expired < sockets/2 || seed%2 == 1 && drained == 0 {
				t.Errorf("seed %d: %d have expired, %d were drained; want more", seed, expired, drained)
			}
		})
	}
}

// A wall clock that is set back and forth: the socket ends when the clock shows its time, or within a minute after, and while it shows it.
func TestExpire_clockSteps(t *testing.T) {
	type step struct{ at, by time.Duration }
	for seed := range uint64(40) {
		bubble(t, fmt.Sprint("seed ", seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			seconds := func(least, most int) time.Duration { return time.Duration(least+random.IntN(most-least)) * time.Second }
			var steps []step
			for at := time.Duration(0); len(steps) < 1+random.IntN(8); {
				at += seconds(1, 600)
				steps = append(steps, step{at, seconds(-1500, 1500)})
			}
			wall := func(at time.Duration) time.Duration { // what the clock shows
				shows := at
				for _, s := range steps {
					if s.at <= at {
						shows += s.by
					}
				}
				return shows
			}
			now := func() time.Time { return start(t).Round(0).Add(wall(time.Since(start(t)))) }
			lives := seconds(60, 3600)
			c := asClient(t, underTest{h: puppet(), change: func(o *conn.Options) {
				o.Now, o.IdleTimeout, o.PingInterval = now, -1, -1
			}})
			c.Conn().SetReadDeadline(time.Now().Add(10 * time.Hour))
			c.pid.Send(do(func(ctx context.Context) websock.Result {
				socket.Expire(ctx, start(t).Round(0).Add(lives))
				return websock.OK()
			}))
			op, p, err := c.ReadMessage()
			if err != nil || op != rawclient.OpClose || codeOf(p) != 4401 {
				t.Fatalf("got opcode %#x, %q, %v; want Close 4401", op, p, err)
			}
			ended := time.Since(start(t))
			if shows := wall(ended); shows < lives {
				t.Errorf("steps %v: ended after %v, when the clock shows %v, want %v at least", steps, ended, shows, lives)
			}
			// Since when it shows the time: from the moment in which it comes to it by itself, or is set beyond it.
			moments := []time.Duration{0}
			for _, s := range steps {
				moments = append(moments, s.at)
			}
			since := time.Duration(-1)
			for i, m := range moments {
				end := ended
				if i+1 < len(moments) {
					end = min(moments[i+1], ended)
				}
				if m > ended {
					break
				}
				switch from := m + lives - wall(m); {
				case wall(m) >= lives && since < 0:
					since = m
				case wall(m) >= lives: // it goes on
				case from <= end:
					since = from
				default:
					since = -1
				}
				if since >= 0 && end-since > time.Minute {
					t.Errorf("steps %v: the clock shows %v from %v on, and the socket ended at %v, more than a minute later", steps, lives, since, ended)
					break
				}
			}
			if !slices.ContainsFunc(steps, func(s step) bool { return s.at < ended }) && ended != lives {
				t.Errorf("without a step before it ended after %v, want %v", ended, lives)
			}
		})
	}
}
