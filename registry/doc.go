// Package registry knows who is where: names of processes, groups of processes, and who is present. With it a service
// finds one socket, or reaches many, from any goroutine.
//
//	reg := registry.New(sys)
//
//	// In the handler of a socket:
//	func (c *Client) Init(ctx context.Context) websock.Result {
//		me := actor.Self(ctx)
//		if err := reg.Register("user:"+c.User, me, nil); err != nil {
//			return websock.Close(4001, "signed in elsewhere")
//		}
//		if err := reg.Join("room:"+c.Room, me, nil); err != nil {
//			return websock.Stop(err) // this socket is being ended already
//		}
//		return websock.OK()
//	}
//
//	func (c *Client) HandleIn(ctx context.Context, msg websock.Message) websock.Result {
//		reg.BroadcastFrom("room:"+c.Room, actor.Self(ctx), msg)
//		return websock.OK()
//	}
//
// A name has one holder ([Registry.Register]). A group has many members ([Registry.Join]), and what is broadcast to it
// goes to all of them ([Registry.Broadcast], or [Topic] with a type). Presence ([Registry.Track]) counts persons, however
// many sockets each has. A name and a group of the same word have nothing to do with each other. Nor do a group and a
// topic of presence, but these are watched together ([Registry.Watch]). [Ask] finds or starts the process of a name and
// calls it. [Registry.Names], Groups, Topics and Of list what there is.
//
// # Slow work, Join, ask
//
// While a callback runs, Init included, nothing is taken out of its process's mailbox. What is broadcast to a group
// after the Join waits there, and more than MailboxLimit messages end a socket, perhaps before it has sent anything. So
// a handler first does its slow work, such as a query, then joins, and then asks whoever keeps the past for what came
// before:
//
//	func (c *Client) Init(ctx context.Context) websock.Result {
//		user, err := c.DB.User(ctx, c.ID)                                       // slow
//		...
//		err = reg.Join("room:"+user.Room, actor.Self(ctx), nil)                 // nothing is missed from here on
//		...
//		past, err := registry.Ask[Past](ctx, reg, "room:"+user.Room, start, c.Seen) // what came before
//
// What is broadcast between the last two steps comes twice, and is recognised by its number; see
// docs/explanation/delivery.md. A process should join by itself, and not be joined by another one that answers its Call:
// the caller may have ended by then.
//
// # What holds
//
// Once its end is decided, a process gets no more broadcasts, and Whereis does not find it. It is taken out of everything
// after its Terminate has returned and before anybody is told by an actor.Down, after a panic or a kill too; nothing
// has to be removed by hand. A process that has ended cannot be entered again. Of names and groups that nobody is in
// nothing is kept, except the type of a [Topic].
//
// A Registry has no goroutine, no timer and no mailbox. A call does its work on the caller's goroutine and does not wait
// for a process; only [Registry.Ensure] and [Ask] wait, within their ctx. Reading holds a lock only while a group is found
// and a list of members is copied. No lock is held while messages are sent or functions of the caller run, so these may use
// the registry. Names and groups are spread over many locks, and a group of more than a few dozen members has many locks of
// its own.
//
// What one goroutine broadcasts and sends reaches each process in that order; between several goroutines there is no order.
// Once a Leave has returned, the process gets nothing more of the group, not even what waits in its mailbox.
//
// A watcher is told what has changed since it was told last, however much that is, in at most two messages. They do not
// count against MailboxLimit. A change costs one message for each watcher that has been told everything before it.
//
// # In a cluster
//
// [NewCluster] makes a Registry that shares what it knows with those of the other nodes; its methods are the same. Each node
// tells the others what its own processes have, and forgets what a node has told when the link to it ends. So names, presence
// and broadcasts are about all nodes that are connected. Lists of members stay on their node. [Registry.Close] ends a group on all.
//
// # Limits
//
// It is about the processes of one System, unless it is made with [NewCluster]; [Registry.OnGroup] is for relays of your own.
// Delivery is that of actor.PID.Send: at most once, and not to a mailbox that is full.
package registry
