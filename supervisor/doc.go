// Package supervisor runs services and actors as OTP supervision trees: started in order, stopped in reverse order,
// restarted by rules, and taken down as a whole when restarts do not help.
//
//	err := supervisor.Run(ctx, supervisor.Config{Name: "chat"},
//		supervisor.ChildSpec{ID: "db", Service: db, StartTimeout: 10 * time.Second},
//		supervisor.ChildSpec{ID: "http", Service: supervisor.HTTP(&http.Server{Addr: ":8080", Handler: mux}, nil)},
//		supervisor.ChildSpec{ID: "sockets", Service: sockets},
//	)
//
// A child is anything with Serve(ctx) error: suture's services, a [ServiceFunc], an actor by [Actor], an HTTP server by
// [HTTP], a [Dynamic] for children that come and go, another [Supervisor]. A Supervisor is such a service itself, so it
// runs under suture, errgroup or fx as well.
//
// # The life of a tree
//
//  1. [Supervisor.Serve] starts the children in order, each when the one before it is ready (ChildSpec.StartTimeout).
//     A first start that fails ends the start with its error; what was started is stopped in reverse order.
//  2. A child that ends is restarted or not, by its [Restart] and the kind of its exit reason; the [Strategy] says who is
//     restarted with it.
//  3. More than Config.MaxRestarts restarts within Config.Within, and the supervisor gives up: it stops its children
//     and Serve fails with an [*IntensityError]. Its own supervisor decides what then.
//  4. When the ctx of Serve is done, the children are stopped in reverse order, each within its ChildSpec.Shutdown.
//
// # Exit reasons
//
// What Serve of a child returns is its exit reason, of a kind as package exit defines:
//
//	nil                                           normal
//	anything, after the supervisor ended its ctx  shutdown
//	any other error                               what exit.KindOf says
//	a panic, runtime.Goexit                       abnormal, as an *actor.PanicError
//
// The error of a context that the supervisor did not end is abnormal. Permanent children are restarted whatever the
// kind, transient ones when it is abnormal, temporary ones never.
//
// # What a supervisor cannot do
//
// A goroutine cannot be killed. A child that does not return within its Shutdown is abandoned: reported by name (event,
// log, the error of Serve), while the tree goes on without it; a successor may run beside it. Actors can be killed, HTTP
// servers closed and supervisors told to kill, so this happens to [Actor], [HTTP], [Supervisor] and [Dynamic] only where
// code of the user's that they call, a newActor or a listen, does not return.
//
// A restarted actor has a new PID. Find it by name.
package supervisor
