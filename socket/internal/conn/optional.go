package conn

import "github.com/troupe-dev/troupe/websock"

// optional is the optional callback T of a handler. A websock.Wrapper has it only if what it wraps has it, too.
func optional[T any](h websock.Handler) (callback T, ok bool) {
	callback, ok = h.(T)
	for ok {
		w, wraps := h.(websock.Wrapper)
		if !wraps {
			return callback, true
		}
		h = w.Wraps()
		_, ok = h.(T)
	}
	return callback, false
}

// innermost is the handler that is in all wrappers.
func innermost(h websock.Handler) websock.Handler {
	for {
		w, ok := h.(websock.Wrapper)
		if !ok {
			return h
		}
		h = w.Wraps()
	}
}
