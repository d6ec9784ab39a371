package supervisor

import (
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/troupe-dev/troupe/actor/exit"
)

// Values of ChildSpec.Shutdown and DynamicConfig.Shutdown that are no durations.
const (
	// Infinity waits for the child as long as it takes.
	Infinity time.Duration = -1
	// Kill gives the child no time to clean up, as OTP's brutal_kill: the cause of its ctx is actor.ErrKilled. An actor is
	// dead then, an HTTP server closed, a supervisor kills its children. Another Service that does not return within a
	// second is abandoned.
	Kill time.Duration = -2
)

const defaultShutdown = 5 * time.Second

// Restart says which ends of a child are followed by a restart. It does not matter for a child that the supervisor has
// stopped itself.
type Restart uint8

const (
	// Default is Permanent for the children of New and Temporary for those of NewDynamic.
	Default Restart = iota
	// Permanent children are always restarted.
	Permanent
	// Transient children are restarted after an abnormal end. After another one they stay where they are, stopped, and
	// can be started by RestartChild.
	Transient
	// Temporary children are never restarted, not even with their siblings. They are deleted when they have ended.
	Temporary
)

var restartNames = [...]string{"default", "permanent", "transient", "temporary"}

// String is OTP's word for r.
func (r Restart) String() string { return name(restartNames[:], "restart", uint8(r)) }

func name(names []string, what string, i uint8) string {
	if int(i) < len(names) {
		return names[i]
	}
	return fmt.Sprintf("%s(%d)", what, i)
}

// wants tells whether an end of this kind is followed by a restart.
func (r Restart) wants(kind exit.Kind) bool {
	return r == Permanent || r == Transient && kind == exit.Abnormal
}

// ChildSpec describes a child.
type ChildSpec struct {
	// ID names the child among its siblings. Required.
	ID string
	// Service is the child. Required.
	Service Service
	// Restart says when the child is restarted. Zero: Permanent.
	Restart Restart
	// StartTimeout is how long the child may take to call Ready. A start that takes longer has failed with
	// ErrStartTimeout. 0: it need not call Ready, and is ready when its Serve runs. Actors (when Init has returned), HTTP
	// servers (when they listen) and supervisors (when their last child is) always say Ready themselves; for them 0
	// means no limit.
	//
	// A transient or temporary child that ends normally without having said Ready has started well and is finished, as
	// after OTP's ignore: a job that the next child waits for.
	StartTimeout time.Duration
	// Shutdown is how long the child may take to return when its ctx is done. 0: what its ShutdownTime method says, or
	// 5 s; for supervisors, no limit. Infinity: no limit. Kill: none.
	Shutdown time.Duration
}

// normalize checks c and replaces what is zero by what it means. warning is not empty when c is odd, but not wrong.
func (c ChildSpec) normalize(def Restart) (_ ChildSpec, warning string, err error) {
	problem := func(format string, args ...any) {
		err = errors.Join(err, fmt.Errorf("child %q: "+format, append([]any{c.ID}, args...)...))
	}
	if c.ID == "" {
		problem("ChildSpec.ID is empty")
	}
	if c.Restart > Temporary {
		problem("ChildSpec.Restart is %v", c.Restart)
	}
	if c.StartTimeout < 0 {
		problem("ChildSpec.StartTimeout is negative: %v", c.StartTimeout)
	}
	if c.Shutdown < Kill {
		problem("ChildSpec.Shutdown is negative, but not Infinity or Kill: %v", c.Shutdown)
	}
	if isNil(c.Service) {
		problem("ChildSpec.Service is nil")
	}
	if err != nil {
		return c, "", err
	}
	if c.Restart == Default {
		c.Restart = def
	}
	asked, asks := asksFor(c.Service)
	if asks && c.Shutdown != 0 && less(c.Shutdown, asked) {
		warning = fmt.Sprintf("ChildSpec.Shutdown of %s is less than the %s that the service asks for",
			timeText(c.Shutdown), timeText(asked))
	}
	c.Shutdown = shutdownOf(c.Service, c.Shutdown)
	return c, warning, nil
}

// shutdownOf is how long s has to stop, given what was configured.
func shutdownOf(s Service, configured time.Duration) time.Duration {
	if configured != 0 {
		return configured
	}
	if supervises(s) {
		return Infinity
	}
	if asked, ok := asksFor(s); ok {
		return asked
	}
	return defaultShutdown
}

// asksFor is how long s says that it takes to stop: more than nothing, or Infinity.
func asksFor(s Service) (time.Duration, bool) {
	t, ok := s.(interface{ ShutdownTime() time.Duration })
	if !ok {
		return 0, false
	}
	d := t.ShutdownTime()
	if d < 0 {
		d = Infinity
	}
	return d, d != 0
}

// less compares shutdown times.
func less(a, b time.Duration) bool {
	switch {
	case a == Infinity:
		return false
	case b == Infinity:
		return true
	}
	return a < b // Kill is the least
}

func timeText(d time.Duration) string {
	switch d {
	case Infinity:
		return "Infinity"
	case Kill:
		return "Kill"
	}
	return d.String()
}

func isNil(s Service) bool {
	if s == nil {
		return true
	}
	switch v := reflect.ValueOf(s); v.Kind() {
	case reflect.Func, reflect.Pointer, reflect.Map, reflect.Chan, reflect.Slice:
		return v.IsNil()
	}
	return false
}
