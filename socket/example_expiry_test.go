package socket_test

import (
	"context"
	"fmt"
	"time"

	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/websock"
)

// member is here until its token expires, unless its client sends a new one.
type member struct{ until time.Time }

func (m *member) Init(ctx context.Context) websock.Result {
	socket.Expire(ctx, m.until)
	return websock.OK()
}

// HandleExpiry is called half a minute before.
func (m *member) HandleExpiry(context.Context) websock.Result {
	return websock.Push(websock.Text("your token expires"))
}

func (m *member) HandleIn(ctx context.Context, msg websock.Message) websock.Result {
	until, err := time.Parse(time.RFC3339, string(msg.Data)) // in place of a token
	if err != nil {
		return websock.Close(4401, "bad token")
	}
	socket.Expire(ctx, until)
	return websock.OK()
}

func (m *member) HandleInfo(context.Context, any) websock.Result { return websock.OK() }

// A socket that is there as long as the token of its client is valid.
func ExampleExpire() {
	h := &member{until: time.Now().Add(15 * time.Minute)} // from the token, in newHandler
	_, renews := websock.Handler(h).(websock.ExpiryHandler)
	fmt.Println("it is told before:", renews)
	// Output: it is told before: true
}
