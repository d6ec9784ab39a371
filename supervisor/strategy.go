package supervisor

import (
	"math/rand/v2"
	"time"
)

// Strategy says who is restarted when a child is.
type Strategy uint8

const (
	// OneForOne restarts that child alone.
	OneForOne Strategy = iota
	// OneForAll stops all others, in reverse order, and then starts all in order.
	OneForAll
	// RestForOne stops those that were started after it, in reverse order, and then starts it and them in order.
	RestForOne
)

var strategyNames = [...]string{"one_for_one", "one_for_all", "rest_for_one"}

// String is OTP's word for s.
func (s Strategy) String() string { return name(strategyNames[:], "strategy", uint8(s)) }

// restart has c started again, together with those that the strategy says, or gives up. c is not running.
//
// As in OTP, temporary children of the group are stopped and deleted, and all others are started, even those that had
// finished or were terminated before.
func (t *tree) restart(c *child, reason error, now time.Time) {
	if !t.intensity.add(now) {
		t.giveUp(c, reason)
		return
	}
	at := now.Add(t.backoff(c))
	for _, m := range t.group(c) {
		m.notBefore, m.alone = at, false
		switch {
		case m.life == nil:
			m.want, m.again = true, m.starts > 0
		case m.spec.Restart == Temporary:
			m.swept, m.want = true, false
		default:
			m.swept, m.again = true, true // want stays as it is: it may be terminating
		}
	}
}

// group returns c and those that are restarted with it, in order.
func (t *tree) group(c *child) []*child {
	i := t.index(c)
	switch t.cfg.Strategy {
	case OneForAll:
		return t.children
	case RestForOne:
		return t.children[i:]
	}
	return t.children[i : i+1]
}

// backoff is how long to wait before c is started again: Config.Backoff, doubled for each time that c has ended before it
// had been up for Config.Within, and at most that. Up to half of it is taken off at random.
func (t *tree) backoff(c *child) time.Duration {
	if t.cfg.Backoff == 0 {
		return 0
	}
	if c.upFor >= t.intensity.within {
		c.backoffs = 0
	}
	d := t.intensity.within
	if c.backoffs < 62 && t.cfg.Backoff < d>>c.backoffs {
		d = t.cfg.Backoff << c.backoffs
	}
	c.backoffs++
	return d - rand.N(d/2+1)
}

// reconcile stops what is to stop, in reverse order, and starts what is to start, in order, as far as that is possible
// now. It is called after everything that happens, so what happens in the middle of a start or a stop needs no rules of
// its own.
func (t *tree) reconcile(now time.Time) {
	for _, c := range t.children {
		switch {
		case c.life != nil && c.terminated && c.stage == alive:
			t.tell(c, now)
		case !t.stopping && t.toConclude(c):
			t.conclude(c, now)
		}
	}
	sweeping := t.sweep(now)
	if t.stopping {
		return
	}
	firstStarts, down := false, false // whether a child before c is one of these
	for _, c := range t.children {
		if c.want && c.life == nil && !now.Before(c.notBefore) {
			turn := c.alone
			switch {
			case turn:
			case t.cfg.Strategy == OneForOne: // restarts wait for nobody, first starts for those before
				turn = !c.initial || !firstStarts
			default:
				turn = !sweeping && !down
			}
			if turn {
				t.start(c, now)
			}
		}
		firstStarts = firstStarts || c.initial
		down = down || c.want && (c.life == nil || !c.up())
	}
}

// sweep stops the last of the children that are to stop before others start, and tells whether there are any.
func (t *tree) sweep(now time.Time) bool {
	sweeping := false
	for i := len(t.children) - 1; i >= 0; i-- {
		c := t.children[i]
		if t.toConclude(c) {
			t.conclude(c, now) // the tree is stopping
		}
		if c.life == nil || !c.swept {
			continue
		}
		if c.stage == alive {
			t.tell(c, now)
		}
		if !t.killing {
			return true
		}
		c.life.tell(c.course.kill(now))
		sweeping = true
	}
	return sweeping
}
