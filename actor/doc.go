// Package actor runs processes, as Erlang/OTP means the word: an [Actor] with an address that is never used twice ([PID]),
// a mailbox, an exit reason, and a place in the order in which a [System] shuts down.
//
//	type counter struct{ n int }
//
//	func (c *counter) Receive(ctx context.Context, msg any) error {
//		c.n++
//		actor.Reply(ctx, c.n)
//		return nil
//	}
//
//	sys, err := actor.NewSystem(actor.Config{})
//	pid, err := sys.Spawn(ctx, &counter{}, actor.SpawnOptions{Label: "counter"})
//	n, err := actor.Call[int](ctx, pid, "next")
//
// # The life of a process
//
//  1. Spawn makes the process. It can be sent to from here on; messages wait.
//  2. Init runs ([Initializer]); Spawn returns when it has. When it fails, the process ends without Terminate.
//  3. Receive gets the messages, one after the other, in the order in which they came into the mailbox.
//  4. The exit reason is decided: Receive returned an error or panicked, a [PID.Exit] had its turn in the mailbox, or
//     the mailbox was over its limit (OverflowExit), which overtakes what waits. What still waits is dropped; a Call
//     among it gets ErrNoProcess. From the Exit on, or else from here, Send and Alive return false and the shutdown
//     time runs.
//  5. The children get Exit(ErrShutdown) and are awaited, each for its own shutdown time.
//  6. Terminate runs ([Terminator]), once. Its ctx is alive.
//  7. The functions of [PID.OnExit] run. Then the ctx of the process is done with the exit reason as its [context.Cause],
//     a [Down] goes to the monitors, after all that the process has sent them, and then to the parent.
//
// An Exit with [ErrKilled], or a shutdown time that is over, skips to step 7, even when a callback is stuck. No
// goroutine can be killed: one that is stuck is abandoned, counted, and logged with PID, label and, where that is
// cheap, its stack. What its callback returns is dropped. The children of a killed process get their Exit, but nobody
// waits for them.
//
// # What runs where
//
// A process has no goroutine while it has nothing to do. A message is handled on a goroutine of the System, never on that
// of the sender; no two callbacks of one process overlap. Sends do not block. A callback may block: then its own process
// waits, and no other. Timers, monitors and calls belong to the process, work from every goroutine that has its ctx, and
// end with it. [Async] is for work that must not block the process.
//
// # Limits
//
// A mailbox takes [SpawnOptions].MailboxLimit messages; what the process has asked for itself (Down, Done, ticks, answers)
// and Exits do not count. Messages are not copied: what was sent belongs to the receiver. Delivery is at most once, and
// a true from [PID.Send] does not mean that the message will be handled; a [Call] that was answered does. There is no
// order between different senders. A System knows the processes of its own node; package cluster connects Systems.
package actor
