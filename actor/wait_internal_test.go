package actor

import (
	"context"
	"errors"
	"testing"
)

// TestWait_returnsAfterAllDowns: whoever has waited for the end finds the Down in the mailbox of each monitor.
func TestWait_returnsAfterAllDowns(t *testing.T) {
	s := quietSystem(t, Config{})
	target, err := s.Spawn(context.Background(), nop{}, SpawnOptions{})
	if err != nil {
		t.Fatal(err)
	}
	p := target.find()
	var watchers []*process
	var downs []int // in the mailboxes when a Wait was told
	const each = 8  // of the same: they are told in no order
	for range each {
		w := s.newProcess(nop{}, &SpawnOptions{MailboxLimit: -1}, nil) // which is not started, and so handles nothing
		if err := s.add(w); err != nil {
			t.Fatal(err)
		}
		defer w.kill(ErrKilled)
		watchers = append(watchers, w)
		Monitor((*processContext)(w), target)
		p.addWatcher(&monitor{target: p, told: func(error) {
			n := 0
			for _, w := range watchers {
				n += w.Len()
			}
			downs = append(downs, n)
		}})
	}
	p.kill(errors.New("boom"))
	if len(downs) != each {
		t.Fatalf("%d of %d who wait were told", len(downs), each)
	}
	for _, n := range downs {
		if n != each {
			t.Errorf("when a Wait is told of the end, %d of %d Downs are in the mailboxes, want all", n, each)
		}
	}
}
