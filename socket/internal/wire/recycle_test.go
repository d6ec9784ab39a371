package wire_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/socket/internal/wire"
)

// TestRecycle echoes messages of all sizes on many connections that share their
// buffers, each filled with a pattern of its own, while others flush.
func TestRecycle(t *testing.T) {
	for name, open := range transports {
		for _, deflate := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, deflate %t", name, deflate), func(t *testing.T) {
				var all sync.WaitGroup
				for i := range 4 {
					o := wire.Options{MaxMessageSize: 4 * mb, Level: 1, Client: i%2 == 1}
					client, c := open(t, o, deflate)
					c.Lend()
					var flushers sync.WaitGroup
					over := make(chan struct{})
					flushers.Go(func() {
						for {
							select {
							case <-over:
								return
							default:
								c.Flush()
								time.Sleep(time.Microsecond)
							}
						}
					})
					all.Go(func() {
						defer flushers.Wait()
						defer close(over)
						if err := recycled(client, c, byte(i+1)); err != nil {
							t.Error(err)
						}
					})
				}
				all.Wait()
			})
		}
	}
}

func recycled(client *rawclient.Client, c *wire.Conn, id byte) error {
	messages := 28 // of each size twice
	if os.Getenv("TROUPE_STRESS") != "" {
		messages = 60
	}
	rng := rand.New(rand.NewPCG(uint64(id), 1))
	sizes := make([]int, messages)
	for i := range sizes {
		sizes[i] = rng.IntN(1 << (8 + i%14)) // up to 2 MiB
	}
	sent, echoed := make(chan error, 1), make(chan error, 1)
	go func() {
		for i, n := range sizes {
			p := bytes.Repeat([]byte{id}, n)
			frames := []rawclient.Frame{{Opcode: opBinary, Payload: p[:n/3]}, {Fin: true, Payload: p[n/3:]}}
			if i%2 == 0 {
				frames = []rawclient.Frame{{Fin: true, Opcode: opBinary, Payload: p}}
			}
			if err := client.Write(frames...); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	go func() {
		for i, n := range sizes {
			_, p, err := client.ReadMessage()
			if err != nil || len(p) != n || bytes.Count(p, []byte{id}) != n {
				echoed <- fmt.Errorf("connection %d, message %d: %d bytes, %d of them its own, want %d: %w",
					id, i, len(p), bytes.Count(p, []byte{id}), n, err)
				return
			}
		}
		echoed <- nil
	}()
	c.SetHooks(hooks{func() { c.Flush() }, nil})
	for range sizes {
		m, err := c.Next()
		if err != nil {
			return err
		}
		if err := c.Append(m); err != nil {
			return err
		}
		c.Recycle(m.Data)
	}
	return errors.Join(c.Flush(), <-sent, <-echoed)
}

func TestRecycle_allocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector empties the pools: run without -race too")
	}
	for _, size := range []int{1 << 10, 5000, 16 << 10, 40_000, 300_000, 1 << 20} {
		input := frame(fin, opBinary, str(size))
		roles(t, func(t *testing.T, client bool, _ func([]byte) []byte) {
			if client {
				input = fromServer(input)
			}
			c := accept(t, &endless{input: input}, wire.Options{MaxMessageSize: 2 * mb, Client: client}, false)
			c.Lend()
			if got := testing.AllocsPerRun(100, func() {
				m, err := c.Next()
				if err != nil || len(m.Data) != size {
					t.Fatal(len(m.Data), err)
				}
				c.Append(m)
				c.Recycle(m.Data)
				c.Flush()
			}); got >= 1 {
				t.Errorf("%d bytes: %v allocations, want none", size, got)
			}
		})
	}
}
