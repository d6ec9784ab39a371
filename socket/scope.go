package socket

import (
	"log/slog"
	"net/http"
	"slices"

	"github.com/troupe-dev/troupe/socket/internal/conn"
)

// scope is what a socket keeps of its request: what Config.Context, Config.Subject and Config.LogAttrs return. nil: none is set.
func (s *Server) scope(r *http.Request) *conn.Scope {
	if s.cfg.Context == nil && s.cfg.LogAttrs == nil && s.cfg.Subject == nil {
		return nil
	}
	sc := new(conn.Scope)
	if f := s.cfg.Context; f != nil {
		sc.Values = f(r)
	}
	if f := s.cfg.Subject; f != nil {
		sc.Subject = f(r)
		sc.Attrs = append(sc.Attrs, slog.String("subject", sc.Subject))
	}
	if f := s.cfg.LogAttrs; f != nil {
		sc.Attrs = append(sc.Attrs, f(r)...)
	}
	sc.Attrs = slices.Clip(sc.Attrs)
	return sc
}
