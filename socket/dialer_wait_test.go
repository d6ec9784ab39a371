package socket_test

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/sockettest"
	"github.com/troupe-dev/troupe/websock"
)

// TestDialer_hints: a server says when to come back. Nobody comes before, and everybody within Backoff.Max after it.
func TestDialer_hints(t *testing.T) {
	const limit = time.Second // of the first wait
	for name, c := range map[string]struct {
		do   func(a *sockettest.Attempt)
		want time.Duration
		cfg  socket.Backoff
	}{
		"none":                     {func(a *sockettest.Attempt) { a.Refuse(503, nil) }, 0, socket.Backoff{}},
		"503, seconds":             {func(a *sockettest.Attempt) { a.Refuse(503, http.Header{"Retry-After": {"30"}}) }, 30 * time.Second, socket.Backoff{}},
		"429, seconds":             {func(a *sockettest.Attempt) { a.Refuse(429, http.Header{"Retry-After": {"90"}}) }, 90 * time.Second, socket.Backoff{}},
		"nonsense":                 {func(a *sockettest.Attempt) { a.Refuse(503, http.Header{"Retry-After": {"-5"}}) }, 0, socket.Backoff{}},
		"too long":                 {func(a *sockettest.Attempt) { a.Refuse(503, http.Header{"Retry-After": {"86400"}}) }, 10 * time.Minute, socket.Backoff{}},
		"longer than any number":   {func(a *sockettest.Attempt) { a.Refuse(503, http.Header{"Retry-After": {"99999999999999999999"}}) }, 10 * time.Minute, socket.Backoff{}},
		"longer than any Duration": {func(a *sockettest.Attempt) { a.Upgrade(nil).Close(1013, "retry-after=9999999999999") }, 10 * time.Minute, socket.Backoff{}},
		"a date that is over": {func(a *sockettest.Attempt) {
			a.Refuse(503, http.Header{"Retry-After": {"Sat, 01 Jan 2000 00:00:00 GMT"}, "Date": {"Sun, 02 Jan 2000 00:00:00 GMT"}})
		}, 0, socket.Backoff{}},
		"too long for MaxRetryAfter": {func(a *sockettest.Attempt) { a.Refuse(503, http.Header{"Retry-After": {"86400"}}) }, time.Minute, socket.Backoff{MaxRetryAfter: time.Minute}},
		"ignored":                    {func(a *sockettest.Attempt) { a.Refuse(503, http.Header{"Retry-After": {"30"}}) }, 0, socket.Backoff{MaxRetryAfter: -1}},
		"503, a date": {func(a *sockettest.Attempt) {
			a.Refuse(503, http.Header{"Retry-After": {time.Now().Add(40 * time.Second).UTC().Format(http.TimeFormat)}})
		}, 40 * time.Second, socket.Backoff{}},
		"a date of a clock that is wrong": {func(a *sockettest.Attempt) {
			wrong := time.Now().Add(-24 * time.Hour).UTC()
			a.Refuse(503, http.Header{"Date": {wrong.Format(http.TimeFormat)}, "Retry-After": {wrong.Add(40 * time.Second).Format(http.TimeFormat)}})
		}, 40 * time.Second, socket.Backoff{}},
		"a close reason": {func(a *sockettest.Attempt) { a.Upgrade(nil).Close(1001, "restart retry-after=20") }, 20 * time.Second, socket.Backoff{}},
	} {
		bubble(t, name, func(t *testing.T) {
			d := dialling(t, nil)
			d.Backoff = c.cfg
			d.serve()
			begun := time.Now()
			c.do(d.srv.Accept())
			d.srv.Accept()
			if got := time.Since(begun); got < c.want || got > c.want+limit {
				t.Errorf("the next attempt came after %v, want %v to %v", got, c.want, c.want+limit)
			}
		})
	}
}

// TestDialer_waits: full jitter below a limit that doubles up to Max, and begins anew after a connection that has lasted.
func TestDialer_waits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := dialling(t, nil)
		d.Backoff = socket.Backoff{Min: 100 * time.Millisecond, Max: time.Second, Steady: time.Minute}
		d.serve()
		limits := []time.Duration{100, 200, 400, 800, 1000, 1000, 1000}
		var longest time.Duration
		a := d.srv.Accept()
		for i, limit := range limits {
			begun := time.Now()
			a.Refuse(500, nil)
			a = d.srv.Accept()
			if got := time.Since(begun); got > limit*time.Millisecond {
				t.Errorf("wait %d: got %v, want at most %v", i+1, got, limit*time.Millisecond)
			} else {
				longest = max(longest, got)
			}
		}
		if longest == 0 {
			t.Error("there was no wait at all")
		}
		lasting := func(long time.Duration) (longest time.Duration) { // the longest wait after connections that last for that long
			for range 50 {
				c := a.Upgrade(nil)
				time.Sleep(long)
				begun := time.Now()
				c.Drop()
				a = d.srv.Accept()
				longest = max(longest, time.Since(begun))
			}
			return longest
		}
		if got := lasting(59 * time.Second); got < 500*time.Millisecond || got > time.Second {
			t.Errorf("connections of less than Steady: the longest of 50 waits is %v, want one of up to 1s", got)
		}
		if got := lasting(61 * time.Second); got > 100*time.Millisecond {
			t.Errorf("connections of more than Steady: the longest of 50 waits is %v, want at most 100ms", got)
		}
	})
}

// TestDialer_restartOfTheServer: 1,000 Dialers lose their server in one moment. Their attempts are spread, all come back, and
// nothing is left of what was.
func TestDialer_restartOfTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const dialers = 1000
		srv := sockettest.NewServer(t)
		sys := sockettest.NewSystem(t)
		ctx, cancel := context.WithCancel(context.Background())
		var serving sync.WaitGroup
		var failed atomic.Int32
		ds := make([]*socket.Dialer, dialers)
		for i := range ds {
			ds[i] = &socket.Dialer{URL: srv.URL, HTTP: srv.HTTP, Handler: func() websock.Handler { return &handler{} },
				Config: socket.Config{System: sys, Logger: quiet}}
			serving.Go(func() {
				if err := ds[i].Serve(ctx); err != nil {
					failed.Add(1)
					t.Errorf("Serve of dialer %d: %v", i, err)
				}
			})
		}
		conns := make([]*sockettest.Conn, dialers)
		for i := range conns {
			conns[i] = srv.Accept().Upgrade(nil)
		}
		time.Sleep(time.Minute)
		srv.Down(true)
		for _, c := range conns {
			c.Close(websock.CloseServiceRestart, "retry-after=10")
		}
		time.Sleep(30 * time.Second)
		srv.Down(false)
		perSecond := map[int]int{}
		begun := time.Now()
		for range dialers {
			a := srv.Accept()
			perSecond[int(time.Since(begun)/time.Second)]++
			a.Upgrade(nil)
		}
		most := 0
		for _, n := range perSecond {
			most = max(most, n)
		}
		if most > dialers/5 {
			t.Errorf("%d of %d attempts in one second, want at most a fifth: %v", most, dialers, perSecond)
		}
		srv.WantNothing(time.Minute)
		alive := 0
		for _, d := range ds {
			if _, ok := d.PID(); ok {
				alive++
			}
		}
		processes := 0
		for range sys.Processes() {
			processes++
		}
		if alive != dialers || processes != dialers {
			t.Errorf("after the restart %d dialers are connected and there are %d processes, want %d of both", alive, processes, dialers)
		}
		cancel()
		serving.Wait()
	})
}
