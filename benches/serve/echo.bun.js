// An echo server for Bun; says where it listens as `we serve` does.
const server = Bun.serve({
  hostname: '127.0.0.1',
  port: 0,
  fetch(request, server) {
    return server.upgrade(request) ? undefined : new Response(null, { status: 426 });
  },
  websocket: {
    perMessageDeflate: false,
    message(socket, data) {
      socket.send(data);
    },
  },
});
console.log(`listening on ws://127.0.0.1:${server.port}/`);
