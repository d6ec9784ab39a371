package socket_test

import (
	"encoding/binary"
	"fmt"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/registry"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/websock"
)

// Broadcasts with keys to many sockets, a tenth of which are slow: the others get each message in the moment in which it is sent, and
// none is left out of them. A slow one stays open, gets newer and newer ones, at last the newest of each key, and what it has not got
// is counted. 1,000 sockets; 10,000 with TROUPE_STRESS=1. How long it takes on a real machine is a figure of docs/benchmarks.
func TestBroadcast_aTenthIsSlow(t *testing.T) {
	const rounds, every, size, keys, window = 40, 50 * time.Millisecond, 512, 3, 1 << 10
	sockets := 1000
	if os.Getenv("TROUPE_STRESS") != "" {
		sockets = 10_000
	}
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{Logger: quiet})
		reg := registry.New(r.sys)
		var sent [rounds]time.Time
		number := func(c *client) (int, error) {
			_, p, err := c.ReadMessage()
			if err != nil {
				return 0, err
			}
			return int(binary.BigEndian.Uint32(p)), nil
		}
		fast := func(c *client) error {
			for i := range rounds {
				n, err := number(c)
				if err != nil || n != i || !time.Now().Equal(sent[i]) {
					return fmt.Errorf("message %d came %v after it was sent, %v; want %d at once", n, time.Since(sent[n]), err, i)
				}
			}
			return nil
		}
		slow := func(c *client) error {
			got, last := 0, [keys]int{-1, -1, -1}
			c.conn.SetReadDeadline(time.Now().Add(rounds*every + time.Minute))
			for begun := time.Now(); ; got++ {
				if time.Since(begun) < rounds*every {
					time.Sleep(500 * time.Millisecond)
				}
				n, err := number(c)
				if err != nil || n <= last[n%keys] {
					return fmt.Errorf("message %d after %v: %v", n, last, err)
				}
				if last[n%keys] = n; last[0]+last[1]+last[2] == 3*rounds-6 {
					got++
					break
				}
			}
			info, err := r.srv.Info(c.pid)
			if n := got + int(info.Lag.LeftOut); err != nil || n != rounds || got == rounds {
				return fmt.Errorf("%d have come, %d are left out, %v; want %d together", got, info.Lag.LeftOut, err, rounds)
			}
			return nil
		}
		var clients sync.WaitGroup
		for i := range sockets {
			c, read := r.dial(&idleHandler{}), fast
			reg.Join("all", c.pid, nil)
			if i%10 == 0 {
				c.conn.SetReadBuffer(window)
				read = slow
			}
			clients.Go(func() {
				if err := read(c); err != nil {
					t.Errorf("client %d: %v", i, err)
				}
			})
		}
		leftOut := uint64(0)
		for i := range rounds {
			p := make([]byte, size)
			binary.BigEndian.PutUint32(p, uint32(i))
			sent[i] = time.Now()
			if n := reg.Broadcast("all", websock.Binary(p).Deliver(websock.Delivery{Key: fmt.Sprint(i % keys)})); n != sockets {
				t.Errorf("message %d has reached %d of %d", i, n, sockets)
			}
			time.Sleep(every)
		}
		clients.Wait()
		synctest.Wait()
		for _, info := range r.srv.Sockets() {
			leftOut += info.Lag.LeftOut
		}
		if st := r.srv.Stats(); st.Open != sockets || st.LeftOut == 0 || leftOut != st.LeftOut {
			t.Errorf("%d are open, %d are left out, and %d of all sockets; want all %d, some, and as many", st.Open, st.LeftOut, leftOut, sockets)
		}
	})
}
