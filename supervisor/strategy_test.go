package supervisor_test

import (
	"fmt"
	"testing"

	"github.com/troupe-dev/troupe/actor/exit"
	"github.com/troupe-dev/troupe/supervisor"
)

// Who is restarted, in which order, when b ends, of a, b and c: by strategy, restart type and kind of exit reason.
func TestSupervisor_restarts(t *testing.T) {
	follows := map[supervisor.Strategy]string{
		supervisor.OneForOne:  " +b",
		supervisor.RestForOne: " -c:shutdown +b +c",
		supervisor.OneForAll:  " -c:shutdown -a:shutdown +a +b +c",
	}
	restarts := map[supervisor.Restart]map[exit.Kind]bool{
		supervisor.Default:   {exit.Normal: true, exit.Shutdown: true, exit.Abnormal: true},
		supervisor.Permanent: {exit.Normal: true, exit.Shutdown: true, exit.Abnormal: true},
		supervisor.Transient: {exit.Normal: false, exit.Shutdown: false, exit.Abnormal: true},
		supervisor.Temporary: {exit.Normal: false, exit.Shutdown: false, exit.Abnormal: false},
	}
	rest := map[supervisor.Restart]string{
		supervisor.Transient: "a:running b:stopped c:running",
		supervisor.Temporary: "a:running c:running",
	}
	for _, strategy := range strategies {
		for restart, when := range restarts {
			for _, end := range ends {
				t.Run(fmt.Sprintf("%v/%v/%s", strategy, restart, end.name), func(t *testing.T) {
					bubble(t, func(t *testing.T) {
						a, b, c := newService(), newService(), newService()
						r := serve(t, supervisor.Config{Strategy: strategy},
							spec("a", a, 0), spec("b", b, restart), spec("c", c, 0))
						r.want("start", "+a +b +c")
						b.orders <- end.end
						want, children := fmt.Sprintf("-b:%v", end.kind), "a:running b:running c:running"
						if when[end.kind] {
							want += follows[strategy]
						} else {
							children = rest[restart]
						}
						r.want("after the end of b", want)
						r.wantChildren("after the end of b", children)
						if err := r.end(); err != nil {
							t.Errorf("Serve returned %v, want nil", err)
						}
					})
				})
			}
		}
	}
}

// What a group restart does with those of the group that are not permanent, or do not run.
func TestSupervisor_groupRestart(t *testing.T) {
	for _, test := range []struct {
		name     string
		strategy supervisor.Strategy
		restart  supervisor.Restart // of x, which comes after b
		before   func(r *tree, x *service)
		want     string
		children string
	}{
		{"a temporary sibling is stopped and deleted", supervisor.OneForAll, supervisor.Temporary, nil,
			"-b:abnormal -c:shutdown -x:shutdown -a:shutdown +a +b +c", "a:running b:running c:running"},
		{"a temporary sibling after it is stopped and deleted", supervisor.RestForOne, supervisor.Temporary, nil,
			"-b:abnormal -c:shutdown -x:shutdown +b +c", "a:running b:running c:running"},
		{"a temporary sibling is left alone", supervisor.OneForOne, supervisor.Temporary, nil,
			"-b:abnormal +b", "a:running b:running x:running c:running"},
		{"a transient sibling is restarted", supervisor.RestForOne, supervisor.Transient, nil,
			"-b:abnormal -c:shutdown -x:shutdown +b +x +c", "a:running b:running x:running c:running"},
		{"a sibling that had finished is started", supervisor.RestForOne, supervisor.Transient,
			func(r *tree, x *service) { x.end(nil); r.want("x finishes", "-x:normal") },
			"-b:abnormal -c:shutdown +b +x +c", "a:running b:running x:running c:running"},
		{"a sibling that had finished is left alone", supervisor.OneForOne, supervisor.Transient,
			func(r *tree, x *service) { x.end(nil); r.want("x finishes", "-x:normal") },
			"-b:abnormal +b", "a:running b:running x:stopped c:running"},
		{"a sibling that was terminated is started", supervisor.OneForAll, supervisor.Permanent,
			func(r *tree, x *service) {
				wantErr(r.t, "TerminateChild", r.TerminateChild(r.t.Context(), "x"), nil)
				r.want("x is terminated", "-x:shutdown")
			},
			"-b:abnormal -c:shutdown -a:shutdown +a +b +x +c", "a:running b:running x:running c:running"},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				a, b, c, x := newService(), newService(), newService(), newService()
				r := serve(t, supervisor.Config{Strategy: test.strategy},
					spec("a", a, 0), spec("b", b, 0), spec("x", x, test.restart), spec("c", c, 0))
				r.want("start", "+a +b +x +c")
				if test.before != nil {
					test.before(r, x)
				}
				b.end(errCrash)
				r.want("after the crash of b", test.want)
				r.wantChildren("after the crash of b", test.children)
			})
		})
	}
}
