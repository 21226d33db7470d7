// An echo server for Deno; says where it listens as `we serve` does.
Deno.serve(
  {
    hostname: '127.0.0.1',
    port: 0,
    onListen({ port }) {
      console.log(`listening on ws://127.0.0.1:${port}/`);
    },
  },
  (request) => {
    const { socket, response } = Deno.upgradeWebSocket(request);
    socket.onmessage = ({ data }) => socket.send(data);
    return response;
  },
);
