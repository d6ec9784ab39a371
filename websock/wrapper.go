package websock

// Wrapper is implemented by a Handler that is put around another one, to trace, log or limit its callbacks. It may have all of the
// optional callbacks, which a host treats otherwise than none at all: it calls one only if the wrapped handler has it, too. A
// handler that is embedded in a struct as a Handler shows none of its optional callbacks, and they are not called any more.
type Wrapper interface {
	Handler
	// Wraps returns the wrapped handler, always the same one. It may be a Wrapper itself. Any goroutine may call it.
	Wraps() Handler
}
