package socket_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/websock"
)

// wrapper is around another handler, and has some of the optional callbacks, whatever that one has.
type wrapper struct {
	websock.Handler
}

func (w wrapper) Wraps() websock.Handler { return w.Handler }
func (w wrapper) Describe() any          { return []any{"wrapped", w.Handler.(websock.Describer).Describe()} }
func (w wrapper) HandleControl(ctx context.Context, msg websock.Message) websock.Result {
	return w.Handler.(websock.ControlHandler).HandleControl(ctx, msg)
}
func (w wrapper) HandleDrain(ctx context.Context, by time.Time) websock.Result {
	return w.Handler.(websock.Drainer).HandleDrain(ctx, by)
}

func (w wrapper) Terminate(ctx context.Context, reason error) {
	w.Handler.(websock.Terminator).Terminate(ctx, reason)
}

// A websock.Wrapper has the optional callbacks that the innermost handler has, and it does too, and its type.
func TestWrapper(t *testing.T) {
	for name, tt := range map[string]struct {
		inner *handler // which has Terminate
		state bool     // it is a Describer, too
	}{
		"plain":     {inner: puppet()},
		"describer": {inner: puppet(), state: true},
	} {
		bubble(t, name, func(t *testing.T) {
			h, want := websock.Handler(tt.inner), "*socket_test.handler"
			if tt.state {
				h, want = &describer{handler: tt.inner}, "*socket_test.describer"
			}
			r := serve(t, socket.Config{})
			c := r.dial(wrapper{wrapper{h}})
			go c.discard()
			c.must(c.Ping([]byte("no HandleControl")))
			synctest.Wait()
			if info, err := actor.Inspect(c.pid); err != nil || info.Actor != want {
				t.Errorf("its type is %s, %v; want %s", info.Actor, err, want)
			}
			state, err := r.srv.Describe(t.Context(), c.pid)
			if tt.state && (err != nil || !slices.Equal(state.([]any)[1].([]any), []any{"wrapped", 1})) {
				t.Errorf("Describe = %v, %v; want what two wrappers and the handler say", state, err)
			}
			if !tt.state && !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("Describe = %v, %v; want ErrUnsupported: the handler is no Describer", state, err)
			}
			began := time.Now()
			if err := r.srv.Drain(t.Context(), socket.Drain{Timeout: time.Minute}); err != nil || time.Since(began) > 10*time.Second {
				t.Errorf("Drain: %v after %v; want it after CloseTimeout, in which the peer does not answer: the handler is no Drainer", err, time.Since(began))
			}
			if got := tt.inner.log(); !slices.Equal(got, []string{"init", "terminate"}) {
				t.Errorf("the handler has got %q, want init and terminate", got)
			}
		})
	}
}
