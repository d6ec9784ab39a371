package peer

// nbioModule has a poller of its own, and no goroutine for a connection. It is linked with the build tag nbio only, into a
// program that runs nothing else: as soon as it is linked it has an engine, whose megabyte of pointers the garbage collector
// would look at in each of its cycles. Those of other servers, whose heaps are small here, would cost three times as much.
const nbioModule = "github.com/lesismal/nbio"
