package main

import (
	"embed"
	"fmt"
	"io/fs"
	"net/http"
	"sync/atomic"

	"github.com/troupe-dev/troupe/examples/slowlink"
	"github.com/troupe-dev/troupe/registry"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/websock"
)

//go:embed page
var files embed.FS

// routes serves the page, the socket at /ws, and at /ready whether new sockets are taken.
func routes(reg *registry.Registry, sockets *socket.Server) (http.Handler, error) {
	page, err := fs.Sub(files, "page")
	if err != nil {
		return nil, err
	}
	pages := http.FileServerFS(page)
	var tabs atomic.Int64
	mux := http.NewServeMux()
	mux.Handle("GET /ws", slowlink.Handler(sockets.Handler(func(r *http.Request) (websock.Handler, error) {
		name := fmt.Sprint("tab ", tabs.Add(1))
		if rate, err := slowlink.Rate(r); err == nil && rate > 0 {
			name += fmt.Sprintf(", %d B/s", rate)
		}
		return &tab{reg: reg, name: name}, nil
	})))
	mux.Handle("GET /ready", socket.Probe(sockets.Ready))
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-cache")
		w.Header().Set("Content-Security-Policy", "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		pages.ServeHTTP(w, r)
	})
	return mux, nil
}
