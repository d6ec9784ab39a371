package codec_test

import (
	"context"
	"io"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster/internal/codec"
	"github.com/troupe-dev/troupe/websock"
)

// Types that cannot be registered, or should not be.
type (
	hidden  struct{ user string }
	failing struct{ Err error }
	channel struct{ In []chan int }
	keyed   struct{ M map[[2]int]string }
	oneWay  struct{ T tellOnly }
	deep    struct{ A map[string][]*hidden }

	tellOnly struct{ Text string }

	tree struct {
		Who  actor.PID
		Kids []tree
	}

	// remembers has what may stay behind.
	remembers struct {
		User  string
		mu    sync.Mutex `json:"-"`
		Cache func()     `json:"-"`
		_     int
		base
	}
	base struct{ Room string }
)

func (tellOnly) MarshalText() ([]byte, error) { return nil, nil }

func TestRegister_mistakes(t *testing.T) {
	_ = hidden{user: ""}.user
	twice := func(t *codec.Types) { codec.Register[joined](t, "joined"); codec.Register[joined](t, "again") }
	for want, f := range map[string]func(t *codec.Types){
		"cluster: type codec_test.hidden as \"x\": field user is not exported and would be lost; export it, tag it `json:\"-\"`, or use RegisterFunc": func(t *codec.Types) { codec.Register[hidden](t, "x") },
		"cluster: type codec_test.deep as \"x\": field user is not exported and would be lost; export it, tag it `json:\"-\"`, or use RegisterFunc":   func(t *codec.Types) { codec.Register[deep](t, "x") },
		`cluster: type codec_test.failing as "x": field Err is a error, and the other node would not know which type to make`:                         func(t *codec.Types) { codec.Register[failing](t, "x") },
		`cluster: type codec_test.channel as "x": field In is a chan int, which cannot leave its process`:                                             func(t *codec.Types) { codec.Register[channel](t, "x") },
		`cluster: type codec_test.keyed as "x": field M has keys of type [2]int, which JSON cannot have`:                                              func(t *codec.Types) { codec.Register[keyed](t, "x") },
		`cluster: type codec_test.oneWay as "x": field T (codec_test.tellOnly) has a MarshalJSON or MarshalText, but nothing that reads it back`:      func(t *codec.Types) { codec.Register[oneWay](t, "x") },
		`cluster: type func() as "x": it is a func(), which cannot leave its process`:                                                                 func(t *codec.Types) { codec.Register[func()](t, "x") },
		`cluster: type codec_test.tree as "x": codec_test.tree contains itself and an actor.PID; use RegisterFunc`:                                    func(t *codec.Types) { codec.Register[tree](t, "x") },
		`cluster: type io.Reader as "x": it is a io.Reader, and the other node would not know which type to make`:                                     func(t *codec.Types) { codec.Register[io.Reader](t, "x") },
		`cluster: type interface {} as "x": it is an interface; register the types that it stands for`:                                                func(t *codec.Types) { codec.Register[any](t, "x") },
		`cluster: type string as "x": it crosses nodes as it is`:                                                                                      func(t *codec.Types) { codec.Register[string](t, "x") },
		`cluster: type actor.PID as "x": it crosses nodes as it is`:                                                                                   func(t *codec.Types) { codec.Register[actor.PID](t, "x") },
		`cluster: type websock.Message as "x": it crosses nodes as it is`:                                                                             func(t *codec.Types) { codec.Register[websock.Message](t, "x") },
		`cluster: type codec_test.joined as "": the name must have 1 to 255 bytes`:                                                                    func(t *codec.Types) { codec.Register[joined](t, "") },
		`cluster: type codec_test.joined as "` + strings.Repeat("n", 256) + `": the name must have 1 to 255 bytes`:                                    func(t *codec.Types) { codec.Register[joined](t, strings.Repeat("n", 256)) },
		`cluster: type codec_test.joined as "\xff": the name is not UTF-8`:                                                                            func(t *codec.Types) { codec.Register[joined](t, "\xff") },
		`cluster: type codec_test.joined as "again": it is "joined" already`:                                                                          twice,
		`cluster: type codec_test.point as "joined": another type has this name`:                                                                      func(t *codec.Types) { codec.Register[joined](t, "joined"); codec.Register[point](t, "joined") },
		`cluster: type codec_test.celsius as "x": a function is nil`:                                                                                  func(t *codec.Types) { codec.RegisterFunc[celsius](t, "x", nil, nil) },
		`cluster: error "x": it must be a sentinel, which is comparable and not nil`:                                                                  func(t *codec.Types) { codec.RegisterError(t, "x", nil) },
		`cluster: error "y": it must be a sentinel, which is comparable and not nil`:                                                                  func(t *codec.Types) { codec.RegisterError(t, "y", uncomparable{"a"}) },
		`cluster: error "": the name must have 1 to 255 bytes`:                                                                                        func(t *codec.Types) { codec.RegisterError(t, "", errBoom) },
		`cluster: error "x" (shutdown) is "exit.ErrShutdown" already`:                                                                                 func(t *codec.Types) { codec.RegisterError(t, "x", actor.ErrShutdown) },
		`cluster: error "boom" (EOF) is "boom" already`:                                                                                               func(t *codec.Types) { codec.RegisterError(t, "boom", errBoom); codec.RegisterError(t, "boom", io.EOF) },
		`cluster: "late" is registered too late: a node uses these Types already`: func(types *codec.Types) {
			newCodec(newSystem(t, "a"), types)
			codec.Register[joined](types, "late")
		},
	} {
		mustPanic(t, want, func() { f(new(codec.Types)) })
	}
}

type uncomparable []string

func (u uncomparable) Error() string { return u[0] }

func TestRegister_fieldsThatStayBehind(t *testing.T) {
	p := connect(t, func(t *codec.Types) { codec.Register[*remembers](t, "r") }, func(t *codec.Types) { codec.Register[*remembers](t, "r") })
	sent := &remembers{User: "ann", Cache: func() {}, base: base{"lobby"}}
	sent.mu.Lock()
	got, ok := p.value(t, sent).(*remembers)
	if !ok || got.User != "ann" || got.Room != "lobby" || got.Cache != nil || !got.mu.TryLock() {
		t.Errorf("sent %#v, got %#v", sent, got)
	}
}

func TestRegister_namesOfAllTypesTogether(t *testing.T) {
	types := new(codec.Types)
	defer func() {
		if got, _ := recover().(string); !strings.HasSuffix(got, "the names of all types have more than 65536 bytes") {
			t.Errorf("panic %q", got)
		}
	}()
	row[[0]int](types)
	row[[1]int](types)
	row[[2]int](types)
	row[[3]int](types)
	row[[4]int](types)
	row[[5]int](types)
	row[[6]int](types)
	t.Error("more than 64 KiB of names are accepted")
}

// row registers 40 types with names of 255 bytes.
func row[A any](t *codec.Types) {
	cells[A, [0]int](t)
	cells[A, [1]int](t)
	cells[A, [2]int](t)
	cells[A, [3]int](t)
	cells[A, [4]int](t)
}

func cells[A, B any](t *codec.Types) {
	long[[0]struct {
		A A
		B B
	}](t)
	long[[1]struct {
		A A
		B B
	}](t)
	long[[2]struct {
		A A
		B B
	}](t)
	long[[3]struct {
		A A
		B B
	}](t)
	long[[4]struct {
		A A
		B B
	}](t)
	long[[5]struct {
		A A
		B B
	}](t)
	long[[6]struct {
		A A
		B B
	}](t)
	long[[7]struct {
		A A
		B B
	}](t)
}

func long[T any](t *codec.Types) {
	name := reflect.TypeFor[T]().String()
	codec.RegisterFunc(t, name+strings.Repeat("-", 255-len(name)),
		func(b []byte, _ T) ([]byte, error) { return b, nil }, func([]byte) (v T, err error) { return v, nil })
}

// seat and table have PIDs in all places where JSON can have them.
type (
	seat struct {
		Who  actor.PID `json:"who"`
		Hand int
	}
	table struct {
		Dealer  actor.PID
		Owner   *actor.PID `json:"owner,omitempty"`
		Seats   []seat
		Corners [2]actor.PID
		ByName  map[string]actor.PID
		ByPID   map[actor.PID]seat
		Deep    map[int][]*seat
		At      time.Time
		Note    *string
		seat
		*Wide
	}
	// Wide is embedded by pointer and has a method: package reflect could not embed it as it is.
	Wide struct{ Width int }
)

func (Wide) Area() int { return 0 }

func TestValue_pidsWithinRegisteredTypes(t *testing.T) {
	register := func(t *codec.Types) {
		codec.Register[table](t, "table")
		codec.Register[*seat](t, "seat")
		codec.Register[[]actor.PID](t, "pids")
		codec.Register[map[actor.PID]bool](t, "set")
	}
	p := connect(t, register, register)
	atA := []actor.PID{spawn(t, p.a), spawn(t, p.a), mustParse(t, p.a, spawn(t, p.b).String()), {}}
	note := "note"
	of := func(pids []actor.PID) []any {
		return []any{
			table{
				Dealer: pids[0], Owner: &pids[1], Seats: []seat{{pids[0], 1}, {pids[3], 2}}, Corners: [2]actor.PID{pids[1], pids[2]},
				ByName: map[string]actor.PID{"ann": pids[0], "bob": pids[2]}, ByPID: map[actor.PID]seat{pids[0]: {pids[1], 3}, pids[3]: {}},
				Deep: map[int][]*seat{7: {{pids[0], 4}, nil}, 8: nil}, At: time.Unix(1, 0).UTC(), Note: &note,
				seat: seat{pids[2], 5}, Wide: &Wide{6},
			},
			table{Seats: []seat{}},
			&seat{pids[0], 1},
			(*seat)(nil),
			pids,
			map[actor.PID]bool{pids[0]: true, pids[2]: false},
		}
	}
	var atB []actor.PID
	for _, pid := range atA {
		atB = append(atB, mustParse(t, p.b, pid.String()))
	}
	want := of(atB)
	for i, v := range of(atA) {
		if got := p.value(t, v); !reflect.DeepEqual(got, want[i]) {
			t.Errorf("sent\n %+v\ngot\n %+v\nwant\n %+v", v, got, want[i])
		}
	}
	if !atB[2].Alive() || !p.value(t, table{Dealer: atA[2]}).(table).Dealer.Alive() {
		t.Error("a PID of the receiver that comes home is not alive there")
	}
}

// TestValue_olderAndNewerVersions: fields that one side does not have are left out, as JSON does.
func TestValue_olderAndNewerVersions(t *testing.T) {
	type newer struct {
		Who, Also actor.PID
		Text      string
	}
	type older struct {
		Who  actor.PID
		Gone int
	}
	p := connect(t, func(t *codec.Types) { codec.Register[newer](t, "v") }, func(t *codec.Types) { codec.Register[older](t, "v") })
	who := spawn(t, p.a)
	if got, want := p.value(t, newer{Who: who, Also: who, Text: "x"}), (older{Who: mustParse(t, p.b, who.String())}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestTypes_usedByManyGoroutines(t *testing.T) {
	p := connect(t, registerAll, registerAll)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 100 {
				want := joined{User: strings.Repeat("u", i)}
				if got := p.value(t, want); !reflect.DeepEqual(got, want) {
					t.Errorf("sent %+v, got %+v", want, got)
				}
				if got := p.reason(t, context.Canceled); got != context.Canceled {
					t.Errorf("sent %v, got %v", context.Canceled, got)
				}
			}
		})
	}
	wg.Wait()
}
