// Package observer shows a program that runs: its supervision tree, processes, sockets, groups, names, presence, nodes and last
// exits, as JSON and as a page that reads it. One process can be opened: its mailbox, its groups, the state of its handler, its
// last events, and its frames as they come.
//
//	obs := observer.Handler(observer.Config{Servers: []*socket.Server{sockets}, Supervisors: []supervisor.Service{tree}})
//	own := http.NewServeMux() // not the one that users reach
//	own.Handle("/observer/", http.StripPrefix("/observer", obs))
//	server := &http.Server{Addr: "127.0.0.1:9100", Handler: own} // a child of your tree: supervisor.HTTP(server, nil)
//
// # Who may look
//
// Nobody, by default, but programs and browsers of this machine: see [Loopback]. Everybody else gets 403, and the log says which
// field to set. A proxy on this machine is a program of it, and not every request that it passes on can be told: so give the Observer
// a listener of its own on a loopback address, which the proxy does not know, or set Config.Authorize.
//
// What changes something (kick, send, drain) needs [Act], which only Config.Authorize gives; it is a POST that no page
// of another origin can make, and the log says who has done it. What messages say is shown only where socket.Config.TapPayload is
// set.
//
// # What looking costs
//
// Nothing while nobody looks. Whoever looks shares one sweep at a time with all others who do, and sweeps take a tenth of one core: when
// one has taken long, the next one waits, for 10 s at most. A sweep looks at no more than 200,000 sockets and processes, and for no longer than
// 250 ms at each kind; then it shows a sample, and says so. There are at most 16 live connections, with 4 taps each.
//
// Methods of the program's types are called: String of a supervisor.Service, Error of an exit reason, MarshalJSON of a meta, and what a
// websock.Describer returns. They may panic, but must not block: one that does holds up the tree, the exits, the members of groups and
// the keys of topics, for all who look, until it returns; and it holds up System.Shutdown, until the ctx of that is done.
//
// Labels, names, addresses, close reasons, errors and payloads are text that strangers may have written: each is cut, is valid
// UTF-8, and has no control characters. It is the reader's business to show it as text.
package observer
