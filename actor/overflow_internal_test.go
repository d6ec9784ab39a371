package actor

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/actor/internal/hook"
)

// sized is a message for the client of a host, of so many bytes.
type sized struct {
	bytes int
	class *hook.Class
}

// transport is a host that does nothing.
type transport struct{ handled int }

func (h *transport) Receive(context.Context, any) error  { h.handled++; return nil }
func (*transport) TurnEnd(bool)                          {}
func (*transport) Overflow()                             {}
func (*transport) Ending(error) bool                     { return true }
func (*transport) Exited(ProcessInfo, error)             {}
func (*transport) Gone()                                 {}
func (*transport) Scope() (context.Context, []slog.Attr) { return nil, nil }
func classOfSized(msg any) (c *hook.Class, size int) {
	if m, ok := msg.(sized); ok {
		return m.class, m.bytes
	}
	return nil, -1
}

// TestOverflow_books: whatever is sent and left out, the sum of the bytes is that of the messages in the mailbox, and so is the
// number of those that count; neither exceeds its limit.
func TestOverflow_books(t *testing.T) {
	const largest = 300 // of a message
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 0))
		s := quietSystem(t, Config{})
		left := 0
		o := &hook.Options{
			FlushesItself: true, ClassOf: classOfSized, LeftOut: func() { left++ },
			MailboxBytes: int64(1 + random.IntN(2000)), Overflow: hook.Overflow(seed % 3), MaxLag: time.Duration(seed%2) * time.Hour,
		}
		h := &transport{}
		p, pid, err := s.Inside(hook.Key{}).Spawn(h, h, o, SpawnOptions{MailboxLimit: 1 + random.IntN(1<<(1+seed%7)), Overflow: OverflowExit})
		if err != nil {
			t.Fatal(err)
		}
		check := func(step int, what string) {
			t.Helper()
			p.mu.Lock()
			defer p.mu.Unlock()
			sum, counted, paced := int64(0), 0, int32(0)
			for it := range p.queue.items.All() {
				sum += it.bytes()
				if it.kind == kindPaced {
					paced++
				}
				if it.kind.counts() {
					counted++
				}
			}
			if got := p.queue.items.Sum(); got != sum || sum > max(o.MailboxBytes, o.MailboxBytes/2+largest) {
				t.Fatalf("seed %d, step %d, after %s: the sum is %d, that of the messages %d; the limit is %d", seed, step, what, got, sum, o.MailboxBytes)
			}
			if int(p.queue.counted) != counted || counted > int(p.queue.limit) {
				t.Fatalf("seed %d, step %d, after %s: %d count, it says %d; the limit is %d", seed, step, what, counted, p.queue.counted, p.queue.limit)
			}
			in := &p.rel().senders
			if o.Overflow != hook.Exit && in.inside != paced || in.bytes < 0 || in.bytes > sum {
				t.Fatalf("seed %d, step %d, after %s: %d of SendWait wait, %d bytes; it says %d of %d", seed, step, what, paced, sum, in.inside, in.bytes)
			}
			if in.first != nil {
				before := p.queue.counted
				p.letIn()
				if in.first == nil || p.queue.counted != before {
					t.Fatalf("seed %d, step %d, after %s: somebody waits, and there is room", seed, step, what)
				}
			}
		}
		for step := range 1000 {
			what := "a message"
			switch k := random.IntN(10); {
			case k == 0:
				what = "one for the handler"
				if random.IntN(4) == 0 {
					p.Send("info")
				}
			case k == 1 && random.IntN(4) == 0:
				what = "a frame"
				p.mu.Lock()
				p.push(item{kind: kindHanded, msg: "from the client"})
				p.mu.Unlock()
			case k == 1:
				what = "a key that is left out"
				p.LeaveOut(strconv.Itoa(random.IntN(3)))
			case k == 2: // Init has not returned, so nothing is taken out but here
				what = "a turn"
				p.mu.Lock()
				it, ok := p.queue.pop()
				if p.rel().senders.concerned() {
					p.letInAfter(&it)
				}
				if ok && it.kind == kindHeld {
					p.release(&it)
				}
				p.mu.Unlock()
			case k == 3:
				what = "one that would wait"
				p.askRoom(sized{bytes: random.IntN(largest)}, func(any, error) {})
			case k < 7:
				what = "one with a class"
				c := &hook.Class{Key: strconv.Itoa(random.IntN(4)), Expires: time.Duration(random.IntN(2000))}
				if random.IntN(2) == 0 {
					c.Key = ""
				}
				p.Send(sized{random.IntN(largest), c})
			default:
				p.Send(sized{bytes: random.IntN(largest)})
			}
			if !p.Alive() {
				break
			}
			check(step, what)
		}
		pid.Exit(ErrKilled)
	}
}
