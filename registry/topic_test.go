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
		prices := topicOf[price](t, reg, "prices")
		if n := prices.Publish(price{1}); n != 0 {
			t.Errorf("Publish to nobody = %d", n)
		}
		reg.Join("prices", b.pid, "meta") // by name: a member like others
		for _, m := range []*member{a, a, b} {
			if err := prices.Subscribe(m.pid); err != nil {
				t.Errorf("Subscribe: %v", err)
			}
		}
		wantMembers(t, reg, "prices", map[actor.PID]any{a.pid: nil, b.pid: "meta"})
		if n := topicOf[price](t, reg, "prices").Publish(price{2}); n != 2 {
			t.Errorf("Publish = %d, want 2", n)
		}
		synctest.Wait()
		prices.Unsubscribe(b.pid)
		reg.Broadcast("prices", "untyped")
		synctest.Wait()
		wantGot(t, a, price{2}, "untyped")
		wantGot(t, b, price{2})
	})
}

// A name belongs to the type that had it first, even when nobody is subscribed.
func TestTopicOf_otherType(t *testing.T) {
	reg, sys := newRegistry(t)
	a := spawn(t, sys)
	prices := topicOf[price](t, reg, "x")
	other := func() {
		t.Helper()
		_, err := registry.TopicOf[*price](reg, "x")
		if err == nil {
			t.Fatal("TopicOf with another type: no error")
		}
		for _, part := range []string{`"x"`, "registry_test.price", "*registry_test.price"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("the error %q does not say %s", err, part)
			}
		}
		if _, err := registry.TopicOf[price](reg, "x"); err != nil {
			t.Errorf("TopicOf with the same type: %v", err)
		}
	}
	other() // nobody is there
	prices.Subscribe(a.pid)
	other()
	end(t, a.pid, actor.ErrNormal)
	other() // nobody is there any more
	if _, err := registry.TopicOf[any](reg, "y"); err != nil {
		t.Errorf("TopicOf of another name: %v", err)
	}
	if _, err := registry.TopicOf[*price](registry.New(sys), "x"); err != nil {
		t.Errorf("TopicOf of another Registry: %v", err)
	}
}
