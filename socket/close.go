package socket

import (
	"errors"

	"github.com/troupe-dev/troupe/websock"
)

// closeFor is the Close frame that an exit reason stands for when it carries none.
func closeFor(reason error, idle websock.CloseDetail) websock.CloseDetail {
	if errors.Is(reason, websock.ErrTimeout) && !errors.Is(reason, websock.ErrNormal) {
		return idle
	}
	return websock.CloseDetail{Code: codeFor(reason)}
}

func codeFor(reason error) websock.CloseCode {
	switch {
	case reason == nil: // of a *CloseError without Err
		return websock.CloseNormal
	case errors.Is(reason, websock.ErrRestart): // is ErrNormal, too
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

// closeForReadEnd is the Close frame for what the reader has met: the peer's Close, a breach of the protocol, or silence.
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
