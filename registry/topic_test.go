package registry_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/registry"
)

type price struct{ cents int }

func TestTopic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg, sys := newRegistry(t)
		a, b := spawn(t, sys), spawn(t, sys)
		prices := registry.TopicOf[price](reg, "prices")
		if n := prices.Publish(price{1}); n != 0 {
			t.Errorf("Publish to nobody = %d", n)
		}
		reg.Join("prices", b.pid, "meta") // by name: a member like others
		for _, m := range []*member{a, a, b} {
			if !prices.Subscribe(m.pid) {
				t.Errorf("Subscribe of %v says false", m.pid)
			}
		}
		wantMembers(t, reg, "prices", map[actor.PID]any{a.pid: nil, b.pid: "meta"})
		if n := registry.TopicOf[price](reg, "prices").Publish(price{2}); n != 2 {
			t.Errorf("Publish = %d, want 2", n)
		}
		reg.Leave("prices", b.pid)
		reg.Broadcast("prices", "untyped")
		synctest.Wait()
		wantGot(t, a, price{2}, "untyped")
		wantGot(t, b, price{2})
	})
}

func TestTopic_otherType(t *testing.T) {
	reg, sys := newRegistry(t)
	a, b := spawn(t, sys), spawn(t, sys)
	prices, names := registry.TopicOf[price](reg, "x"), registry.TopicOf[string](reg, "x") // nobody uses it
	prices.Subscribe(a.pid)
	for what, f := range map[string]func(){
		"TopicOf":               func() { registry.TopicOf[*price](reg, "x") },
		"Publish":               func() { names.Publish("x") },
		"Subscribe":             func() { names.Subscribe(b.pid) },
		"Subscribe by a member": func() { names.Subscribe(a.pid) },
	} {
		v := mustPanic(t, what, f)
		if text, _ := v.(string); !strings.Contains(text, `"x"`) || !strings.Contains(text, "registry_test.price") {
			t.Errorf("%s panicked with %v, which does not name the topic and its type", what, v)
		}
	}
	wantMembers(t, reg, "x", map[actor.PID]any{a.pid: nil})
	end(t, a.pid, actor.ErrNormal)
	if !names.Subscribe(b.pid) || names.Publish("x") != 1 {
		t.Error("the name of a topic that was given up cannot be used for another type")
	}
	mustPanic(t, "Publish", func() { prices.Publish(price{1}) })
}

// The binding of a type goes with the last member of a large group, too, whoever watches.
func TestTopic_otherTypeLarge(t *testing.T) {
	reg, sys := newRegistry(t)
	ms := spawnMany(t, sys, 100)
	reg.Watch("x", ms[0].pid)
	for range 2 {
		for _, m := range ms {
			registry.TopicOf[price](reg, "x").Subscribe(m.pid)
		}
		mustPanic(t, "TopicOf", func() { registry.TopicOf[string](reg, "x") })
		for _, m := range ms {
			reg.Leave("x", m.pid)
		}
		registry.TopicOf[string](reg, "x")
	}
}
