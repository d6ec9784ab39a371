package socket

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
)

// scope is what a socket keeps of its request, as far as Config asks for it.
type scope struct {
	values context.Context // nil: none
	attrs  []slog.Attr
}

// scope asks Config.Context and Config.LogAttrs. nil: there is nothing to keep.
func (s *Server) scope(r *http.Request) *scope {
	if s.cfg.Context == nil && s.cfg.LogAttrs == nil {
		return nil
	}
	sc := new(scope)
	if f := s.cfg.Context; f != nil {
		sc.values = f(r)
	}
	if f := s.cfg.LogAttrs; f != nil {
		sc.attrs = slices.Clip(slices.Clone(f(r)))
	}
	return sc
}

// Scope implements host.Host.
func (c *conn) Scope() (values context.Context, attrs []slog.Attr) {
	if c.scope == nil {
		return nil, nil
	}
	return c.scope.values, c.scope.attrs
}

func (c *conn) logAttrs() []slog.Attr {
	_, attrs := c.Scope()
	return attrs
}
