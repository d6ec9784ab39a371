package socket_test

import (
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/sockettest"
	"github.com/troupe-dev/troupe/websock"
)

// TestStorm is the table of docs/how-to/survive-a-reconnect-storm.md: all clients of a server have lost their sockets in one
// moment, and come back to one that takes so many a second.
func TestStorm(t *testing.T) {
	if raceEnabled() {
		t.Skip("one goroutine at a time: the race detector has nothing to see, and takes minutes")
	}
	const clients, rate = 2000, 100 // so it takes 20 s at least
	backoff := func(attempt int) time.Duration {
		return time.Duration(rand.Int64N(int64(min(30*time.Second, time.Second<<min(attempt, 10)))))
	}
	for _, tt := range []struct {
		name     string
		first    func() time.Duration
		wait     func(attempt int, resp *http.Response) time.Duration
		until    time.Duration // all are in
		attempts float64       // of each, on average
		inTenth  int           // requests in the tenth second
	}{
		{"every second", func() time.Duration { return 0 },
			func(int, *http.Response) time.Duration { return time.Second }, 22 * time.Second, 12, 1300},
		{"the backoff of the page", func() time.Duration { return backoff(0) },
			func(attempt int, _ *http.Response) time.Duration { return backoff(attempt) }, 60 * time.Second, 5, 400},
		{"Retry-After", func() time.Duration { return backoff(0) },
			func(_ int, resp *http.Response) time.Duration {
				s, err := strconv.Atoi(resp.Header.Get("Retry-After"))
				if err != nil {
					t.Fatalf("Retry-After %q", resp.Header.Get("Retry-After"))
				}
				return time.Duration(s)*time.Second + backoff(0)
			}, 35 * time.Second, 2.2, 150},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv, err := socket.New(socket.Config{
					System: sockettest.NewSystem(t), UpgradeRate: socket.Rate{PerSecond: rate}, Logger: slog.New(slog.DiscardHandler),
					IdleTimeout: -1, PingInterval: -1,
				})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { srv.Shutdown(t.Context()) })
				handler := srv.Handler(func(*http.Request) (websock.Handler, error) { return idleHandler{}, nil })
				began := time.Now()
				var due comings
				for range clients {
					due.add(coming{began.Add(tt.first()), 0})
				}
				attempts, inSecond := 0, map[int]int{}
				var last time.Duration
				for len(due) > 0 {
					next := due[0]
					due = due[1:]
					time.Sleep(time.Until(next.at))
					attempts++
					inSecond[int(time.Since(began)/time.Second)]++
					conn, resp := sockettest.Dial(t, handler, nil)
					if conn != nil {
						last = time.Since(began)
						continue
					}
					if resp.StatusCode != http.StatusServiceUnavailable {
						t.Fatalf("got %s, want 503", resp.Status)
					}
					next.attempt++
					due.add(coming{time.Now().Add(tt.wait(next.attempt, resp)), next.attempt})
				}
				each, tenth := float64(attempts)/clients, inSecond[9]
				t.Logf("all in after %v, %.1f attempts each, %d requests in the tenth second", last.Round(time.Second), each, tenth)
				if last > tt.until || each > tt.attempts || tenth > tt.inTenth {
					t.Errorf("all in after %v, %.1f attempts each, %d requests in the tenth second; want at most %v, %.1f, %d",
						last, each, tenth, tt.until, tt.attempts, tt.inTenth)
				}
				synctest.Wait() // a client has its 101 before the server counts its socket
				if n := srv.Count(); n != clients {
					t.Errorf("%d sockets, want %d", n, clients)
				}
			})
		})
	}
}

// coming is a client that comes.
type coming struct {
	at      time.Time
	attempt int
}

// comings are those that will come, the next one first.
type comings []coming

func (c *comings) add(x coming) {
	i, _ := slices.BinarySearchFunc(*c, x, func(a, b coming) int {
		if a.at.After(b.at) {
			return 1
		}
		return -1 // after those of the same time
	})
	*c = slices.Insert(*c, i, x)
}
