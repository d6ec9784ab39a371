package websock

import "context"

// ExpiryHandler is implemented by a Handler that wants to renew the right of its socket before it expires; see socket.Expire.
type ExpiryHandler interface {
	// HandleExpiry is called once before the time that socket.Expire has set, by socket.Config.ExpiryWarning: to ask the client
	// for a new token, or a service whether the session still stands. Its Result is taken as that of HandleIn. When
	// socket.Expire sets a later time, in HandleExpiry or in any callback before the old one has come, the socket lives on, and
	// HandleExpiry is called again before the new one. Otherwise it ends with [ErrExpired].
	HandleExpiry(ctx context.Context) Result
}
