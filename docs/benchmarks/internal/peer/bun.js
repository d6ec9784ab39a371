// The peer for Bun. It says where it listens, and obeys a control connection as serve.go does.
const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  fetch(request, server) {
    const room = new URL(request.url).searchParams.get("room");
    if (server.upgrade(request, {data: {room}})) return;
    return new Response("no WebSocket", {status: 400});
  },
  websocket: {
    maxPayloadLength: options.maxMessage,
    backpressureLimit: 64 << 20,
    open(ws) {
      if (options.group) ws.subscribe("all");
      if (options.rooms) ws.subscribe(ws.data.room);
    },
    message(ws, message) {
      if (options.rooms) server.publish(ws.data.room, message);
      else ws.send(message);
    },
  },
});

const control = Bun.listen({
  hostname: "127.0.0.1",
  port: 0,
  socket: {
    open(socket) { socket.data = Buffer.alloc(0); },
    async data(socket, chunk) {
      socket.data = Buffer.concat([socket.data, chunk]);
      while (socket.data.length > 0) {
        const command = socket.data[0];
        if (command === 98) { // b: broadcast
          if (socket.data.length < 5) return;
          const size = socket.data.readUInt32BE(1);
          if (socket.data.length < 5 + size) return;
          server.publish("all", socket.data.toString("utf8", 5, 5 + size));
          socket.data = socket.data.subarray(5 + size);
        } else { // c: collect
          socket.data = socket.data.subarray(1);
          for (let i = 0; i < 3; i++) {
            Bun.gc(true);
            await Bun.sleep(10);
          }
        }
        socket.write(Uint8Array.of(command));
      }
    },
    close() { process.exit(0); },
  },
});
console.log(`127.0.0.1:${server.port} 127.0.0.1:${control.port}`);
