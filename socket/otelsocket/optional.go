package otelsocket

import (
	"context"
	"time"

	"github.com/troupe-dev/troupe/websock"
)

// controls, drains, describes and terminates have the optional callbacks. Each is there only where the handler has it, as the host does
// not treat those that have one like those that have not: a Drainer is not closed by a drain.
type (
	controls   struct{ t *traced }
	drains     struct{ t *traced }
	describes  struct{ t *traced }
	terminates struct{ t *traced }
)

func (c controls) HandleControl(ctx context.Context, msg websock.Message) websock.Result {
	t, h := c.t, c.t.h.(websock.ControlHandler)
	if t.callbacks&OnControl == 0 {
		return h.HandleControl(ctx, msg)
	}
	handle := func(ctx context.Context) websock.Result { return h.HandleControl(ctx, msg) }
	return t.run(ctx, "HandleControl", handle, t.root(), of(msg))
}

func (d drains) HandleDrain(ctx context.Context, by time.Time) websock.Result {
	t, h := d.t, d.t.h.(websock.Drainer)
	if t.callbacks&OnDrain == 0 {
		return h.HandleDrain(ctx, by)
	}
	return t.run(ctx, "HandleDrain", func(ctx context.Context) websock.Result { return h.HandleDrain(ctx, by) }, t.root())
}

// Describe has no span: nothing happens in it.
func (d describes) Describe() any { return d.t.h.(websock.Describer).Describe() }

func (d terminates) Terminate(ctx context.Context, reason error) {
	t, h := d.t, d.t.h.(websock.Terminator)
	if t.callbacks&OnTerminate == 0 {
		h.Terminate(ctx, reason)
		return
	}
	t.run(ctx, "Terminate", func(ctx context.Context) websock.Result {
		h.Terminate(ctx, reason)
		return websock.Result{Stop: reason} // which the span tells of like a stop; nobody else gets it
	}, t.root())
}

// wrap is t with the optional callbacks that its handler has.
func wrap(t *traced) websock.Handler {
	has := ""
	if _, ok := t.h.(websock.ControlHandler); ok {
		has += "C"
	}
	if _, ok := t.h.(websock.Drainer); ok {
		has += "D"
	}
	if _, ok := t.h.(websock.Describer); ok {
		has += "S"
	}
	if _, ok := t.h.(websock.Terminator); ok {
		has += "T"
	}
	c, d, s, e := controls{t}, drains{t}, describes{t}, terminates{t}
	switch has {
	case "C":
		return tracedC{t, c}
	case "D":
		return tracedD{t, d}
	case "S":
		return tracedS{t, s}
	case "T":
		return tracedT{t, e}
	case "CD":
		return tracedCD{t, c, d}
	case "CS":
		return tracedCS{t, c, s}
	case "CT":
		return tracedCT{t, c, e}
	case "DS":
		return tracedDS{t, d, s}
	case "DT":
		return tracedDT{t, d, e}
	case "ST":
		return tracedST{t, s, e}
	case "CDS":
		return tracedCDS{t, c, d, s}
	case "CDT":
		return tracedCDT{t, c, d, e}
	case "CST":
		return tracedCST{t, c, s, e}
	case "DST":
		return tracedDST{t, d, s, e}
	case "CDST":
		return tracedCDST{t, c, d, s, e}
	}
	return t
}

// traced, with C HandleControl, D HandleDrain, S Describe, T Terminate.
type (
	tracedC struct {
		*traced
		controls
	}
	tracedD struct {
		*traced
		drains
	}
	tracedS struct {
		*traced
		describes
	}
	tracedT struct {
		*traced
		terminates
	}
	tracedCD struct {
		*traced
		controls
		drains
	}
	tracedCS struct {
		*traced
		controls
		describes
	}
	tracedCT struct {
		*traced
		controls
		terminates
	}
	tracedDS struct {
		*traced
		drains
		describes
	}
	tracedDT struct {
		*traced
		drains
		terminates
	}
	tracedST struct {
		*traced
		describes
		terminates
	}
	tracedCDS struct {
		*traced
		controls
		drains
		describes
	}
	tracedCDT struct {
		*traced
		controls
		drains
		terminates
	}
	tracedCST struct {
		*traced
		controls
		describes
		terminates
	}
	tracedDST struct {
		*traced
		drains
		describes
		terminates
	}
	tracedCDST struct {
		*traced
		controls
		drains
		describes
		terminates
	}
)
