package host_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/host"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errBoom, errLost = errors.New("boom"), errors.New("peer lost")

// plain is a Host with nothing to do.
type plain struct{}

func (plain) Receive(context.Context, any) error    { return nil }
func (plain) TurnEnd(bool)                          {}
func (plain) Overflow()                             {}
func (plain) Ending(error) bool                     { return false }
func (plain) Exited(actor.ProcessInfo, error)       {}
func (plain) Gone()                                 {}
func (plain) Scope() (context.Context, []slog.Attr) { return nil, nil }

// receiver is a Host with a Receive.
type receiver struct {
	plain
	receive
}

func (r receiver) Receive(ctx context.Context, msg any) error { return r.receive(ctx, msg) }

// hosted is a hosted process that writes down what happens, and on which goroutine.
type hosted struct {
	plain
	options   host.Options
	brief     bool
	reason    error // that Exited got
	port      host.Port
	ctx       context.Context
	init      func() error
	terminate func()

	mu        sync.Mutex
	list      []string
	where     map[string]string // the goroutine of each entry
	turnEnd   func()
	overflows []string // the goroutines on which Overflow ran
	buf       bytes.Buffer
}

func start(t *testing.T, o actor.SpawnOptions, before ...func(*hosted)) *hosted {
	t.Helper()
	h := &hosted{where: make(map[string]string)}
	sys, err := actor.NewSystem(actor.Config{Logger: slog.New(slog.NewTextHandler(&locked{h: h}, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sys.Shutdown(context.Background()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if log := h.log(); strings.Contains(log, "a path of the actor engine was reached") {
			t.Errorf("the engine's own paths were reached:\n%s", log)
		}
	})
	for _, f := range before {
		f(h)
	}
	h.port, err = host.Spawn(sys, h, o, &h.options)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// locked is where the log goes.
type locked struct{ h *hosted }

func (l *locked) Write(p []byte) (int, error) {
	l.h.mu.Lock()
	defer l.h.mu.Unlock()
	return l.h.buf.Write(p)
}

func (h *hosted) log() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.buf.String()
}

func (h *hosted) TurnEnd(delivering bool) {
	h.note(fmt.Sprintf("turn end, delivering %t", delivering))
	if f := h.turnEnd; f != nil {
		h.turnEnd = nil
		f()
	}
}

func (h *hosted) Overflow() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.overflows = append(h.overflows, goroutine())
}

func (h *hosted) Ending(reason error) (brief bool) {
	h.note(fmt.Sprintf("ending: %v", reason))
	return h.brief
}

func (h *hosted) Exited(_ actor.ProcessInfo, reason error) { h.reason = reason }

func (h *hosted) Init(ctx context.Context) error {
	h.ctx = ctx
	h.note("init")
	if h.init != nil {
		return h.init()
	}
	return nil
}

func (h *hosted) Receive(_ context.Context, msg any) error {
	if f, ok := msg.(func() error); ok {
		return f()
	}
	h.note(fmt.Sprint(msg))
	return nil
}

func (h *hosted) Terminate(_ context.Context, reason error) {
	h.note(fmt.Sprintf("terminate: %v", reason))
	if h.terminate != nil {
		h.terminate()
	}
}

func (h *hosted) note(what string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.list = append(h.list, what)
	h.where[what] = goroutine()
}

func (h *hosted) all() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.list)
}

func (h *hosted) on(what string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.where[what]
}

// goroutine names the goroutine that calls it.
func goroutine() string {
	var buf [64]byte
	line, _, _ := strings.Cut(string(buf[:runtime.Stack(buf[:], false)]), " [")
	return line
}

func (h *hosted) want(t *testing.T, want ...string) {
	t.Helper()
	if got := h.all(); !slices.Equal(got, want) {
		t.Errorf("happened\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}
