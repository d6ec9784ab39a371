// An echo server of the npm package ws, for a test of Troupe's client.
const { WebSocketServer } = require("ws");

const server = new WebSocketServer({ host: "127.0.0.1", port: 0, maxPayload: 4 << 20, perMessageDeflate: process.argv[2] === "deflate" });
server.on("connection", (socket) => {
  socket.on("message", (data, binary) => {
    if (!binary && data.toString() === "bye") {
      socket.close(4000, "bye");
    } else {
      socket.send(data, { binary });
    }
  });
});
server.on("listening", () => console.log(server.address().port));
process.stdin.on("end", () => process.exit(0)).resume(); // it ends with the test
