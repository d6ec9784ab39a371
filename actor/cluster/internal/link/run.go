package link

import (
	"errors"
	"fmt"
	"time"
)

// run is the goroutine of a pair: it alone publishes, calls Down, tells Events and pulls snapshots.
func (pr *pair) run() {
	defer pr.timer.Stop()
	for pr.step() {
	}
}

// step does one thing, or sleeps when there is nothing to do; false: the pair is gone.
func (pr *pair) step() bool {
	pr.mu.Lock()
	now := time.Now()
	pr.forgivePause(now)
	if pr.phase == ended {
		p, reason := pr.peer, pr.peer.over
		pr.mu.Unlock()
		pr.finish(p, reason)
		return true
	}
	if pr.gone {
		pr.mu.Unlock()
		return false
	}
	if e, ok := pr.event(); ok {
		pr.mu.Unlock()
		pr.mesh.o.Event(e)
		return true
	}
	if b := pr.word(); b != nil {
		pr.publish(b, now)
		return true
	}
	switch p := pr.peer; pr.phase {
	case up:
		p.busy = nil
		if p.isSilent(now) {
			pr.refuse(p.session)
			pr.end(ErrSilent)
			pr.mu.Unlock()
			return true
		}
		if p.mayPull() {
			pr.mu.Unlock()
			p.pull()
			return true
		}
		if b := p.datagram(now); b != nil {
			pr.publish(b, now)
			return true
		}
	case idle, opening:
		if now.Sub(pr.helloAt) > forgetAfter {
			pr.mu.Unlock()
			return !pr.forget()
		}
		pr.open(now)
		if pr.sayHello || pr.sayOpen {
			pr.mu.Unlock()
			return true
		}
	}
	pr.sleep(now)
	return true
}

// earlier is the earlier of two times.
func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// publish gives a datagram to the engine; mu is held and released. An engine that fails may have held it for long: that
// was no pause of this process.
func (pr *pair) publish(b []byte, now time.Time) {
	pr.expect = now
	pr.mu.Unlock()
	if pr.mesh.publish(pr.boot, b) != nil {
		pr.mu.Lock()
		pr.expect = time.Now()
		pr.mu.Unlock()
	}
}

// forgivePause does not count as the other's silence the time in which this process stood still: what it said
// meanwhile still waits to be received. It forgives once until something is heard, since what looks like a pause may be
// an engine that is slow each time. mu is held.
func (pr *pair) forgivePause(now time.Time) {
	if late := now.Sub(pr.expect); late > pr.mesh.o.Heartbeat && pr.phase == up && !pr.peer.forgiven {
		p := pr.peer
		p.forgiven = true
		p.heard = earlier(p.heard.Add(late), now)
		if !p.suspectAt.IsZero() {
			p.suspectAt = earlier(p.suspectAt.Add(late), now)
		}
	}
	pr.expect = now
}

// event is one that is to be told; mu is held.
func (pr *pair) event() (Event, bool) {
	for k := range pr.tell {
		if !pr.tell[k] {
			continue
		}
		pr.tell[k] = false
		e := Event{Kind: Kind(k), Node: pr.name, Boot: pr.boot, Count: 1}
		if pr.peer != nil {
			e.Session = pr.peer.session
		}
		switch e.Kind {
		case Incompatible:
			e.Err = fmt.Errorf("link: it speaks versions %d to %d of the protocol, we speak %d to %d",
				pr.hello.min, pr.hello.max, pr.mesh.hello.min, pr.mesh.hello.max)
		case Settings:
			e.Err = fmt.Errorf("link: its heartbeat is %v, our DownAfter %v", pr.hello.heartbeat, pr.mesh.o.DownAfter)
		case SameName:
			e.Err = errors.New("link: two nodes of this name live")
		case Flapping:
			e.Err = fmt.Errorf("link: session %d in a row that did not last, the next one waits %v", pr.flaps, pr.flapDelay)
		}
		return e, true
	}
	return Event{}, false
}

// open tries to get a session: the one side proposes, the other tells of itself so that the first one can. mu is held.
func (pr *pair) open(now time.Time) {
	if pr.version == 0 || pr.mesh.leaving.Load() || now.Before(pr.retryAt) {
		return
	}
	if pr.phase == idle && pr.proposes() {
		pr.proposal = pr.mesh.nextNumber(pr.last)
		pr.last, pr.phase = pr.proposal, opening
	}
	pr.sayHello, pr.sayOpen = pr.phase == idle, pr.phase == opening
	pr.retryAt = now.Add(pr.wait())
}

// word is what is to be said outside of a session; nil: nothing. mu is held.
func (pr *pair) word() []byte {
	m := pr.mesh
	b := pr.scratch
	h := head{version: max(pr.version, versionMin), from: m.o.Boot}
	switch {
	case pr.byeOf != 0:
		h.kind, h.version, h.session, h.ack = kindBye, pr.byeVersion, pr.byeOf, pr.byeAck
		pr.byeOf = 0
	case pr.resetOf != 0:
		h.kind, h.session, h.seq = kindReset, pr.resetOf, pr.last
		pr.resetOf = 0
	case pr.sayOpen && pr.phase == opening:
		pr.sayOpen = false
		h.kind, h.session, h.ack, h.grant = kindOpen, pr.proposal, 1, m.grant(m.sessions.Load()+1)
		b = m.hello.append(b)
	case pr.sayHello:
		pr.sayHello = false
		h.kind, h.version = kindHello, versionHello
		b = m.hello.append(b)
	default:
		return nil
	}
	h.put(b)
	return b
}

// forget removes the pair from the Mesh, unless the other has been heard meanwhile.
func (pr *pair) forget() bool {
	m := pr.mesh
	m.mu.Lock()
	defer m.mu.Unlock()
	pr.mu.Lock()
	defer pr.mu.Unlock()
	if pr.phase == up || pr.phase == ended || time.Since(pr.helloAt) <= forgetAfter {
		return false
	}
	pr.gone = true
	delete(m.pairs, pr.boot)
	return true
}

// sleep waits until there is something to do; mu is held and released.
func (pr *pair) sleep(now time.Time) {
	var d time.Duration
	if pr.phase == up {
		d = pr.peer.deadline(now)
	} else {
		d = pr.helloAt.Add(forgetAfter).Sub(now) + 1
		if pr.version != 0 && !pr.mesh.leaving.Load() {
			d = min(d, pr.retryAt.Sub(now))
		}
	}
	d = max(d, 0)
	pr.expect = now.Add(d)
	pr.armed = pr.expect
	pr.timer.Reset(d)
	pr.awake = false
	pr.mu.Unlock()
	<-pr.wake
}

// ring is what the timer does.
func (pr *pair) ring() {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	pr.poke()
}

// poke wakes the goroutine; mu is held.
func (pr *pair) poke() {
	if !pr.awake {
		pr.awake = true
		pr.wake <- struct{}{} // has room: it is empty whenever awake is false
	}
}

// by has the goroutine run at t at the latest; mu is held.
func (pr *pair) by(now, t time.Time) {
	if !pr.awake && t.Before(pr.armed) {
		pr.armed, pr.expect = t, t
		pr.timer.Reset(t.Sub(now))
	}
}
