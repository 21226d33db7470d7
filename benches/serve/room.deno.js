// A room for Deno, which has no topics: what anybody says everyone hears.
const clients = new Set();
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
    socket.onopen = () => clients.add(socket);
    socket.onclose = () => clients.delete(socket);
    socket.onmessage = ({ data }) => {
      for (const client of clients) client.send(data);
    };
    return response;
  },
);
