package socket

import (
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/troupe-dev/troupe/socket/internal/conn"
)

// scope is what a socket keeps of its request: what Config.Context, Config.Subject and Config.LogAttrs return. nil: none is set.
// Strings are copied: one that lies in the memory of the request would keep all of it for as long as the socket lives.
func (s *Server) scope(r *http.Request) *conn.Scope {
	if s.cfg.Context == nil && s.cfg.LogAttrs == nil && s.cfg.Subject == nil {
		return nil
	}
	sc := new(conn.Scope)
	if f := s.cfg.Context; f != nil {
		sc.Values = f(r)
	}
	if f := s.cfg.Subject; f != nil {
		sc.Subject = strings.Clone(f(r))
		sc.Attrs = append(sc.Attrs, slog.String("subject", sc.Subject))
	}
	if f := s.cfg.LogAttrs; f != nil {
		sc.Attrs = append(sc.Attrs, ownAttrs(f(r))...)
	}
	sc.Attrs = slices.Clip(sc.Attrs)
	return sc
}

// ownAttrs is a copy of attrs whose strings, those in groups included, have memory of their own.
func ownAttrs(attrs []slog.Attr) []slog.Attr {
	attrs = slices.Clone(attrs)
	for i := range attrs {
		switch v := &attrs[i].Value; v.Kind() {
		case slog.KindString:
			*v = slog.StringValue(strings.Clone(v.String()))
		case slog.KindGroup:
			*v = slog.GroupValue(ownAttrs(v.Group())...)
		}
	}
	return attrs
}
