package supervisor_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/supervisor"
)

// Commands, crashes and the end from many goroutines at once: nothing hangs, and nothing runs afterwards.
func TestStress_supervisor(t *testing.T) {
	for _, strategy := range strategies {
		t.Run(strategy.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				sys := newSystem(t)
				var live atomic.Int64
				s, err := supervisor.New(supervisor.Config{Strategy: strategy, MaxRestarts: 1 << 30, Logger: quiet, OnEvent: func(supervisor.Event) {}})
				if err != nil {
					t.Fatal(err)
				}
				newChild := func(id string) supervisor.ChildSpec {
					c := supervisor.ChildSpec{ID: id, Restart: supervisor.Restart(rand.IntN(4)), StartTimeout: time.Duration(rand.IntN(2)) * time.Second}
					if rand.IntN(4) == 0 {
						c.Service = supervisor.Actor(sys, func() actor.Actor {
							return &worker{
								init: func(ctx context.Context) error {
									live.Add(1)
									actor.SendAfter(ctx, time.Duration(rand.IntN(100))*time.Millisecond, errCrash)
									return nil
								},
								terminate: func(context.Context, error) { live.Add(-1) },
							}
						}, actor.SpawnOptions{})
						return c
					}
					c.Service = supervisor.ServiceFunc(func(ctx context.Context) error {
						live.Add(1)
						defer live.Add(-1)
						if rand.IntN(10) > 0 {
							supervisor.Ready(ctx)
						}
						select {
						case <-ctx.Done():
						case <-time.After(time.Duration(rand.IntN(100)) * time.Millisecond):
							if rand.IntN(2) == 0 {
								_ = s.TerminateChild(ctx, fmt.Sprint(rand.IntN(10)))
							}
						}
						return errCrash
					})
					return c
				}
				for range 3 {
					ctx, cancel := context.WithCancel(t.Context())
					served := make(chan error)
					go func() { served <- s.Serve(ctx) }()
					var wg sync.WaitGroup
					for range 10 {
						wg.Go(func() {
							for range 100 {
								id := fmt.Sprint(rand.IntN(10))
								wait, stop := context.WithTimeout(t.Context(), time.Duration(rand.IntN(1000))*time.Millisecond)
								switch rand.IntN(5) {
								case 0, 1:
									_ = s.StartChild(wait, newChild(id))
								case 2:
									_ = s.TerminateChild(wait, id)
								case 3:
									_ = s.RestartChild(wait, id)
								case 4:
									_ = s.DeleteChild(id)
								}
								stop()
								s.Children()
								time.Sleep(time.Duration(rand.IntN(10)) * time.Millisecond)
							}
						})
					}
					wg.Go(func() { time.Sleep(time.Duration(rand.IntN(2000)) * time.Millisecond); cancel() })
					wantErr(t, "Serve", <-served, nil)
					if n := live.Load(); n != 0 {
						t.Errorf("%d children live after Serve", n)
					}
					wg.Wait()
				}
			})
		})
	}
}

// The same for a Dynamic.
func TestStress_dynamic(t *testing.T) {
	for _, restart := range []supervisor.Restart{supervisor.Permanent, supervisor.Transient, supervisor.Temporary} {
		t.Run(restart.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				sys := newSystem(t)
				var live atomic.Int64
				d, err := supervisor.NewDynamic(supervisor.DynamicConfig{Restart: restart, MaxRestarts: 1 << 30, MaxChildren: 50, Logger: quiet, OnEvent: func(supervisor.Event) {}})
				if err != nil {
					t.Fatal(err)
				}
				for range 3 {
					ctx, cancel := context.WithCancel(t.Context())
					served := make(chan error)
					go func() { served <- d.Serve(ctx) }()
					synctest.Wait()
					var wg sync.WaitGroup
					for range 10 {
						wg.Go(func() {
							for range 100 {
								id := fmt.Sprint(rand.IntN(20))
								switch rand.IntN(3) {
								case 0:
									if pid, err := d.Spawn(context.Background(), "", sys, func() actor.Actor {
										return &worker{
											init: func(ctx context.Context) error {
												if rand.IntN(10) == 0 {
													return errCrash
												}
												live.Add(1)
												actor.SendAfter(ctx, time.Duration(rand.IntN(100))*time.Millisecond, errCrash)
												return nil
											},
											terminate: func(context.Context, error) { live.Add(-1) },
										}
									}, actor.SpawnOptions{}); err == nil && rand.IntN(2) == 0 {
										_ = d.Stop(context.Background(), pid.String())
									}
								case 1:
									_ = d.Start(context.Background(), id, supervisor.ServiceFunc(func(ctx context.Context) error {
										live.Add(1)
										defer live.Add(-1)
										select {
										case <-ctx.Done():
										case <-time.After(time.Duration(rand.IntN(100)) * time.Millisecond):
										}
										return errCrash
									}))
								case 2:
									_ = d.Stop(context.Background(), id)
								}
								for range d.Children() {
								}
								if n := d.Count(); n > 50 {
									t.Errorf("%d children, want at most 50", n)
								}
								time.Sleep(time.Duration(rand.IntN(10)) * time.Millisecond)
							}
						})
					}
					wg.Go(func() { time.Sleep(time.Duration(rand.IntN(1000)) * time.Millisecond); cancel() })
					wantErr(t, "Serve", <-served, nil)
					if n := live.Load(); n != 0 {
						t.Errorf("%d children live after Serve", n)
					}
					wg.Wait()
				}
			})
		})
	}
}

// In an errgroup a tree is one member: it ends with the others, and when it fails, they end.
func TestSupervisor_inAGroup(t *testing.T) {
	group := func(ctx context.Context, members ...func(context.Context) error) error {
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		var wg sync.WaitGroup
		for _, m := range members {
			wg.Go(func() {
				if err := m(ctx); err != nil {
					cancel(err)
				}
			})
		}
		wg.Wait()
		return context.Cause(ctx)
	}
	for _, crash := range []bool{false, true} {
		bubble(t, func(t *testing.T) {
			sys := newSystem(t)
			a := newService()
			s, err := supervisor.New(supervisor.Config{MaxRestarts: -1, Logger: quiet}, spec("a", a, 0))
			if err != nil {
				t.Fatal(err)
			}
			d, err := supervisor.NewDynamic(supervisor.DynamicConfig{Logger: quiet})
			if err != nil {
				t.Fatal(err)
			}
			errOther := fmt.Errorf("other")
			err = group(t.Context(), s.Serve, d.Serve, supervisor.Actor(sys, newWorker, actor.SpawnOptions{}).Serve, func(ctx context.Context) error {
				time.Sleep(time.Second)
				if crash {
					a.end(errCrash)
					<-ctx.Done()
					return nil
				}
				return errOther
			})
			if want := map[bool]error{true: errCrash, false: errOther}[crash]; want != nil {
				wantErr(t, "group", err, want)
			}
		})
	}
}
