package cluster

import (
	"testing"

	"github.com/troupe-dev/troupe/actor"
)

// Whoever has found a session may begin something only after it has ended: no other test can stop it in between.
func TestSession_hasEnded(t *testing.T) {
	s := &session{}
	s.end()
	if id, err := s.beginMonitor(func(error) {}); err != actor.ErrNodeDown {
		t.Errorf("beginMonitor = %d, %v; want ErrNodeDown", id, err)
	}
	if id, err := s.beginCall(func(any, error) {}); err != actor.ErrNodeDown {
		t.Errorf("beginCall = %d, %v; want ErrNodeDown", id, err)
	}
}
