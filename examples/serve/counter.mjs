// Counts for each connection by itself, since each has an instance of its own: we serve examples/serve/counter.mjs
import { websocket } from 'we:serve';

let count = 0;

export default websocket({
    open(socket) { socket.send('send + or -'); },
    message(socket, data) {
        count += { '+': 1, '-': -1 }[data] ?? 0;
        socket.send(`${count}`);
    },
});
