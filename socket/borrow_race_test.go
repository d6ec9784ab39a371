//go:build race

package socket_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/websock"
)

// With the race detector, a Borrower that keeps a message finds other bytes in it once it has returned, whatever the size, and
// though no other message has come.
func TestBorrower_misuseIsFound(t *testing.T) {
	for _, size := range []int{1, 100, 5000, 20_000, 70_000, 1 << 20, 3 << 20} {
		for _, pushes := range []bool{false, true} {
			bubble(t, fmt.Sprintf("%d bytes, pushed %t", size, pushes), func(t *testing.T) {
				var kept []byte
				c := serve(t, socket.Config{}).dial(&borrower{handler{in: func(_ context.Context, m websock.Message) websock.Result {
					kept = m.Data // the mistake
					if pushes {
						return websock.Push(m)
					}
					return websock.OK()
				}}})
				go c.discard()
				c.must(c.Binary(filled('a', size)))
				synctest.Wait()
				if len(kept) != size || bytes.Equal(kept, filled('a', size)) {
					t.Errorf("the handler has kept %d bytes, and they are as they were: want %d that were overwritten", len(kept), size)
				}
			})
		}
	}
}
