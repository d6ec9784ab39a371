package host_test

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/host"
)

// named is a Host that names ints, and is told of a callback that does not return.
type named struct {
	receiver
	abandoned func(handling, stack string)
}

func (named) NameOf(msg any) string {
	if n, ok := msg.(int); ok {
		return fmt.Sprint("number ", n)
	}
	return ""
}

func (n named) Abandoned(handling string, _ time.Duration, stack string) {
	n.abandoned(handling, stack)
}

func sleepsAside() { time.Sleep(time.Hour) }
func waitsItself() { time.Sleep(time.Hour) }

// The stack of a callback that does not return is that of what it runs aside, and so long as nothing does, its own. Its name is the
// host's.
func TestPort_Aside(t *testing.T) {
	for name, tt := range map[string]struct {
		msg             any
		aside           bool
		handling, stack string
	}{
		"aside": {1, true, "number 1", "host_test.sleepsAside"},
		"not":   {"a string", false, "string", "host_test.waitsItself"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sys := newSystem(t)
				var handling, stack string
				var port host.Port
				h := named{
					receiver{receive: func(context.Context, any) error {
						next, stop := iter.Pull(func(yield func(int) bool) {
							port.Aside(func() {
								if !tt.aside {
									yield(1)
									return
								}
								sleepsAside()
							})
						})
						defer stop()
						next()
						waitsItself()
						return nil
					}},
					func(h, s string) { handling, stack = h, s },
				}
				var err error
				if port, err = host.Spawn(sys, h, actor.SpawnOptions{}, nil); err != nil {
					t.Fatal(err)
				}
				port.Start()
				port.PID().Send(tt.msg)
				synctest.Wait()
				if info, err := actor.Inspect(port.PID()); err != nil || info.Handling != tt.handling {
					t.Errorf("Inspect says %q, %v; want %q", info.Handling, err, tt.handling)
				}
				port.PID().Exit(actor.ErrKilled)
				time.Sleep(time.Second)
				synctest.Wait()
				if handling != tt.handling || !strings.Contains(stack, tt.stack) {
					t.Errorf("abandoned is %q with the stack\n%s\nwant %q, with %s in it", handling, stack, tt.handling, tt.stack)
				}
				time.Sleep(3 * time.Hour)
			})
		})
	}
}

// What LogPanic logs says whose it is, and has the stack that it is given.
func TestPort_LogPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, actor.SpawnOptions{})
		h.port.Start()
		h.port.LogPanic("a place", &actor.PanicError{Value: "as asked", Stack: []byte("the stack")})
		synctest.Wait()
		for _, want := range []string{"panic while a process ended", "pid=" + h.port.PID().String(), `where="a place"`, `panic="as asked"`, `stack="the stack"`} {
			if log := h.log(); !strings.Contains(log, want) {
				t.Errorf("the log is\n%s\nwant %s in it", log, want)
			}
		}
	})
}
