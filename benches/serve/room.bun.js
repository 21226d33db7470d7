// A room for Bun, by its topics: what anybody says everyone hears.
const server = Bun.serve({
  hostname: '127.0.0.1',
  port: 0,
  fetch(request, server) {
    return server.upgrade(request) ? undefined : new Response(null, { status: 426 });
  },
  websocket: {
    perMessageDeflate: false,
    open(socket) {
      socket.subscribe('room');
    },
    message(socket, data) {
      server.publish('room', data);
    },
  },
});
console.log(`listening on ws://127.0.0.1:${server.port}/`);
