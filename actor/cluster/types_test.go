package cluster_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/actor/cluster/clustertest"
)

// point does not cross by its default: its fields are not exported, so there are functions.
type point struct{ x, y byte }

type known struct {
	Text string
	Who  actor.PID
}

// A message that is not known at the other node, or is broken there, is lost, told of and counted; a Call gets an error at
// once. What comes before and after arrives.
func TestUndecodable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ev := &events{}
		c := clustertest.New(t, clustertest.Config{Nodes: 2, Seed: 1, Node: func(i int, _ *actor.System) cluster.Config {
			types := &cluster.Types{}
			cluster.RegisterFunc(types, "point", func(b []byte, p point) ([]byte, error) { return append(b, p.x, p.y), nil },
				func(b []byte) (point, error) {
					if b[1] == 0 {
						panic("no")
					}
					if b[0] == 0 {
						return point{}, errors.New("x is 0")
					}
					return point{b[0], b[1]}, nil
				})
			if i == 0 {
				cluster.Register[known](types, "known")
				return cluster.Config{Types: types}
			}
			return cluster.Config{Types: types, OnEvent: ev.add}
		}})
		echo := &journal[any]{}
		p := spawn(t, c.System(1), &behaviour{receive: func(ctx context.Context, msg any) error {
			echo.add(msg)
			actor.Reply(ctx, msg)
			return nil
		}}, actor.SpawnOptions{})
		away := c.At(0, p)
		ev.want(t, "node up n0")
		for _, msg := range []any{"before", known{Text: "?"}, point{0, 1}, point{1, 0}, known{}, point{1, 2}, "after"} {
			if !away.Send(msg) {
				t.Errorf("Send(%v) = false, want true", msg)
			}
		}
		synctest.Wait()
		if got, want := echo.all(), []any{"before", point{1, 2}, "after"}; !slices.Equal(got, want) {
			t.Errorf("received %v, want %v", got, want)
		}
		ev.want(t, "node up n0", `undecodable n0 "known"`, `undecodable n0 "point"`, `undecodable n0 "point"`, `undecodable n0 "known"`)
		for i, want := range []string{"no type of this name is registered here", "x is 0", "panics: no"} {
			if err := ev.all()[i+1].Err; !strings.Contains(err.Error(), want) {
				t.Errorf("the event says %v, want %q", err, want)
			}
		}
		for info := range c.Node(1).Peers() {
			if info.Undecodable != 4 {
				t.Errorf("Peers says %+v, want 4 undecodable", info)
			}
		}
		start := time.Now()
		if v, err := ask(away, known{}); err == nil || !strings.Contains(err.Error(), "known") || time.Since(start) > time.Second {
			t.Errorf("Call with a type that is not known there = %v, %v after %v; want an error at once that names it", v, err, time.Since(start))
		}
		if v, err := ask(away, make(chan int)); err == nil || !strings.Contains(err.Error(), "chan int") {
			t.Errorf("Call with a channel = %v, %v; want an error that names the type", v, err)
		}
		replies := spawn(t, c.System(0), &behaviour{receive: func(ctx context.Context, msg any) error {
			if msg == "chan" {
				actor.Reply(ctx, make(chan int))
			} else {
				actor.Reply(ctx, known{})
			}
			return nil
		}}, actor.SpawnOptions{})
		if v, err := ask(c.At(1, replies), "known"); err == nil || !strings.Contains(err.Error(), "known") {
			t.Errorf("Call with a reply that is not known here = %v, %v; want an error that names it", v, err)
		}
		if v, err := ask(c.At(1, replies), "chan"); err == nil || !strings.Contains(err.Error(), "chan int") {
			t.Errorf("Call with a reply that cannot be encoded = %v, %v; want an error that names it", v, err)
		}
	})
}
