package registry_test

import (
	"sync"
	"testing"
	"testing/synctest"
)

// After cancel no call begins, not even one that waits for the end of the call that runs.
func TestOnGroup_cancelWhileCallsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg, sys := newRegistry(t)
		m := spawn(t, sys)
		var events, others groupEvents
		var first sync.Once
		entered, released := make(chan struct{}), make(chan struct{})
		cancel := reg.OnGroup(func(group string, open bool) {
			events.add(group, open)
			first.Do(func() { close(entered); <-released })
		})
		defer reg.OnGroup(func(group string, open bool) { others.add(group, open) })()
		joined := make(chan struct{})
		go func() {
			reg.Join("g", m.pid, nil)
			close(joined)
		}()
		<-entered
		reg.Leave("g", m.pid) // the goroutine that runs f goes on with this one
		reg.Join("g", m.pid, nil)
		reg.Leave("g", m.pid)
		cancel()
		cancel()
		if n := reg.Listeners(); n != 1 {
			t.Errorf("%d functions are kept after cancel of one of two, want 1", n)
		}
		reg.Join("h", m.pid, nil)
		close(released)
		<-joined
		synctest.Wait()
		events.want(t, "g true")
		others.want(t, "h true", "g true", "g false", "g true", "g false")
	})
}
