package main

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/registry"
)

// marketName is that of the market in the registry.
const marketName = "market"

var symbols = []string{"ACORN", "BIRCH", "CEDAR", "ELDER", "HAZEL", "LARCH", "MAPLE", "ROWAN"}

// market changes one price at each tick, and tells everybody. It does not know who is slow.
type market struct {
	o      options
	reg    *registry.Registry
	prices []price // in the order of symbols
	halted bool
	halts  int // messages about trading
}

// What a market is sent, halt by the tabs. It answers a Call with ask: all.
type (
	tick   struct{}
	halt   struct{}
	resume struct{}
	ask    struct{}
)

func newMarket(o options, reg *registry.Registry) *market { return &market{o: o, reg: reg} }

func (m *market) Init(ctx context.Context) error {
	for i, symbol := range symbols {
		m.prices = append(m.prices, price{"price", symbol, 2000 + 1500*i, 0, time.Now().UnixMilli()})
	}
	actor.SendEvery(ctx, time.Second/time.Duration(m.o.rate), tick{})
	return m.reg.Register(marketName, actor.Self(ctx), nil)
}

func (m *market) Receive(ctx context.Context, msg any) error {
	switch msg.(type) {
	case tick:
		if !m.halted {
			m.trade()
		}
	case halt:
		if !m.halted {
			actor.SendAfter(ctx, m.o.halt, resume{})
			m.setHalted(true)
		}
	case resume:
		m.setHalted(false)
	case ask:
		actor.Reply(ctx, all{append([]price(nil), m.prices...), m.halted})
	}
	return nil
}

// trade changes one price. To a tab that keeps up each change goes; for one that is behind it takes the place of the older one
// of the same symbol that waits.
func (m *market) trade() {
	p := &m.prices[rand.IntN(len(m.prices))]
	p.Cents = max(100, p.Cents+rand.IntN(41)-20)
	p.N++
	p.At = time.Now().UnixMilli()
	m.reg.Broadcast(everybody, newest(p.Symbol, p))
}

func (m *market) setHalted(halted bool) {
	m.halted = halted
	m.halts++
	m.reg.Broadcast(everybody, newest("trading", trading{"trading", m.halts, halted}))
}
