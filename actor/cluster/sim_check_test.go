package cluster_test

import (
	"context"
	"errors"
	"time"

	"github.com/troupe-dev/troupe/actor"
)

// totals counts over all seeds what the checks are about: a guarantee of something that never happens would hold always.
type totals struct {
	seeds                                     int
	heard, lost, refused, told, old           int // letters, questions and Exits; old: to a boot that was over
	reasons, nodeDowns, noProcess, stopped    int // Downs, and Monitors that were stopped
	answered, tooLate, full, unknown, handled int // Calls
	waits, waitsDown                          int
	dismissed, killed                         int // processes
	ups, goodbyes, silences                   int // sessions
	nodesKilled, nodesStopped                 int
}

// check holds what was noted against the guarantees.
func (w *world) check(all *totals) {
	w.mu.Lock()
	defer w.mu.Unlock()
	all.seeds++
	for _, a := range w.agents {
		for _, sp := range a.out {
			w.checkSpeech(a, sp, all)
		}
		w.checkHeard(a)
		w.checkEnd(a, all)
		for _, wa := range a.watches {
			w.checkWatch(a, wa, all)
		}
		w.checkNews(a, all)
	}
	for _, c := range w.calls {
		w.checkCall(c, all)
	}
	for _, n := range w.waits {
		w.checkWait(n, all)
	}
	for _, b := range w.boots {
		if b.killed != never {
			all.nodesKilled++
		}
		if b.stopped != never {
			all.nodesStopped++
		}
	}
}

// over tells whether the boot was killed or stopped by that time.
func (b *nodeNote) over(at time.Duration) bool { return b.killed <= at || b.stopped <= at }

// endedBy tells whether a had ended by that time, or its node.
func (a *agent) endedBy(at time.Duration) bool { return a.ended && a.endedAt <= at || a.boot.over(at) }

// simPatience is how long it takes at most until the end of a process, or of the link to it, is known.
const simPatience = 4 * time.Second

// until is the time up to which a must have been told of everything: that of its end, or that of its node. never: it lives.
// A node that was frozen may know nothing for long.
func (a *agent) until() time.Duration {
	switch {
	case !a.ended && !a.gone():
		return never
	case a.boot.frozen:
		return 0
	case !a.ended:
		return min(a.boot.killed, a.boot.stopped)
	}
	return min(a.endedAt, a.boot.killed, a.boot.stopped)
}

// link is the session of a's node with b's that lasts at a time. Within one node it is one that lasts for ever.
func (a *agent) link(b *agent, at time.Duration) (s *linkNote, sure bool) {
	if a.boot == b.boot {
		return &a.boot.self, true
	}
	return a.boot.sessionAt(b.boot.text, at)
}

// may tells whether s can have arrived, and must whether it has, unless a session or the receiver has ended.
func (s *said) may() bool {
	return s.call == nil && s.ok || s.call != nil && !errors.Is(s.call.err, actor.ErrMailboxFull)
}

func (s *said) must() bool {
	return s.call == nil && s.ok || s.call != nil && s.call.ends > 0 && s.call.err == nil
}

// checkSpeech: what a has sent to b arrives at most once, in order, without a gap within a session; what was refused never;
// and what is lost was lost with a session or with b, and a is told by its Monitor.
func (w *world) checkSpeech(a *agent, sp *speech, all *totals) {
	b := w.byPID[sp.to]
	came := make(map[uint64]heard)
	last := uint64(0)
	for _, h := range b.in[a.text] {
		switch {
		case h.seq <= last:
			w.problem("%s got %s %d of %s after %d: it was repeated or overtaken", b.text, h.kind, h.seq, a.text, last)
		case h.seq > uint64(len(sp.said)):
			w.problem("%s got %s %d of %s, which has sent %d", b.text, h.kind, h.seq, a.text, len(sp.said))
			return
		case !sp.said[h.seq-1].may():
			w.problem("%s got %s %d of %s, which was refused", b.text, h.kind, h.seq, a.text)
		}
		last = max(last, h.seq)
		came[h.seq] = h
	}
	all.heard += len(came)
	missing := make(map[*linkNote]int)
	for i, s := range sp.said {
		if b.boot.over(s.at) {
			all.old++
		}
		if !s.may() {
			all.refused++
			continue
		}
		link, sure := a.link(b, s.at)
		if _, ok := came[uint64(i+1)]; ok {
			if first := missing[link]; sure && first > 0 {
				w.problem("%s of %s to %s: %s %d has arrived, and %d before it has not: a gap within a session",
					sp.said[first-1].kind, a.text, b.text, s.kind, i+1, first)
			}
			continue
		}
		if !s.must() {
			continue
		}
		all.lost++
		if sure && missing[link] == 0 {
			missing[link] = i + 1
		}
		w.checkLost(a, b, i+1, s, link, sure, all)
	}
}

// checkLost looks for the reason why something has not arrived.
func (w *world) checkLost(a, b *agent, seq int, s *said, link *linkNote, sure bool, all *totals) {
	switch {
	case a.boot.killed != never: // nobody is left to be told
		return
	case sure && link == nil:
		w.problem("%s: %s %d to %s was taken at %v, when that node was not connected", a.text, s.kind, seq, b.text, s.at)
	case sure && link.down == never && !b.endedBy(w.now()):
		w.problem("%s: %s %d to %s of %v was lost within a session that lasts", a.text, s.kind, seq, b.text, s.at)
	}
	if a.until()-s.at < simPatience {
		return
	}
	for _, wa := range a.watches {
		if wa.to == b.text && wa.tick < s.tick && len(wa.downs) > 0 && wa.downs[0].tick > s.tick {
			all.told++
			return
		}
	}
	w.problem("%s: %s %d to %s of %v was lost, and no Down says so", a.text, s.kind, seq, b.text, s.at)
}

// checkHeard: what comes, comes within a session.
func (w *world) checkHeard(a *agent) {
	for from, hs := range a.in {
		b := w.byPID[from]
		if b == nil {
			w.problem("%s got something of %s, which there never was", a.text, from)
			continue
		}
		for _, h := range hs {
			if link, sure := a.link(b, h.at); sure && link == nil {
				w.problem("%s got %s %d of %s at %v, after its node was down", a.text, h.kind, h.seq, from, h.at)
			}
		}
	}
}

// checkEnd: an Exit that was taken ends its process, if the session lasts.
func (w *world) checkEnd(a *agent, all *totals) {
	var d *dismissal
	if errors.As(a.reason, &d) {
		if d.To != a.text {
			w.problem("%s was ended by an Exit for %s", a.text, d.To)
		}
		if by := w.byPID[d.From]; by == nil || by.out[a.text] == nil || !by.out[a.text].said[d.Seq-1].ok {
			w.problem("%s was ended by the Exit %d of %s, which was refused", a.text, d.Seq, d.From)
		}
		if d.Kill {
			all.killed++
		} else {
			all.dismissed++
		}
	}
	for to, sp := range a.out {
		b := w.byPID[to]
		for i, s := range sp.said {
			if s.kind != aDismissal && s.kind != aKill || !s.ok || a.boot.killed != never {
				continue
			}
			if link, sure := a.link(b, s.at); sure && link != nil && link.down == never && !b.endedBy(w.now()) {
				w.problem("%s: the Exit %d of %v has not ended %s", a.text, i+1, s.at, to)
			}
		}
	}
}

// why checks a reason that somebody at a's node was told of b at a time: of a Down, of a Call or of a Wait that began at
// another time. It tells whether the reason is b's own.
func (w *world) why(what string, a, b *agent, began, at time.Duration, reason error) (own bool) {
	switch reason {
	case actor.ErrNodeDown:
		if link, sure := a.link(b, began); sure && link != nil && link.down > at {
			w.problem("%s of %s about %s at %v says ErrNodeDown, and the session lasts", what, a.text, b.text, at)
		}
		return false
	case actor.ErrNoProcess:
		if !b.endedBy(at) {
			w.problem("%s of %s about %s at %v says ErrNoProcess, and it lives", what, a.text, b.text, at)
		}
		return false
	}
	if !b.ended || b.endedAt > at || b.reason.Error() != reason.Error() || errors.Is(b.reason, actor.ErrKilled) != errors.Is(reason, actor.ErrKilled) {
		w.problem("%s of %s about %s at %v says %v, but it has ended = %v at %v with %v",
			what, a.text, b.text, at, reason, b.ended, b.endedAt, b.reason)
	}
	return true
}

// checkWatch: one Down for each Monitor whose process or session has ended, after all that the process has sent; none after
// Stop; none without a reason.
func (w *world) checkWatch(a *agent, wa *watch, all *totals) {
	b := w.byPID[wa.to]
	if len(wa.downs) > 1 {
		w.problem("%s got %d Downs by one Monitor of %s", a.text, len(wa.downs), wa.to)
	}
	if wa.stopped > 0 {
		all.stopped++
	}
	if len(wa.downs) == 0 {
		link, sure := a.link(b, wa.at)
		switch {
		case wa.stopped > 0:
		case b.endedBy(a.until()-simPatience) && wa.at <= a.until()-simPatience:
			w.problem("%s: the Monitor of %s of %v is forgotten: that has ended at %v", a.text, wa.to, wa.at, b.endedAt)
		case sure && link == nil && wa.at < a.until()-simPatience, sure && link != nil && link.down < a.until():
			w.problem("%s: the Monitor of %s of %v is forgotten: the session %v has ended", a.text, wa.to, wa.at, link)
		}
		return
	}
	d := wa.downs[0]
	if wa.stopped > 0 && d.tick > wa.stopped {
		w.problem("%s got a Down of %s after MonitorRef.Stop", a.text, wa.to)
	}
	if !w.why("a Down", a, b, wa.at, d.at, d.reason) {
		if d.reason == actor.ErrNodeDown {
			all.nodeDowns++
		} else {
			all.noProcess++
		}
		return
	}
	all.reasons++
	w.checkLastWords(a, b, d)
}

// checkLastWords: a Down of the end of b comes after all that b has sent to a in that session. A callback of a b that was
// killed may go on sending for a moment.
func (w *world) checkLastWords(a, b *agent, d downNote) {
	if b.out[a.text] == nil {
		return
	}
	posthumous := func(s *said) bool { return errors.Is(b.reason, actor.ErrKilled) && s.at >= b.endedAt }
	came := make(map[uint64]bool)
	for _, h := range a.in[b.text] {
		if h.tick > d.tick && h.seq <= uint64(len(b.out[a.text].said)) && !posthumous(b.out[a.text].said[h.seq-1]) {
			w.problem("%s got %s %d of %s after its Down", a.text, h.kind, h.seq, b.text)
		}
		came[h.seq] = true
	}
	link, sure := b.link(a, b.endedAt)
	if !sure || link == nil {
		return
	}
	for i, s := range b.out[a.text].said {
		if s.kind == aLetter && s.ok && s.at > link.up && !posthumous(s) && !came[uint64(i+1)] {
			w.problem("%s got the Down of %s at %v, and not its letter %d of %v before", a.text, b.text, d.at, i+1, s.at)
		}
	}
}

// checkNews: NodeUp and NodeDown take turns and say what is; a goodbye is told from silence; NodeDown comes after the Downs.
func (w *world) checkNews(a *agent, all *totals) {
	up := make(map[string]bool)
	for _, n := range a.news {
		b := w.boots[n.boot]
		if b == nil || b == a.boot {
			w.problem("%s got news of %q", a.text, n.boot)
			continue
		}
		if up[n.boot] == n.up {
			w.problem("%s: up = %v was told of %v twice in a row", a.text, n.up, b)
		}
		up[n.boot] = n.up
		switch {
		case n.up:
			all.ups++
		case n.why == actor.ErrShutdown && b.stopped <= n.at:
			all.goodbyes++
		case n.why == actor.ErrNodeDown && (n.at < b.stopped || b.stopped < w.quietFrom):
			all.silences++
		default:
			w.problem("%s: %v is down at %v because of %v; it was stopped at %v", a.text, b, n.at, n.why, b.stopped)
		}
		if late := n.at - b.stopped; !n.up && b.stopped >= w.quietFrom && late > 100*time.Millisecond {
			w.problem("%s: %v was stopped at %v, and known to be down at %v", a.text, b, b.stopped, n.at)
		}
		if !n.up {
			w.checkDownsFirst(a, n)
		}
	}
	if a.ended || a.gone() {
		return
	}
	for boot, links := range a.boot.links {
		if is := links[len(links)-1].down == never; up[boot] != is {
			w.problem("%s was told that %s is up = %v, it is %v", a.text, boot, up[boot], is)
		}
	}
}

// checkDownsFirst: a NodeDown comes after the Downs of the session.
func (w *world) checkDownsFirst(a *agent, n news) {
	for _, wa := range a.watches {
		if w.byPID[wa.to].boot.text != n.boot || wa.at >= n.at || wa.stopped > 0 && wa.stopped < n.tick {
			continue
		}
		if len(wa.downs) == 0 || wa.downs[0].tick > n.tick {
			w.problem("%s got NodeDown of %s at %v before the Down of %s, monitored since %v", a.text, n.boot, n.at, wa.to, wa.at)
		}
	}
}

// checkCall: a Call runs once at most, ends once, in its time, and its error says what is.
func (w *world) checkCall(c *callNote, all *totals) {
	ran := w.ran[c.id]
	b := w.byPID[c.to]
	all.handled += ran
	if ran > 1 {
		w.problem("Call %d was handled %d times", c.id, ran)
	}
	if c.ends == 0 && !c.asked && c.by.endedBy(c.at) { // killed while it asked for it: its Async did not begin
		return
	}
	if c.ends != 1 {
		w.problem("Call %d of %s to %s of %v with %v has ended %d times", c.id, c.by.text, c.to, c.at, c.deadline, c.ends)
		return
	}
	if late := c.endedAt - c.at - c.deadline; late > 0 {
		w.problem("Call %d of %s to %s has ended %v after its deadline with %v", c.id, c.by.text, c.to, late, c.err)
	}
	if link, sure := c.by.link(b, c.at); sure && link != nil && link.down < c.endedAt {
		w.problem("Call %d of %s to %s of %v has ended at %v, the session at %v", c.id, c.by.text, c.to, c.at, c.endedAt, link.down)
	}
	var answer *leaving
	switch {
	case c.err == nil:
		all.answered++
		if ran != 1 || c.value != any(c.id) || c.mode == 5 || c.mode == 6 {
			w.problem("Call %d of mode %d was handled %d times and answered with %v", c.id, c.mode, ran, c.value)
		}
	case errors.As(c.err, &answer):
		if ran != 1 || c.mode != 5 || answer.Why != c.id {
			w.problem("Call %d of mode %d was handled %d times and failed with %v", c.id, c.mode, ran, c.err)
		}
	case errors.Is(c.err, actor.ErrMailboxFull):
		all.full++
		if ran != 0 {
			w.problem("Call %d was refused and handled %d times", c.id, ran)
		}
	case errors.Is(c.err, actor.ErrNodeDown):
		all.unknown++
		w.why("Call", c.by, b, c.at, c.endedAt, actor.ErrNodeDown)
	case errors.Is(c.err, actor.ErrNoProcess):
		w.why("Call", c.by, b, c.at, c.endedAt, actor.ErrNoProcess)
	case errors.Is(c.err, context.DeadlineExceeded):
		all.tooLate++
		if early := c.at + c.deadline - c.endedAt; early > 0 {
			w.problem("Call %d has timed out %v before its deadline", c.id, early)
		}
	case errors.Is(c.err, context.Canceled) && c.by.endedBy(c.endedAt):
	default:
		w.problem("Call %d of %s to %s failed with %v", c.id, c.by.text, c.to, c.err)
	}
	if c.at >= w.quietFrom && c.mode == 0 && c.err != nil {
		w.problem("Call %d of %s to %s failed with %v although nothing is wrong", c.id, c.by.text, c.to, c.err)
	}
}

// checkWait: Wait says what a Down would.
func (w *world) checkWait(n *waitNote, all *totals) {
	b := w.byPID[n.to]
	all.waits++
	if !n.ended || n.endedAt > n.at+n.limit {
		w.problem("a Wait of %s for %s of %v with %v has ended = %v at %v", n.by.text, n.to, n.at, n.limit, n.ended, n.endedAt)
		return
	}
	switch {
	case n.err == nil:
		all.waitsDown++
		w.why("a Wait", n.by, b, n.at, n.endedAt, n.reason)
	case errors.Is(n.err, actor.ErrNodeDown):
		w.why("a Wait", n.by, b, n.at, n.endedAt, actor.ErrNodeDown)
	case errors.Is(n.err, actor.ErrNoProcess):
		w.why("a Wait", n.by, b, n.at, n.endedAt, actor.ErrNoProcess)
	case errors.Is(n.err, context.DeadlineExceeded), errors.Is(n.err, context.Canceled):
	default:
		w.problem("a Wait of %s for %s failed with %v", n.by.text, n.to, n.err)
	}
}
