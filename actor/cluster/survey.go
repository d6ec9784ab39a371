package cluster

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster/internal/codec"
)

const (
	// maxSurveys is how many questions of other nodes a node answers at the same time.
	maxSurveys = 256
	// maxTopic is the length of a topic.
	maxTopic = 255
)

// ErrNoAnswer is the error of a node at which nobody answers the topic; see [Answer].
var ErrNoAnswer = codec.ErrNoAnswer

// answers are the functions of Answer, by topic.
type answers struct {
	mu    sync.Mutex
	m     map[string]func(ctx context.Context, question any) (any, error)
	room  int            // for other nodes
	group sync.WaitGroup // those that run for other nodes: Serve waits for them
}

// Answer has n answer the surveys of a topic with f, this node's own, too. Each call of f has a goroutine of its own, with a ctx
// that ends with the time of the survey; at most 256 run for other nodes, and what comes beyond is answered with ErrOverload.
// f gets what [Survey] was given. What crosses nodes must be of a built-in type or a registered one; see [Types]. A question that
// is no Q, an error of f, and a panic, which is logged, are no answer. f must end with its ctx: Serve waits for it.
//
// There is one f for each topic, as long as n exists. Answer panics when there is one already, when the topic is empty or has more
// than 255 bytes, and on a nil f.
func Answer[Q, A any](n *Node, topic string, f func(ctx context.Context, question Q) (A, error)) {
	checkTopic(topic)
	if f == nil {
		panic("cluster: Answer: nil function")
	}
	s := &n.answers
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m[topic] != nil {
		panic(fmt.Sprintf("cluster: Answer: topic %q is answered already", topic))
	}
	if s.m == nil {
		s.m = make(map[string]func(context.Context, any) (any, error))
	}
	s.m[topic] = func(ctx context.Context, question any) (any, error) {
		q, ok := question.(Q)
		if !ok && question != nil { // nil is the zero Q
			return nil, fmt.Errorf("the question is %T, not %T", question, q)
		}
		return f(ctx, q)
	}
}

func checkTopic(topic string) {
	if topic == "" || len(topic) > maxTopic {
		panic(fmt.Sprintf("cluster: the topic of a survey has 1 to %d bytes, got %d", maxTopic, len(topic)))
	}
}

// Survey asks this node and all that are connected, and returns their answers by the names of the nodes, once all have answered
// or ctx is done. missing are those that have not, in no order: they are slow, were lost meanwhile, take no more at the moment, have
// nobody who answers the topic, or have answered with an error. err says why, of each; it is nil when none is missing. Without a
// deadline in ctx, the System's CallTimeout is one.
//
//	counts, missing, err := cluster.Survey[int](ctx, node, "sockets", nil)
//
// A node gets the question at most once. Survey is for what is rare, such as a page for operators: each node costs a message and its
// answer. It panics when the topic is empty or has more than 255 bytes.
func Survey[A any](ctx context.Context, n *Node, topic string, question any) (answers map[string]A, missing []string, err error) {
	checkTopic(topic)
	if timeout := n.sys.CallTimeout(); timeout > 0 {
		if _, ok := ctx.Deadline(); !ok {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, timeout)
			defer cancel()
		}
	}
	answers = make(map[string]A)
	var problems []error
	for node, got := range n.survey(ctx, topic, question) {
		a, ok := got.v.(A)
		if got.err == nil && !ok && got.v != nil { // nil is the zero A
			got.err = fmt.Errorf("the answer is %T, not %T", got.v, a)
		}
		if got.err == nil {
			answers[node] = a
			continue
		}
		missing = append(missing, node)
		problems = append(problems, fmt.Errorf("cluster: survey %q, node %s: %w", topic, node, got.err))
	}
	return answers, missing, errors.Join(problems...)
}

// reply is what one node has said.
type reply struct {
	node string
	v    any
	err  error
}

// survey asks all, and waits. Each node has a reply.
func (n *Node) survey(ctx context.Context, topic string, question any) map[string]reply {
	sessions := *n.sessions.Load()
	replies := make(chan reply, 1+len(sessions))
	all := make(map[string]reply, 1+len(sessions))
	waits := func(node string) { all[node] = reply{node: node, err: context.DeadlineExceeded} }
	waits(n.name)
	cancel := n.answerHere(ctx, topic, question, func(v any, err error) { replies <- reply{n.name, v, err} })
	defer cancel()
	value, err := n.appendValue(nil, question, deliveryOf(question))
	n.refused(err)
	for _, s := range sessions {
		waits(s.node)
		if err != nil {
			replies <- reply{s.node, nil, err}
			continue
		}
		defer s.survey(ctx, topic, question, value, func(v any, err error) { replies <- reply{s.node, v, err} })()
	}
	for range 1 + len(sessions) {
		select {
		case r := <-replies:
			if before := all[r.node]; r.err == nil || before.err != nil { // of two boots of one name one may have answered
				all[r.node] = r
			}
		case <-ctx.Done():
			for node, r := range all {
				if r.err == context.DeadlineExceeded {
					all[node] = reply{err: ctx.Err()}
				}
			}
			return all
		}
	}
	return all
}

// survey asks one node; it is remote.Call without a process.
func (s *session) survey(ctx context.Context, topic string, question any, value []byte, answer func(v any, err error)) (cancel func()) {
	left := uint64(0)
	if deadline, ok := ctx.Deadline(); ok {
		left = uint64(max(time.Until(deadline), 1))
	}
	id, err := s.beginCall(answer)
	if err != nil {
		answer(nil, err)
		return nothing
	}
	rec := appendBytes(recordWith(nil, recSurvey, headers{deliver: deliveryOf(question)}, id, left), topic)
	err = s.offer(append(rec, value...), question)
	s.n.refused(err)
	if err != nil {
		if s.removeCall(id) != nil { // else the session has ended and told it
			answer(nil, err)
		}
		return nothing
	}
	return func() {
		if s.removeCall(id) != nil {
			s.control(record(nil, recCancel, id))
		}
	}
}

// receiveSurvey answers a question of the other node. It is among the Calls that wait for an answer from here.
func (s *session) receiveSurvey(f *fields) error {
	id, left, h := f.number(), f.number(), f.tagged()
	topic := string(f.bytes())
	if f.bad {
		return errBroken
	}
	a, err := s.beginAsked(id)
	if a == nil {
		return err
	}
	question, err := s.types.Value(f.b)
	if err != nil {
		s.undecodable(err)
		s.answer(id, a, nil, err)
		return nil
	}
	if !s.n.answers.enter() {
		s.answer(id, a, nil, actor.ErrOverload)
		return nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	if left > 0 {
		ctx, cancel = context.WithTimeout(context.Background(), time.Duration(min(left, uint64(longest))))
	}
	s.begun(&s.asked, id, a, cancel)
	s.n.answers.group.Add(1)
	s.n.answerHere(ctx, topic, delivered(question, h.deliver), func(v any, err error) {
		defer s.n.answers.group.Done()
		s.n.answers.leave()
		cancel()
		s.answer(id, a, v, err)
	})
	return nil
}

// enter takes one of the places for questions of other nodes.
func (s *answers) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.room >= maxSurveys {
		return false
	}
	s.room++
	return true
}

func (s *answers) leave() {
	s.mu.Lock()
	s.room--
	s.mu.Unlock()
}

// answerHere runs the function of a topic on a goroutine of its own; done runs there, once, at last.
func (n *Node) answerHere(ctx context.Context, topic string, question any, done func(v any, err error)) (cancel func()) {
	n.answers.mu.Lock()
	f := n.answers.m[topic]
	n.answers.mu.Unlock()
	ctx, cancel = context.WithCancel(ctx)
	if f == nil {
		done(nil, ErrNoAnswer)
		return cancel
	}
	go func() {
		v, err := any(nil), error(nil)
		returned := false
		defer func() { // after a panic or runtime.Goexit, too
			if !returned {
				r := recover()
				n.log.Error("panic in a callback", "node", n.name, "callback", "cluster.Answer", "topic", topic, "panic", r,
					"stack", string(debug.Stack()))
				v, err = nil, &actor.PanicError{Value: r, Stack: debug.Stack()}
			}
			done(v, err)
		}()
		v, err = f(ctx, question)
		returned = true
	}()
	return cancel
}
