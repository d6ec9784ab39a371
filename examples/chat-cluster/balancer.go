package main

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"slices"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/supervisor"
)

const (
	probeEvery   = 250 * time.Millisecond
	probeTimeout = time.Second
	// startTimeout is how long serve waits for nodes that are not ready yet.
	startTimeout = 5 * time.Second
	dialTimeout  = 2 * time.Second
	// answerTimeout is how long a node may take to begin its answer. One that stands still is found by its probe before.
	answerTimeout = 5 * time.Second
)

// balancer passes each request on to the node that is ready and has the fewest of them. One that became a WebSocket lasts as long
// as that, so sockets spread evenly: of two windows, each is on another node. When a node does not answer, the request goes to
// the next one.
type balancer struct {
	proxy     *httputil.ReverseProxy
	transport *http.Transport
	requests  sync.WaitGroup // WebSockets too, which an http.Server does not wait for

	mu    sync.Mutex
	nodes []*backend // complete before serve
}

// backend is a node. The balancer's mu guards ready and busy.
type backend struct {
	addr  string
	ready bool // so it was at its last probe
	busy  int  // requests in progress
}

var errNoNode = errors.New("no node is ready")

func newBalancer() *balancer {
	b := &balancer{transport: &http.Transport{
		DialContext:           (&net.Dialer{Timeout: dialTimeout}).DialContext,
		ResponseHeaderTimeout: answerTimeout,
		DisableKeepAlives:     true, // a connection of a node that was killed is not used again
		DisableCompression:    true, // what the client and the node agree on is theirs
	}}
	b.proxy = &httputil.ReverseProxy{
		// The Host stays that of the client, which the node compares with the Origin of an upgrade.
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme = "http" // the host is up to RoundTrip
			r.SetXForwarded()
		},
		Transport: b,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			w.Header().Set("Retry-After", "1")
			http.Error(w, "the chat has no node that answers: "+err.Error(), http.StatusServiceUnavailable)
		},
		ErrorLog: log.New(io.Discard, "", 0), // connections that break off: those of nodes that were killed
	}
	return b
}

// add adds a node. It is not ready before serve has asked it.
func (b *balancer) add(addr string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.nodes = append(b.nodes, &backend{addr: addr})
}

// serve balances what comes to l until ctx is done. It calls serving when all nodes are ready, or startTimeout is over. It closes
// l. When it returns, all connections are closed and nothing runs.
func (b *balancer) serve(ctx context.Context, l net.Listener, serving func()) error {
	open, closeAll := context.WithCancel(context.Background())
	defer b.requests.Wait()
	defer closeAll() // of each WebSocket, the connection to its node, and with that the one to the client
	probing, stop := context.WithCancel(ctx)
	var probes sync.WaitGroup
	defer probes.Wait()
	defer stop()
	for _, n := range b.nodes {
		probes.Go(func() { b.probe(probing, n) })
	}
	server := &http.Server{
		Handler:           b,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		IdleTimeout:       time.Minute,
		BaseContext:       func(net.Listener) context.Context { return open },
	}
	b.awaitReady(ctx)
	serving()
	listen := func(context.Context) (net.Listener, error) { return l, nil }
	return supervisor.HTTP(server, listen).Serve(ctx)
}

// awaitReady waits until all nodes are ready, so that the first clients spread over all of them; for startTimeout at most.
func (b *balancer) awaitReady(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(probeEvery / 10)
	defer tick.Stop()
	for !b.allReady() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (b *balancer) allReady() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !slices.ContainsFunc(b.nodes, func(n *backend) bool { return !n.ready })
}

// probe asks a node again and again whether it is ready, until ctx is done.
func (b *balancer) probe(ctx context.Context, n *backend) {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		ready := b.isReady(ctx, n)
		b.mu.Lock()
		n.ready = ready
		b.mu.Unlock()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (b *balancer) isReady(ctx context.Context, n *backend) bool {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.addr+"/ready", nil)
	if err != nil {
		return false
	}
	resp, err := b.transport.RoundTrip(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// ServeHTTP implements [http.Handler].
func (b *balancer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.requests.Add(1)
	defer b.requests.Done()
	s := &seat{b: b}
	defer s.leave()
	b.proxy.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), seatKey{}, s)))
}

// RoundTrip implements [http.RoundTripper] for the proxy. A request that has no body is passed on to the next node when one does
// not answer: it is a page, or an upgrade, which has not begun.
func (b *balancer) RoundTrip(req *http.Request) (*http.Response, error) {
	s, ok := req.Context().Value(seatKey{}).(*seat)
	if !ok {
		return nil, errors.New("a request that did not come through ServeHTTP")
	}
	last := errNoNode
	for {
		n := s.next()
		if n == nil {
			return nil, last
		}
		out := req.Clone(req.Context())
		out.URL.Host = n.addr
		resp, err := b.transport.RoundTrip(out)
		if err == nil {
			return resp, nil
		}
		if last = err; req.Body != nil && req.Body != http.NoBody || req.Context().Err() != nil {
			return nil, err
		}
		b.mu.Lock()
		n.ready = false // until its next probe
		b.mu.Unlock()
	}
}

// seat is where a request is. It belongs to the goroutine of the request.
type seat struct {
	b     *balancer
	at    *backend // nil: nowhere
	tried []*backend
}

type seatKey struct{}

// next goes to the best node that was not tried yet; nil: there is none.
func (s *seat) next() *backend {
	s.leave()
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	for _, n := range s.b.nodes {
		if n.ready && !slices.Contains(s.tried, n) && (s.at == nil || n.busy < s.at.busy) {
			s.at = n
		}
	}
	if s.at != nil {
		s.at.busy++
		s.tried = append(s.tried, s.at)
	}
	return s.at
}

func (s *seat) leave() {
	if s.at == nil {
		return
	}
	s.b.mu.Lock()
	s.at.busy--
	s.b.mu.Unlock()
	s.at = nil
}
