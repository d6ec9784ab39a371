package socket

import (
	"net/http"
	"slices"

	"github.com/troupe-dev/troupe/socket/internal/conn"
)

// scope is what a socket keeps of its request: what Config.Context and Config.LogAttrs return. nil: neither is set.
func (s *Server) scope(r *http.Request) *conn.Scope {
	if s.cfg.Context == nil && s.cfg.LogAttrs == nil {
		return nil
	}
	sc := new(conn.Scope)
	if f := s.cfg.Context; f != nil {
		sc.Values = f(r)
	}
	if f := s.cfg.LogAttrs; f != nil {
		sc.Attrs = slices.Clip(slices.Clone(f(r)))
	}
	return sc
}
