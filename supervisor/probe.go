package supervisor

import (
	"fmt"
	"net/http"
)

// Probe answers 200 when the whole tree of s is up, else 503 with the first reason why not: a health endpoint for load
// balancers. The tree is up when s is served and does not stop, each child is ready, in supervisors below it too, and
// the method Ready() error of each child's Service that has one, such as *socket.Server, returns nil. A child that is
// stopped because it has finished, is not needed or was terminated does not count.
//
// s need not be served yet: make it with [New], mount the Probe, and then call [Supervisor.Run].
func Probe(s *Supervisor) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		if err := s.up(); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprintln(w, err)
			return
		}
		fmt.Fprintln(w, "ready")
	})
}

// up returns nil when the tree is up.
func (s *Supervisor) up() error {
	t := s.running()
	if t == nil {
		return fmt.Errorf("supervisor %s: %w", s.rep.name, ErrNotRunning)
	}
	services, err := t.up()
	if err != nil {
		return err
	}
	for _, service := range services {
		switch c := service.(type) {
		case *Supervisor:
			err = c.up()
		case interface{ Ready() error }:
			err = c.Ready()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// up returns the services of the running children, if all that are to run do.
func (t *tree) up() (services []Service, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stopping || t.finished {
		return nil, fmt.Errorf("supervisor %s: stopping", t.rep.name)
	}
	for _, c := range t.children {
		switch state := c.state(); state {
		case StateRunning:
			services = append(services, c.spec.Service)
		case StateStopped:
		default:
			return nil, fmt.Errorf("supervisor %s: child %q is %v", t.rep.name, c.spec.ID, state)
		}
	}
	return services, nil
}
