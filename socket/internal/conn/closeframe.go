package conn

import (
	"errors"

	"github.com/troupe-dev/troupe/websock"
)

var errNilCloseError = &websock.ResultError{Problem: "the exit reason is a nil *CloseError"}

// closeFrame is the Close frame for an exit reason. ok is false when none can be written. In place of a frame that must not
// be sent, because the reason carries an invalid one, it is 1011.
func (c *Conn) closeFrame(reason error, e end) (detail websock.CloseDetail, ok bool) {
	defer func() {
		if recover() != nil { // the reason may be anybody's error, whose methods may do anything
			detail, ok = websock.CloseDetail{Code: websock.CloseInternalError}, true
		}
	}()
	idle := c.group.opts.IdleClose
	if l := c.lost.Load(); l != nil && reason == error(l) {
		return websock.CloseDetail{}, false
	}
	if e.readEnd != nil && reason == e.readEnd {
		return closeForReadEnd(reason, idle), true
	}
	detail, err := detailOf(reason, e.detail, idle)
	if err != nil {
		c.ends(func(e *end) { e.refused = err })
		detail = websock.CloseDetail{Code: websock.CloseInternalError}
	}
	return detail, true
}

// detailOf is the Close frame for an exit reason and the detail of the Result that carried it, if there was one. The error
// says why the frame cannot be sent: a Result was checked before, but what a PID.Exit carries was not.
func detailOf(reason error, detail, idle websock.CloseDetail) (websock.CloseDetail, error) {
	var carried *websock.CloseError
	if errors.As(reason, &carried) && carried == nil {
		return detail, errNilCloseError
	}
	err := reason
	if carried != nil && detail == (websock.CloseDetail{}) {
		detail.Reason = carried.Reason
	}
	if carried != nil && detail.Code == 0 {
		detail.Code, err = carried.Code, carried.Err
	}
	if detail.Code == 0 {
		derived := closeFor(err, idle)
		detail.Code = derived.Code
		if detail.Reason == "" {
			detail.Reason = derived.Reason
		}
	}
	return detail, websock.StopWith(reason, detail).Check()
}

// closeFor is the Close frame that an exit reason stands for when it carries none.
func closeFor(reason error, idle websock.CloseDetail) websock.CloseDetail {
	if errors.Is(reason, websock.ErrTimeout) && !errors.Is(reason, websock.ErrNormal) {
		return idle
	}
	for _, d := range decisions {
		if errors.Is(reason, d.reason) {
			return d.frame
		}
	}
	return websock.CloseDetail{Code: codeFor(reason)}
}

// decisions are the frames of exit reasons that have a text of their own.
var decisions = [...]struct {
	reason error
	frame  websock.CloseDetail
}{
	{websock.ErrRevoked, websock.CloseDetail{Code: 4403, Reason: "revoked"}},
	{websock.ErrExpired, websock.CloseDetail{Code: 4401, Reason: "expired"}},
	{websock.ErrReplaced, websock.CloseDetail{Code: 4001, Reason: "replaced"}},
	{websock.ErrMaxAge, websock.CloseDetail{Code: websock.CloseServiceRestart}},
}

func codeFor(reason error) websock.CloseCode {
	switch {
	case reason == nil: // a *CloseError without Err
		return websock.CloseNormal
	case errors.Is(reason, websock.ErrRestart): // before ErrNormal, which it is as well
		return websock.CloseServiceRestart
	case errors.Is(reason, websock.ErrNormal):
		return websock.CloseNormal
	case errors.Is(reason, websock.ErrShutdown):
		return websock.CloseGoingAway
	case errors.Is(reason, websock.ErrOverload):
		return websock.CloseTryAgainLater
	default:
		return websock.CloseInternalError
	}
}

// closeForReadEnd is the Close frame for an end of reading: by the peer's Close, a breach of the protocol, or a timeout.
func closeForReadEnd(reason error, idle websock.CloseDetail) websock.CloseDetail {
	switch r := reason.(type) {
	case *websock.RemoteCloseError: // RFC 6455 section 5.5.1: echo the code; an empty Close is answered by an empty one
		if r.Code == websock.CloseNoStatus {
			return websock.CloseDetail{}
		}
		return websock.CloseDetail{Code: r.Code}
	case *websock.ProtocolError:
		return websock.CloseDetail{Code: r.Code}
	default:
		return idle
	}
}
