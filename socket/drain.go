package socket

import (
	"context"
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/troupe-dev/troupe/actor/host"
	"github.com/troupe-dev/troupe/socket/internal/conn"
	"github.com/troupe-dev/troupe/websock"
)

// Drain says how a server ends its sockets in order: Ready says no and upgrades are refused, Delay passes, the sockets are
// closed evenly over a time, and those that are left at the end are killed. The zero value closes 1,000 a second.
type Drain struct {
	// Delay is a time in which nothing is closed yet, while Ready says no and upgrades get 503. It lets the load
	// balancer look elsewhere, so that those who are closed later do not come back here.
	Delay time.Duration
	// Over is the time over which the closes are spread. 0: as long as 1,000 sockets a second take, at most 10 s, so
	// that not all clients come back in one moment; negative: all at once.
	Over time.Duration
	// Batch is how many sockets are closed in one step. 0: 1, or 50 when Over is 0. The interval between steps is Over
	// x Batch / sockets.
	Batch int
	// Timeout is how long sockets may take to end after Delay and Over. Then they are killed. 0: Config.CloseTimeout (0 if
	// it is off) + Config.ShutdownTimeout (15 s if it is off).
	Timeout time.Duration
	// Close is the Close frame. Zero: 1001.
	Close websock.CloseDetail
	// ComeBack, when positive, has each close reason end with "retry-after=N", N random whole seconds from 1 up to it,
	// so that clients which honour it do not all return at once. It also spreads the Retry-After of refused upgrades.
	ComeBack time.Duration
	// OnProgress, when set, is called at each step, in order, on a goroutine of its own; without it the log has the
	// beginning of each stage, at Info. No step waits for it, but Drain returns after the last call has, unless one
	// takes longer than 300 ms. A panic in it is logged.
	OnProgress func(DrainProgress)

	now   bool // nobody is asked: the Server is restarted
	quiet bool // the log gets no stages: it is one socket, that of a Dialer
}

// DrainProgress is how far a drain is.
type DrainProgress struct {
	Stage   DrainStage
	Sockets int // how many there were when closing began
	Closed  int // how many of them have been told to end
	Left    int // how many are still there; their TCP connections are open
	Killed  int // how many were killed because the time was over
	Elapsed time.Duration
}

// DrainStage is a part of a drain.
type DrainStage uint8

const (
	DrainDelaying DrainStage = iota // Ready says no and upgrades get 503, no socket is told to end yet
	DrainClosing                    // sockets are being told to end
	DrainWaiting                    // all have been told
	DrainKilling                    // the time is over, those left have been killed
	DrainDone                       // no socket is left
)

// String is the stage in one word.
func (s DrainStage) String() string {
	if int(s) < len(drainStages) {
		return drainStages[s]
	}
	return fmt.Sprintf("DrainStage(%d)", uint8(s))
}

var drainStages = [...]string{"delaying", "closing", "waiting", "killing", "done"}

// defaultComeBack spreads the Retry-After of a refused upgrade when Drain.ComeBack does not.
const defaultComeBack = 10 * time.Second

// withDefaults checks d and replaces zeros.
func (d Drain) withDefaults(cfg *Config) (Drain, error) {
	for _, f := range [...]struct {
		name string
		d    time.Duration
	}{{"Delay", d.Delay}, {"Timeout", d.Timeout}, {"ComeBack", d.ComeBack}} {
		if f.d < 0 {
			return d, fmt.Errorf("socket: Drain.%s %v: negative", f.name, f.d)
		}
	}
	if d.Batch < 0 {
		return d, fmt.Errorf("socket: Drain.Batch %d: negative", d.Batch)
	}
	if d.Batch == 0 {
		d.Batch = 1
		if d.Over == 0 {
			d.Batch = pacedBatch // a handful at once
		}
	}
	if d.Timeout == 0 {
		shutdown := cfg.ShutdownTimeout
		if shutdown < 0 { // a drain has an end all the same
			shutdown = defaultShutdownTimeout
		}
		d.Timeout = sum(max(cfg.CloseTimeout, 0), shutdown)
	}
	if d.Close.Code == 0 {
		d.Close.Code = websock.CloseGoingAway
	}
	if err := websock.StopWith(websock.ErrShutdown, d.detail(d.maxComeBack())).Check(); err != nil {
		if d.ComeBack > 0 {
			return d, fmt.Errorf("socket: Drain.Close with the hint of ComeBack: %w", err)
		}
		return d, fmt.Errorf("socket: Drain.Close: %w", err)
	}
	return d, nil
}

// When Over is 0.
const (
	pacedOver  = 10 * time.Second
	pacedBatch = 50
	paceOfOne  = time.Millisecond
)

// over is the time over which the closes of so many sockets are spread.
func (d Drain) over(sockets int) time.Duration {
	if d.Over == 0 && sockets <= pacedBatch {
		return 0
	}
	if d.Over == 0 {
		return min(time.Duration(sockets)*paceOfOne, pacedOver)
	}
	return max(d.Over, 0)
}

// time is how long a drain takes at most, apart from the last moments of sockets that it kills.
func (d Drain) time() time.Duration { return d.timeFor(math.MaxInt32) }

// timeFor is time for so many sockets.
func (d Drain) timeFor(sockets int) time.Duration { return sum(d.Delay, d.over(sockets), d.Timeout) }

// errOver is the cause of the kill at the end of that time.
func errOver(time time.Duration) error {
	return fmt.Errorf("the drain's time of %v is over: %w", time, context.DeadlineExceeded)
}

// turn is how long after the first socket the one of this number is closed, if a batch begins with it.
func (d Drain) turn(number, sockets int) time.Duration {
	hi, lo := bits.Mul64(uint64(d.over(sockets)), uint64(number))
	t, _ := bits.Div64(hi, lo, uint64(sockets))
	return time.Duration(t)
}

// sum adds durations that are not negative. A sum that is too long for a Duration is the longest one.
func sum(ds ...time.Duration) (total time.Duration) {
	for _, d := range ds {
		if total += d; total < 0 {
			return math.MaxInt64
		}
	}
	return total
}

// maxComeBack is ComeBack in seconds, rounded up; 0: no hint.
func (d Drain) maxComeBack() int64 { return int64(math.Ceil(d.ComeBack.Seconds())) }

// detail is the Close frame with a hint of so many seconds; 0: without one.
func (d Drain) detail(seconds int64) websock.CloseDetail {
	c := d.Close
	if seconds > 0 {
		if c.Reason != "" {
			c.Reason += " "
		}
		c.Reason += fmt.Sprintf("retry-after=%d", seconds)
	}
	return c
}

// exitReason is what one socket ends with; it is ErrShutdown.
func (d Drain) exitReason() error {
	var seconds int64
	if n := d.maxComeBack(); n > 0 {
		seconds = 1 + rand.Int64N(n)
	}
	c := d.detail(seconds)
	return &websock.CloseError{Code: c.Code, Reason: c.Reason, Err: websock.ErrShutdown}
}

// Drain ends all sockets by d, the oldest first, and waits until their TCP connections are closed. From the call on
// Ready says no and upgrades get 503 with a Retry-After, also after Drain has returned. Terminate gets an exit reason
// that is ErrShutdown.
//
// When d's time is over, those that are left are killed, and the error says how many. When ctx is done before that, all
// get their Close frame at once, even those whose callback is running, and are killed within half a second. One Drain
// runs at a time; a second one waits for the first, and does not repeat its Delay. With the ctx of a socket's callback
// Drain would wait for itself: it returns an error at once, and nothing is drained.
func (s *Server) Drain(ctx context.Context, d Drain) error {
	d, err := d.withDefaults(&s.cfg)
	if err == nil {
		err = s.waitsForItself(ctx, "drain")
	}
	if err != nil {
		return err
	}
	defer s.reported(ctx) // last, when everything has been reported
	if !s.takeTurn(ctx) {
		s.setPhase(phaseClosed, &d)
		told := s.silent()
		for c := range s.all() {
			c.PID().Exit(d.exitReason()) // unless the other drain has told it to
		}
		s.farewell(d.Close, told)
		return s.killed(s.killLeft(), fmt.Errorf("waiting for another drain: %w", context.Cause(ctx)))
	}
	defer s.giveTurn()
	run := &drainRun{s: s, d: d, start: time.Now()}
	if d.OnProgress != nil {
		run.progress = host.NewCalls("Drain.OnProgress", s.log)
		defer run.progress.Wait(ctx)
	}
	s.setPhase(phaseDraining, &d)
	run.ask()
	run.report(DrainDelaying)
	if s.Ready() == ErrDraining { // else it was closed before, and a Delay would help nobody
		wait(ctx, run.start.Add(d.Delay))
	}
	s.setPhase(phaseClosed, &d)
	run.close(ctx)
	return run.finish(ctx)
}

// takeTurn waits until no other Drain runs. It is false when ctx was done before that.
func (s *Server) takeTurn(ctx context.Context) bool {
	select {
	case s.drains <- struct{}{}: // also when ctx is done
		return true
	default:
	}
	select {
	case s.drains <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (s *Server) giveTurn() { <-s.drains }

// drainRun is one Drain.
type drainRun struct {
	s                       *Server
	d                       Drain
	start                   time.Time
	sockets, closed, killed int
	cut                     bool         // ctx was done before all had been told
	asked                   []*conn.Conn // those that may stop by themselves
	by                      time.Time    // until when those may go on
	logged                  int          // stages that are in the log
	progress                *host.Calls  // of OnProgress
}

// drained is how far a drain has come.
type drained struct {
	DrainProgress // without Left, and Elapsed only when it is done: that is what changes between steps
	start         time.Time
}

// note keeps a step for Draining.
func (r *drainRun) note(p DrainProgress) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	r.s.drained = &drained{p, r.start}
}

// Draining says how far the Drain is that runs, that of Serve included: its last step, and how many sockets are left, and how
// much time has passed, as of now. false: none runs, and it is the last step of the last one, DrainDone, as its OnProgress has
// got it; zero, if there was none. It is for those who look; Drain.OnProgress tells of each step.
func (s *Server) Draining() (p DrainProgress, runs bool) {
	s.mu.Lock()
	d := s.drained
	s.mu.Unlock()
	if d == nil {
		return p, false
	}
	p = d.DrainProgress
	if runs = p.Stage != DrainDone; runs {
		p.Left, p.Elapsed = s.Count(), time.Since(d.start)
	}
	return p, runs
}

// report tells OnProgress of a step, or, when there is none, the log of a stage.
func (r *drainRun) report(stage DrainStage) {
	p := DrainProgress{Stage: stage, Sockets: r.sockets, Closed: r.closed, Left: r.s.Count(), Killed: r.killed,
		Elapsed: time.Since(r.start)}
	r.note(p)
	if r.s.cfg.OnEvent != nil && !r.d.quiet {
		r.s.tell(Draining{r.s.cfg.Name, p})
	}
	if r.d.OnProgress == nil {
		if r.d.quiet || int(stage) < r.logged {
			return
		}
		r.logged = int(stage) + 1
		r.s.cfg.Logger.Info("drain", "stage", stage.String(), "sockets", p.Sockets, "closed", p.Closed, "left", p.Left,
			"killed", p.Killed, "elapsed", p.Elapsed.String())
		return
	}
	r.progress.Do(func() { r.d.OnProgress(p) })
}

// close tells the sockets to end, each at its time: step i at Over x Batch / sockets x i. Steps that a late timer has
// missed are made up for at once, so Over is kept.
func (r *drainRun) close(ctx context.Context) {
	conns := r.s.byAge()
	r.sockets = len(conns)
	if !r.d.now {
		conns = slices.DeleteFunc(conns, func(c *conn.Conn) bool {
			if c.Drains() {
				r.asked = append(r.asked, c)
			}
			return c.Drains()
		})
	}
	if r.progress != nil {
		r.progress.Room(2 * len(conns))
	}
	r.s.events.Room(3 * len(conns)) // of each its Closed, and a step
	start := time.Now()
	for r.closed < len(conns) {
		step := conns[r.closed:]
		if r.d.over(len(conns)) > 0 {
			wait(ctx, start.Add(r.d.turn(r.closed, len(conns))))
			if ctx.Err() == nil {
				step = step[:min(r.d.Batch, len(step))]
			}
		}
		r.cut = ctx.Err() != nil
		for _, c := range step {
			c.PID().Exit(r.d.exitReason())
		}
		r.closed += len(step)
		clear(step) // a long drain keeps no socket that has ended
		r.report(DrainClosing)
	}
}

// ask tells those that have a say that the drain has begun. Server.add tells those who open from now on.
func (r *drainRun) ask() {
	if r.d.now {
		return
	}
	r.by = r.start.Add(sum(r.d.Delay, r.d.over(r.s.Count()), r.d.Timeout/2))
	r.s.mu.Lock()
	r.s.drainBy = r.by
	r.s.mu.Unlock()
	for c := range r.s.all() {
		if c.Drains() {
			c.AskDrain(r.by)
		}
	}
}

// await waits for those that were asked, and tells those to end that have not stopped by themselves in time.
func (r *drainRun) await(ctx context.Context) {
	if len(r.asked) == 0 {
		return
	}
	bounded, cancel := context.WithDeadline(ctx, r.by)
	defer cancel()
	if r.s.waitEmpty(bounded) == nil {
		return
	}
	r.cut = r.cut || ctx.Err() != nil
	for _, c := range r.asked {
		if c.PID().Exit(r.d.exitReason()) {
			r.closed++
		}
	}
	r.asked = nil
	r.report(DrainWaiting)
}

// finish waits for the sockets, and kills those that take too long.
func (r *drainRun) finish(ctx context.Context) error {
	r.report(DrainWaiting)
	r.await(ctx)
	bounded, cancel := context.WithDeadlineCause(ctx, r.start.Add(r.d.timeFor(r.sockets)), errOver(r.d.timeFor(r.sockets)))
	defer cancel()
	err := r.s.waitEmpty(bounded)
	if err != nil && time.Since(r.start) < r.d.timeFor(r.sockets) && r.s.farewell(r.d.Close, r.cut) { // ctx cuts it short
		err = nil
	}
	if err != nil {
		r.killed = r.s.killLeft()
		r.report(DrainKilling)
		err = r.s.killed(r.killed, err)
	}
	r.report(DrainDone)
	return err
}

// farewell gives the sockets that are left, which have been told to end, time to write their Close frame, and then writes it
// for those whose callback is still running. It returns whether no socket is left.
//
// told says that some of them were told just now: their frames get time to arrive, even if they are written already.
func (s *Server) farewell(detail websock.CloseDetail, told bool) (none bool) {
	wait := func() bool {
		if !told && !s.silent() {
			return false
		}
		ctx, cancel := context.WithTimeout(context.Background(), farewellTime)
		defer cancel()
		return s.waitEmpty(ctx) == nil
	}
	if wait() {
		return true
	}
	told = false
	for c := range s.all() {
		if c.Silent() {
			c.Farewell(detail)
		}
	}
	return wait()
}

// silent tells whether there are sockets that have not written a Close frame.
func (s *Server) silent() bool {
	for c := range s.all() {
		if c.Silent() {
			return true
		}
	}
	return false
}

// farewellTime is how long a socket has to write its Close frame by itself when a drain is cut short, and how long the frame
// that farewell writes for it has to leave.
const farewellTime = 250 * time.Millisecond

// killLeft closes the Server and kills the sockets that are left; those that open from now on are killed, too. It returns
// how many there were.
func (s *Server) killLeft() int {
	s.mu.Lock()
	s.phase, s.killing = phaseClosed, true
	s.mu.Unlock()
	left := 0
	for c := range s.all() {
		s.killForDrain(c)
		left++
	}
	return left
}

// killForDrain kills a socket because the time of a drain is over. Two drains may come to the same one, which counts once.
func (s *Server) killForDrain(c *conn.Conn) {
	if c.Kill() {
		s.cutOff.Add(1)
	}
}

// killed waits until n sockets that were killed are gone, which takes moments, and returns the error for that. An upgrade
// that middleware does not let return can take longer: then the error says so.
func (s *Server) killed(n int, cause error) error {
	ctx, cancel := context.WithTimeout(context.Background(), drainGrace)
	defer cancel()
	switch stuck := s.waitEmpty(ctx) != nil; {
	case stuck:
		return fmt.Errorf("socket: drain: %d sockets killed, and an upgrade does not return: %w", n, cause)
	case n == 0: // they have ended in the very last moment
		return nil
	}
	return fmt.Errorf("socket: drain: %d sockets killed: %w", n, cause)
}

// wait waits until t or until ctx is done.
func wait(ctx context.Context, t time.Time) {
	d := time.Until(t)
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
