package socket

import (
	"testing"
	"testing/synctest"

	"github.com/troupe-dev/troupe/socket/internal/conn"
)

// Whoever keeps the stop of a tap whose socket has ended keeps nothing of that socket.
func TestTap_gone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []TapEvent
		tp := &tap{f: func(e TapEvent) { got = append(got, e) }, all: &taps{}, conn: &conn.Conn{}}
		tp.Gone()
		tp.Crossed(true, 1, []byte("late"))
		synctest.Wait()
		if len(got) != 1 || !got[0].Ended {
			t.Errorf("f got %+v, want Ended alone", got)
		}
		if tp.conn != nil || tp.waiting != nil {
			t.Errorf("it keeps the connection %v, and events %v", tp.conn, tp.waiting)
		}
	})
}
