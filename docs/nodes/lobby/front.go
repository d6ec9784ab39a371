package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httputil"
	"sync/atomic"
	"time"
)

// newFront passes each request on to a node: to each in turn, or to the next one when it does not answer.
func newFront(nodes []string) http.Handler {
	var last atomic.Uint64
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		first := last.Add(1) - 1
		var failed []error
		for i := range nodes {
			at := nodes[(first+uint64(i))%uint64(len(nodes))]
			conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, network, at)
			if err == nil {
				return conn, nil
			}
			failed = append(failed, err)
		}
		return nil, errors.Join(failed...)
	}
	return &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = "http", "a node" },
		Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true},
	}
}
