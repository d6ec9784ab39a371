package supervisor

import (
	"context"
	"os"
)

// CopyServer is for the test that no field is forgotten.
var CopyServer = copyServer

// RunUntil is Run with a source of signals that a test can use on the fake clock.
func RunUntil(ctx context.Context, signals <-chan os.Signal, cfg Config, children ...ChildSpec) error {
	s, err := New(cfg, children...)
	if err != nil {
		return err
	}
	return s.serveUntil(ctx, signals)
}

// Room is for how many children a Dynamic has memory.
func Room(d *Dynamic) (children int) {
	r := d.run.Load()
	for i := range r.parts {
		q := &r.parts[i]
		q.mu.Lock()
		children += q.children.Room()
		q.mu.Unlock()
	}
	return children
}
