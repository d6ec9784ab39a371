package actor

import (
	"bytes"
	"fmt"
	"runtime"
	"time"
)

// stackBytes bounds what stackOf reads. On a machine with very many goroutines the one that is sought may not be in it.
const stackBytes = 4 << 20

// stackOf is the stack of the goroutine that holds p's turn. There is no other way to another goroutine's stack than to
// take all of them, which stops the world, so it is done at most once a second for a System.
func (s *System) stackOf(p *process) string {
	now := time.Now().UnixNano()
	last := s.lastStack.Load()
	if last != 0 && now-last < int64(time.Second) || !s.lastStack.CompareAndSwap(last, now) {
		return "not taken: another one was taken within this second"
	}
	buf := make([]byte, stackBytes)
	return findStack(buf[:runtime.Stack(buf, true)], fmt.Sprintf("(*process).Receive(%p", p), fmt.Sprintf("(*process).receive(%p", p),
		fmt.Sprintf("(*process).conclude(%p", p), fmt.Sprintf("(*process).initialize(%p", p),
		fmt.Sprintf("(*process).run(%p", p))
}

// findStack finds the goroutine in a dump of all that has one of the given calls in its trace.
func findStack(dump []byte, calls ...string) string {
	for _, g := range bytes.Split(dump, []byte("\n\n")) {
		for _, c := range calls {
			if bytes.Contains(g, []byte(c)) {
				return string(g)
			}
		}
	}
	return "not found"
}
