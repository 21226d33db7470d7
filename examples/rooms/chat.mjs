// A chat in each room: we serve --rooms examples/rooms/chat.mjs
import { room } from 'we:serve';

const names = new Map();

export default room({
    connect(client, ctx) {
        const name = `guest ${client.id}`;
        names.set(client, name);
        client.send(`welcome to ${ctx.name}, ${name}`);
        ctx.send(ctx.everyoneExcept(client), `${name} has come`);
    },

    message(client, data, ctx) {
        if (typeof data !== 'string') return;
        const name = names.get(client);
        const [, wanted] = data.match(/^\/name (.+)$/s) ?? [];
        if (wanted) {
            names.set(client, wanted);
            ctx.send(ctx.everyone, `${name} is now ${wanted}`);
        } else {
            ctx.send(ctx.everyoneExcept(client), `${name}: ${data}`);
        }
    },

    disconnect(client, ctx) {
        ctx.send(ctx.everyone, `${names.get(client)} has left`);
        names.delete(client);
    },
});
