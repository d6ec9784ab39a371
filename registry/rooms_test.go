package registry_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/exit"
	"github.com/troupe-dev/troupe/registry"
	"github.com/troupe-dev/troupe/supervisor"
)

// town is rooms under a Dynamic, which are found or started by their names, and a record of what happened to them.
type town struct {
	t     *testing.T
	reg   *registry.Registry
	sys   *actor.System
	rooms *supervisor.Dynamic

	mu      sync.Mutex
	here    map[string]actor.PID // the room of each name, from its Register until its end
	ended   map[string]int
	handled map[int]int // how often each request was
}

// townRoom is one of them. It answers a request, which is an int, with its PID.
type townRoom struct {
	town *town
	name string
}

// roomRestarts are the ways in which a room comes back: by whoever asks for it, or by the Dynamic, too.
var roomRestarts = map[string]supervisor.Restart{"temporary": supervisor.Temporary, "transient": supervisor.Transient}

// crash is a message that makes a room end with an error, or panic; fatal is a request that does.
type (
	crash struct{ panics bool }
	fatal int
)

func newTown(t *testing.T, cfg supervisor.DynamicConfig) *town {
	tw := &town{t: t, here: map[string]actor.PID{}, ended: map[string]int{}, handled: map[int]int{}}
	tw.reg, tw.sys = newRegistry(t)
	cfg.Name, cfg.Logger = "rooms", slog.New(slog.DiscardHandler)
	var err error
	if tw.rooms, err = supervisor.NewDynamic(cfg); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- tw.rooms.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the Dynamic has ended with %v", err)
		}
	})
	synctest.Wait()
	return tw
}

func (r *townRoom) Init(ctx context.Context) error {
	me := actor.Self(ctx)
	if err := r.town.reg.Register(r.name, me, nil); err != nil {
		return err
	}
	r.town.mu.Lock()
	defer r.town.mu.Unlock()
	if other, ok := r.town.here[r.name]; ok {
		r.town.t.Errorf("two rooms %s at one time: %v and %v", r.name, other, me)
	}
	r.town.here[r.name] = me
	return nil
}

func (r *townRoom) Receive(ctx context.Context, msg any) error {
	switch m := msg.(type) {
	case int:
		r.town.mu.Lock()
		r.town.handled[m]++
		r.town.mu.Unlock()
		actor.Reply(ctx, actor.Self(ctx))
	case fatal:
		r.town.mu.Lock()
		r.town.handled[int(m)]++
		r.town.mu.Unlock()
		return errBoom
	case crash:
		if m.panics {
			panic("a room has crashed")
		}
		return errBoom
	}
	return nil
}

func (r *townRoom) Terminate(ctx context.Context, reason error) {
	r.town.mu.Lock()
	defer r.town.mu.Unlock()
	delete(r.town.here, r.name)
	if exit.KindOf(reason) != exit.Shutdown {
		r.town.ended[r.name]++
	}
}

func (tw *town) start(name string) func(context.Context) (actor.PID, error) {
	return func(ctx context.Context) (actor.PID, error) {
		return spawnRoom(ctx, tw.rooms, tw.sys, func() actor.Actor { return &townRoom{tw, name} }, name)
	}
}

func (tw *town) ask(ctx context.Context, name string, request any) (actor.PID, error) {
	return registry.Ask[actor.PID](ctx, tw.reg, name, tw.start(name), request)
}

// check is called when nothing goes on: one room of each name lives and is found by it, and rooms that nobody crashed are
// the first ones.
func (tw *town) check(names []string, calm map[string]actor.PID) {
	tw.t.Helper()
	living := map[string][]actor.PID{}
	for info := range tw.sys.Processes() {
		living[info.Label] = append(living[info.Label], info.PID)
	}
	for _, name := range names {
		pid, _, _ := tw.reg.Whereis(name)
		if len(living[name]) != 1 || living[name][0] != pid {
			tw.t.Errorf("the rooms %s are %v, and Whereis says %v; want one", name, living[name], pid)
		}
	}
	for name, first := range calm {
		if pid, _, _ := tw.reg.Whereis(name); pid != first || tw.ended[name] > 0 {
			tw.t.Errorf("room %s, which nobody has crashed, was %v and is %v; it has ended %d times", name, first, pid, tw.ended[name])
		}
	}
}

// Random rooms are asked, ensured and crashed by many at once: each request is handled once at most, and once when it is
// answered; at the end there is one room of each name, and no room that nobody crashed has ever ended.
func TestRooms_property(t *testing.T) {
	seeds := 4
	if os.Getenv("TROUPE_STRESS") != "" {
		seeds = 200
	}
	for seed := range seeds {
		for name, restart := range roomRestarts {
			t.Run(fmt.Sprint(name, seed), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					townProperty(t, uint64(seed), supervisor.DynamicConfig{Restart: restart})
				})
			})
		}
	}
}

func townProperty(t *testing.T, seed uint64, cfg supervisor.DynamicConfig) {
	tw := newTown(t, cfg)
	var names []string
	calm := map[string]actor.PID{}
	for i := range 12 {
		names = append(names, fmt.Sprint("room:", i))
	}
	for i, name := range names[:6] {
		pid, err := tw.ask(t.Context(), name, -1-i)
		if err != nil {
			t.Fatalf("Ask of %s: %v", name, err)
		}
		calm[name] = pid
	}
	var wg sync.WaitGroup
	const workers, rounds = 8, 150
	answered := make([][]int, workers)
	for worker := range workers {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(seed, uint64(worker)))
			for round := range rounds {
				name := names[rnd.IntN(len(names))]
				switch n := rnd.IntN(10); {
				case n < 5:
					request := worker*rounds + round
					if _, ok := calm[name]; !ok && n == 0 {
						if _, err := tw.ask(t.Context(), name, fatal(request)); !errors.Is(err, actor.ErrNoProcess) {
							t.Errorf("seed %d: a request that ends %s: %v, want ErrNoProcess", seed, name, err)
						}
						continue
					}
					_, err := tw.ask(t.Context(), name, request)
					if err == nil {
						answered[worker] = append(answered[worker], request)
					} else if !errors.Is(err, actor.ErrNoProcess) {
						t.Errorf("seed %d: Ask of %s: %v", seed, name, err)
					}
				case n < 7:
					if _, err := tw.reg.Ensure(t.Context(), name, tw.start(name)); err != nil && !errors.Is(err, actor.ErrNoProcess) {
						t.Errorf("seed %d: Ensure of %s: %v", seed, name, err)
					}
				case n < 9:
					if _, ok := calm[name]; !ok {
						if pid, _, ok := tw.reg.Whereis(name); ok {
							pid.Send(crash{n == 8})
						}
					}
				default:
					time.Sleep(time.Duration(rnd.IntN(20)) * time.Millisecond)
				}
			}
		})
	}
	wg.Wait()
	time.Sleep(time.Minute) // all restarts are over
	for i, name := range names {
		if _, err := tw.ask(t.Context(), name, -100-i); err != nil {
			t.Errorf("seed %d: Ask of %s at the end: %v", seed, name, err)
		}
	}
	synctest.Wait()
	tw.mu.Lock()
	defer tw.mu.Unlock()
	for request, n := range tw.handled {
		if n != 1 {
			t.Errorf("seed %d: request %d was handled %d times", seed, request, n)
		}
	}
	for _, requests := range answered {
		for _, request := range requests {
			if tw.handled[request] != 1 {
				t.Errorf("seed %d: request %d was answered, and handled %d times", seed, request, tw.handled[request])
			}
		}
	}
	crashed := 0
	for _, n := range tw.ended {
		crashed += n
	}
	if crashed == 0 {
		t.Errorf("seed %d: no room has crashed: the test tests nothing", seed)
	}
	tw.check(names, calm)
}

// spawnRoom starts a room under the Dynamic.
func spawnRoom(ctx context.Context, d *supervisor.Dynamic, sys *actor.System, newActor func() actor.Actor, label string) (actor.PID, error) {
	return d.Spawn(ctx, "", sys, newActor, actor.SpawnOptions{Label: label})
}

// visitor is a member of a room that comes back to it when it has crashed, as each of twenty at once.
type visitor struct {
	town *town
	name string
}

func (v *visitor) Init(ctx context.Context) error { return v.enter(ctx) }

func (v *visitor) enter(ctx context.Context) error {
	pid, err := v.town.ask(ctx, v.name, -1)
	if err != nil {
		return err
	}
	actor.Monitor(ctx, pid)
	return nil
}

func (v *visitor) Receive(ctx context.Context, msg any) error {
	if _, ok := msg.(actor.Down); ok {
		return v.enter(ctx)
	}
	return nil
}

// One room crashes, again and again, and all its members look for it at once: the others do not notice.
func TestRooms_crash(t *testing.T) {
	for name, restart := range roomRestarts {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tw := newTown(t, supervisor.DynamicConfig{Restart: restart})
				names := []string{"room:a", "room:b", "room:c", "room:d", "room:e"}
				var visitors []actor.PID
				for _, name := range names {
					for range 20 {
						pid, err := tw.sys.Spawn(t.Context(), &visitor{tw, name}, actor.SpawnOptions{})
						if err != nil {
							t.Fatal(err)
						}
						visitors = append(visitors, pid)
					}
				}
				for round := range 100 {
					calm := map[string]actor.PID{}
					for _, name := range names[1:] {
						calm[name], _, _ = tw.reg.Whereis(name)
					}
					pid, _, _ := tw.reg.Whereis(names[0])
					pid.Send(crash{round%2 == 0})
					time.Sleep(10 * time.Second) // so that one room is not restarted too often
					synctest.Wait()
					tw.mu.Lock()
					if now := tw.here[names[0]]; now == pid || now == (actor.PID{}) {
						t.Errorf("round %d: the room that has crashed, %v, is %v now", round, pid, now)
					}
					tw.ended[names[0]] = 0
					tw.check(names, calm)
					tw.mu.Unlock()
					if t.Failed() {
						return
					}
				}
				for _, pid := range visitors {
					if !pid.Alive() {
						t.Errorf("the visitor %v has ended", pid)
					}
				}
			})
		})
	}
}

// Rooms whose name is also their id in the Dynamic: whoever asks while one is being restarted waits for it.
func TestAsk_roomsThatAreChildrenUnderTheirName(t *testing.T) {
	for restarts, restart := range roomRestarts {
		t.Run(restarts, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tw := newTown(t, supervisor.DynamicConfig{Restart: restart, MaxRestarts: 1000})
				start := func(ctx context.Context) (actor.PID, error) {
					return tw.rooms.Spawn(ctx, "a", tw.sys, func() actor.Actor { return &townRoom{tw, "a"} }, actor.SpawnOptions{Label: "a"})
				}
				ask := func() (actor.PID, error) { return registry.Ask[actor.PID](t.Context(), tw.reg, "a", start, -1) }
				for range 50 {
					pid, err := ask()
					if err != nil {
						t.Fatal(err)
					}
					pid.Send(crash{})
					var members sync.WaitGroup
					for range 20 {
						members.Go(func() {
							_, _ = actor.Wait(t.Context(), pid)
							if next, err := ask(); err != nil || next == pid {
								t.Errorf("Ask after the end of %v: %v, %v; want the room that came after it", pid, next, err)
							}
						})
					}
					members.Wait()
					if t.Failed() {
						return
					}
				}
				tw.check([]string{"a"}, nil)
			})
		})
	}
}
