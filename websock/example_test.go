package websock_test

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"github.com/troupe-dev/troupe/actor/exit"
	"github.com/troupe-dev/troupe/websock"
)

func ExampleText() {
	fmt.Println(websock.Text("hello"))
	// Output: text, 5 bytes: "hello"
}

func ExampleTextBytes() {
	p := fmt.Appendf(nil, "%d online", 7)
	fmt.Println(websock.TextBytes(p)) // p is the message's now
	// Output: text, 8 bytes: "7 online"
}

func ExampleBinary() {
	fmt.Println(websock.Binary([]byte{1, 2, 255}))
	// Output: binary, 3 bytes: "\x01\x02\xff"
}

func ExampleJSON() {
	type moved struct {
		X int `json:"x"`
		Y int `json:"y"`
	}
	fmt.Println(websock.JSON(moved{3, 4}))
	// Output: text, 13 bytes: "{\"x\":3,\"y\":4}"
}

func ExamplePing() {
	fmt.Println(websock.Ping([]byte("17")))
	// Output: ping, 2 bytes: "17"
}

func ExamplePong() {
	fmt.Println(websock.Pong(nil))
	// Output: pong, 0 bytes: ""
}

func ExampleMessage_Check() {
	fmt.Println(websock.Text("caf\xc3").Check())
	// Output: websock: refused: text is not UTF-8 (RFC 6455 section 5.6)
}

func ExampleOK() {
	r := websock.OK()
	fmt.Println(len(r.Push), r.Stop)
	// Output: 0 <nil>
}

func ExamplePush() {
	r := websock.Push(websock.Text("one"), websock.Ping(nil), websock.Text("two"))
	for _, m := range r.Push {
		fmt.Println(m)
	}
	// Output:
	// text, 3 bytes: "one"
	// ping, 0 bytes: ""
	// text, 3 bytes: "two"
}

func ExampleClose() {
	r := websock.Close(4001, "signed in elsewhere", websock.Text("bye"))
	fmt.Println(r.Push[0])
	fmt.Println(r.Stop)
	fmt.Println(errors.Is(r.Stop, websock.ErrNormal))
	// Output:
	// text, 3 bytes: "bye"
	// websock: closed with 4001 "signed in elsewhere"
	// true
}

// The peer gets close frame 1012 and may come back; for supervisors and logs it
// is a normal end.
func ExampleStop() {
	r := websock.Stop(websock.ErrRestart)
	fmt.Println(r.Stop, errors.Is(r.Stop, websock.ErrNormal))
	// Output: restart true
}

// The peer gets a close frame that says little, Terminate and the log get the
// cause.
func ExampleStopWith() {
	err := fmt.Errorf("load room 7: %w", io.ErrUnexpectedEOF)
	r := websock.StopWith(err, websock.CloseDetail{Code: websock.CloseTryAgainLater, Reason: "try again"})
	fmt.Println(r.Stop)
	fmt.Println(r.Close.Code, r.Close.Reason)
	// Output:
	// load room 7: unexpected EOF
	// 1013 Try Again Later try again
}

func ExampleResult_Check() {
	fmt.Println(websock.Result{Close: websock.CloseDetail{Code: 4000}}.Check())
	fmt.Println(websock.Push(websock.Text("fine")).Check())
	// Output:
	// websock: refused: Close is set without Stop
	// <nil>
}

func ExampleCloseCode_Sendable() {
	for _, code := range []websock.CloseCode{websock.CloseNormal, websock.CloseNoStatus, 4001} {
		fmt.Println(code, code.Sendable())
	}
	// Output:
	// 1000 Normal Closure true
	// 1005 No Status Rcvd false
	// 4001 true
}

// An exit reason with a cause: the peer gets 4008 and the close reason; code that
// looks at the exit reason finds the cause.
func ExampleCloseError() {
	reason := fmt.Errorf("quota: %w", &websock.CloseError{Code: 4008, Reason: "quota used up", Err: websock.ErrOverload})
	fmt.Println(errors.Is(reason, websock.ErrOverload))
	fmt.Println(exit.KindOf(reason))
	if ce, ok := errors.AsType[*websock.CloseError](reason); ok {
		fmt.Println(ce.Code, ce.Reason)
	}
	// Output:
	// true
	// shutdown
	// 4008 quota used up
}

// A Terminate tells exit reasons apart with errors.Is and errors.As.
func ExampleTerminator() {
	terminate := func(reason error) {
		var remote *websock.RemoteCloseError
		switch {
		case errors.As(reason, &remote):
			fmt.Println("the client closed with", remote.Code)
		case errors.Is(reason, websock.ErrRemote):
			fmt.Println("the connection was lost")
		case errors.Is(reason, websock.ErrRestart): // before ErrNormal, which it is too
			fmt.Println("the client is to come back")
		case errors.Is(reason, websock.ErrNormal):
			fmt.Println("done")
		default:
			fmt.Println("failed:", reason)
		}
	}
	terminate(&websock.RemoteCloseError{Code: websock.CloseGoingAway})
	terminate(fmt.Errorf("read: %w: %w", websock.ErrRemote, io.EOF))
	terminate(websock.ErrRestart)
	terminate(&websock.CloseError{Code: 4001})
	terminate(errors.New("disk full"))
	// Output:
	// the client closed with 1001 Going Away
	// the connection was lost
	// the client is to come back
	// done
	// failed: disk full
}

// Asker puts its client's questions to a model, whose answers take a while and come as messages.
type Asker struct {
	waiting  int // answers on their way
	draining bool
}

// Answer is the message of an answer that has come.
type Answer string

func (a *Asker) Init(ctx context.Context) websock.Result { return websock.OK() }

func (a *Asker) HandleIn(ctx context.Context, question websock.Message) websock.Result {
	if a.draining {
		return websock.Push(websock.Text("ask again when you are back"))
	}
	a.waiting++ // and start an actor.Async, whose answer is an Answer
	return websock.OK()
}

func (a *Asker) HandleInfo(ctx context.Context, msg any) websock.Result {
	answer, ok := msg.(Answer)
	if !ok {
		return websock.OK()
	}
	a.waiting--
	if a.draining && a.waiting == 0 {
		return websock.Close(websock.CloseServiceRestart, "", websock.Text(string(answer)))
	}
	return websock.Push(websock.Text(string(answer)))
}

// HandleDrain closes a socket that waits for nothing. The others go on until the last answer, or until by.
func (a *Asker) HandleDrain(ctx context.Context, by time.Time) websock.Result {
	a.draining = true
	if a.waiting == 0 {
		return websock.Close(websock.CloseServiceRestart, "")
	}
	return websock.OK()
}

// In a drain no answer is lost, and sockets that wait for none are not held up.
func ExampleDrainer() {
	ctx, by := context.Background(), time.Now().Add(10*time.Second)
	var idle, busy Asker
	busy.HandleIn(ctx, websock.Text("why?"))
	for _, d := range []websock.Drainer{&idle, &busy} {
		fmt.Println("stops:", d.HandleDrain(ctx, by).Stop)
	}
	r := busy.HandleInfo(ctx, Answer("because"))
	fmt.Println(r.Push, "stops:", r.Stop)
	// Output:
	// stops: websock: closed with 1012 Service Restart
	// stops: <nil>
	// [text, 7 bytes: "because"] stops: websock: closed with 1012 Service Restart
}

// Counter counts what its client sends. Another process may ask it to close.
type Counter struct {
	texts, pongs int
}

// Kick asks a Counter to close.
type Kick struct{ Why string }

func (c *Counter) Init(ctx context.Context) websock.Result {
	return websock.Push(websock.Text("count with me"))
}

func (c *Counter) HandleIn(ctx context.Context, msg websock.Message) websock.Result {
	if msg.Opcode != websock.OpText {
		return websock.Close(websock.CloseUnsupportedData, "text only")
	}
	c.texts++
	return websock.Push(websock.JSON(c.texts), websock.Ping(nil))
}

func (c *Counter) HandleControl(ctx context.Context, msg websock.Message) websock.Result {
	if msg.Opcode == websock.OpPong {
		c.pongs++
	}
	return websock.OK()
}

func (c *Counter) HandleInfo(ctx context.Context, msg any) websock.Result {
	switch msg := msg.(type) {
	case Kick:
		return websock.Close(4001, msg.Why, websock.Text("sorry"))
	}
	return websock.OK()
}

func (c *Counter) Terminate(ctx context.Context, reason error) {
	fmt.Printf("%d texts, %d pongs; %v\n", c.texts, c.pongs, reason)
}

// A host calls the callbacks one at a time and carries out what they return.
// So can a test.
func ExampleHandler() {
	var (
		ctx = context.Background()
		c   = new(Counter)
		_   = websock.ControlHandler(c)
		_   = websock.Terminator(c)
	)
	fmt.Println(c.Init(ctx).Push)
	fmt.Println(c.HandleIn(ctx, websock.Text("a")).Push)
	c.HandleControl(ctx, websock.Pong(nil))
	r := c.HandleInfo(ctx, Kick{"too slow"})
	fmt.Println(r.Push)
	c.Terminate(ctx, r.Stop)
	// Output:
	// [text, 13 bytes: "count with me"]
	// [text, 1 bytes: "1" ping, 0 bytes: ""]
	// [text, 5 bytes: "sorry"]
	// 1 texts, 1 pongs; websock: closed with 4001 "too slow"
}

// echo is a handler that has a Terminate, and no other optional callback.
type echo struct{}

func (echo) Init(context.Context) websock.Result                          { return websock.OK() }
func (echo) HandleIn(_ context.Context, m websock.Message) websock.Result { return websock.Push(m) }
func (echo) HandleInfo(context.Context, any) websock.Result               { return websock.OK() }
func (echo) Terminate(_ context.Context, reason error)                    { fmt.Println("the handler ends") }

// noisy says when a handler ends. It has a Terminate, which is called only for those that have one.
type noisy struct{ websock.Handler }

func (n noisy) Wraps() websock.Handler { return n.Handler }

func (n noisy) Terminate(ctx context.Context, reason error) {
	fmt.Println("it ends:", reason)
	n.Handler.(websock.Terminator).Terminate(ctx, reason)
}

func ExampleWrapper() {
	var h websock.Wrapper = noisy{echo{}}
	h.(websock.Terminator).Terminate(context.Background(), errors.New("an error")) // as a server does
	// Output:
	// it ends: an error
	// the handler ends
}

// sums answers each message with its checksum, and keeps none of it.
type sums struct{ count int }

func (*sums) Init(context.Context) websock.Result            { return websock.OK() }
func (*sums) HandleInfo(context.Context, any) websock.Result { return websock.OK() }

func (s *sums) HandleIn(_ context.Context, m websock.Message) websock.Result {
	s.count++
	return websock.Push(websock.Text(fmt.Sprintf("%d: %08x", s.count, crc32.ChecksumIEEE(m.Data))))
}

// Borrows: HandleIn reads Data and returns, so a server may use that again.
func (*sums) Borrows() {}

func ExampleBorrower() {
	var h websock.Borrower = &sums{}
	r := h.HandleIn(context.Background(), websock.Binary(make([]byte, 1<<20))) // as a server does
	fmt.Println(r.Push[0])
	// Output: text, 11 bytes: "1: a738ea1c"
}

// A newer quote takes the place of the one of the same symbol that waits for a client.
func ExampleMessage_Deliver() {
	quote := websock.JSON(map[string]int{"AAPL": 27331}).Deliver(websock.Delivery{Key: "AAPL"})
	cursor := websock.JSON([]int{312, 44}).Deliver(websock.Delivery{Key: "ann", Expires: time.Second})
	frame := websock.Binary(make([]byte, 1200)).Deliver(websock.Delivery{Volatile: true})
	for _, m := range []websock.Message{quote, cursor, frame} {
		fmt.Printf("%+v\n", *m.Delivery())
	}
	// Output:
	// {Key:AAPL Volatile:false Expires:0s}
	// {Key:ann Volatile:false Expires:1s}
	// {Key: Volatile:true Expires:0s}
}

// page sends the lines of a file at the pace of its client, who may stop it.
type page struct {
	lines   []string
	stopped bool
}

func (p *page) Init(context.Context) websock.Result            { return websock.Stream(p.all) }
func (p *page) HandleInfo(context.Context, any) websock.Result { return websock.OK() }

// HandleIn runs between two lines, so it may stop what follows.
func (p *page) HandleIn(_ context.Context, msg websock.Message) websock.Result {
	p.stopped = string(msg.Data) == "stop"
	return websock.OK()
}

func (p *page) all(yield func(websock.Message) bool) {
	for _, line := range p.lines {
		if p.stopped || !yield(websock.Text(line)) {
			return
		}
	}
}

func ExampleStream() {
	p := &page{lines: []string{"one", "two", "three"}}
	for m := range p.Init(context.Background()).Stream { // as a socket does
		fmt.Printf("%s\n", m.Data)
		if string(m.Data) == "two" {
			p.HandleIn(context.Background(), websock.Text("stop"))
		}
	}
	// Output:
	// one
	// two
}

// tail shows a log to its client.
type tail struct{}

func (tail) Init(context.Context) websock.Result                      { return websock.OK() }
func (tail) HandleIn(context.Context, websock.Message) websock.Result { return websock.OK() }
func (tail) HandleInfo(context.Context, any) websock.Result           { return websock.OK() }

// HandleLag tells the client what it has missed. It runs when all that was not left out has been written.
func (tail) HandleLag(_ context.Context, l websock.Lag) websock.Result {
	return websock.Push(websock.Text(fmt.Sprintf("%d lines were left out", l.LeftOut)))
}

func ExampleLagHandler() {
	var h websock.LagHandler = tail{}
	r := h.HandleLag(context.Background(), websock.Lag{LeftOut: 12}) // as a socket does
	fmt.Println(r.Push[0])
	// Output: text, 22 bytes: "12 lines were left out"
}
