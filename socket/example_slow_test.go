package socket_test

import (
	"context"
	"fmt"
	"time"

	"github.com/troupe-dev/troupe/registry"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/websock"
)

// A client that is behind gets the newest price of each symbol, and no more than 16 KiB of them are on their way to it.
func ExampleConfig_slowClients() {
	prices, err := socket.New(socket.Config{Name: "prices", SendBuffer: 16 << 10, Logger: quiet})
	if err != nil {
		panic(err)
	}
	defer prices.Shutdown(context.Background())

	publish := func(reg *registry.Registry, symbol string, cents int) {
		m := websock.JSON(map[string]any{"symbol": symbol, "cents": cents})
		reg.Broadcast(symbol, m.Deliver(websock.Delivery{Key: symbol}))
	}
	_ = publish // called by whatever knows the prices
	fmt.Println(prices.Stats().LeftOut, "left out")
	// Output: 0 left out
}

// The lines of a log: a client that is behind gets the newest ones, none older than five seconds, and is told of the gap by its
// handler's HandleLag.
func ExampleOverflow() {
	logs, err := socket.New(socket.Config{MailboxLimit: 256, MaxLag: 5 * time.Second, Overflow: socket.LeaveOutOldest, Logger: quiet})
	if err != nil {
		panic(err)
	}
	defer logs.Shutdown(context.Background())
	fmt.Println(logs.Stats().LeftOut, "left out")
	// Output: 0 left out
}
