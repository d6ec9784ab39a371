// Package proto joins Troupe with a program that is written with protoactor-go: sockets, rooms and workers live in the
// program's own ActorSystem, and both sides send to, ask, watch and end each other's.
//
//	system := protoactor.NewActorSystem()
//	sys, err := proto.NewSystem(system, actor.Config{})
//	// ...
//	sockets, err := socket.New(socket.Config{System: sys})
//
// # From an actor of protoactor
//
// [PID] makes protoactor's address of a process, which is good for all that protoactor does with addresses:
//
//	ctx.Send(proto.PID(socket), websock.Text("hi"))   // written to the client, as with actor.PID.Send
//	ctx.Request(proto.PID(socket), question)          // HandleInfo gets a Call; actor.Reply is the response
//	ctx.Watch(proto.PID(socket))                      // Terminated, when the socket has ended, or has ended before
//	ctx.Stop(proto.PID(socket))                       // Exit with ErrShutdown
//	ctx.Poison(proto.PID(socket))                     // Exit with ErrNormal
//
// What is sent to a process that is gone, or whose mailbox is full, is a dead letter of the ActorSystem. Sends never block
// and never run the receiver on the sender's goroutine.
//
// # From a handler or an actor of Troupe
//
// [Send], [Request] and [Call] reach an actor of protoactor; [Proxy] makes a process that stands for one, which package
// registry, actor.Monitor and everything else takes.
//
// # What is different
//
// A process of Troupe is no actor of protoactor in everything. The three that surprise most:
//
//   - Stop takes its place in the mailbox, as Exit does, and Terminated comes when the process has ended altogether. As
//     everywhere in protoactor, Terminated overtakes the messages that wait for the watcher.
//   - Mailboxes have a limit, and what comes beyond it is a dead letter; at a socket it is the end, with ErrOverload.
//   - Supervision strategies, Behavior, Stash, children and persistence are for protoactor's own actors, and its remote
//     reaches no process.
//
// docs/reference/protoactor-go.md has all of them, with what to use instead; docs/how-to has a program, step by step.
package proto
